"""Pictures that look alike although no pixel is the same: scanned twice, saved smaller, brighter or a little askew.

A fingerprint is 256 bits: the signs of the lowest frequencies of the grey picture, coarse ones first. Of two scans of
a page few bits differ; of two pages of a book about half, however much alike their layout is.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WORDS = 4
"""uint64 of a fingerprint."""

WIDE = 4.0
"""From this ratio of the sides on a picture is taken as a line of print, which has more to tell along than across."""

MOST_BITS = {"page": 40, "line": 60, "column": 60}
"""By how many bits two scans of the same may differ. Lines are printed alike, and are thin: a turn moves much of them."""

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

_GRIDS = {"page": (16, 16), "line": (64, 4), "column": (4, 64)}

Fingerprints = NDArray[np.uint64]
"""(n, words)."""

Indices = NDArray[np.int64]


def shape_of(size: tuple[int, int]) -> str:
    """`line`, `page` or `column`: fingerprints are compared with those of the same shape alone."""
    width, height = size
    if width >= WIDE * height:
        return "line"
    return "column" if height >= WIDE * width else "page"


def fingerprint(image: Image.Image) -> Fingerprints | None:
    """The fingerprint of a picture, uint64 (4,); None of one that shows nothing, such as blank paper."""
    columns, rows = _GRIDS[shape_of(image.size)]
    grey = _grey(image, (columns * _SAMPLES, rows * _SAMPLES))
    if grey.std() < FLATTEST:
        return None
    waves = _waves(rows) @ (grey - grey.mean()) @ _waves(columns).T
    return np.packbits(waves.ravel()[_coarse_first(columns, rows)] > 0).view(np.uint64)


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


def _grey(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    # Each of `size` becomes the mean of what it covers, so that dust and the threshold of a scanner do not count.
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0) if image.mode == "L" else None
    small = small or image.reduce(_factors(image.size, size)).convert("L").resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _factors(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """By how much a picture may be reduced and still be twice as large as wanted."""
    return max(1, size[0] // (2 * wanted[0])), max(1, size[1] // (2 * wanted[1]))


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
