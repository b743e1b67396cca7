"""Tar files as WebDataset writes them → pages: members of one key are a page."""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ocrtune.errors import ImageError, SeveralTexts, ShardError
from ocrtune.progress import track
from ocrtune.records import EncodedImage, Finding, Page
from ocrtune.sources.folder import natural_key
from ocrtune.sources.images import IMAGE_SUFFIXES
from ocrtune.sources.jsonl import BrokenLine, parse_line, take_label, take_target, take_text
from ocrtune.sources.shards.files import Shard
from ocrtune.sources.shards.notes import Notes
from ocrtune.sources.shards.pages import Piece, ShardPages
from ocrtune.sources.shards.tar_members import (
    FOLDER,
    NO_END,
    REGULAR,
    BrokenTar,
    Member,
    read_member,
    read_members,
)

MOST_TEXT_BYTES = 16 * 2**20
MOST_IMAGE_BYTES = 2**32 - 1

_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
"""Key and extension, as WebDataset tells them apart: at the first dot of the last part of the path."""

_LEADS_OUT = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.($|[/\\])")
"""Paths that are absolute here or on Windows, or have a step upwards."""

_COMPRESSED = {
    b"\x1f\x8b": "gzip -d",
    b"BZh": "bzip2 -d",
    b"\xfd7zXZ": "xz -d",
    b"\x28\xb5\x2f\xfd": "zstd -d",
}


class Role(IntEnum):
    """What a member is of its page; of several texts the first of these counts."""

    IMAGE = 0
    TXT = 1
    GT_TXT = 2
    MARKDOWN = 3
    JSON = 4


_TEXT_ROLES = {".gt.txt": Role.GT_TXT, ".txt": Role.TXT, ".md": Role.MARKDOWN, ".json": Role.JSON}
_SUFFIX_OF = {role: suffix for suffix, role in _TEXT_ROLES.items()}
_TEXT_ORDER = (Role.TXT, Role.GT_TXT, Role.MARKDOWN)


@dataclass(frozen=True, slots=True)
class _Found:
    """A member that is of use, while its shard is read.

    Attributes:
        extension: Without the dot before it.
        role: By its extension.
        member: Where it is.
    """

    extension: str
    role: Role
    member: Member


@dataclass(slots=True)
class _Sample:
    """The members of one key, while their shard is read."""

    key: str
    is_repeated: bool
    found: list[_Found] = field(default_factory=list)
    is_broken: bool = False
    has_prompt: bool = False

    def has(self, extension: str) -> bool:
        return any(found.extension == extension for found in self.found)


