"""`page:scans?level=line&target=plain` → what is to be read, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ocrtune.families import FAMILIES, Family
from ocrtune.sources.queries import one_of, read_query, split_uri, whole_number
from ocrtune.sources.transcripts.layout import Format

Level = Literal["page", "region", "line"]
Target = Literal["plain", "markdown", "grounded"]

MOST_MARGIN_PX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a transcription becomes pages.

    Attributes:
        level: What is one page for the model: a whole page, a region or a line.
        target: `plain` for text alone, `markdown` for headings and tables, `grounded` for a box before each piece.
        margin: Pixels of paper left around a line or region.
        family: Whose form of boxes is written.
    """

    level: Level = "line"
    target: Target = "plain"
    margin: int = 4
    family: Family = FAMILIES["deepseek_ocr"]


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
    name, path, query = split_uri(uri)
    if name not in get_args(Format):
        return None
    values = read_query(query, _READERS, uri=uri, example=f"{name}:scans?level=line&target=plain&margin=4")
    return Request(path=path, format=name, options=Options(**values))  # type: ignore[arg-type]


def _read_family(key: str, value: str) -> Family:
    return FAMILIES[_family_name(key, value)]


_family_name = one_of(*FAMILIES)
_READERS = {
    "level": one_of(*get_args(Level)),
    "target": one_of(*get_args(Target)),
    "margin": whole_number(0, MOST_MARGIN_PX),
    "family": _read_family,
}
