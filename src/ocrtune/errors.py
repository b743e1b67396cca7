"""Every exception ocrtune raises, drawn as a tree.

::

    OcrtuneError                          code `error`; carries message, where and hint
    ├── ConfigError                       the run's YAML or an override; lists all problems at once
    ├── SourceError                       pages cannot be read
    │   ├── ManifestError                 a manifest line is broken
    │   ├── ImageError                    an image is missing, broken or empty
    │   │   ├── ImageTooLarge             more pixels or bytes than the limits allow
    │   │   └── HeicUnreadable            an HEIC image, and the package that reads them is not installed
    │   ├── ArchiveError                  a zip or tar is broken, or cannot be unpacked
    │   │   └── ArchiveUnsafe             it leads out of its folder, or is larger than the limits allow
    │   ├── TextError                     a text file beside an image is not UTF-8, too large or unreadable
    │   │   ├── SeveralTexts              an image has several texts, and nobody said which is meant
    │   │   └── NotJson                   a target that should be JSON is not, or not in a form that can be kept
    │   ├── TranscriptError               XML of a transcription is broken, too large or of an unknown kind
    │   │   └── UnsafeXml                 XML declares entities or an external DTD
    │   ├── PdfError                      a PDF, or a page of it, is broken, locked or too large
    │   │   └── PdfPageSize               a page has no size, or one that cannot be rendered
    │   ├── ShardError                    a shard, or a page in it, is broken or not as it was
    │   └── SynthError                    synthetic pages lack texts, fonts or a known degradation
    ├── InputsError                       an example cannot be turned into model inputs
    │   ├── ImageLeaked                   an image to learn from is held out as well
    │   ├── ModeError                     no such mode, or a mode the family cannot see
    │   ├── TokenizerError                no tokenizer, or one without the family's special tokens
    │   ├── SeveralImagesError            the family takes one image per example (in this mode)
    │   ├── SequenceTooLong               a limit would cut image tokens or EOS
    │   └── TooManySkipped                a stream has too many pages that cannot be learned from
    ├── BatchError                        a batch breaks the published or native input contract
    │   ├── ImagesMissing                 error 1: `images` is None
    │   ├── SpatialCropMissing            error 2: `images_spatial_crop` is None
    │   ├── ImageTensorNot4D              error 3: 3-D image tensors
    │   ├── SequenceMaskMissing           error 4: `images_seq_mask` is None
    │   ├── SequenceMaskNotBool           error 5: float mask
    │   ├── SequenceMaskShape             the (N, 1) "fix": every text embedding is overwritten
    │   ├── SequenceMaskMisplaced         True away from the image tokens, or not on them
    │   ├── TooFewImageTokens             fewer True than features: the global view never arrives
    │   ├── TooManyImageTokens            more True than features
    │   ├── TilesDiscarded                `[[1, 1]]` although there are tiles
    │   ├── GridSwapped                   `[rows, columns]` for `[columns, rows]`
    │   ├── GridMismatch                  columns × rows is not the number of tiles
    │   ├── SpatialCropCount              fewer grids than images: later images are dropped
    │   ├── DuplicateGlobalView           `(page, page)`: a 1×1 local branch inference never builds
    │   ├── ImagesNotTuples               a sample is not a `(tiles, global_view)` tuple
    │   ├── ImageCount                    as many samples in `images` as rows are wanted
    │   ├── ViewSize                      views that are not square, or of a size the family cannot see
    │   ├── ViewDtype                     image tensors are not floating point
    │   ├── PixelValuesUnexpected         `pixel_values` beside or instead of the published keys
    │   ├── InputIdsShape                 `input_ids` or `attention_mask` is not (B, L)
    │   ├── LabelsShape                   `labels` do not have the shape of `input_ids`
    │   ├── LabelsShifted                 labels shifted already: the model learns t+2
    │   ├── LabelsOnImageTokens           image tokens are targets
    │   ├── LabelsOnPrompt                the prompt is a target (labels = input_ids)
    │   ├── LabelsAllIgnored              nothing to learn: the loss is NaN
    │   ├── LabelsOnPadding               padding is a target
    │   ├── EosMissing                    the answer does not end: endless generation
    │   └── BosDoubled                    two BOS at the start
    ├── CheckpointError                   a model folder cannot be loaded
    │   └── TensorMismatch                missing, unexpected and mis-shaped tensors, in one list
    ├── PrecisionError                    dtypes that cannot train
    │   ├── PrecisionUnavailable          the device cannot do what was asked
    │   └── Float16Trainable              error 6: a trainable parameter is fp16
    ├── TuningError                       what learns cannot be set up as asked
    │   └── GradientAuditError            a tensor said to learn has no gradient, or a frozen one has
    ├── TrainingError                     a run cannot go on
    │   └── NonFiniteLoss                 loss or gradient norm is NaN or infinite
    ├── PlanningError                     a run cannot be planned: no such card, or no pages to measure
    ├── PredictionError                   pages cannot be predicted
    ├── EvaluationError                   predictions and references do not match up
    ├── ReportError                       what a report is to be made of is missing or broken
    ├── ExportError                       an export is incomplete or differs from its checkpoint
    ├── ReviewError                       a review cannot be opened, saved or exported
    │   └── ReviewItemMissing             it has no item of that number
    └── MissingDependency                 an optional package is not installed

A user's mistake is always one of these; anything else that escapes is a bug of ocrtune's.
"""

