"""A zip or tar → a folder of its files, whole or not at all; what an archive may do to a disk is refused by name."""

import gzip
import json
import lzma
import os
import re
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import IO

from ocrtune.errors import ArchiveError, ArchiveUnsafe
from ocrtune.records import Finding
from ocrtune.sources.limits import (
    MAX_ARCHIVE_BYTES,
    MAX_ARCHIVE_FILES,
    MAX_ARCHIVE_RATIO,
    ArchiveLimits,
    archive_limits,
)
from ocrtune.sources.naming import folded

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""Suffixes of what `unpack` reads, in lower case."""

MARK_NAME = ".ocrtune-unpacked"
"""The file in an unpacked folder that tells which archive it was."""

LEAST_RATIO_BYTES = 2**26
"""Less than this may be packed as tightly as it likes: blank pages pack a thousandfold."""

_READ_AT_ONCE = 2**20
_MOST_AT_ONCE = 2**26
"""A tar's header that claims more than this is no header."""

_GZIP = b"\x1f\x8b"
_ENCRYPTED = 1
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A file of an archive.

    Attributes:
        name: As the archive writes it.
        kind: `file`, `folder`, or what else it is, for people.
        num_bytes: Unpacked, as the archive claims.
        open: Gives its content.
    """

    name: str
    kind: str
    num_bytes: int
    open: "_Open"


class _Open:
    """Opens one member of a zip or tar."""

    def __init__(
        self, archive: zipfile.ZipFile | tarfile.TarFile, member: zipfile.ZipInfo | tarfile.TarInfo
    ) -> None:
        self._archive = archive
        self._member = member

    def __call__(self) -> IO[bytes]:
        if isinstance(self._archive, zipfile.ZipFile):
            assert isinstance(self._member, zipfile.ZipInfo)
            return self._archive.open(self._member)
        assert isinstance(self._member, tarfile.TarInfo)
        file = self._archive.extractfile(self._member)
        assert file is not None
        return file


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar by its suffix."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def unpack(path: Path, folder: Path) -> list[Finding]:
    """Unpack an archive as `folder`, which must not be there yet, unless it is this very archive's, whole.

    Links, devices, and files that have an earlier one's name, if case does not count, are left out, each with a finding
    `archive-unsafe`. Nothing is ever written outside of `folder`; if unpacking fails, nothing is left.

    Args:
        path: A .zip, .tar, .tar.gz or .tgz.
        folder: Made, with the folders above it; it gets a hidden file that tells which archive it was.

    Returns:
        What was left out; nothing where the folder was there from an earlier time.

    Raises:
        ArchiveUnsafe: A name is absolute or leads out by `..`; a file is encrypted; or there is more than
            `sources.limits` allows of bytes, files, or bytes for each byte of the archive.
        ArchiveError: It is missing, broken or of no kind that is known, or the folder is there already.
    """
    mark = _mark(path)
    if _is_unpacked(folder, mark):
        return []
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A hidden folder in the same place: a rename is atomic only on the same disk.
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        unpacking = _Unpacking(path, temporary, archive_limits())
        with _naming_errors(path), _members(path) as members:
            for member in members:
                unpacking.take(member)
            (temporary / MARK_NAME).write_text(mark, encoding="utf-8")
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return unpacking.findings


def top_folder(folder: Path) -> Path:
    """The folder that holds everything: of an archive with a single folder in it, that folder."""
    visible = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    return top_folder(visible[0]) if len(visible) == 1 and visible[0].is_dir() else folder


@dataclass
class _Unpacking:
    """What was taken of an archive so far."""

    path: Path
    folder: Path
    limits: ArchiveLimits
    findings: list[Finding] = field(default_factory=list)
    num_members: int = 0
    num_bytes: int = 0
    _files: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)

    def take(self, member: _Member) -> None:
        """Write a file, or leave it out with a finding."""
        self.num_members += 1
        if self.num_members > self.limits.most_files:
            raise self._unsafe(f"holds more than {self.limits.most_files:,} files", MAX_ARCHIVE_FILES)
        parts = _parts(member.name, self.path)
        # What it claims is looked at before a byte is unpacked, and what comes is counted all the same.
        self._require_room(self.num_bytes + member.num_bytes)
        if member.kind == "folder" or not parts:
            return
        if member.kind != "file":
            self._leave_out(f"{member.kind} in the archive is left out", member.name)
        elif not self._is_free(parts):
            self._leave_out(
                "a file has the name of an earlier one, if case does not count, and is left out", member.name
            )
        else:
            self._write(member, self.folder.joinpath(*parts))

    def _write(self, member: _Member, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as file:
            while content := source.read(_READ_AT_ONCE):
                self.num_bytes += len(content)
                self._require_room(self.num_bytes)
                file.write(content)

    def _require_room(self, num_bytes: int) -> None:
        if num_bytes > self.limits.most_bytes:
            raise self._unsafe(f"unpacks to more than {self.limits.most_bytes:,} bytes", MAX_ARCHIVE_BYTES)
        most = max(self.limits.most_ratio * self.path.stat().st_size, LEAST_RATIO_BYTES)
        if num_bytes > most:
            raise self._unsafe(
                f"unpacks to more than {self.limits.most_ratio:,} times its size", MAX_ARCHIVE_RATIO
            )

    def _is_free(self, parts: tuple[str, ...]) -> bool:
        """Whether neither the file nor a folder above it is there by another case, as disks may know none."""
        keys = ["/".join(folded(part) for part in parts[: end + 1]) for end in range(len(parts))]
        *folders, file = keys
        if file in self._files or file in self._folders or not self._files.isdisjoint(folders):
            return False
        self._files.add(file)
        self._folders.update(folders)
        return True

    def _leave_out(self, message: str, name: str) -> None:
        self.findings.append(
            Finding(
                code=ArchiveUnsafe.code,
                severity="error",
                message=message,
                where=f"{self.path}#{_shown(name)}",
                hint="pack it again, with files of names of their own",
            )
        )

    def _unsafe(self, message: str, setting: str) -> ArchiveUnsafe:
        return ArchiveUnsafe(
            f"the archive {message}", where=str(self.path), hint=f"if it is no bomb, set {setting} to more"
        )


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a name; a backslash parts them too, as in zips made on Windows.

    Raises:
        ArchiveUnsafe: The name leads out of the folder.
    """
    written = name.replace("\\", "/")
    parts = tuple(part for part in written.split("/") if part not in {"", "."})
    if written.startswith("/") or PureWindowsPath(written).drive or ".." in parts or _CONTROL.search(name):
        raise ArchiveUnsafe(
            f"the archive holds {_shown(name)!r}, which leads out of its folder",
            where=str(archive),
            hint="nothing of it was unpacked; ask whoever made it",
        )
    return parts


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:200]


