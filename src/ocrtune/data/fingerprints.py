"""Pictures that look alike although no pixel is the same: scanned twice, saved smaller, brighter or a little askew.

A fingerprint is 256 bits: the signs of the lowest frequencies of the grey picture, coarse ones first. Of two scans of
a page few bits differ; of two pages of a book about half, however much alike their layout is.

A page with little on it looks like any other with as little in the same place. Its fingerprint is that of its ink alone:
empty rows are left out, and the rest is measured by its own centre and spread, wherever it stands on the paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

WORDS = 4
"""uint64 of a fingerprint."""

WIDE = 4.0
"""From this ratio of the sides on a picture is taken as a line of print, which has more to tell along than across."""

MOST_BITS = {"page": 40, "line": 60, "column": 60, "sparse": 48}
"""By how many bits two scans of the same may differ. Lines are printed alike, and are thin: a turn moves much of them."""

MOST_INKED_ROWS = 0.5
"""A page with ink on a smaller share of its rows, the white around lines not counted, is `sparse`."""

FLATTEST = 2.0
"""Standard deviation of the grey levels below which a picture has nothing on it to be known by."""

MOST_COMPARED_WITH_ALL = 8192
"""Up to so many fingerprints each one is compared with every other, and no pair is missed."""

NUM_KEYS = 64
"""Drawings of bits in one of which two fingerprints must be equal to be compared, where there are more."""

COARSEST_BITS = 96
"""The first bits, which change least from scan to scan; keys are drawn from them."""

MOST_IN_BUCKET = 1024
"""Fingerprints that share a key are compared with all others of it up to so many, else with their neighbours alone."""

_NEIGHBOURS = 32
_PAIRS_AT_ONCE = 2**18
_SAMPLES = 4
"""Grey levels a frequency is computed from, along each side."""

_GRIDS = {"page": (16, 16), "line": (64, 4), "column": (4, 64), "sparse": (32, 8)}

_SPARSE_SIDE_PX = 800
"""The longer side to which pages are reduced where their rows are looked at; small letters of A4 are 5 px high then."""

_LEAST_DARKNESS = 16.0
_INK_SHARE = 0.35
"""Ink is at least so much of the darkest pixel's distance from the paper; a quarter of it is where ink begins to count."""

_FEWEST_NEAR = 6
"""Pixels of ink within 5 by 5, below which they are dust."""

_ROWS_AROUND = 1 / 200
"""Share of the longer side that is kept above and below inked rows."""

_SPREADS = 1.9
"""Standard deviations of the ink's place, to either side of its centre, that the fingerprint of a sparse page reaches."""

