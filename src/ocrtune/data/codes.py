"""Every code of a finding, in one place: `--allow` and `data.allow` name them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType

from ocrtune.errors import ConfigError, OcrtuneError
from ocrtune.records import Finding, Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for.

    Attributes:
        severity: The gravest one it comes with.
        title: What is wrong, in one line.
    """

    severity: Severity
    title: str


def check_codes(codes: Sequence[str], *, key: str = "--allow") -> None:
    """Whether there are such codes.

    Args:
        codes: What a user wrote.
        key: Where: an option or a key of the configuration.

    Raises:
        ConfigError: With all that there are not, and the nearest there is.
    """
    problems = [
        f"{key}: no finding has the code {code!r}{_nearest(code)}" for code in codes if code not in CODES
    ]
    if problems:
        raise ConfigError(problems, hint="codes stand at the beginning of what `ocrtune check` prints")


def severities(
    findings: Iterable[Finding], allow: Sequence[str], *, key: str = "data.allow"
) -> list[Finding]:
    """The findings, with errors of allowed codes as warnings.

    Args:
        findings: Errors, warnings and notes.
        allow: Codes.
        key: Where they were written.

    Raises:
        ConfigError: There is no such code.
    """
    check_codes(allow, key=key)
    return [
        replace(finding, severity="warning")
        if finding.severity == "error" and finding.code in allow
        else finding
        for finding in findings
    ]


