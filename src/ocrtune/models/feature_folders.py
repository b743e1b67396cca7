"""Folders of vision features: how large they are, which of them are in use, and which make room."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ocrtune.models.feature_key import FeatureKey
from ocrtune.models.feature_shards import BAD_SUFFIX, TEMPORARY_SUFFIX
from ocrtune.progress import say
from ocrtune.sources.writing import write_text_atomically

MANIFEST = "manifest.json"
LAST_USED = "last-used"
"""An empty file; its time says when a process last worked with the folder."""

IN_USE_S = 3600.0
"""A folder used within so many seconds is in use, and is not removed."""

FREE_SHARE = 0.05
"""So much of a disk is left free."""


def told_size(num_bytes: int) -> str:
    """Bytes for people: `4.6 GB`, `23 MB`."""
    if num_bytes >= 10**9:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes >= 10**6 else f"{num_bytes / 1e3:.0f} kB"


def total_bytes(root: Path) -> int:
    """Bytes of all caches in a folder."""
    return sum(folder_bytes(folder) for folder in _caches(root))


def folder_bytes(folder: Path) -> int:
    """Bytes of the files of a cache, also of those that are just being written."""
    try:
        return sum(_size(path) for path in folder.iterdir())
    except OSError:  # it is not there, or no longer
        return 0


def remove_unused(root: Path, kept: Path, num_bytes: int) -> int:
    """Remove caches that nobody uses, those used longest ago first, until so many bytes are free.

    Args:
        root: The folder of all caches.
        kept: The cache that stays in any case.
        num_bytes: How many are wanted.

    Returns:
        How many bytes were freed.
    """
    freed = 0
    others = sorted((folder for folder in _caches(root) if folder != kept), key=_used_at)
    for folder in others:
        if freed >= num_bytes:
            break
        if time.time() - _used_at(folder) < IN_USE_S:
            continue
        size = folder_bytes(folder)
        shutil.rmtree(folder, ignore_errors=True)
        freed += size - folder_bytes(folder)
        say(f"removed vision features of another model or mode, long unused: {folder}, {told_size(size)}")
    return freed


def _caches(root: Path) -> Iterator[Path]:
    """Folders that are caches: only what ocrtune made is ever counted or removed."""
    return (path.parent for path in root.glob(f"*/{MANIFEST}"))


def _used_at(folder: Path) -> float:
    try:
        return (folder / LAST_USED).stat().st_mtime
    except OSError:
        return _modified_at(folder)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_manifest(folder: Path, key: FeatureKey) -> None:
    """Say for people what the features of a folder depend on."""
    path = folder / MANIFEST
    if not path.exists():
        write_text_atomically(path, json.dumps(key.made_of, indent=1) + "\n")


def remove_leftovers(folder: Path) -> None:
    """What a process left behind that was killed while it wrote, and shards set aside long ago."""
    for pattern in (f".*{TEMPORARY_SUFFIX}", f"*{BAD_SUFFIX}"):
        for path in folder.glob(pattern):
            if time.time() - _modified_at(path) > IN_USE_S:
                # Another user's, in a folder that several share, stays.
                with suppress(OSError):
                    path.unlink(missing_ok=True)