from collections.abc import Sequence
from typing import ClassVar


class OcrtuneError(Exception):
    """A mistake that a user can mend: what is wrong, where, and what to do about it.

    Args:
        message: What is wrong, with the value; lower case, no full stop.
        where: The file, line, row or argument it was found in; empty if there is only one place.
        hint: What to do about it; empty if the message says it.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)


def mend_loader_error(error: OcrtuneError) -> None:
    """Give an error of a data loader's process the message that it was raised with; leave any other alone.

    The loader raises the class anew with one text that holds the whole traceback (torch 2.13).
    """
    mark = f"\n{type(error).__module__}.{type(error).__qualname__}: "
    if not error.message.startswith("Caught ") or mark not in error.message:
        return
    told, _, hint = error.message.rpartition(mark)[2].rstrip().partition("\n  hint: ")
    error.message, _, error.where = told.partition("\n  where: ")
    error.hint = hint
    error.args = (error.message,)


class ConfigError(OcrtuneError):
    """The configuration is wrong; `problems` lists every mistake found, one line each."""

    code = "config"

    def __init__(self, problems: Sequence[str], *, where: str = "", hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        heading = (
            "the configuration has 1 problem" if count == 1 else f"the configuration has {count} problems"
        )
        super().__init__(
            "\n".join([heading, *(f"  - {problem}" for problem in self.problems)]), where=where, hint=hint
        )


class SourceError(OcrtuneError):
    """Pages cannot be read."""

    code = "source"


class SynthError(SourceError):
    """Synthetic pages cannot be made: texts, fonts or degradations are missing or unknown."""

    code = "synth"


class ManifestError(SourceError):
    """A manifest line is broken."""

    code = "manifest"


class ImageError(SourceError):
    """An image is missing, broken or empty."""

    code = "image"


class ImageTooLarge(ImageError):
    """An image has more pixels or bytes than `sources.limits` allows."""

    code = "image-too-large"


class HeicUnreadable(ImageError):
    """An image is HEIC, and the package that reads it is not installed."""

    code = "image-heic"


class ArchiveError(SourceError):
    """An archive is broken, or cannot be unpacked."""

    code = "archive"


class ArchiveUnsafe(ArchiveError):
    """An archive leads out of its folder, is encrypted, or is larger than `sources.limits` allows."""

    code = "archive-unsafe"


class TextError(SourceError):
    """The text of a page cannot be read: it is not UTF-8, too large or unreadable."""

    code = "text-broken"


class SeveralTexts(TextError):
    """Several texts lie beside an image, and nobody said which of them is meant."""

    code = "texts-several"


class NotJson(TextError):
    """A text that should be JSON is not, or holds what JSON cannot keep."""

    code = "target-not-json"


class TranscriptError(SourceError):
    """XML of a transcription is broken, too large or of an unknown kind."""

    code = "transcript"


class UnsafeXml(TranscriptError):
    """XML declares entities or an external DTD, which no transcription needs."""

    code = "unsafe-xml"


class PdfError(SourceError):
    """A PDF, or a page of it, is broken, locked or too large."""

    code = "pdf"


class PdfPageSize(PdfError):
    """A page of a PDF has no size, or one that cannot be rendered."""

    code = "pdf-page-size"


class ShardError(SourceError):
    """A shard, or a page in it, is broken or not as it was."""

    code = "shard"


class InputsError(OcrtuneError):
    """An example cannot be turned into model inputs."""

    code = "inputs"


class ImageLeaked(InputsError):
    """An image to learn from is held out as well."""

    code = "image-leaked"


class ModeError(InputsError):
    """No such mode, or a mode the family cannot see."""

    code = "mode"


class TokenizerError(InputsError):
    """No tokenizer, or one without the family's special tokens."""

    code = "tokenizer"


