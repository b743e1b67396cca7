"""The nouns of ocrtune, in the order a page meets them.

Page → Example → ModelInputs → Prediction → PageScore; a Finding may be made on any of the way.
Sizes are (width, height) in pixels, grids are (columns, rows), token positions count from 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocrtune.errors import OcrtuneError

Corners = tuple[tuple[float, float], ...]
"""(x, y) in pixels of an upright image, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfPage:
    """A page of a PDF, rendered when it is asked for.

    Attributes:
        path: The PDF, or a `.pdf.gz`.
        number: Which page, from 1.
        dpi: Pixels an inch.
    """

    path: Path
    number: int
    dpi: int

    def __str__(self) -> str:
        return f"{self.path}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPage:
    """A page of a TIFF that holds several, opened when it is asked for.

    Attributes:
        path: The TIFF.
        number: Which of its frames, from 1.
    """

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A part of an image on disk, cut out when it is asked for.

    Attributes:
        path: The whole image; it may be a page of a PDF or TIFF.
        polygon: Around the part, at least three corners, in pixels of the upright image.
        baseline: What the letters stand on, at least two points; tells how the part is to be turned.
        margin_px: How much paper is left around the polygon's bounds.
        quarter_turns: So many times the part is turned clockwise by 90° until its letters stand upright, but for a slope.
    """

    path: Path | PdfPage | TiffPage
    polygon: Corners
    baseline: Corners | None = None
    margin_px: int = 0
    quarter_turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    """The bytes of an image file inside something bigger, such as a tar or a table, read when they are asked for.

    Attributes:
        name: Where it is, for people: such as `shard-0.tar#page7.png`.
        read: Gives the bytes of the image file; goes to other processes, so a module's function or a `partial` of one.
            Raises ImageError.
    """

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        return self.name


ImageSource = Path | Image.Image | PdfPage | TiffPage | Cut | EncodedImage
"""An image on disk, one in memory, a page of a PDF or TIFF, a part of an image, or a file inside something bigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a file of transcriptions a page is; all counted from 0.

    Attributes:
        file: PAGE XML, ALTO or hOCR.
        name: What the file is called in its source, such as `vol1/0007.xml`.
        page: Which page of the file.
        region: Which region of that page, in reading order.
        line: Which line of that region; None for the whole region.
    """

    file: Path
    name: str
    page: int
    region: int
    line: int | None = None


Places = NDArray[np.float64]
"""(letters, 2): the middle of each letter of a text, x and y as shares of its image's width and height."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page as its source gives it: images, and the text people say is on it.

    Attributes:
        name: What the source calls it, unique in the source; a manifest's `image` value as written there.
        images: One image, or several that belong to one text; none for text alone.
        text: The transcription, or None where the source has none.
        prompt: The page's own prompt, or None for the run's.
        document: Which document it belongs to; splits never cut through a document.
        where: Where it was read, such as `manifest.jsonl:12`.
        letters: Where each letter of `text` stands on the only image; None where nobody knows.
        part: What it is of a file of transcriptions; None for whole pages and all other sources.
    """

    name: str
    images: tuple[ImageSource, ...]
    text: str | None = None
    prompt: str | None = None
    document: str = ""
    where: str = ""
    letters: Places | None = None
    part: Part | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A page with the prompt the model is given and, for training, the target it should answer.

    Attributes:
        name: The page's name.
        images: The page's images, in the order of the prompt's `<image>` marks.
        prompt: With one `<image>` for each image.
        target: The answer without EOS; None to predict.
        document: The page's document.
        where: Where the page was read.
        letters: Where each letter of `target` stands on the only image; None where nobody knows.
    """

    name: str
    images: tuple[ImageSource, ...]
    prompt: str
    target: str | None = None
    document: str = ""
    where: str = ""
    letters: Places | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageViews:
    """What the model sees of one image: a global view, and tiles where the mode cuts them.

    Attributes:
        global_view: uint8 (S, S, 3), RGB.
        tiles: uint8 (P, T, T, 3), RGB, row by row; P is 0 where there are none.
        grid: (columns, rows) of the tiles; (1, 1) where there are none.
        num_image_tokens: Positions the image takes in the sequence.
        key: Digest of the image's content, under which its vision features are kept; empty where none are.
        size: (width, height) of the image in pixels, where it has a key.
    """

    global_view: NDArray[np.uint8]
    tiles: NDArray[np.uint8]
    grid: tuple[int, int]
    num_image_tokens: int
    key: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFeatures:
    """The vision features of one image as they were computed earlier, in place of its views.

    Attributes:
        values: uint8 (tokens, bytes of a feature), floating-point numbers of a dtype that numpy may not know.
        dtype: As torch calls it, such as `bfloat16`.
        key: Digest of the image's content.
        size: (width, height) of the image in pixels.
    """

    values: NDArray[np.uint8]
    dtype: str
    key: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInputs:
    """One example in integers and uint8, before any tensor.

    Attributes:
        input_ids: int64 (L,): BOS, prompt with its image tokens, answer, EOS (the last two for training only).
        labels: int64 (L,), unshifted; -100 at BOS, prompt and image positions, and everywhere without a target.
        image_mask: bool (L,), True exactly at the image tokens.
        views: One entry per image, in the order of their tokens: its views, or the features made of them earlier.
        num_prompt_tokens: Positions before the answer, BOS and image tokens included.
        name: The example's name.
        where: Where the page was read.
        letters: The example's.
    """

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    image_mask: NDArray[np.bool_]
    views: tuple[ImageViews | KeptFeatures, ...]
    num_prompt_tokens: int
    name: str = ""
    where: str = ""
    letters: Places | None = None

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.input_ids)

    @property
    def opened(self) -> tuple[ImageViews, ...]:
        """The views of those images that were opened."""
        return tuple(views for views in self.views if isinstance(views, ImageViews))


