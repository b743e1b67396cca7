"""Names of columns → which of them is the image, the text, the prompt and the document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ocrtune.errors import SourceError
from ocrtune.records import Finding
from ocrtune.sources.tables.options import Role
from ocrtune.sources.uris import nearest

COMMON_NAMES: Mapping[Role, tuple[str, ...]] = {
    "image": ("image", "file_name", "filename", "image_path", "path", "img"),
    "text": ("text", "transcription", "label", "ground_truth", "gt", "caption", "target"),
    "prompt": ("prompt",),
    "document": ("document",),
}
"""Role → names by which a column is recognised where the uri names none; case, spaces and dashes do not count."""


class Asked(Protocol):
    """What a uri asks of columns; a TableRequest is one."""

    @property
    def path(self) -> Path:
        """The table."""

    @property
    def kind(self) -> str:
        """What its uri begins with."""

    @property
    def columns(self) -> Mapping[Role, str]:
        """Role → the column that the uri names for it; empty for a role that is to be left aside."""


_NEEDED: tuple[Role, ...] = ("image", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what; empty where there is none.

    Attributes:
        image: The path of the image.
        text: What stands on the page.
        prompt: The page's own prompt.
        document: Which document the page belongs to.
    """

    image: str
    text: str = ""
    prompt: str = ""
    document: str = ""


def find_columns(names: Sequence[str], request: Asked) -> tuple[Columns, list[Finding]]:
    """The columns that the uri names, else those of common names, and a note on the latter.

    Raises:
        SourceError: A column is not there or is there twice, or none or several may be meant; all mistakes are told.
    """
    taken: dict[Role, str] = {}
    problems: list[str] = []
    for role in COMMON_NAMES:
        try:
            taken[role] = _find(role, names, request.columns.get(role))
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise _not_found(problems, names, request)
    recognised = {role: name for role, name in taken.items() if name and role not in request.columns}
    return Columns(**taken), [_note(recognised, request)] if recognised else []


def has_image_column(names: Sequence[str], request: Asked) -> bool:
    """Whether one of the columns is the image, without a doubt."""
    try:
        return bool(_find("image", names, request.columns.get("image")))
    except ValueError:
        return False


def _find(role: Role, names: Sequence[str], named: str | None) -> str:
    if named is None:
        return _recognise(role, names)
    if named and named not in names:
        raise ValueError(f"there is no column {named!r} for the {role}{nearest(named, names)}")
    return _alone(named, names)


def _recognise(role: Role, names: Sequence[str]) -> str:
    common = COMMON_NAMES[role]
    found = list(dict.fromkeys(name for name in names if _plain(name) in common))
    if len(found) > 1:
        raise ValueError(f"several columns may be the {role}: {', '.join(map(repr, found))}")
    if not found and role in _NEEDED:
        raise ValueError(f"no column is called {', '.join(common[:-1])} or {common[-1]}, for the {role}")
    return _alone(found[0], names) if found else ""


def _alone(name: str, names: Sequence[str]) -> str:
    if name and names.count(name) > 1:
        raise ValueError(f"{names.count(name)} columns are called {name!r}")
    return name


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _not_found(problems: Sequence[str], names: Sequence[str], request: Asked) -> SourceError:
    there = ", ".join(map(repr, names)) or "none"
    lacks_text = not set(map(_plain, names)) & set(COMMON_NAMES["text"]) and "text" not in request.columns
    without = "; text= reads images without texts" if lacks_text else ""
    return SourceError(
        "\n".join(
            [
                "the columns of the table are not those looked for",
                *(f"  - {problem}" for problem in problems),
                f"  - columns: {there}",
            ]
        ),
        where=str(request.path),
        hint=f"name them: {request.kind}:{request.path}?image=COLUMN&text=COLUMN{without}",
    )


def _note(recognised: Mapping[Role, str], request: Asked) -> Finding:
    told = ", ".join(f"{role} from {name!r}" for role, name in recognised.items())
    return Finding(
        code="columns-recognised",
        severity="note",
        message=f"columns are taken by their names: {told}",
        where=str(request.path),
        hint=f"{request.kind}:{request.path}?image=COLUMN&text=COLUMN takes others",
    )
