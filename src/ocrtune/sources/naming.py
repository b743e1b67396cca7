"""Names of pages → names of files that every disk takes."""

import re
import unicodedata
from collections import Counter
from itertools import groupby
from pathlib import PurePosixPath

_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,4}", re.IGNORECASE)
_MOST_BYTES = 200
"""Disks take 255, and the temporary file of a write has a longer name."""

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names that Windows keeps for itself, whatever stands behind a dot."""


class FileNames:
    """Gives each name of a page a path of its own, also on disks that know no case."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, name: str, suffix: str) -> str:
        """A path below a folder: the name's own folders stay, and its suffix becomes another.

        Args:
            name: Of the page; `scan.tif#2` is its second part.
            suffix: Of the file, with its dot.
        """
        stem = safe_path(name)
        if any(folder in self._files for folder in _folders_of(folded(stem))):
            # One file lies where this one's folder would be.
            stem = _safe_part(stem.replace("/", "_"))
        key = folded(stem)
        while True:
            self._counts[key] += 1
            count = self._counts[key]
            path = f"{stem}{suffix}" if count == 1 else f"{stem}~{count}{suffix}"
            if folded(path) not in self._files and folded(path) not in self._folders:
                break
        self._files.add(folded(path))
        self._folders.update(_folders_of(folded(path)))
        return path


def safe_path(name: str) -> str:
    """A relative path without a suffix, which leads nowhere else and holds no sign that some disk refuses."""
    stem = "#".join(map(_without_suffix, name.split("#")))
    parts = [_safe_part(part) for part in PurePosixPath(stem).parts]
    return "/".join(part for part in parts if part.strip("_")) or "page"


def folded(path: str) -> str:
    """A path as disks see it that know neither case nor how a letter is put together."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and not stem.endswith("/") and _SUFFIX.fullmatch(dot + suffix) else name


def _safe_part(part: str) -> str:
    """Of a long name the end, for the begin is what many have in common."""
    safe = "".join("".join(letters) if is_safe else "_" for is_safe, letters in groupby(part, key=_is_safe))
    safe = safe.encode()[-_MOST_BYTES:].decode(errors="ignore").strip(".")
    return f"{safe}_" if safe.partition(".")[0].casefold() in _DEVICES else safe


def _is_safe(letter: str) -> bool:
    # Vowels of Indic scripts and accents of their own are marks.
    return letter.isalnum() or letter in "_.~-" or unicodedata.category(letter).startswith("M")


def _folders_of(path: str) -> list[str]:
    return [str(folder) for folder in PurePosixPath(path).parents][:-1]