@contextmanager
def _members(path: Path) -> Iterator[Iterator[_Member]]:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive, path)
        return
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    # A packed tar has no table of what is in it: it is unpacked as far as it is read.
    with (
        path.open("rb") as file,
        gzip.GzipFile(fileobj=file) if is_packed else file as content,
        tarfile.open(fileobj=_Wary(content, path), mode="r:") as tar,  # type: ignore[call-overload]
    ):
        yield (_tar_member(tar, member) for member in tar)


def _zip_members(archive: zipfile.ZipFile, path: Path) -> Iterator[_Member]:
    for info in archive.infolist():
        if info.flag_bits & _ENCRYPTED:
            raise ArchiveUnsafe(
                f"the archive asks for a password, for {_shown(info.filename)!r}",
                where=str(path),
                hint="unpack it yourself, and give the folder",
            )
        yield _Member(
            name=info.filename, kind=_zip_kind(info), num_bytes=info.file_size, open=_Open(archive, info)
        )


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a link"
    if info.is_dir() or stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_IFMT(mode) in {0, stat.S_IFREG} else "a device"


def _tar_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> _Member:
    if member.isreg():
        kind = "file"
    elif member.isdir():
        kind = "folder"
    else:
        kind = "a link" if member.islnk() or member.issym() else "a device"
    return _Member(
        name=member.name,
        kind=kind,
        num_bytes=member.size if kind == "file" else 0,
        open=_Open(tar, member),
    )


class _Wary:
    """A tar's bytes; what asks for very many at once was told so by a header that lies."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, path: Path) -> None:
        self._file = file
        self._path = path

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        if not 0 <= size <= _MOST_AT_ONCE:
            raise ArchiveUnsafe("the archive has a header of absurd length", where=str(self._path))
        return self._file.read(size)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()


def _mark(path: Path) -> str:
    if not path.is_file():
        raise ArchiveError("there is no such archive", where=str(path))
    if not is_archive(path):
        raise ArchiveError(
            "the file is no archive that is known",
            where=str(path),
            hint=f"known: {' '.join(ARCHIVE_SUFFIXES)}",
        )
    status = path.stat()
    return json.dumps({"archive": path.name, "bytes": status.st_size, "changed_ns": status.st_mtime_ns})


def _is_unpacked(folder: Path, mark: str) -> bool:
    if not folder.exists() and not folder.is_symlink():
        return False
    written = folder / MARK_NAME
    if written.is_file() and written.read_text(encoding="utf-8") == mark:
        return True
    raise ArchiveError(
        "the folder to unpack into is there already", where=str(folder), hint="remove it, or choose another"
    )


@contextmanager
def _naming_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ArchiveError(
            f"the archive cannot be unpacked: {told}",
            where=str(path),
            hint="it may be cut off: fetch it once more; or the disk is full",
        ) from error