class TarPages(ShardPages):
    """Pages of tar files: 35 bytes are kept for one of an image and a text.

    Args:
        shards: The files.
        pieces: What is known of each.
        index: Where their members are.
    """

    def __init__(self, shards: Sequence[Shard], pieces: Sequence[Piece], index: "Index") -> None:
        self._shards = tuple(shards)
        self.pieces = tuple(pieces)
        self._ends = np.cumsum([piece.num_pages for piece in pieces], dtype=np.int64)
        self._firsts = np.array(index.firsts, dtype=np.int64)
        self._repeated = np.array(index.repeated, dtype=np.bool_)
        self._starts = np.array(index.starts, dtype=np.int64)
        self._sizes = np.array(index.sizes, dtype=np.uint32)
        self._roles = np.array(index.roles, dtype=np.uint8)

    def item(self, place: int) -> Page:
        """The page at a place: its texts are read, its images are not."""
        number = int(np.searchsorted(self._ends, place, side="right"))
        shard = self._shards[number]
        try:
            with shard.path.open("rb") as file:
                found = [self._found(file, each) for each in self._members(place)]
                page = _make_page(shard, file, found)
        except (OSError, BrokenTar, BrokenLine) as error:
            raise ShardError(
                f"the shard is not as it was when its pages were counted: {error}",
                where=f"{shard.path}#{place - self._start(number) + 1}",
                hint="leave shards alone while a run reads them",
            ) from error
        return self._told_apart(page, place, number) if self._repeated[place] else page

    def _start(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0

    def _members(self, place: int) -> range:
        return range(int(self._firsts[place]), int(self._firsts[place + 1]))

    def _found(self, file: BinaryIO, each: int) -> _Found:
        """A member, its header read anew: the shard may be another one by now."""
        size, role = int(self._sizes[each]), Role(int(self._roles[each]))
        member = read_member(file, int(self._starts[each]), np.iinfo(np.int64).max)
        extension = _split(member.name)[1] if member is not None else ""
        if member is None or member.size != size or _role(extension) != role:
            raise BrokenTar(f"another member is at byte {self._starts[each]}", "shard-broken")
        return _Found(extension, role, member)

    def _told_apart(self, page: Page, place: int, number: int) -> Page:
        within = place - self._start(number)
        return Page(
            name=f"{page.name}~{within + 1}",
            images=page.images,
            text=page.text,
            prompt=page.prompt,
            document=page.document,
            where=page.where,
        )


class Index:
    """Where members are, as numbers; those of page n are `firsts[n]` up to `firsts[n + 1]`."""

    def __init__(self) -> None:
        self.firsts = array("q", [0])
        self.repeated = array("b")
        self.starts = array("q")
        self.sizes = array("I")
        self.roles = array("B")

    def add(self, sample: _Sample) -> None:
        """Keep the members of a page, images first, in natural order."""
        for found in sorted(sample.found, key=lambda found: (found.role, natural_key(found.extension))):
            self.starts.append(found.member.start)
            self.sizes.append(found.member.size)
            self.roles.append(found.role)
        self.firsts.append(len(self.starts))
        self.repeated.append(sample.is_repeated)


def read_tars(shards: Sequence[Shard]) -> tuple[TarPages, list[Finding]]:
    """The pages of tar files, and everything that was odd.

    Headers are read, and texts to see whether they can be; images are passed over. Members that are neither are
    passed over with a note, links and devices are refused.

    Args:
        shards: The files, in order.
    """
    notes, index, pieces = Notes(), Index(), []
    for shard in track(shards, "reading headers of shards"):
        try:
            count, size = _read_tar(shard, index, notes), shard.path.stat().st_size
        except OSError as error:
            notes.add("shard-broken", "error", f"the shard cannot be read: {error}", where=str(shard.path))
            count = size = 0
        pieces.append(Piece(name=shard.name, num_pages=count, num_bytes=size))
    return TarPages(shards, pieces, index), notes.findings()


def _read_tar(shard: Shard, index: Index, notes: Notes) -> int:
    """Keep where the members of a shard are; how many pages they make."""
    with shard.path.open("rb") as file:
        magic = file.read(6)
        command = next((_COMPRESSED[mark] for mark in _COMPRESSED if magic.startswith(mark)), None)
        if command is not None:
            notes.add(
                "shard-compressed",
                "error",
                "the tar is compressed, so no page of it can be read by itself",
                where=str(shard.path),
                hint=f"unpack it: {command} {shard.path}; images are compressed already",
            )
            return 0
        samples = list(_group(shard, file, notes))
    usable = [sample for sample in samples if _is_usable(sample, shard, notes)]
    for sample in usable:
        index.add(sample)
    return len(usable)


def _group(shard: Shard, file: BinaryIO, notes: Notes) -> Iterable[_Sample]:
    """The samples of a shard in the order of their first members, which may stand apart."""
    samples: list[_Sample] = []
    latest: dict[str, _Sample] = {}
    last: _Sample | None = None
    try:
        for member in read_members(file):
            extension = _useful_extension(member, shard, notes)
            if extension is None:
                continue
            key, _ = _split(member.name)
            sample = latest.get(key)
            if sample is None or sample.has(extension):
                sample = latest[key] = _begin(key, sample, shard, notes)
                samples.append(sample)
            _add(sample, _Found(extension, _known_role(extension), member), shard, file, notes)
            last = sample
    except BrokenTar as broken:
        _note_end(broken, shard, notes)
        cut = latest.get(_split(broken.name)[0]) if broken.name else last
        if cut is not None and broken.code != NO_END:
            # Its other members may have stood behind the cut.
            cut.is_broken = True
    return samples


def _note_end(broken: BrokenTar, shard: Shard, notes: Notes) -> None:
    is_whole = broken.code == NO_END
    if is_whole and not shard.path.stat().st_size:
        hint = "fetch the file once more"
        notes.add("shard-broken", "error", "the shard is empty", where=str(shard.path), hint=hint)
        return
    notes.add(
        broken.code,
        "warning" if is_whole else "error",
        f"the shard cannot be read to its end: {broken}",
        where=str(shard.path),
        hint="" if is_whole else "pages before it are read; fetch the file once more",
    )


def _begin(key: str, before: _Sample | None, shard: Shard, notes: Notes) -> _Sample:
    if before is not None:
        notes.add(
            "shard-key-twice",
            "warning",
            "a key comes again with an extension that it has already, so it is taken for another page",
            where=f"{shard.path}#{key}",
            hint="give each page a key of its own",
        )
    return _Sample(key, is_repeated=before is not None)


def _add(sample: _Sample, found: _Found, shard: Shard, file: BinaryIO, notes: Notes) -> None:
    """Put a member to its page, if it can be read."""
    where = f"{shard.path}#{found.member.name}"
    if found.role is Role.IMAGE and found.member.size <= MOST_IMAGE_BYTES:
        sample.found.append(found)
        return
    try:
        sample.has_prompt |= _check_text(found, file)
    except BrokenLine as broken:
        sample.is_broken = True
        notes.add("shard-text", "error", f"a member cannot be used: {broken}", where=where, hint=broken.hint)
    else:
        sample.found.append(found)


def _check_text(found: _Found, file: BinaryIO) -> bool:
    """Whether a member that can be read holds a prompt."""
    if found.role is Role.IMAGE:
        raise BrokenLine(f"an image of {found.member.size} bytes is larger than {MOST_IMAGE_BYTES}")
    if found.member.size > MOST_TEXT_BYTES:
        raise BrokenLine(f"a text of {found.member.size} bytes is longer than {MOST_TEXT_BYTES}")
    content = _content(file, found.member)
    if found.role is Role.JSON:
        row = parse_line(content)
        take_target(row, "text"), take_label(row, "document")
        return take_text(row, "prompt") is not None
    _decode(content)
    return False


def _is_usable(sample: _Sample, shard: Shard, notes: Notes) -> bool:
    if sample.is_broken or not all(_keep_one(sample, role, shard, notes) for role in _SUFFIX_OF):
        return False
    if sample.has_prompt or any(found.role is Role.IMAGE for found in sample.found):
        return True
    notes.add(
        "shard-without-image",
        "error",
        "a text has no image of its key, nor a .json with a prompt",
        where=f"{shard.path}#{sample.key}",
        hint="members of a page have the same path up to the first dot, as in 12.png and 12.txt",
    )
    return False


def _keep_one(sample: _Sample, role: Role, shard: Shard, notes: Notes) -> bool:
    """Leave of several texts of one kind the one with nothing before its suffix; whether it is clear which is meant."""
    texts = [found for found in sample.found if found.role is role]
    plain = [found for found in texts if f".{found.extension.lower()}" == _SUFFIX_OF[role]]
    if len(texts) <= 1:
        return True
    where = f"{shard.path}#{sample.key}"
    if len(plain) != 1:
        told = ", ".join(sorted(f".{found.extension}" for found in texts))
        message = f"a key has several texts, and nobody said which of them is meant: {told}"
        notes.add(SeveralTexts.code, "error", message, where=where, hint="leave one of them in the shard")
        return False
    sample.found = [found for found in sample.found if found.role is not role or found is plain[0]]
    message = f"texts beside a {_SUFFIX_OF[role]} of the same kind and key are passed over"
    notes.add("shard-member-passed-over", "note", message, where=where)
    return True


def _useful_extension(member: Member, shard: Shard, notes: Notes) -> str | None:
    """The extension of a member that belongs to a page; of any other it is noted why it does not."""
    where = f"{shard.path}#{member.name}"
    if member.kind == FOLDER or (member.kind in REGULAR and member.name.endswith("/")):
        return None
    if member.kind not in REGULAR or member.is_sparse:
        message = "links, devices and sparse files are not followed"
        notes.add(
            "shard-member-refused", "error", message, where=where, hint="pack files with their contents"
        )
        return None
    if _leads_out(member.name):
        message = "a path that is absolute or has .. in it is refused"
        notes.add("shard-member-refused", "error", message, where=where, hint="pack files by relative paths")
        return None
    _, extension = _split(member.name)
    if _role(extension) is None:
        kind = (
            "." + extension.rpartition(".")[2].lower()[:20] if extension else "hidden files, or without one"
        )
        message = f"members that are neither image nor text are passed over: {kind}"
        notes.add("shard-member-passed-over", "note", message, where=where)
        return None
    return extension


def _leads_out(name: str) -> bool:
    return bool(_LEADS_OUT.search(name))


def _split(name: str) -> tuple[str, str]:
    """Key and extension; both empty where a name has none."""
    match = _KEY.fullmatch(name)
    return (match[1], match[2]) if match else ("", "")


@lru_cache
def _role(extension: str) -> Role | None:
    dotted = f".{extension.lower()}"
    if any(dotted.endswith(suffix) for suffix in IMAGE_SUFFIXES):
        return Role.IMAGE
    return next((role for suffix, role in _TEXT_ROLES.items() if dotted.endswith(suffix)), None)


def _known_role(extension: str) -> Role:
    role = _role(extension)
    assert role is not None
    return role


def _make_page(shard: Shard, file: BinaryIO, found: Sequence[_Found]) -> Page:
    contents = {each.role: _content(file, each.member) for each in found if each.role is not Role.IMAGE}
    facts: Mapping[str, Any] = parse_line(contents[Role.JSON]) if Role.JSON in contents else {}
    written = next((_decode(contents[role]) for role in _TEXT_ORDER if role in contents), None)
    key, _ = _split(found[0].member.name)
    name, folder = f"{shard.name}#{key}", key.rpartition("/")[0]
    return Page(
        name=name,
        images=tuple(_images(shard, found)),
        text=take_target(facts, "text") if written is None else written,
        prompt=take_text(facts, "prompt"),
        document=take_label(facts, "document") or folder or name,
        where=f"{shard.path}#{key}",
    )


def _images(shard: Shard, found: Sequence[_Found]) -> Iterator[EncodedImage]:
    for each in found:
        if each.role is Role.IMAGE:
            read = partial(read_part, shard.path, each.member.offset, each.member.size)
            yield EncodedImage(name=f"{shard.path}#{each.member.name}", read=read)


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Bytes of a file.

    Raises:
        ImageError: There are fewer.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(size)
    except OSError as error:
        raise ImageError(f"the shard cannot be read: {error}", where=str(path)) from error
    if len(content) < size:
        raise ImageError(f"the shard ends before byte {offset + size}", where=str(path))
    return content


def _content(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)


def _decode(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error
    return text.replace("\r\n", "\n").removesuffix("\n")
