"""`page:scans?level=line&target=plain` → what is to be read, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ocrtune.families import FAMILIES, Family
from ocrtune.sources.transcripts.layout import Format
from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri, whole_number

Level = Literal["page", "region", "line"]
Target = Literal["plain", "markdown", "grounded"]
Untranscribed = Literal["skip", "keep"]

MOST_MARGIN_PX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a transcription becomes pages.

    Attributes:
        level: What is one page for the model: a whole page, a region or a line.
        target: `plain` for text alone, `markdown` for headings and tables, `grounded` for a box before each piece.
        margin: Pixels of paper left around a line or region.
        family: Whose form of boxes is written.
        untranscribed: What becomes of lines, regions and pages without text: they are left out, or kept as pages that
            can be predicted, but not learned.
    """

    level: Level = "line"
    target: Target = "plain"
    margin: int = 4
    family: Family = FAMILIES["deepseek_ocr"]
    untranscribed: Untranscribed = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a uri asks for.

    Attributes:
        path: A file or folder.
        format: The only format wanted, or None for each file's own.
        options: How it becomes pages.
    """

    path: Path
    format: Format | None = None
    options: Options = Options()


def parse_request(uri: str) -> Request | None:
    """The request of a uri that begins with `page:`, `alto:` or `hocr:`; None for any other.

    Raises:
        SourceError: An option is unknown or has a value it cannot have; all mistakes are told.
    """
    split = split_uri(uri, get_args(Format))
    if split is None:
        return None
    name, path, values = split
    example = f"{name}:scans?level=line&target=plain&margin=4"
    options = read_options(uri, values, _PARSERS, example=example)
    return Request(path=path, format=name, options=Options(**options))  # type: ignore[arg-type]


def _family(value: str) -> Family:
    return FAMILIES[one_of(FAMILIES)(value)]


_PARSERS: OptionParsers = {
    "level": one_of(get_args(Level)),
    "target": one_of(get_args(Target)),
    "margin": whole_number(0, MOST_MARGIN_PX),
    "family": _family,
    "untranscribed": one_of(get_args(Untranscribed)),
}
