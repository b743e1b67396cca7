"""A TIFF of several pages, and a file that is about them → which of its frames each page is."""

import re
from collections.abc import Sequence
from itertools import pairwise

from ocrtune.sources.transcripts.layout import Format

_FRAME = re.compile(r"(?P<image>.+\.tiff?)#(?P<frame>\d{1,6})", re.IGNORECASE | re.DOTALL)


def split_frame(image: str) -> tuple[str, int | None]:
    """`book.tif#2` as its name and number, from 1; PAGE XML has no other place for it."""
    match = _FRAME.fullmatch(image)
    return (match["image"], int(match["frame"])) if match else (image, None)


def choose_frames(written: Sequence[int | None], frames: Sequence[int], form: Format) -> list[int | None]:
    """The frames of pages that a file says are of the same TIFF; None where nobody can tell.

    `ppageno` of hOCR counts from 0, as its specification says, but not in every program, and ALTO leaves it open: numbers
    with a 0 among them begin there, and others whose last one is the TIFF's last frame begin at 1. Pages without usable
    numbers are the frames one after the other, if there are as many.

    Args:
        written: The number of each page, as the file counts.
        frames: The frames of the TIFF that are pages, from 1, as `frame_numbers` gives them.
        form: Of the file.
    """
    places = _places(written, len(frames), form)
    if len(written) == len(frames) and _come_in_order(written):
        return list(frames)
    return [frames[place] if place is not None and 0 <= place < len(frames) else None for place in places]


def _places(written: Sequence[int | None], num_frames: int, form: Format) -> list[int | None]:
    """The places of pages among the frames, from 0."""
    told = [number for number in written if number is not None]
    begins_at_1 = 0 not in told and (form != "hocr" or max(told, default=0) == num_frames)
    return [None if number is None else number - begins_at_1 for number in written]


def _come_in_order(written: Sequence[int | None]) -> bool:
    """Whether numbers say nothing else: none, the same everywhere, or one after the other from wherever."""
    if len(set(written)) == 1:
        return True
    told = [number for number in written if number is not None]
    return len(told) == len(written) and all(after == before + 1 for before, after in pairwise(told))