class SeveralImagesError(InputsError):
    """The family takes one image per example, or one in this mode."""

    code = "several-images"


class SequenceTooLong(InputsError):
    """A length limit would cut image tokens or EOS."""

    code = "sequence-too-long"


class TooManySkipped(InputsError):
    """A stream has too many pages that cannot be learned from."""

    code = "too-many-skipped"


class BatchError(OcrtuneError):
    """A batch breaks the input contract; raised before the forward runs."""

    code = "batch"


class ImagesMissing(BatchError):
    """Error 1: `images` is None where the ids hold image tokens."""

    code = "images-missing"


class SpatialCropMissing(BatchError):
    """Error 2: `images_spatial_crop` is None."""

    code = "spatial-crop-missing"


class ImageTensorNot4D(BatchError):
    """Error 3: an image tensor is not 4-D."""

    code = "image-tensor-not-4d"


class SequenceMaskMissing(BatchError):
    """Error 4: `images_seq_mask` is None."""

    code = "sequence-mask-missing"


class SequenceMaskNotBool(BatchError):
    """Error 5: `images_seq_mask` is not bool."""

    code = "sequence-mask-not-bool"


class SequenceMaskShape(BatchError):
    """`images_seq_mask` is not (B, L); an (N, 1) mask broadcasts over every text embedding."""

    code = "sequence-mask-shape"


class SequenceMaskMisplaced(BatchError):
    """`images_seq_mask` is True away from the image tokens, or False on one."""

    code = "sequence-mask-misplaced"


class TooFewImageTokens(BatchError):
    """Fewer True than vision features: the last features, the global view, never arrive."""

    code = "too-few-image-tokens"


class TooManyImageTokens(BatchError):
    """More True than vision features."""

    code = "too-many-image-tokens"


class TilesDiscarded(BatchError):
    """`images_spatial_crop` says `[1, 1]` although there are tiles."""

    code = "tiles-discarded"


class GridSwapped(BatchError):
    """`images_spatial_crop` holds `[rows, columns]` for `[columns, rows]`."""

    code = "grid-swapped"


class GridMismatch(BatchError):
    """Columns × rows is not the number of tiles."""

    code = "grid-mismatch"


class SpatialCropCount(BatchError):
    """Another number of grids than of samples; a short list drops the later images."""

    code = "spatial-crop-count"


class DuplicateGlobalView(BatchError):
    """The tuple holds two copies of the page instead of tiles and a global view."""

    code = "duplicate-global-view"


