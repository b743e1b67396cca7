"""Font files → faces, and for each text a face that has every letter of it."""

import hashlib
import os
import random
import re
import struct
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from fontTools.pens.boundsPen import ControlBoundsPen  # type: ignore[import-untyped]  # has no types
from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]  # has no types

from ocrtune.errors import SynthError
from ocrtune.synth.config import FontsSection

FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")

DEFAULT_WITHOUT = (
    *("*[Mm]ath*", "*[Mm]ono*", "*[Cc]ourier*", "*cursor*", "PTM*", "cmun[tv]t.*", "cmunit.*", "cmuntx.*"),
    *(
        "cmunst.*",
        "cmuntb.*",
        "cmunbt?.*",
        "*_M.*",
        "*Keyboard*",
        "*_K.*",
        "*Initials*",
        "*_I.*",
        "*chorus*",
        "cmunui.*",
    ),
    *("cmunci.*", "cmuntl.*", "BodoniClassic*", "*Oblique*", "*[Ss]ymbol*", "*[Dd]ingbat*", "*[Ww]ingding*"),
    *("[Ww]ebdings*", "*Emoji*", "*[Uu]nifont*", "*Braille*", "*Music*", "*Icons*", "*SignWriting*"),
    *("AmiriQuran*", "*Barcode*", "*LastResort*", "AdobeBlank*", "*Awesome*", "*Marlett*"),
)
"""Fonts no book is set in: left out of the folders that are searched where the section names none."""

REDRAWS = 48
"""Faces drawn in vain before all of them are asked; of the system's fonts one in three has Latin letters."""

MOST_BYTES_OF_A_BLANK = 12

_NO_INK = frozenset(
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
)

_SHAPED = {
    "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff": ("arab",),
    "\u0700-\u074f": ("syrc",),
    "\u07c0-\u07ff": ("nko ",),
    "\u0900-\u0963\u0966-\u097f": ("deva", "dev2", "dev3"),
    "\u0980-\u09ff": ("beng", "bng2", "bng3"),
    "\u0a00-\u0a7f": ("guru", "gur2", "gur3"),
    "\u0a80-\u0aff": ("gujr", "gjr2", "gjr3"),
    "\u0b00-\u0b7f": ("orya", "ory2", "ory3"),
    "\u0b80-\u0bff": ("taml", "tml2", "tml3"),
    "\u0c00-\u0c7f": ("telu", "tel2", "tel3"),
    "\u0c80-\u0cff": ("knda", "knd2", "knd3"),
    "\u0d00-\u0d7f": ("mlym", "mlm2", "mlm3"),
    "\u0d80-\u0dff": ("sinh",),
    "\u0f00-\u0fff": ("tibt",),
    "\u1000-\u109f": ("mymr", "mym2"),
    "\u1780-\u17ff": ("khmr",),
}
"""Letters that change with their neighbours → the scripts one of which a face must have rules for."""

_ANY_SHAPED = re.compile(f"[{''.join(_SHAPED)}]")
_SHAPED_BY = tuple((re.compile(f"[{letters}]"), frozenset(tags)) for letters, tags in _SHAPED.items())