def _nearest(code: str) -> str:
    close = get_close_matches(code, CODES, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _of_errors(error: type[OcrtuneError] = OcrtuneError) -> Iterator[tuple[str, Code]]:
    """An error becomes a finding where other pages go on without it."""
    yield error.code, Code("error", (error.__doc__ or "").partition("\n")[0].rstrip("."))
    for kind in error.__subclasses__():
        yield from _of_errors(kind)


CODES: Mapping[str, Code] = MappingProxyType(
    {
        **dict(_of_errors()),
        "answer-truncated": Code("warning", "an answer was cut by the length limit"),
        "base-missing": Code("warning", "the base model of an export is not there"),
        "baseline-missing": Code("note", "the baseline has no row for a page"),
        "baseline-straightened": Code("note", "a baseline of several points is drawn straight in hOCR"),
        "box-broken": Code("warning", "pieces of a text have no box, or a broken one"),
        "box-empty": Code("warning", "a box has no area"),
        "box-form": Code("warning", "a box is written as another family writes it"),
        "box-inverted": Code("error", "a box ends before it begins"),
        "box-outside": Code("error", "a box reaches beyond 0 to 999"),
        "box-unreadable": Code("error", "a box cannot be read"),
        "cell-formula": Code("error", "a cell of a table is a formula"),
        "character-reference": Code("note", "a text holds a letter by its name in HTML"),
        "character-unknown": Code("warning", "the tokenizer cannot write a character"),
        "character-unwritable": Code("warning", "a text holds characters that XML cannot"),
        "columns-recognised": Code("note", "columns of a table that no option names were recognised"),
        "compression-high": Code("warning", "a text has too many tokens for the image tokens"),
        "config-native": Code("warning", "a base's config.json is not in the published form"),
        "control-character": Code("warning", "a text holds control characters"),
        "control-token": Code("error", "a text holds a token that would end or break the sequence"),
        "coordinates-beyond": Code("warning", "a part reaches beyond its image"),
        "coordinates-outside": Code("error", "a part lies outside its image"),
        "data-changed": Code("warning", "a run goes on with other pages than it began with"),
        "disk-low": Code("warning", "there is little room on the disk"),
        "document-in-sources": Code("note", "several sources have a document of the same name"),
        "document-shared": Code("warning", "documents of the same name are in two splits"),
        "document-without-image": Code("error", "a document has no picture to make a PDF of"),
        "documents-alike": Code("note", "documents show the same page and stay together"),
        "encoding-other": Code("warning", "a text is read in another encoding than it was written in"),
        "fact-rejected": Code("note", "a fact was marked as wrong by who made it"),
        "fact-type-unknown": Code("warning", "facts of this type are not checked"),
        "file-rebuilt": Code("warning", "a transcription could not be written into its own file"),
        "format-other": Code("warning", "a file is of another format than asked for"),
        "geometry-unknown": Code("note", "nobody knows where lines stand"),
        "gradient-missing": Code("error", "a tensor that is to learn has no gradient"),
        "gradient-on-frozen": Code("error", "a frozen tensor has a gradient"),
        "gradient-zero": Code("note", "a gradient is zero"),
        "id-repeated": Code("warning", "elements of a transcription have the same id"),
        "image-animated": Code("warning", "an image is animated, and its first frame is used"),
        "image-data": Code("error", "an image stands in the row itself, as text"),
        "image-elsewhere": Code(
            "note", "an image was taken by its name, not from where its transcription says"
        ),
        "image-frame-unknown": Code("warning", "a transcription tells not which frame of a TIFF it is of"),
        "image-frames": Code("warning", "a file holds several frames, of which the first is used"),
        "image-leaked": Code("error", "the same image is in two splits"),
        "image-leaked-near": Code("warning", "images of two splits look the same"),
        "image-marks": Code("error", "images and marks of a chat do not fit together"),
        "image-missing": Code("error", "the image of a transcription is not there"),
        "image-near-duplicate": Code("warning", "images look the same, as a page that was scanned twice"),
        "image-none": Code("error", "a row has no image"),
        "image-of-pdf": Code("note", "a transcription is of a page of a PDF"),
        "image-of-several-pages": Code("error", "an earlier page of the file has the same image"),
        "image-outside": Code("error", "the path of an image leads out of the source's folder"),
        "image-repeated": Code("note", "the same image is there several times"),
        "image-scaled": Code("note", "an image is of another size than its transcription says"),
        "image-shape": Code("warning", "an image is a long strip"),
        "image-size": Code("error", "image and transcription do not fit together"),
        "image-suffix": Code("note", "an image is of another format than its name says"),
        "image-texts-differ": Code("warning", "the same image has different texts"),
        "image-tiny": Code("warning", "an image is too small for letters"),
        "image-twice": Code("error", "two rows have the same image"),
        "image-url": Code("error", "an image is an address and no file"),
        "images-outside": Code("warning", "images lie outside the folder of their manifest"),
        "invisible-character": Code("note", "a text holds characters that cannot be seen"),
        "label-noise": Code("warning", "a text is far from what another OCR read"),
        "labels-differ-from-ids": Code("warning", "a label is not the id at its place"),
        "line-empty": Code("warning", "a line has no text"),
        "line-turned": Code("warning", "lines look turned, and no angle is told"),
        "line-of-several": Code("note", "an answer of several lines is one line of its scan"),
        "line-without-coordinates": Code("warning", "a line has no coordinates"),
        "lines-differ": Code("warning", "an answer has another number of lines than its region"),
        "lines-unplaced": Code("warning", "lines of a transcription stand where its format has none"),
        "manifest-beside-images": Code("note", "a manifest beside images is left out"),
        "markup-in-text": Code("warning", "a text holds a lone special token"),
        "markup-unbalanced": Code("warning", "a tag is not closed, or closes nothing"),
        "mojibake": Code("warning", "UTF-8 was read in another encoding"),
        "no-accelerator": Code("note", "there is no accelerator"),
        "packages-missing": Code("warning", "packages are not installed"),
        "no-bf16": Code("note", "the accelerator has no bf16"),
        "page-blank": Code("warning", "an image is blank, and its text is not"),
        "page-crash": Code("error", "looking at a page ended the process"),
        "page-empty": Code("warning", "a page of a transcription has no text"),
        "file-name": Code("error", "the name of a file or folder is not UTF-8"),
        "file-special": Code("warning", "a file is a pipe, a socket or a device"),
        "name-twice": Code("error", "a manifest names a page twice"),
        "page-missing": Code("warning", "a prediction is of no page of the source"),
        "pdf-beside-images": Code("note", "a PDF beside images is left out"),
        "pdf-glyphs-unknown": Code("warning", "signs of a PDF have no known meaning"),
        "pdf-lines-overlap": Code("warning", "lines of a PDF lie on one another"),
        "pdf-page-turned": Code("error", "most text of a page of a PDF is turned"),
        "pdf-page-without-text": Code("note", "a page of a PDF has no text layer"),
        "pdf-pages": Code("error", "pages are asked for that a PDF does not have"),
        "pdf-text-invisible": Code("warning", "a PDF's text layer cannot be seen"),
        "pdf-text-leftwards": Code("error", "text of a PDF runs from right to left"),
        "pdf-text-outside": Code("note", "signs lie outside the page of a PDF"),
        "pdf-text-turned": Code("warning", "a line of a PDF is turned"),
        "pdf-text-unlikely": Code("warning", "most signs of a PDF's page are no letters"),
        "points-unreadable": Code("warning", "coordinates of a transcription cannot be read"),
        "prediction-missing": Code("error", "a reference has no prediction"),
        "presentation-form": Code("warning", "letters are written as forms of print"),
        "private-use-character": Code("warning", "a text holds a font's own codes"),
        "prompt": Code("error", "a prompt does not fit the family or the images"),
        "prompt-not-stripped": Code("warning", "a prompt begins or ends with spaces"),
        "prompt-token": Code("warning", "a text holds a token that belongs in prompts"),
        "prompt-unknown": Code("warning", "the family was not trained with a prompt"),
        "qlora-unavailable": Code("note", "4-bit weights cannot be used here"),
        "reading-order-missing": Code("note", "a transcription tells no reading order"),
        "reading-order-partial": Code("note", "a transcription's reading order leaves regions out"),
        "reference-missing": Code("warning", "a prediction has no reference"),
        "region-without-coordinates": Code("error", "a region has no coordinates"),
        "replacement-character": Code("warning", "a text holds U+FFFD"),
        "resolution-low": Code("warning", "letters are too small in the mode"),
        "review-outdated": Code("warning", "a reference changed since it was reviewed"),
        "role-marker": Code("warning", "a text holds what looks like a special token"),
        "row-broken": Code("error", "a row cannot be read"),
        "row-cells": Code("error", "a row has another number of cells than there are columns"),
        "scripts-mixed": Code("warning", "a word holds look-alike letters of another script"),
        "served-mode": Code("warning", "a server uses another mode"),
        "served-tiles": Code("warning", "a server cuts other tiles"),
        "shard-broken": Code("error", "a shard is no tar behind some place"),
        "shard-columns": Code("error", "a Parquet file has other columns"),
        "shard-compressed": Code("error", "a tar is compressed"),
        "shard-key-twice": Code("warning", "a key of a shard comes again"),
        "shard-member-passed-over": Code("note", "a member of a shard is neither image nor text"),
        "shard-member-refused": Code("error", "a member of a shard is unsafe"),
        "shard-row-group": Code("warning", "a row group is very large"),
        "shard-text": Code("error", "a text in a shard cannot be used"),
        "shard-without-image": Code("error", "a text in a shard has no image"),
        "share-missed": Code("warning", "a part of a split has another share than asked for"),
        "system-joined": Code("note", "the system's text of a chat stands in the prompt"),
        "table-as-markdown": Code("note", "a table is written in markdown"),
        "table-form": Code("note", "a table has tags that the families do not write"),
        "table-lines": Code("warning", "a table of a transcription is read as lines"),
        "table-without-cells": Code("note", "a table of a transcription has no cells"),
        "target-schema": Code("error", "a text does not satisfy its JSON Schema"),
        "text-empty": Code("warning", "a text is empty"),
        "text-empty-but-ink": Code("warning", "a text is empty, and its image is not"),
        "text-missing": Code("error", "a page has no text"),
        "text-null": Code("warning", "a text is null or empty in a data set"),
        "text-of-region": Code("warning", "a text is of a whole region and not of lines"),
        "text-repeated": Code("warning", "many pages have the same text"),
        "text-shared": Code("note", "a text belongs to several images"),
        "text-too-long-for-image": Code("warning", "a text has far more letters than fit its image"),
        "text-too-short-for-image": Code("warning", "a text has far fewer letters than its image"),
        "text-very-long": Code("warning", "a text hardly fits the model"),
        "text-without-image": Code("warning", "a text belongs to no image"),
        "texts-mixed": Code("warning", "a folder has texts of several kinds"),
        "transcript-beside-text": Code("note", "transcriptions beside `.txt` files are left out"),
        "transcript-none": Code("note", "a file of XML is no transcription"),
        "turn-unknown": Code("error", "a turn of a chat is of nobody that is known"),
        "turns-more": Code("error", "a chat has more than one question"),
        "turns-order": Code("error", "a chat's turns are out of order"),
        "unicode-form-decomposed": Code("note", "letters with signs are two characters all through"),
        "unicode-form-mixed": Code("warning", "letters with signs are written in two ways"),
        "unused-tensor-missing": Code("warning", "the base lacks a tensor that only servers ask for"),
        "view-sums-to-zero": Code("note", "a view sums to 0, which the published code takes for none"),
        "vocabulary-fit": Code("note", "a script takes many tokens a character"),
        "words-dropped": Code("note", "places of words are left out of a rewritten line"),
        "words-without-line": Code("warning", "words of hOCR stand in no line"),
    }
)
"""Code → severity and title."""
