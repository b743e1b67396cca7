"""The path of an image as somebody wrote it → a path below the root, or why there is none."""

import os
import re
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from ocrtune.sources.jsonl import BrokenLine, take_path

_FILE_URL = "file://"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DATA = re.compile(r"data:[^,]*,", re.IGNORECASE)
_MOST_TOLD = 80


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
    is_url = written.startswith(_FILE_URL)
    path = unquote(written.removeprefix(_FILE_URL)) if is_url else written.replace("\\", "/")
    if leads_out(path, root, root):
        raise _outside(written, root)
    return root / path


def leads_out(written: str, folder: Path, root: Path) -> bool:
    """Whether a path, seen from `folder`, leads out of `root`; a url and a path with a drive always do."""
    if "://" in written or PureWindowsPath(written).drive:
        return True
    # By the letters of the path: a link that the user made may lead wherever the user wants.
    target = Path(os.path.normpath(folder.absolute() / written))
    return not target.is_relative_to(Path(os.path.normpath(root.absolute())))


def shorten(written: str) -> str:
    """The begin of a text that may be megabytes long."""
    return written if len(written) <= _MOST_TOLD else f"{written[:_MOST_TOLD]}…"


def _outside(written: str, root: Path) -> BrokenLine:
    return BrokenLine(
        f"the image {shorten(written)!r} lies outside the folder {str(root)!r}",
        code="image-outside",
        hint="paths are relative to the folder of the file, or to the one that root= names",
    )