_BROKEN = (
    *(TTLibError, OSError, struct.error, EOFError, AssertionError, AttributeError),
    *(LookupError, TypeError, ValueError, ArithmeticError),
)
"""What fontTools raises about files that are no fonts, or cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A font file, of a collection its first face.

    Attributes:
        path: The file.
        index: Of the face in the file.
        family: Such as `Old Standard`; the file's stem where the font does not say.
        style: Such as `Bold Italic`.
        characters: Code points it has a glyph for.
        scripts: OpenType tags of the scripts it has rules of shaping for.
    """

    path: Path
    index: int = 0
    family: str
    style: str
    characters: frozenset[int]
    scripts: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Family and style."""
        return f"{self.family} {self.style}".strip()

    def can_set(self, text: str) -> bool:
        """Whether every character has a glyph, and every script that needs shaping its rules.

        Spaces and control and format characters leave no ink and need none.
        """
        return _needs(text).are_met_by(self)


@dataclass(frozen=True, slots=True)
class _Needs:
    characters: frozenset[int]
    scripts: tuple[frozenset[str], ...]

    def are_met_by(self, face: Face) -> bool:
        return self.characters <= face.characters and all(tags & face.scripts for tags in self.scripts)


def _needs(text: str) -> _Needs:
    shaped: tuple[frozenset[str], ...] = ()
    if _ANY_SHAPED.search(text):
        shaped = tuple(tags for letters, tags in _SHAPED_BY if letters.search(text))
    return _Needs(frozenset(map(ord, set(text) - _NO_INK)), shaped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fonts:
    """The faces that texts are set in.

    Attributes:
        faces: By file name, then by path, so that machines with the same fonts agree.
        weights: How often each is drawn, relative to the others.
        unreadable: Files left out because they are broken, or have symbols only.
        lacking: How often a face was drawn and left out because it cannot set the text, by its name.
    """

    faces: tuple[Face, ...]
    weights: tuple[float, ...]
    unreadable: int = 0
    lacking: Counter[str] = field(default_factory=Counter, compare=False)
    _totals: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_totals", tuple(accumulate(self.weights)))

    @classmethod
    def find(cls, section: FontsSection) -> "Fonts":
        """The faces of `section.paths`, or of the system's folders where it names none.

        `DEFAULT_WITHOUT` goes for folders where the section leaves nothing out, never for a file that is named.

        Raises:
            SynthError: A path does not exist, or no face is left.
        """
        paths = _in_part(_find_files(section), section)
        read = [(path, _read_face(path)) for path in paths]
        faces = tuple(face for _, face in read if face is not None)
        if not faces:
            raise _no_fonts(section)
        weights = tuple(_weight(face.path, section) for face in faces)
        return cls(faces=faces, weights=weights, unreadable=len(read) - len(faces))

    def digest(self) -> str:
        """The same for the same files under the same names, wherever they lie."""
        told = hashlib.sha256()
        for face in self.faces:
            told.update(f"{face.path.name}/{face.index}/{face.path.stat().st_size}\n".encode())
        return told.hexdigest()[:16]

    def draw(self, rng: random.Random, text: str) -> Face | None:
        """A face that can set `text`, by weight; None where no face can."""
        needs = _needs(text)
        for _ in range(REDRAWS):
            (face,) = rng.choices(self.faces, cum_weights=self._totals)
            if needs.are_met_by(face):
                return face
            self.lacking[face.name] += 1
        return self._draw_from_able(rng, needs)

    def _draw_from_able(self, rng: random.Random, needs: _Needs) -> Face | None:
        pairs = zip(self.faces, self.weights, strict=True)
        able = [(face, weight) for face, weight in pairs if needs.are_met_by(face)]
        if not able:
            return None
        return rng.choices([face for face, _ in able], [weight for _, weight in able])[0]


def system_folders() -> tuple[Path, ...]:
    """Where Linux, macOS and Windows keep fonts; few of them exist on one machine."""
    home = Path.home()
    unix = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts")
    mac = ("/System/Library/Fonts", "/Library/Fonts")
    own = (".fonts", ".local/share/fonts", "Library/Fonts", "AppData/Local/Microsoft/Windows/Fonts")
    windows = Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"
    return (*map(Path, (*unix, *mac)), *(home / name for name in own), windows)


def _find_files(section: FontsSection) -> list[Path]:
    """Font files by name, then by path, each once."""
    found = _named(section) if section.paths else _below(system_folders(), section)
    return sorted({path.resolve() for path in found}, key=lambda path: (path.name, str(path)))


def _named(section: FontsSection) -> Iterator[Path]:
    for name in section.paths:
        path = Path(name).expanduser()
        if path.is_dir():
            yield from _below([path], section)
        elif not path.is_file():
            raise SynthError(
                "there is no such font file or folder",
                where=name,
                hint="fonts.paths names font files, or folders that are searched",
            )
        elif not _fits(path, section.without):
            yield path


def _below(folders: Iterable[Path], section: FontsSection) -> Iterator[Path]:
    without = section.without or DEFAULT_WITHOUT
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix.lower() in FONT_SUFFIXES and path.is_file() and not _fits(path, without):
                yield path


def _in_part(paths: Sequence[Path], section: FontsSection) -> Sequence[Path]:
    if section.part == "all":
        return paths
    wanted = section.part == "held-out"
    return [path for path in paths if _fits(path, section.held_out) == wanted]


def _fits(path: Path, patterns: Iterable[str]) -> bool:
    return any(_matches(path, pattern) for pattern in patterns)


def _matches(path: Path, pattern: str) -> bool:
    return fnmatchcase(path.name, pattern) or fnmatchcase(path.stem, pattern)


def _weight(path: Path, section: FontsSection) -> float:
    weight = 1.0
    for pattern, factor in section.weights.items():
        if _matches(path, pattern):
            weight *= factor
    return weight


def _no_fonts(section: FontsSection) -> SynthError:
    where = ", ".join(section.paths or [str(folder) for folder in system_folders() if folder.is_dir()])
    if section.part == "held-out":
        hint = f"fonts.held_out is {list(section.held_out)}; name patterns of file names that are there"
    else:
        hint = "install fonts, such as apt-get install fonts-dejavu fonts-liberation, or name some in fonts.paths"
    return SynthError(f"no font of part {section.part!r} to set texts in", where=where, hint=hint)


@cache  # a process reads each file once, however many sources set texts in it
def _read_face(path: Path) -> Face | None:
    """None for a file that is broken or has no Unicode table, as fonts of symbols do."""
    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            characters = _characters(font)
            if not characters:
                return None
            family, style = font["name"].getBestFamilyName(), font["name"].getBestSubFamilyName()
            scripts = _scripts(font)
    except _BROKEN:
        return None
    family, style = family or path.stem, style or ""
    return Face(path=path, family=family, style=style, characters=characters, scripts=scripts)


def _characters(font: Any) -> frozenset[int]:
    glyphs: dict[int, str] = font["cmap"].getBestCmap() or {}
    is_blank = _blank_glyphs(font)
    return frozenset(
        code
        for code, glyph in glyphs.items()
        if glyph != ".notdef" and (chr(code) in _NO_INK or not is_blank(glyph))
    )


def _blank_glyphs(font: Any) -> Callable[[str], bool]:
    """Which glyphs have no outline: some fonts keep the code points of letters that nobody has drawn yet."""
    if "glyf" in font:
        places, order = font["loca"].locations, font.getReverseGlyphMap()
        return lambda glyph: places[order[glyph]] == places[order[glyph] + 1]
    if "CFF " not in font:
        return lambda _: False
    programs = font["CFF "].cff.topDictIndex[0].CharStrings

    def is_blank(glyph: str) -> bool:
        program = programs[glyph]
        # Running all of them would take seconds; one of a few bytes may still call a shared outline.
        if program.bytecode is not None and len(program.bytecode) > MOST_BYTES_OF_A_BLANK:
            return False
        pen = ControlBoundsPen(None)
        program.draw(pen)
        return pen.bounds is None

    return is_blank


def _scripts(font: Any) -> frozenset[str]:
    rules = font["GSUB"].table.ScriptList if "GSUB" in font else None
    return frozenset(record.ScriptTag for record in rules.ScriptRecord) if rules else frozenset()
