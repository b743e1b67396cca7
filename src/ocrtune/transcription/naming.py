"""Names of pages → names of files that every disk takes."""

import re
from pathlib import PurePosixPath

_UNSAFE = re.compile(r"[^\w.~-]+")
_MOST_BYTES = 200
"""Disks take 255, and the temporary file of a write has a longer name."""


class FileNames:
    """Gives each page a path of its own, also on disks that know no case.

    Args:
        suffix: Of all files, with its dot.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """A path below the folder: the name's folders stay, its suffix becomes that of the files."""
        whole, mark, rest = name.partition("#")
        path = PurePosixPath(whole)
        stem = f"{path.with_suffix('') if path.name else path}{mark}{rest}"
        parts = [_shortened(_UNSAFE.sub("_", part).strip(".")) for part in PurePosixPath(stem).parts]
        wanted = unique = "/".join(part for part in parts if part.strip("_")) or "page"
        number = 1
        while unique.casefold() in self._taken:
            number += 1
            unique = f"{wanted}~{number}"
        self._taken.add(unique.casefold())
        return f"{unique}{self._suffix}"


def _shortened(part: str) -> str:
    """The end of a long name, for the begin is what many have in common."""
    return part.encode()[-_MOST_BYTES:].decode(errors="ignore")
