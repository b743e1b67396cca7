"""What moves the page: each is a map from a place in the new picture to the place in the old one it is taken from."""

import math
import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocrtune.synth.chance import happens
from ocrtune.synth.degradations.draws import draw_grain
from ocrtune.synth.degradations.impression import (
    STEPS_OF_GREY,
    Degradation,
    Impression,
    Shares,
    to_picture,
    to_shares,
)
from ocrtune.synth.sheet import Points

Source = Callable[[Points], Points]
"""From (N, 2) in the new picture to (N, 2) in the old one, close to the identity."""

INKED = 0.05
MOST_STEPS, EXACT_PX = 40, 0.005
SAMPLES_PER_EDGE = 12

MOST_SKEW_DEGREES = 1.2
MOST_SLOPE_OF_A_LINE = 0.012
MOST_KEYSTONE = 0.07
CELL_EM, CELLS_ACROSS, LEAST_CELL_PX = 1.5, 12, 4.0
SEEN_DESK = 0.6
"""How often a camera sees what the page lies on."""


def _skew(impression: Impression, strength: float, rng: random.Random) -> None:
    sign = rng.choice((-1, 1))
    if impression.is_line:
        slope = sign * strength * MOST_SLOPE_OF_A_LINE
        # A slope so small only lifts letters; turning them too would be work that nobody sees.
        matrix = np.array([[1.0, 0.0], [slope, 1.0]])
    else:
        angle = math.radians(sign * strength * MOST_SKEW_DEGREES)
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([impression.width / 2, impression.height / 2])
    warp(impression, lambda points: (points - middle) @ matrix.T + middle, cell_px=math.inf)


def _perspective(impression: Impression, strength: float, rng: random.Random) -> None:
    width, height = impression.width, impression.height
    if impression.is_line:
        # A cut that is lower than its letters must not be pressed flat.
        most_x = strength * min(0.15 * impression.em_px, 0.1 * width)
        most_y = strength * min(0.09 * impression.em_px, 0.1 * height)
    else:
        most_x = most_y = MOST_KEYSTONE * strength * min(width, height)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    seen = corners + _keystone(most_x, most_y, rng)
    matrix = _homography(seen, corners)

    def source(points: Points) -> Points:
        plane = np.column_stack([points, np.ones(len(points))]) @ matrix.T
        return plane[:, :2] / plane[:, 2:]

    on_desk = impression.on_paper and not impression.is_line and happens(rng, SEEN_DESK)
    warp(impression, source, beside=rng.uniform(0.05, 0.45) if on_desk else None)


def _keystone(most_x: float, most_y: float, rng: random.Random) -> Points:
    """How far each corner moves inwards: one side is further from the camera, and the hand is not quite still."""
    across, along = rng.uniform(0.5, 1) * most_x, rng.uniform(0.5, 1) * most_y
    top, left = happens(rng, 0.6), happens(rng, 0.5)
    share_x = (1.0, 0.1) if top else (0.1, 1.0)
    share_y = (1.0, 0.1) if left else (0.1, 1.0)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], np.float64)
    shares = np.array(
        [
            (share_x[0] * across, share_y[0] * along),
            (share_x[0] * across, share_y[1] * along),
            (share_x[1] * across, share_y[1] * along),
            (share_x[1] * across, share_y[0] * along),
        ]
    )
    jitter = np.array([(rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2)) for _ in shares])
    moves: Points = inwards * shares * jitter
    return moves


def _homography(before: Points, after: Points) -> NDArray[np.float64]:
    """The 3×3 matrix that moves four points to four others."""
    rows = []
    for (x, y), (u, v) in zip(before, after, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows, np.float64), after.reshape(-1))
    return np.append(solved, 1.0).reshape(3, 3)


def _curve(impression: Impression, strength: float, rng: random.Random) -> None:
    if impression.is_line or happens(rng, 0.3):
        _wave(impression, strength, rng)
    else:
        _bend_to_spine(impression, strength, rng)


