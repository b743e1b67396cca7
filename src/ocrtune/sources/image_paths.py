"""The path of an image as somebody wrote it → a path below the root, or why there is none."""

import os
import re
import time
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from ocrtune.sources.jsonl import BrokenLine, take_path
from ocrtune.text import shorten

DATA_ROOT = "OCRTUNE_DATA_ROOT"
"""The environment variable that names folders, parted as in PATH, that paths and links may lead to besides."""

_FILE_URL = "file://"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DATA = re.compile(r"data:[^,]*,", re.IGNORECASE)
_MOST_LETTERS = 4096
"""Systems open no longer path; the smallest page in base64 is longer."""


def find_image(value: object, key: str, root: Path) -> Path:
    r"""The path of an image below `root`; whether the file is there is not looked at.

    Args:
        value: What was written: a path with `/` or `\`, relative to the root or absolute within it, also as
            `file://`.
        key: What it was written under, for the error.
        root: The folder that nothing may lead out of.

    Raises:
        BrokenLine: With the code `image-outside`, `image-url` for an image in the net, `image-data` for one that
            stands in the file itself, or `row-broken` for what is no path.
    """
    written = take_path(value, key)
    check_is_path(written)
    is_url = written.startswith(_FILE_URL)
    path = unquote(written.removeprefix(_FILE_URL)) if is_url else written.replace("\\", "/")
    if leads_out(path, root, root):
        raise _outside(written, root, root / path)
    return root / path


def check_is_path(written: str) -> None:
    """See to it that what was written is no image in the net, and none that stands there itself, in whatever form.

    Raises:
        BrokenLine: It is; the code is `image-url` or `image-data`.
    """
    if len(written) > _MOST_LETTERS and not _DATA.match(written):
        raise BrokenLine(
            f"the image {shorten(written)!r} has {len(written)} letters, and no path is so long",
            code="image-data",
            hint="if it is an image as base64, save it as a file, and write its path here",
        )
    if _DATA.match(written):
        raise BrokenLine(
            f"the image stands in the row itself: {shorten(written)!r}",
            code="image-data",
            hint="save it as a file, and write its path here",
        )
    if _URL.match(written) and not written.startswith(_FILE_URL):
        raise BrokenLine(
            f"the image {shorten(written)!r} is in the net, and nothing is fetched",
            code="image-url",
            hint="download it, and write its path here",
        )


def check_inside(path: Path, root: Path, written: str = "") -> None:
    """See to it that a path, with the links on its way followed, leads into `root` or where `OCRTUNE_DATA_ROOT` allows.

    Args:
        path: The path.
        root: The folder.
        written: What was written for it, for the error; the path itself without it.

    Raises:
        BrokenLine: It does not; the code is `image-outside`.
    """
    if not is_inside(path, root):
        raise _outside(written or str(path), root, path)


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, with the links on its way followed, leads into `root` or where `OCRTUNE_DATA_ROOT` allows.

    The root itself may be a link, and so may be what lies above it. The path need not exist.
    """
    target = _real(path)
    return _is_below(target, _real_folder(root)) or any(
        _is_below(target, allowed) for allowed in _allowed(os.environ.get(DATA_ROOT, ""))
    )


def leads_out(written: str, folder: Path, root: Path) -> bool:
    """Whether a path, seen from `folder`, leads out of `root`; a url and a path with a drive always do."""
    if "://" in written or PureWindowsPath(written).drive:
        return True
    return not is_inside(folder / written, root)


def _outside(written: str, root: Path, path: Path) -> BrokenLine:
    place = os.path.dirname(_real(path))  # noqa: PTH120 - already a string
    return BrokenLine(
        f"the image {shorten(written)!r} lies outside the folder {str(root)!r}",
        code="image-outside",
        hint="paths are relative to the folder of the file, or to the one that root= names; "
        f"{DATA_ROOT}={shorten(place)} lets them lead there",
    )


def _real(path: Path) -> str:
    """The path with its links followed; of the files of a folder only the links among them cost more than a look."""
    if path.name in {"", ".."}:
        return os.path.realpath(path)
    whole = os.path.join(_real_folder(path.parent), path.name)  # noqa: PTH118 - for every row of a manifest
    return os.path.realpath(whole) if os.path.islink(whole) else whole  # noqa: PTH114


def _real_folder(folder: Path) -> str:
    # A link that was mended meanwhile counts after a second.
    return _real_folder_now(str(folder.absolute()), int(time.monotonic()))


@lru_cache(maxsize=1024)
def _real_folder_now(folder: str, second: int) -> str:  # noqa: ARG001
    return os.path.realpath(folder)


@lru_cache(maxsize=4)
def _allowed(written: str) -> tuple[str, ...]:
    return tuple(os.path.realpath(Path(part).expanduser()) for part in written.split(os.pathsep) if part)


def _is_below(target: str, folder: str) -> bool:
    return target == folder or target.startswith(folder.rstrip(os.sep) + os.sep)
