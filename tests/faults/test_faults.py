"""Every fault of the corpus through `check` and `train`: nothing crashes, nothing hangs, nothing is lost."""

import json
from pathlib import Path

import pytest
import yaml
from fault_corpus import CASES, NUM_GOOD, archives
from fault_corpus.judging import check, held_out_uri, learn, make, prepare, run_config
from fault_corpus.page import PAGE, write_page
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.config import parse_config
from ocrtune.errors import ArchiveError, ManifestError, OcrtuneError, TrainingError
from ocrtune.sources import read_source
from ocrtune.sources.importing import import_pages
from ocrtune.training import train

STEPS = 14
"""Of a stream, so that each page comes at least twice."""

MADE = [case for case in CASES if case.can_be_made]
FIRST = list(
    {
        (case.kind, case.outcome): case
        for case in reversed(MADE)
        if case.outcome != "learned" and not (case.limits or case.environment or case.code or case.validation)
    }.values()
)
"""One of each kind that stops a run, and one that no run takes."""

STREAMED = ("synth", "webdataset")


@pytest.fixture(scope="session")
def uri_of(corpus):
    """The uri of a case, which is made when it is first asked for."""
    made = {}

    def of(case):
        if case not in made.values():
            made[make(case, corpus)] = case
        return next(uri for uri, known in made.items() if known is case)

    return of


@pytest.fixture(params=MADE, ids=lambda case: f"{case.kind}-{case.name}")
def case(request):
    return request.param


@pytest.fixture
def config(case, uri_of, corpus, tiny_model, tmp_path):
    def of(*, skips):
        held_out = held_out_uri(case, corpus)
        return run_config(tiny_model.folder, tmp_path, uri_of(case), held_out, skips=skips, steps=STEPS)

    return of


def test_check_finds_what_is_wrong_by_its_code_with_its_place_and_nothing_else(
    case, uri_of, corpus, tiny_model
):
    found = check(case, uri_of(case), corpus, tiny_model.family)
    assert sorted(finding.code for finding in found) == sorted(case.codes)
    for finding in found:
        # A text that is repeated has no one place.
        assert case.name in finding.where or finding.code in {"text-repeated", "document-shared"}
        if finding.severity == "error" and not case.validation:
            assert not any(f"page{number}." in finding.where for number in range(1, NUM_GOOD + 1))


def test_a_run_that_skips_learns_from_every_good_page_and_counts_the_others(case, config, tiny_model):
    with case.conditions():
        if case.outcome == "refused":
            with pytest.raises(OcrtuneError) as caught:
                learn(config(skips=True), tiny_model.family, tiny_model.tokenizer)
            assert caught.value.code == case.codes[0]
            return
        learned = learn(config(skips=True), tiny_model.family, tiny_model.tokenizer)
    assert len(learned.pages) == case.pages
    assert learned.num_held_out == (1 if case.validation else 0)
    # One bad page costs one finding, and no other page.
    assert len(learned.skipped) == (1 if case.outcome == "skipped" else 0)
    if case.outcome == "skipped":
        # What is held out as well is the one good page that is not learned from.
        assert case.pages == NUM_GOOD - bool(case.validation)
        assert learned.skipped[0].code in {case.code, *case.codes}


def test_a_run_that_stops_does_so_with_the_error_named(case, config, tiny_model):
    with case.conditions():
        if case.outcome == "learned":
            learned = learn(config(skips=False), tiny_model.family, tiny_model.tokenizer)
            assert (len(learned.pages), learned.skipped) == (case.pages, ())
            return
        with pytest.raises(OcrtuneError) as caught:
            learn(config(skips=False), tiny_model.family, tiny_model.tokenizer)
    if case.outcome == "refused" or case.code:
        assert caught.value.code == (case.code or case.codes[0])
    else:
        assert isinstance(caught.value, TrainingError)
        assert f"- {case.codes[0]}: " in caught.value.message
        assert "on_error=skip" in caught.value.hint


