"""Vision features on disk: computed once, read in later epochs and runs.

One folder for each key of what features depend on, in it shards of about 64 MB. Several processes and runs may read and
write at once; whatever one of them has written whole is found by the others.
"""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ocrtune.models.feature_folders import (
    FREE_SHARE,
    LAST_USED,
    folder_bytes,
    remove_leftovers,
    remove_unused,
    told_size,
    total_bytes,
    write_manifest,
)
from ocrtune.models.feature_key import FeatureKey
from ocrtune.models.feature_shards import BAD_SUFFIX, SUFFIX, BadShard, Shard, write_shard
from ocrtune.progress import say
from ocrtune.records import KeptFeatures

SHARD_BYTES = 64 * 2**20
"""So many bytes of features are gathered before a shard is written."""

HEADER_BYTES = 256
"""About what the header of a shard says of an image takes."""

_TOUCH_EVERY_S = 60.0
_SETTLED_S = 2.0
"""Within this time after a folder changed another change may bear the same time."""


class Features(Protocol):
    """Where features are looked up, and kept."""

    def find(self, key: str) -> KeptFeatures | None:
        """The features of an image; None where they are not known."""

    def add(self, image: KeptFeatures) -> None:
        """Keep the features of an image."""


class MemoryFeatures:
    """Features in memory, for as long as they are needed."""

    def __init__(self) -> None:
        self._images: dict[str, KeptFeatures] = {}

    def find(self, key: str) -> KeptFeatures | None:
        """The features of an image."""
        return self._images.get(key)

    def add(self, image: KeptFeatures) -> None:
        """Keep the features of an image."""
        self._images[image.key] = image

    def forget(self, key: str) -> None:
        """Let features go."""
        self._images.pop(key, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What became of images.

    Attributes:
        num_images: Images whose features are found in the cache.
        num_bytes: Bytes of its shards.
        num_not_kept: Images whose features were not kept because the limit, or the disk, was reached.
        num_bad_shards: Shards that were set aside.
    """

    num_images: int
    num_bytes: int
    num_not_kept: int
    num_bad_shards: int


class FeatureCache:
    """The features of one key, in a folder that caches of several keys share.

    Args:
        root: The folder of all caches.
        key: What the features depend on.
        limit_bytes: Of all caches in `root`. What does not fit is not kept: of pages that come in turn, those kept
            first are worth as much as any. Caches of other keys that nobody uses go first, the oldest before others.
            Processes that write at the same time may go over it by a shard each.
        shard_bytes: Gathered before a shard is written.

    Attributes:
        root: The folder of all caches.
        folder: That of this one.
        tell: Takes what people are to know.

    Raises:
        OSError: The folder cannot be written to.
    """

    def __init__(
        self, root: Path, key: FeatureKey, *, limit_bytes: int, shard_bytes: int = SHARD_BYTES
    ) -> None:
        self.root = root
        self.folder = root / key.digest
        self.tell: Callable[[str], None] = say
        self._limit_bytes = limit_bytes
        self._shard_bytes = shard_bytes
        self._lock = threading.RLock()
        self._shards: dict[str, Shard] = {}
        self._places: dict[str, str] = {}
        self._unusable: set[str] = set()
        self._waiting: dict[str, KeptFeatures] = {}
        self._waiting_bytes = 0
        self._seen_ns = -1
        self._touched = -_TOUCH_EVERY_S
        self._is_full = False
        self._num_not_kept = 0
        self._num_bad = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        write_manifest(self.folder, key)
        self._touch()
        remove_leftovers(self.folder)
        self._look_for_shards()

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which reads and has nothing to write: mappings do not travel."""
        left_behind: dict[str, Any] = {
            "_lock": None,
            "_shards": {},
            "_places": {},
            "_waiting": {},
            "_waiting_bytes": 0,
            "_seen_ns": -1,
        }
        return {**self.__dict__, **left_behind}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Images whose features are found here."""
        return len(self._places.keys() | self._waiting.keys())

    def find(self, key: str) -> KeptFeatures | None:
        """The features of an image, mapped into memory; None where nobody has computed them yet."""
        with self._lock:
            self._touch()
            if key in self._waiting:
                return self._waiting[key]
            if key not in self._places:
                self._look_for_shards()
            while (name := self._places.get(key)) is not None:
                try:
                    return self._shards[name].read(key)
                except BadShard as error:
                    self._set_aside(self._shards[name].path, error)
            return None

    def add(self, image: KeptFeatures) -> None:
        """Keep the features of an image; they are written when enough of them are gathered, or by `flush`."""
        with self._lock:
            if image.key in self._waiting or image.key in self._places:
                return
            if self._is_full:
                self._num_not_kept += 1
                return
            self._waiting[image.key] = image
            self._waiting_bytes += image.values.nbytes + HEADER_BYTES
            if self._waiting_bytes >= self._shard_bytes:
                self.flush()

    def flush(self) -> None:
        """Write what is gathered, if there is room for it."""
        with self._lock:
            if not self._waiting:
                return
            images = list(self._waiting.values())
            try:
                problem = self._problem_with(self._waiting_bytes)
                if not problem:
                    self._learn(write_shard(self.folder, images))
            except OSError as error:
                # The folder may also have been removed meanwhile.
                problem = f"it cannot be written: {error}"
            # Not before: whoever is interrupted while they are written writes them in the end.
            self._waiting, self._waiting_bytes = {}, 0
            if problem:
                self._is_full = True
                self._num_not_kept += len(images)
                self.tell(f"no more vision features are kept in {self.root}: {problem}")

    def refresh(self) -> None:
        """Look for what other processes have written."""
        with self._lock:
            self._seen_ns = -1
            self._look_for_shards()

    def use(self) -> CacheUse:
        """What the cache holds, and what it could not keep."""
        with self._lock:
            return CacheUse(
                num_images=len(self),
                num_bytes=folder_bytes(self.folder),
                num_not_kept=self._num_not_kept,
                num_bad_shards=self._num_bad,
            )

    def _problem_with(self, num_bytes: int) -> str:
        """Why so many bytes more cannot be kept; empty where they can."""
        over = total_bytes(self.root) + num_bytes - self._limit_bytes
        if over > 0:
            over -= remove_unused(self.root, self.folder, over)
        if over > 0:
            return f"the limit of {told_size(self._limit_bytes)} is reached"
        disk = shutil.disk_usage(self.folder)
        if disk.free - num_bytes < FREE_SHARE * disk.total:
            return f"only {told_size(disk.free)} of the disk are free"
        return ""

    def _look_for_shards(self) -> None:
        """Open what other processes have written since the last look."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except OSError:
            return  # it was removed meanwhile; what is mapped already stays
        if changed_ns == self._seen_ns and time.time() - changed_ns / 1e9 > _SETTLED_S:
            return
        self._seen_ns = changed_ns
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in self._shards and path.name not in self._unusable:
                self._learn(path)

    def _learn(self, path: Path) -> None:
        try:
            shard = Shard.open(path)
        except FileNotFoundError:
            return  # another process has set it aside
        except BadShard as error:
            self._set_aside(path, error)
            return
        self._shards[path.name] = shard
        for key in shard.keys():  # noqa: SIM118 - no mapping
            self._places.setdefault(key, path.name)

    def _set_aside(self, path: Path, error: BadShard) -> None:
        """Take a shard out of use; its images are computed again."""
        self._num_bad += 1
        self._unusable.add(path.name)
        self._shards.pop(path.name, None)
        self._places = {key: name for key, name in self._places.items() if name != path.name}
        # Other shards may hold some of its images as well.
        for name, shard in self._shards.items():
            for key in shard.keys():  # noqa: SIM118 - no mapping
                self._places.setdefault(key, name)
        # Another process may have been faster, or the folder may only be read.
        with suppress(OSError):
            path.replace(path.with_name(path.name + BAD_SUFFIX))
        done = "left out" if path.exists() else "set aside"
        self.tell(f"warning: {path} is {done}, its vision features are computed again: {error}")

    def _touch(self) -> None:
        now = time.monotonic()
        if now - self._touched < _TOUCH_EVERY_S:
            return
        self._touched = now
        try:
            (self.folder / LAST_USED).touch()
        except OSError:
            return  # a folder that may only be read is used all the same
