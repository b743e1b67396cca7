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
        "base-missing": Code("warning", "the base model of an export is not there"),
        "baseline-missing": Code("note", "the baseline has no row for a page"),
        "columns-recognised": Code("note", "columns of a table that no option names were recognised"),
        "config-native": Code("warning", "a base's config.json is not in the published form"),
        "control-character": Code("warning", "a text holds control characters"),
        "control-token": Code("error", "a text holds a token that would end or break the sequence"),
        "coordinates-beyond": Code("warning", "a part reaches beyond its image"),
        "coordinates-outside": Code("error", "a part lies outside its image"),
        "disk-low": Code("warning", "there is little room on the disk"),
        "document-shared": Code("warning", "documents of the same name are in two splits"),
        "format-other": Code("warning", "a file is of another format than asked for"),
        "gradient-missing": Code("error", "a tensor that is to learn has no gradient"),
        "gradient-on-frozen": Code("error", "a frozen tensor has a gradient"),
        "gradient-zero": Code("note", "a gradient is zero"),
        "id-repeated": Code("warning", "elements of a transcription have the same id"),
        "image-data": Code("error", "an image stands in the row itself, as text"),
        "image-elsewhere": Code(
            "note", "an image was taken by its name, not from where its transcription says"
        ),
        "image-frames": Code("warning", "a file holds several frames, of which the first is used"),
        "image-leaked": Code("error", "the same image is in two splits"),
        "image-leaked-near": Code("warning", "images of two splits look the same"),
        "image-marks": Code("error", "images and marks of a chat do not fit together"),
        "image-missing": Code("error", "the image of a transcription is not there"),
        "image-near-duplicate": Code("warning", "images look the same, as a page that was scanned twice"),
        "image-none": Code("error", "a row has no image"),
        "image-of-several-pages": Code("error", "an earlier page of the file has the same image"),
        "image-outside": Code("error", "the path of an image leads out of the source's folder"),
        "image-repeated": Code("note", "the same image is there several times"),
        "image-scaled": Code("note", "an image is of another size than its transcription says"),
        "image-shape": Code("warning", "an image is a long strip"),
        "image-size": Code("error", "image and transcription do not fit together"),
        "image-texts-differ": Code("warning", "the same image has different texts"),
        "image-tiny": Code("warning", "an image is too small for letters"),
        "image-twice": Code("error", "two rows have the same image"),
        "image-url": Code("error", "an image is an address and no file"),
        "invisible-character": Code("note", "a text holds characters that cannot be seen"),
        "label-noise": Code("warning", "a text is far from what another OCR read"),
        "labels-differ-from-ids": Code("warning", "a label is not the id at its place"),
        "line-empty": Code("warning", "a line has no text"),
        "line-without-coordinates": Code("warning", "a line has no coordinates"),
        "no-bf16": Code("note", "the accelerator has no bf16"),
        "no-accelerator": Code("note", "there is no accelerator"),
        "packages-missing": Code("warning", "packages are not installed"),
        "page-crash": Code("error", "looking at a page ended the process"),
        "page-empty": Code("warning", "a page of a transcription has no text"),
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
        "points-unreadable": Code("warning", "coordinates of a transcription cannot be read"),
        "prediction-missing": Code("error", "a reference has no prediction"),
        "private-use-character": Code("warning", "a text holds a font's own codes"),
        "prompt": Code("error", "a prompt does not fit the family or the images"),
        "prompt-not-stripped": Code("warning", "a prompt begins or ends with spaces"),
        "qlora-unavailable": Code("note", "4-bit weights cannot be used here"),
        "reading-order-missing": Code("note", "a transcription tells no reading order"),
        "reading-order-partial": Code("note", "a transcription's reading order leaves regions out"),
        "reference-missing": Code("warning", "a prediction has no reference"),
        "region-without-coordinates": Code("error", "a region has no coordinates"),
        "replacement-character": Code("warning", "a text holds U+FFFD"),
        "role-marker": Code("warning", "a text holds what looks like a special token"),
        "row-broken": Code("error", "a row cannot be read"),
        "row-cells": Code("error", "a row has another number of cells than there are columns"),
        "served-mode": Code("warning", "a server uses another mode"),
        "served-tiles": Code("warning", "a server cuts other tiles"),
        "stream-changed": Code("warning", "synthetic pages are made of other materials than before"),
        "system-joined": Code("note", "the system's text of a chat stands in the prompt"),
        "table-lines": Code("warning", "a table of a transcription is read as lines"),
        "table-without-cells": Code("note", "a table of a transcription has no cells"),
        "text-empty": Code("warning", "a text is empty"),
        "text-missing": Code("error", "a page has no text"),
        "text-of-region": Code("warning", "a text is of a whole region and not of lines"),
        "text-repeated": Code("warning", "many pages have the same text"),
        "text-very-long": Code("warning", "a text hardly fits the model"),
        "text-without-image": Code("warning", "a text belongs to no image"),
        "transcript-beside-text": Code("note", "transcriptions beside `.txt` files are left out"),
        "transcript-none": Code("note", "a file of XML is no transcription"),
        "turn-unknown": Code("error", "a turn of a chat is of nobody that is known"),
        "turns-more": Code("error", "a chat has more than one question"),
        "turns-order": Code("error", "a chat's turns are out of order"),
        "unused-tensor-missing": Code("warning", "the base lacks a tensor that only servers ask for"),
        "view-sums-to-zero": Code("note", "a view sums to 0, which the published code takes for none"),
    }
)
"""Code → severity and title."""
