"""`page:scans?level=line&target=plain` → what is to be read, and how."""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from ocrtune.errors import SourceError
from ocrtune.families import FAMILIES, Family
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
    name, colon, rest = uri.partition(":")
    if not colon or name not in get_args(Format):
        return None
    path, _, query = rest.partition("?")
    values: dict[str, Any] = {}
    problems: list[str] = []
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        try:
            values[key] = _value(key, value)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise SourceError(
            "\n".join(["the options of the source are wrong", *(f"  - {problem}" for problem in problems)]),
            where=uri,
            hint=f"known: {', '.join(_KNOWN)}; as in {name}:scans?level=line&target=plain&margin=4",
        )
    return Request(path=Path(path), format=name, options=Options(**values))  # type: ignore[arg-type]


_KNOWN = tuple(field.name for field in fields(Options))
_CHOICES: dict[str, tuple[str, ...]] = {
    "level": get_args(Level),
    "target": get_args(Target),
    "family": tuple(FAMILIES),
}


def _value(key: str, value: str) -> object:
    if key not in _KNOWN:
        raise ValueError(f"unknown option {key!r}{_nearest(key, _KNOWN)}")
    if key == "margin":
        if not value.isdecimal() or int(value) > MOST_MARGIN_PX:
            raise ValueError(f"margin: must be a whole number from 0 to {MOST_MARGIN_PX}, found {value!r}")
        return int(value)
    if value not in _CHOICES[key]:
        known = ", ".join(_CHOICES[key])
        raise ValueError(f"{key}: must be one of {known}, found {value!r}{_nearest(value, _CHOICES[key])}")
    return FAMILIES[value] if key == "family" else value


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