StopReason = Literal["eos", "length", "repetition"]
"""Why an answer ended: by itself, at its length limit, or because it had fallen into a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsureSpan:
    """The part of an answer that the model was least sure of.

    Attributes:
        logprob: Mean log-probability of its tokens.
        start: Its first character in the answer, from 0.
        end: One past its last character.
        text: What stands there.
    """

    logprob: float
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBox:
    """A text that an answer gives a place.

    Attributes:
        label: As the model wrote it, such as `title`.
        text: What stands there.
        box: Left, top, right and bottom in pixels of the upright image.
    """

    label: str
    text: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a page that was read more than once.

    Attributes:
        mode: The mode its image was cut in.
        no_repeat_ngram_tokens: Of the guard.
        window_tokens: Of the guard.
        stop: Why the answer ended.
        num_tokens: Tokens generated.
        mean_logprob: Mean log-probability of its tokens.
        kept: Whether the row has this answer.
    """

    mode: str
    no_repeat_ngram_tokens: int
    window_tokens: int
    stop: StopReason
    num_tokens: int
    mean_logprob: float
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model answered for one page.

    Attributes:
        image: The page's name; the field by which predictions and references are matched.
        text: The answer without EOS and padding; tables and boxes keep their special tokens.
        num_tokens: Tokens generated, EOS included.
        truncated: EOS never came: the length limit cut the answer, or it was stopped in a loop.
        stop: Why the answer ended; None where nobody wrote it down.
        mean_logprob: Mean natural log-probability of its tokens, EOS included, before the guard; None as above.
        lowest_span: Where the model was least sure; None as above, and for an answer without letters.
        seconds: The page's share of the time its batches took to decode; differs from run to run and is not compared.
        boxes: Texts with places, for answers that give places.
        attempts: What was tried, in order, for a page that was read more than once.
    """

    image: str
    text: str
    num_tokens: int = 0
    truncated: bool = False
    stop: StopReason | None = None
    mean_logprob: float | None = None
    lowest_span: UnsureSpan | None = None
    seconds: float | None = field(default=None, compare=False)
    boxes: tuple[TextBox, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The row written to `predictions.jsonl`, without what nobody knows and lists of nothing."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageScore:
    """Counts for one page; rates are made from them in the summary only.

    Attributes:
        image: The page's name.
        reference: The reference, normalised.
        prediction: The prediction, normalised.
        num_reference_chars: Length of the reference in characters.
        num_prediction_chars: Length of the prediction in characters.
        char_edits: Levenshtein distance in characters.
        num_reference_words: Length of the reference in words.
        num_prediction_words: Length of the prediction in words.
        word_edits: Levenshtein distance in words.
        runaway: Longer than twice the reference, or cut by the length limit.
        num_reference_graphemes: Length of the reference in grapheme clusters, what readers take for characters.
        num_prediction_graphemes: Length of the prediction in grapheme clusters.
        grapheme_edits: Levenshtein distance in grapheme clusters.
        num_shared_words: Words that both have, in whatever order, each as often as in the one that has it less often.
        repeated: The prediction says the same over and over where the reference does not.
        structures: Name → measure from 0 to 1 of what is no running text, such as `teds`, where the page has it.
    """

    image: str
    reference: str
    prediction: str
    num_reference_chars: int
    num_prediction_chars: int
    char_edits: int
    num_reference_words: int
    num_prediction_words: int
    word_edits: int
    runaway: bool
    num_reference_graphemes: int = 0
    num_prediction_graphemes: int = 0
    grapheme_edits: int = 0
    num_shared_words: int = 0
    repeated: bool = False
    structures: Mapping[str, float] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Both texts are the same."""
        return self.char_edits == 0

    @property
    def empty(self) -> bool:
        """Nothing was predicted where something stands."""
        return self.num_reference_chars > 0 and self.num_prediction_chars == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a check found: what, where, how bad, and what to do about it.

    Attributes:
        code: Stable name of the check, such as `grid-swapped`; a heading of the docs.
        severity: `error` stops a run, `warning` may cost quality, `note` is for knowing.
        message: What is wrong, with the value found and the value wanted.
        where: File, line, row or tensor.
        hint: How to mend it.
        count: How many places; more than one where findings of a kind were gathered.
    """

    code: str
    severity: Severity
    message: str
    where: str = ""
    hint: str = ""
    count: int = field(default=1)

    @classmethod
    def of_error(cls, error: OcrtuneError, *, where: str = "", severity: Severity = "error") -> "Finding":
        """The finding that says the same as an error; `where` is for an error that knows no place of its own."""
        return cls(
            code=error.code,
            severity=severity,
            message=error.message,
            where=error.where or where,
            hint=error.hint,
        )

    def as_dict(self) -> dict[str, object]:
        """The finding for `--json`."""
        return asdict(self)