class ImagesNotTuples(BatchError):
    """A sample of `images` is not a `(tiles, global_view)` tuple of tensors."""

    code = "images-not-tuples"


class ImageCount(BatchError):
    """Another number of samples in `images` than rows in the batch, or of views than grids."""

    code = "image-count"


class ViewSize(BatchError):
    """A view is not square, or of a size that the family cannot see."""

    code = "view-size"


class ViewDtype(BatchError):
    """An image tensor is not floating point."""

    code = "view-dtype"


class PixelValuesUnexpected(BatchError):
    """`pixel_values` is no argument of the published form."""

    code = "pixel-values-unexpected"


class InputIdsShape(BatchError):
    """`input_ids` or `attention_mask` is missing or not (B, L)."""

    code = "input-ids-shape"


class LabelsShape(BatchError):
    """`labels` do not have the shape of `input_ids`."""

    code = "labels-shape"


class LabelsShifted(BatchError):
    """Labels are shifted already; the model shifts once more and learns t+2."""

    code = "labels-shifted"


class LabelsOnImageTokens(BatchError):
    """Image tokens are targets."""

    code = "labels-on-image-tokens"


class LabelsOnPrompt(BatchError):
    """The prompt is a target, as with `labels = input_ids`."""

    code = "labels-on-prompt"


class LabelsAllIgnored(BatchError):
    """A row has no label that is not -100; a batch of such rows has loss NaN."""

    code = "labels-all-ignored"


class LabelsOnPadding(BatchError):
    """Padding is a target."""

    code = "labels-on-padding"


class EosMissing(BatchError):
    """An answer does not end with EOS; the model never learns to stop."""

    code = "eos-missing"


class BosDoubled(BatchError):
    """A row starts with two BOS."""

    code = "bos-doubled"


class CheckpointError(OcrtuneError):
    """A model folder cannot be loaded."""

    code = "checkpoint"


class TensorMismatch(CheckpointError):
    """Missing, unexpected and mis-shaped tensors, all of them in one error."""

    code = "tensor-mismatch"


class PrecisionError(OcrtuneError):
    """Dtypes that cannot train."""

    code = "precision"


class PrecisionUnavailable(PrecisionError):
    """The device cannot do what was asked."""

    code = "precision-unavailable"


class Float16Trainable(PrecisionError):
    """Error 6: a trainable parameter is fp16."""

    code = "float16-trainable"


class TuningError(OcrtuneError):
    """What learns cannot be set up as asked."""

    code = "tuning"


class GradientAuditError(TuningError):
    """A tensor said to learn has no gradient, or a frozen one has."""

    code = "gradient-audit"


class TrainingError(OcrtuneError):
    """A run cannot go on."""

    code = "training"


class NonFiniteLoss(TrainingError):
    """The loss or the gradient norm is NaN or infinite."""

    code = "non-finite-loss"


class PlanningError(OcrtuneError):
    """A run cannot be planned."""

    code = "planning"


class PredictionError(OcrtuneError):
    """Pages cannot be predicted."""

    code = "prediction"


class EvaluationError(OcrtuneError):
    """Predictions and references do not match up."""

    code = "evaluation"


class ReportError(OcrtuneError):
    """What a report is to be made of is missing or broken."""

    code = "report"


class ExportError(OcrtuneError):
    """An export is incomplete, or differs from the checkpoint it was made of."""

    code = "export"


class ReviewError(OcrtuneError):
    """A review cannot be opened, saved or exported."""

    code = "review"


class ReviewItemMissing(ReviewError):
    """A review has no item of that number."""

    code = "review-item-missing"


class MissingDependency(OcrtuneError):
    """An optional package is not installed."""

    code = "missing-dependency"


def require(package: str, extra: str) -> MissingDependency:
    """The error for an import of `package` that failed, with the pip command that mends it."""
    return MissingDependency(
        f"{package} is not installed",
        hint=f"pip install 'ocrtune[{extra}]' adds it with everything this step needs",
    )
