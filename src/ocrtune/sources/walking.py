"""The files below a folder; links are followed as far as `image_paths` allows, and never twice."""

import os
from collections import deque
from pathlib import Path

from ocrtune.records import Finding, Severity
from ocrtune.sources.image_paths import DATA_ROOT, is_inside


def walk(folder: Path) -> tuple[list[Path], list[Finding]]:
    """The files of a folder and the folders in it, hidden ones left out, in no order; and what was not followed.

    What has a name that is not UTF-8 is left out, with an error.
    A link to a file within the folder is a file like others. A link that leads out of the folder is an error,
    unless `OCRTUNE_DATA_ROOT` allows the place; then a folder behind it is walked too, once.
    """
    walker = _Walker(folder)
    walker.walk()
    return walker.files, walker.findings


class _Walker:
    """Files and findings so far."""

    def __init__(self, root: Path) -> None:
        self.files: list[Path] = []
        self.findings: list[Finding] = []
        self._root = root
        self._folders = deque([root])
        # Walked last: a folder that is in the data by itself is read in its own place.
        self._linked: deque[Path] = deque()
        self._seen: set[tuple[int, int]] = set()

    def walk(self) -> None:
        while self._folders or self._linked:
            is_linked = not self._folders
            folder = self._linked.popleft() if is_linked else self._folders.popleft()
            try:
                self._walk_one(folder, is_linked=is_linked)
            except OSError as error:
                self._tell(
                    "folder-unreadable", "error", f"the folder cannot be read: {error.strerror}", folder
                )

    def _walk_one(self, folder: Path, *, is_linked: bool) -> None:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in self._seen:
            if is_linked:
                self._tell(
                    "link-folder",
                    "note",
                    "the link leads to a folder that is read in its own place, and is not followed",
                    folder,
                )
            return
        self._seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    self._take(entry)

    def _take(self, entry: os.DirEntry[str]) -> None:
        path = Path(entry.path)
        if not _is_utf8(entry.name):
            self._tell(
                "file-name",
                "error",
                "the name is not UTF-8, so it cannot be written into any list, and what it names is left out",
                path,
                hint="rename it; `convmv -f latin1 -t utf8 -r FOLDER` does so for many",
            )
            return
        if entry.is_symlink() and not self._may_follow(path):
            return
        if entry.is_dir():
            (self._linked if entry.is_symlink() else self._folders).append(path)
        elif entry.is_file():
            self.files.append(path)
        else:
            self._tell(
                "file-special",
                "warning",
                "it is no file but a pipe, a socket or a device, and is left out",
                path,
            )

    def _may_follow(self, link: Path) -> bool:
        if not link.exists():
            self._tell("link-broken", "warning", "the link leads nowhere", link)
            return False
        if not is_inside(link, self._root):
            real = Path(os.path.realpath(link))
            self._tell(
                "link-outside",
                "error",
                "the link leads out of the folder, and is not followed",
                link,
                hint=f"copy what it leads to, or allow the place: {DATA_ROOT}={real.parent}",
            )
            return False
        return True

    def _tell(self, code: str, severity: Severity, message: str, where: Path, *, hint: str = "") -> None:
        self.findings.append(
            Finding(code=code, severity=severity, message=message, where=_shown(where), hint=hint)
        )


def _is_utf8(name: str) -> bool:
    """Whether a name can be written; bytes of another encoding are halves of surrogate pairs in Python."""
    return name.isascii() or name == name.encode("utf-8", "replace").decode()


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