def _wave(impression: Impression, strength: float, rng: random.Random) -> None:
    """Paper that does not lie flat: lines go up and down slowly."""
    rise = (0.14 if impression.is_line else 0.35) * impression.em_px * strength
    waves, phase = rng.uniform(0.4, 1.1), rng.uniform(0, math.tau)
    # Short lines must not be bent as far as long ones.
    width = max(impression.width, 12 * impression.em_px)

    def source(points: Points) -> Points:
        shift = rise * np.sin(math.tau * waves * points[:, 0] / width + phase)
        return points + np.column_stack([np.zeros(len(points)), shift])

    warp(impression, source)


def _bend_to_spine(impression: Impression, strength: float, rng: random.Random) -> None:
    """A page that goes down into the spine of its book, on the left or on the right."""
    width, height, em = impression.width, impression.height, impression.em_px
    steepness, rise = rng.uniform(2.5, 5), rng.uniform(0.5, 1.0) * 2 * em * strength
    narrower, at_left = 0.9 * em * strength, happens(rng, 0.5)
    middle, spread = rng.uniform(-0.5, 0.5), rng.choice((-1, 1)) * rng.uniform(0.3, 1)

    def source(points: Points) -> Points:
        away = np.clip(points[:, 0] / width, 0, 1)
        depth = (1 - away if at_left else away) ** steepness
        along = middle + spread * (2 * points[:, 1] / height - 1)
        sideways = (-1 if at_left else 1) * narrower * depth
        return points + np.column_stack([sideways, rise * along * depth])

    warp(impression, source)


def _fold(impression: Impression, strength: float, rng: random.Random) -> None:
    upright = impression.is_line or happens(rng, 0.4)
    axis = 0 if upright else 1
    length = impression.width if upright else impression.height
    place, kink = rng.uniform(0.2, 0.8) * length, rng.choice((-1, 1)) * strength
    kink *= 0.006 if impression.is_line else 0.012

    def source(points: Points) -> Points:
        moved = points.copy()
        moved[:, 1 - axis] += kink * np.maximum(points[:, axis] - place, 0)
        return moved

    offset = warp(impression, source)
    _crease(impression, place + offset[axis], axis, strength, rng)


def _crease(impression: Impression, place: float, axis: int, strength: float, rng: random.Random) -> None:
    """Ink worn off along the fold, a shadow beside it, and one half that faces the light less."""
    impression.need_paper()
    em, length = impression.em_px, impression.shares.shape[1 - axis]
    away = (np.arange(length) + 0.5 - place) / em
    side = rng.choice((-1, 1))
    shadow = 0.22 * np.exp(-((away / 0.1) ** 2)) + 0.12 * np.exp(-np.abs(away) / 2.5) * (away * side > 0)
    worn = 0.65 * np.exp(-((away / 0.06) ** 2))
    shape = [1] * impression.shares.ndim
    shape[1 - axis] = length
    shadow, worn = (np.reshape(strength * part, shape).astype(np.float32) for part in (shadow, worn))
    roughness = np.clip(1 + 0.5 * draw_grain(impression.shares, rng), 0, 2)
    ink, paper = impression.split()
    impression.shares = paper * (1 - ink * (1 - np.clip(worn * roughness, 0, 1))) * (1 - shadow)


def warp(
    impression: Impression, source: Source, *, cell_px: float | None = None, beside: float | None = None
) -> tuple[int, int]:
    """Take every pixel from where `source` says, and move outlines and letters along; the canvas grows if it must.

    Args:
        impression: Is changed.
        source: The map, for the canvas before it grows.
        cell_px: How far apart `source` is asked; in between it is taken for linear. An affine map needs no cells.
        beside: How bright it is beside the page; as the page itself if None.

    Returns:
        (left, top): by how many pixels the canvas has grown there.
    """
    pieces = [_around(_content(impression)), *impression.outlines, impression.letters]
    moved = _destinations(np.concatenate(pieces), source)
    least, most = moved.min(axis=0), moved.max(axis=0)
    left, top = (max(0, math.ceil(-side - EXACT_PX)) for side in least)
    size = (
        left + max(impression.width, math.ceil(most[0] - EXACT_PX)),
        top + max(impression.height, math.ceil(most[1] - EXACT_PX)),
    )
    ends = np.cumsum([len(piece) for piece in pieces])[:-1]
    _, *impression.outlines, impression.letters = np.split(moved + np.array([left, top]), ends)
    cell = _cell_px(impression) if cell_px is None else cell_px
    mesh = _mesh(lambda points: source(points - (left, top)), size, cell)
    impression.shares = _resample(impression, mesh, size, beside)
    return left, top


