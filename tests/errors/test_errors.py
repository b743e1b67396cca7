import inspect
import re

import pytest

from ocrtune import errors
from ocrtune.errors import ConfigError, MissingDependency, OcrtuneError, require

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, Exception) and found.__module__ == errors.__name__
}

PUBLIC = """
ArchiveError ArchiveUnsafe BatchError BosDoubled CheckpointError ConfigError DuplicateGlobalView EosMissing EvaluationError ExportError
Float16Trainable GradientAuditError GridMismatch GridSwapped HeicUnreadable ImageCount ImageError ImageLeaked ImageTensorNot4D ImageTooLarge ImagesMissing
ImagesNotTuples InputIdsShape InputsError LabelsAllIgnored LabelsOnImageTokens LabelsOnPadding LabelsOnPrompt
LabelsShape LabelsShifted ManifestError MissingDependency ModeError NonFiniteLoss NotJson OcrtuneError PdfError PdfPageSize
PixelValuesUnexpected PlanningError PrecisionError PrecisionUnavailable PredictionError ReportError ReviewError ReviewItemMissing SequenceMaskMisplaced SequenceMaskMissing SequenceMaskNotBool
SequenceMaskShape SequenceTooLong SeveralImagesError SeveralTexts ShardError SourceError SpatialCropCount SpatialCropMissing SynthError TensorMismatch TextError
TilesDiscarded TokenizerError TooFewImageTokens TooManyImageTokens TooManySkipped TrainingError TranscriptError TuningError UnsafeXml ViewDtype ViewSize
"""


def drawn_tree() -> dict[str, str]:
    """Each exception in the module's drawing → the one it is drawn under."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}((?:[│├└─ ] {0,3}|── )*)([A-Z]\w+)  ", line)
        if not found:
            continue
        depth = len(found[1]) // 4
        branch[depth:] = [found[2]]
        parents[found[2]] = branch[depth - 1] if depth else "Exception"
    return parents


def test_the_public_names_are_these():
    assert sorted(CLASSES) == sorted(PUBLIC.split())


def test_every_exception_is_drawn_under_its_parent():
    assert drawn_tree() == {name: found.__base__.__name__ for name, found in CLASSES.items()}


def test_codes_are_unique_and_written_alike():
    codes = [found.code for found in CLASSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_exception_says_what_it_means_and_has_its_own_code(name):
    found = CLASSES[name]
    assert found.__doc__
    assert "code" in vars(found)
    assert found.__doc__.splitlines()[0].endswith((".", "mistake found, one line each."))


def test_an_error_says_what_where_and_what_to_do():
    error = OcrtuneError("grid is 2×3", where="row 4", hint="swap them")
    assert str(error) == "grid is 2×3\n  where: row 4\n  hint: swap them"
    assert (error.message, error.where, error.hint) == ("grid is 2×3", "row 4", "swap them")


def test_what_is_not_said_is_not_printed():
    assert str(OcrtuneError("broken")) == "broken"
    assert str(OcrtuneError("broken", hint="mend it")) == "broken\n  hint: mend it"


@pytest.mark.parametrize(
    ("problems", "heading"),
    [(["a: missing"], "the configuration has 1 problem"), (["a", "b"], "the configuration has 2 problems")],
)
def test_a_config_error_lists_every_problem(problems, heading):
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error).splitlines() == [heading, *(f"  - {problem}" for problem in problems)]


def test_a_missing_package_is_answered_with_the_command_that_adds_it():
    error = require("torch", "train")
    assert isinstance(error, MissingDependency)
    assert error.message == "torch is not installed"
    assert "pip install 'ocrtune[train]'" in error.hint