def test_one_run_over_all_faults_learns_and_its_counts_add_up(uri_of, tiny_model, tmp_path):
    """Cases whose limits are usual, as the sources of one run."""
    cases = [
        case for case in MADE if case.outcome != "refused" and case.kind not in STREAMED
        and not (case.limits or case.environment or case.validation)
    ]  # fmt: skip
    tree = run_config(tiny_model.folder, tmp_path / "run", "", None, skips=True).model_dump(mode="json")
    sources = [{"uri": uri_of(case), "name": f"{case.kind}-{case.name}"} for case in cases]
    tree["evaluation"]["max_pages"] = 1000
    # All sources have the same good pages.
    tree["data"] |= {
        "uri": None,
        "sources": sources,
        "validation_fraction": 0.02,
        "allow": ["image-leaked"],
    }
    result = train(parse_config(tree))
    skipped = [json.loads(line) for line in (result.run / "skipped.jsonl").read_text().splitlines()]
    assert result.steps == 2
    assert result.num_skipped == len(skipped) == sum(case.outcome == "skipped" for case in cases)
    assert result.num_train_pages + result.num_validation_pages == sum(case.pages for case in cases)
    assert {row["code"] for row in skipped} == {
        code for case in cases if case.outcome == "skipped" for code in [case.code or case.codes[0]]
    }


def test_the_command_line_shows_no_traceback(uri_of, corpus, tiny_model, tmp_path):
    runner = CliRunner()
    for case in MADE:
        held_out = held_out_uri(case, corpus)
        more = ["--validation", held_out] if held_out else []
        with case.conditions():
            result = runner.invoke(app, ["check", uri_of(case), "--family", "deepseek_ocr", *more])
        assert result.exception is None or isinstance(result.exception, SystemExit | OcrtuneError), case.name
        assert "Traceback" not in result.output
        # Whether a page is too long only a tokenizer can tell.
        is_wrong = case.outcome != "learned" and case.code != "sequence-too-long"
        assert bool(result.exit_code) == is_wrong, case.name


@pytest.mark.parametrize("case", FIRST, ids=lambda case: f"{case.kind}-{case.outcome}")
def test_train_on_the_command_line_stops_before_the_first_step(case, uri_of, tiny_model, tmp_path):
    recipe = tmp_path / "run.yaml"
    tree = run_config(tiny_model.folder, tmp_path / "run", uri_of(case), None, skips=False)
    recipe.write_text(yaml.safe_dump(tree.model_dump(mode="json")), encoding="utf-8")
    result = CliRunner().invoke(app, ["train", str(recipe)])
    assert isinstance(result.exception, OcrtuneError)
    assert case.codes[0] in result.exception.message or case.codes[0] == result.exception.code
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("name", archives())
def test_an_archive_made_to_do_harm_is_refused_and_leaves_nothing_outside(name, tmp_path):
    make_archive, code = archives()[name]
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    path = make_archive(source)
    before = sorted(tmp_path.rglob("*"))
    if name.endswith("-link"):
        imported = import_pages([str(path)], out)
        assert (imported.num_pages, [finding.code for finding in imported.findings]) == (NUM_GOOD, [code])
        return
    with pytest.raises(ArchiveError) as caught:
        import_pages([str(path)], out)
    assert caught.value.code == code
    assert str(path) in caught.value.where
    left = [file for file in sorted(tmp_path.rglob("*")) if file not in before and file.is_file()]
    assert left == []
    result = CliRunner().invoke(app, ["import", "auto", str(path), "-o", str(tmp_path / "again")])
    assert isinstance(result.exception, ArchiveError)
    assert isinstance(CliRunner().invoke(app, ["check", str(path)]).exception, OcrtuneError)


def test_a_manifest_changed_between_reading_and_use_is_named(tmp_path):
    case = next(case for case in CASES if case.name == "bom-and-crlf")
    uri = make(case, tmp_path)
    pages = read_source(uri).pages
    with Path(uri).open("r+b") as file:
        file.write(b"no longer JSON")
    with pytest.raises(ManifestError, match="was changed while it was in use"):
        pages[0]


def test_an_image_changed_between_check_and_use_is_named(tiny_model, tmp_path):
    case = next(case for case in CASES if case.name == "short-name")
    uri = make(case, tmp_path)
    image = read_source(uri).pages[3].images[0]
    config = run_config(tiny_model.folder, tmp_path / "run", uri, None, skips=True)
    examples = prepare(config, tiny_model.family, tiny_model.tokenizer).train
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(OcrtuneError) as caught:
        list(examples)
    assert caught.value.code == "image"
    assert str(image) in caught.value.where


def test_the_page_of_the_docs_equals_the_code(tmp_path):
    told = "run `PYTHONPATH=src:tests/support python -m fault_corpus --docs`"
    assert PAGE.read_text(encoding="utf-8") == write_page(tmp_path), told


def test_names_of_cases_are_unique():
    assert len({(case.kind, case.name) for case in CASES}) == len(CASES)