def _cell_px(impression: Impression) -> float:
    """Small against letters, and against a picture that is not many letters wide and so bends more."""
    if impression.is_line:
        return CELL_EM * impression.em_px
    side = min(impression.width, impression.height)
    return max(LEAST_CELL_PX, min(CELL_EM * impression.em_px, side / CELLS_ACROSS))


def _content(impression: Impression) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what must not be cut off: the ink, or all of what is paper already."""
    if not impression.on_paper:
        rows = np.flatnonzero(impression.shares.max(axis=1) > INKED)
        columns = np.flatnonzero(impression.shares.max(axis=0) > INKED)
        if len(rows):
            return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    return 0.0, 0.0, float(impression.width), float(impression.height)


def _around(box: tuple[float, float, float, float]) -> Points:
    left, top, right, bottom = box
    x, y = np.linspace(left, right, SAMPLES_PER_EDGE), np.linspace(top, bottom, SAMPLES_PER_EDGE)
    edges = [(x, np.full_like(x, top)), (x, np.full_like(x, bottom))]
    edges += [(np.full_like(y, left), y), (np.full_like(y, right), y)]
    return np.concatenate([np.column_stack(edge) for edge in edges])


def _destinations(points: Points, source: Source) -> Points:
    """Where `points` of the old picture are in the new one: `source` backwards, step by step."""
    found = points.copy()
    for _ in range(MOST_STEPS):
        gap = source(found) - points
        found -= gap
        if np.abs(gap).max() < EXACT_PX:
            break
    return found


Mesh = list[tuple[tuple[int, int, int, int], tuple[float, ...]]]


def _mesh(source: Source, size: tuple[int, int], cell_px: float) -> Mesh:
    """Boxes of the new picture, each with the left upper, left lower, right lower, right upper corner in the old one."""
    x, y = (np.linspace(0, side, 1 + max(1, round(side / cell_px))).round() for side in size)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    old = source(grid.reshape(-1, 2)).reshape(grid.shape)
    corners = np.concatenate([old[:-1, :-1], old[1:, :-1], old[1:, 1:], old[:-1, 1:]], axis=-1).tolist()
    x, y = x.astype(int).tolist(), y.astype(int).tolist()
    return [
        ((x[column], y[row], x[column + 1], y[row + 1]), tuple(corners[row][column]))
        for row in range(len(y) - 1)
        for column in range(len(x) - 1)
    ]


def _resample(impression: Impression, mesh: Mesh, size: tuple[int, int], beside: float | None) -> Shares:
    picture = to_picture(impression.shares)
    if beside is not None:
        level = round(STEPS_OF_GREY * beside)
        fill: int | tuple[int, ...] = level if picture.mode == "L" else (level,) * 3
    else:
        fill = _border_colour(picture) if impression.on_paper else 0
    moved = picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=fill)
    return to_shares(moved)


def _border_colour(picture: Image.Image) -> int | tuple[int, ...]:
    """What lies beside the page: more paper."""
    pixels = np.asarray(picture)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    middle = np.median(border, axis=0)
    return int(middle) if middle.ndim == 0 else tuple(int(level) for level in middle)


GEOMETRY = (
    Degradation("skew", "geometry", "The page lies askew on the scanner.", _skew),
    Degradation("perspective", "geometry", "A camera looks at the page from the side.", _perspective),
    Degradation("curve", "geometry", "Lines bend towards the spine of a book, or paper waves.", _curve),
    Degradation("fold", "geometry", "The page was folded once; ink is worn off along the crease.", _fold),
)
