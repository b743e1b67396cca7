"""A file, a folder or a pattern with braces → the shards it names, in order."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from ocrtune.errors import SourceError
from ocrtune.sources.folder import find_files
from ocrtune.sources.shards.options import ShardKind, ShardRequest

SUFFIXES: dict[ShardKind, tuple[str, ...]] = {"webdataset": (".tar",), "parquet": (".parquet", ".pq")}
"""By which shards are known in a folder, in lower case."""

COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

MOST_SHARDS = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of pages.

    Attributes:
        path: The file.
        name: Seen from the folder that all shards of the source are in.
    """

    path: Path
    name: str


def find_shards(request: ShardRequest) -> list[Shard]:
    """The shards that a uri names: those of a folder in natural order, those of a pattern in its order.

    Raises:
        SourceError: There are none, or one that the pattern names is missing.
    """
    if _BRACES.search(str(request.path)) and not request.path.exists():
        files = _named(request)
    elif request.path.is_dir():
        suffixes = SUFFIXES[request.kind] + (COMPRESSED_SUFFIXES if request.kind == "webdataset" else ())
        files = [path for path in find_files(request.path) if path.name.lower().endswith(suffixes)]
    else:
        files = [request.path] if request.path.is_file() else []
    if not files:
        raise _no_shards(request)
    folder = (
        request.path if request.path.is_dir() else Path(os.path.commonpath([path.parent for path in files]))
    )
    return [Shard(path=path, name=path.relative_to(folder).as_posix()) for path in files]


def _named(request: ShardRequest) -> list[Path]:
    files = [Path(name) for name in dict.fromkeys(_unfold(str(request.path)))]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        told = ", ".join(missing[:_MOST_TOLD])
        more = f" and {len(missing) - _MOST_TOLD} more" if len(missing) > _MOST_TOLD else ""
        raise SourceError(
            f"{len(missing)} of the {len(files)} shards are not there: {told}{more}",
            where=f"{request.kind}:{request.path}",
            hint="{000..099} counts both ends, with as many digits as are written",
        )
    return files


def _unfold(pattern: str) -> Iterator[str]:
    """The names that a pattern stands for: `{00..11}` counts, `{a,b}` lists."""
    parts = _BRACES.split(pattern)
    choices = [[part] if place % 2 == 0 else _choices(part, pattern) for place, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_SHARDS:
        raise SourceError(f"the pattern names {count} shards, more than {MOST_SHARDS}", where=pattern)
    return ("".join(picked) for picked in product(*choices))


def _choices(braced: str, pattern: str) -> list[str]:
    counted = _RANGE.fullmatch(braced)
    if counted is None:
        return braced.split(",")
    first, last = counted.groups()
    numbers = range(int(first), int(last) + 1)
    if not 0 < len(numbers) <= MOST_SHARDS:
        raise SourceError(
            f"{{{braced}}} counts from {first} to {last}", where=pattern, hint="such as {000..099}"
        )
    return [str(number).zfill(len(first)) for number in numbers]


def _no_shards(request: ShardRequest) -> SourceError:
    uri = f"{request.kind}:{request.path}"
    if request.path.is_dir():
        wanted = " or ".join(SUFFIXES[request.kind])
        return SourceError(f"the folder holds no file that ends with {wanted}", where=uri)
    return SourceError(
        f"there is no file or folder {str(request.path)!r}",
        where=uri,
        hint=f"as in {request.kind}:FOLDER or {request.kind}:shards/{{000..099}}{SUFFIXES[request.kind][0]}",
    )