Fingerprints = NDArray[np.uint64]
"""(n, words)."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """By what a picture is known.

    Attributes:
        shape: A key of `MOST_BITS`; fingerprints are compared with those of the same shape alone.
        words: uint64 (4,).
    """

    shape: str
    words: Fingerprints


def shape_of(size: tuple[int, int]) -> str:
    """`line`, `page` or `column`: fingerprints are compared with those of the same shape alone."""
    width, height = size
    if width >= WIDE * height:
        return "line"
    return "column" if height >= WIDE * width else "page"


def fingerprint(image: Image.Image) -> Fingerprint | None:
    """The fingerprint of a picture; None of one that shows nothing, such as blank paper."""
    shape = shape_of(image.size)
    image = image.convert("L")
    columns, rows = _GRIDS[shape]
    grey = _grey(image, (columns * _SAMPLES, rows * _SAMPLES))
    if shape != "line" and not _is_full(grey) and (ink := _little_ink(image)) is not None:
        return Fingerprint(shape="sparse", words=_signs(_centred(ink), "sparse"))
    return None if grey.std() < FLATTEST else Fingerprint(shape=shape, words=_signs(grey, shape))


def find_near_duplicates(fingerprints: Fingerprints, most_bits: int) -> list[Indices]:
    """Groups of fingerprints of which each differs from another one of its group in at most `most_bits` bits.

    Up to `MOST_COMPARED_WITH_ALL` different ones every pair is compared. Of more those pairs are that are equal in one of
    `NUM_KEYS` drawings of their coarse bits: it finds over 90 in 100 of the lines scanned again, and all pages, of the
    package's samples. Memory grows by about 40 bytes a fingerprint.

    Args:
        fingerprints: uint64 (n, words), of pictures of one shape.
        most_bits: How many bits may differ; see `MOST_BITS`.

    Returns:
        Indices of each group in rising order, at least two; groups by their first one.
    """
    different, index = np.unique(fingerprints, axis=0, return_inverse=True)
    index = index.reshape(-1)
    roots = np.arange(len(different))
    for left, right in _candidates(different):
        roots = _join_near(roots, different, left, right, most_bits)
    return _groups(_flatten(roots)[index])


def _signs(grey: NDArray[np.float32], shape: str) -> Fingerprints:
    columns, rows = _GRIDS[shape]
    waves = _waves(rows) @ (grey - grey.mean()) @ _waves(columns).T
    return np.packbits(waves.ravel()[_coarse_first(columns, rows)] > 0).view(np.uint64)


def _is_full(grey: NDArray[np.float32]) -> bool:
    """Whether a page is far from being sparse, at a glance."""
    inked = np.abs(grey - np.median(grey)) > _LEAST_DARKNESS
    return bool((inked.sum(axis=1) > 1).mean() > (1 + MOST_INKED_ROWS) / 2)


def _little_ink(image: Image.Image) -> NDArray[np.float32] | None:
    """(height, width): how dark the inked rows of a sparse page are; None of a page that is full or empty."""
    side = max(image.size)
    grey = image.reduce(max(1, side // _SPARSE_SIDE_PX))
    grey.thumbnail((_SPARSE_SIDE_PX, _SPARSE_SIDE_PX), Image.Resampling.BILINEAR)
    levels = np.asarray(grey).astype(np.int16)
    darkness = np.abs(levels - np.int16(np.median(levels[::3, ::3])))
    least = max(_LEAST_DARKNESS, _INK_SHARE * float(darkness.max()))
    rows = _inked_rows(darkness > least)
    if not rows.any() or rows.mean() > MOST_INKED_ROWS:
        return None
    ink: NDArray[np.float32] = np.maximum(darkness[rows] - np.float32(least / 4), 0).astype(np.float32)
    return ink


def _inked_rows(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(height,): rows with more than dust, and some around them."""
    near = Image.fromarray(ink.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(2))
    rows = (np.asarray(near) >= _FEWEST_NEAR * 255 // 25).any(axis=1)
    around = max(1, round(_ROWS_AROUND * max(ink.shape)))
    return np.convolve(rows, np.ones(2 * around + 1), "same") > 0


def _centred(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The ink as large as the grid of sparse pages needs it, its centre in the middle, its spread always the same.

    Bounds of a rectangle would jump by a pixel from scan to scan, and by a whole margin with a grain of dust.
    """
    top, bottom = _reach(ink.sum(axis=1))
    left, right = _reach(ink.sum(axis=0))
    beyond = int(max(0, -top, -left, bottom - ink.shape[0], right - ink.shape[1])) + 1
    box = (left + beyond, top + beyond, right + beyond, bottom + beyond)
    columns, rows = _GRIDS["sparse"]
    size = (columns * _SAMPLES, rows * _SAMPLES)
    padded = Image.fromarray(np.pad(ink, beyond))
    return np.asarray(padded.resize(size, Image.Resampling.BILINEAR, box=box))


def _reach(mass: NDArray[np.float32]) -> tuple[float, float]:
    places = np.arange(len(mass)) + 0.5
    centre = float(np.average(places, weights=mass))
    spread = float(np.sqrt(np.average((places - centre) ** 2, weights=mass)))
    reach = _SPREADS * max(spread, 1.0)
    return centre - reach, centre + reach


def _grey(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    # Each of `size` becomes the mean of what it covers, so that dust and the threshold of a scanner do not count.
    return np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0), dtype=np.float32)


@lru_cache(maxsize=8)
def _waves(count: int) -> NDArray[np.float32]:
    """(count, count × samples): cosines of the lowest frequencies."""
    samples = count * _SAMPLES
    angles = np.pi * (2 * np.arange(samples)[None] + 1) * np.arange(count)[:, None] / (2 * samples)
    return np.cos(angles).astype(np.float32)


@lru_cache(maxsize=8)
def _coarse_first(columns: int, rows: int) -> Indices:
    frequency = np.arange(columns)[None] / columns + np.arange(rows)[:, None] / rows
    return np.argsort(frequency.ravel(), kind="stable")


def _candidates(fingerprints: Fingerprints) -> Iterator[tuple[Indices, Indices]]:
    """Pairs worth a comparison, block by block."""
    count = len(fingerprints)
    if count <= MOST_COMPARED_WITH_ALL:
        yield from _all_pairs(np.arange(count))
        return
    for keys in _keys(fingerprints):
        order = np.argsort(keys, kind="stable")
        yield from _pairs_of_equal(keys[order], order)


def _all_pairs(indices: Indices) -> Iterator[tuple[Indices, Indices]]:
    count = len(indices)
    step = max(1, _PAIRS_AT_ONCE // max(1, count))
    for first in range(0, count, step):
        left, right = np.nonzero(np.arange(first, min(first + step, count))[:, None] < np.arange(count)[None])
        yield indices[left + first], indices[right]


def _keys(fingerprints: Fingerprints) -> Iterator[NDArray[np.uint32]]:
    """For each drawing one key a fingerprint, of about as many bits as count them."""
    num_bits = int(np.clip(np.log2(len(fingerprints)), 14, 24))
    most = min(COARSEST_BITS, 64 * fingerprints.shape[1])
    drawing = np.random.default_rng(0)
    octets = fingerprints.view(np.uint8)
    for _ in range(NUM_KEYS):
        key = np.zeros(len(fingerprints), dtype=np.uint32)
        for bit in drawing.permutation(most)[:num_bits]:
            key = (key << np.uint32(1)) | ((octets[:, bit // 8] >> np.uint8(7 - bit % 8)) & np.uint8(1))
        yield key


def _pairs_of_equal(keys: NDArray[np.uint32], order: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of the sorted keys that are equal, by their distance in the order: 1 apart, 2 apart, ….

    What follows in a crowded bucket is looked at no further than `_NEIGHBOURS`: pictures that many others look like are
    near one another all the same, and grow together over the other keys.
    """
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    reach = np.where(sizes > MOST_IN_BUCKET, _NEIGHBOURS, sizes)
    ends = np.repeat(starts + sizes, sizes)
    reaches = np.repeat(reach, sizes)
    places = np.arange(len(keys))
    apart = 1
    while True:
        places = places[(places + apart < ends[places]) & (apart <= reaches[places])]
        if not len(places):
            return
        for first in range(0, len(places), _PAIRS_AT_ONCE):
            some = places[first : first + _PAIRS_AT_ONCE]
            yield order[some], order[some + apart]
        apart += 1


def _join_near(
    roots: Indices, fingerprints: Fingerprints, left: Indices, right: Indices, most_bits: int
) -> Indices:
    """The roots after pairs that are near were joined; pairs of one group are not compared again."""
    apart = roots[left] != roots[right]
    left, right = left[apart], right[apart]
    differing = np.bitwise_count(fingerprints[left] ^ fingerprints[right]).sum(axis=1, dtype=np.int64)
    near = np.flatnonzero(differing <= most_bits)
    if not len(near):
        return roots
    for one, other in zip(left[near].tolist(), right[near].tolist(), strict=True):
        _join(roots, one, other)
    return _flatten(roots)


def _join(roots: Indices, one: int, other: int) -> None:
    while roots[one] != one:
        one = int(roots[one])
    while roots[other] != other:
        other = int(roots[other])
    roots[max(one, other)] = min(one, other)


def _flatten(roots: Indices) -> Indices:
    while (roots[roots] != roots).any():
        roots = roots[roots]
    return roots


def _groups(labels: Indices) -> list[Indices]:
    order = np.argsort(labels, kind="stable")
    sizes = np.unique(labels[order], return_counts=True)[1]
    several = np.repeat(sizes > 1, sizes)
    groups = np.split(order[several], np.cumsum(sizes[sizes > 1])[:-1]) if several.any() else []
    return sorted(groups, key=lambda group: int(group[0]))
