"""Which texts lie beside an image, and what each says about its page."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ocrtune.errors import TextError
from ocrtune.sources.folder_options import TextKind
from ocrtune.sources.json_text import parse_json, write_json
from ocrtune.sources.jsonl import BrokenLine, take_label, take_text

MOST_TEXT_CHARS = 16 * 2**20
"""A longer text is no page's."""

_MOST_BYTES_A_CHAR = 4
_KINDS: tuple[TextKind, ...] = ("gt.txt", "txt", "md", "json")
"""Longest first: `.gt.txt` ends with `.txt` too."""

_VARIANTS = (".bin", ".nrm", ".raw", ".dew")
"""What line recognisers put before the suffix of a binarised, normalised, raw or dewarped image of one text."""

_FIELDS = frozenset({"text", "prompt", "document"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SideText:
    """What a text beside an image says.

    Attributes:
        text: What stands on the page.
        prompt: The page's own prompt, or None.
        document: The page's document, or empty.
    """

    text: str
    prompt: str | None = None
    document: str = ""


class SideTexts:
    """The texts among the files of a folder, and which of them belong to images.

    Args:
        files: All files, images and others included.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._num_images: Counter[Path] = Counter()
        for path in files:
            kind = text_kind(path)
            if kind is not None:
                self._by_stem[str(path)[: -len(kind) - 1]].append(path)

    def beside(self, image: Path) -> list[Path]:
        """The texts of an image, by the stem of its name; they count as belonging to it from now on."""
        stem = str(image.with_suffix(""))
        found = list(self._by_stem.get(stem, ()))
        plain = without_variant(stem)
        if plain != stem and not any(text_kind(path) == "gt.txt" for path in found):
            found += [path for path in self._by_stem.get(plain, ()) if text_kind(path) == "gt.txt"]
        self._num_images.update(found)
        return found

    def strays(self) -> Iterator[Path]:
        """Texts that belong to no image asked about so far."""
        return (path for paths in self._by_stem.values() for path in paths if path not in self._num_images)

    def shared(self) -> Iterator[Path]:
        """Texts that belong to several of the images asked about so far."""
        return (path for path, count in self._num_images.items() if count > 1)


def texts_beside(image: Path) -> list[Path]:
    """The texts of one image; the other files of its folder are not looked at."""
    stems = dict.fromkeys([image.with_suffix(""), Path(without_variant(str(image.with_suffix(""))))])
    candidates = [Path(f"{stem}.{kind}") for stem in stems for kind in get_args(TextKind)]
    return SideTexts(path for path in candidates if path.is_file()).beside(image)


def text_kind(path: Path) -> TextKind | None:
    """What kind of text a file is by its name, whatever its case; None for any other file."""
    name = path.name.lower()
    return next((kind for kind in _KINDS if name.endswith(f".{kind}")), None)


def without_variant(stem: str) -> str:
    """The stem of an image without `.bin` or the like, which tells how the image was made and not what it shows."""
    return next((stem.removesuffix(end) for end in _VARIANTS if stem.endswith(end)), stem)


def read_side_text(path: Path) -> SideText:
    """What a text file says; the line break at its end is none of it.

    JSON is the target in one form, unless it is an object with a string under `text` and nothing else but `prompt`
    and `document`: those are the page's fields.

    Raises:
        TextError: It is not UTF-8, too large or unreadable.
        NotJson: It is of the kind `json` and no JSON.
    """
    text = read_text_file(path)
    if text_kind(path) != "json":
        return SideText(text=text.removesuffix("\n"))
    value = parse_json(text, str(path))
    if isinstance(value, dict) and isinstance(value.get("text"), str) and value.keys() <= _FIELDS:
        return _fields(value, path)
    return SideText(text=write_json(value))


def _fields(value: Mapping[str, object], path: Path) -> SideText:
    try:
        return SideText(
            text=take_text(value, "text") or "",
            prompt=take_text(value, "prompt"),
            document=take_label(value, "document"),
        )
    except BrokenLine as broken:
        raise TextError(str(broken), where=str(path)) from broken


def read_text_file(path: Path) -> str:
    """The text of a file in UTF-8, a byte order mark left out.

    Raises:
        TextError: It is not UTF-8, too large or unreadable.
    """
    try:
        # Looked at before anything is read: a file of many gigabytes may have a name that fits.
        if path.stat().st_size > _MOST_BYTES_A_CHAR * MOST_TEXT_CHARS:
            raise _too_long(path)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(
            "the text is not UTF-8", where=f"{path}, byte {error.start}", hint="save it as UTF-8"
        ) from error
    except OSError as error:
        raise TextError(f"the text cannot be read: {error.strerror or error}", where=str(path)) from error
    if len(text) > MOST_TEXT_CHARS:
        raise _too_long(path)
    return text


def _too_long(path: Path) -> TextError:
    return TextError(
        f"the text is longer than {MOST_TEXT_CHARS} characters",
        where=str(path),
        hint="it can hardly be that of one page",
    )
