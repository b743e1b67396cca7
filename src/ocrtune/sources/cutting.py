"""A part of a page image → an image of its own: cut along its polygon, and turned upright.

All in pixels of the upright page; (0, 0) is the outer corner of its first pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ocrtune.errors import ImageError
from ocrtune.records import Cut

LEAST_TURN_DEG = 2.0
"""A part that slopes less is left as it is: turning it would blur more than it mends."""

MOST_TURN_DEG = 45.0
"""What slopes more is no sloping line but a vertical one, which only `Cut.quarter_turns` turns."""

_LEAST_ASPECT_RATIO = 4.0
"""Only of a polygon so much longer than high does the shape tell the slope of its letters."""

_FARTHEST_PX = 1e9
"""Pillow draws nothing at all where a corner lies farther off."""

_QUARTERS = (None, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
"""Quarter turns clockwise → what Pillow calls them."""

_FEWEST_OUTSIDE_PX = 64
_BASELINE_SAMPLES = 64

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the pixels of a cut come from.

    Attributes:
        size: (width, height) of the cut.
        corner: Left upper corner of the cut, in page pixels if nothing is turned, else in turned ones.
        turn: (2, 2): page pixel → turned pixel; the identity where nothing is turned.
        is_sloping: It is turned by more than quarters, so that pixels are mixed.
    """

    size: tuple[int, int]
    corner: Points
    turn: Points
    is_sloping: bool

    def places(self, points: Points) -> Points:
        """(N, 2) points of the page in pixels of the cut."""
        return points @ self.turn.T - self.corner

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the cut on the page, where it is not sloping."""
        corners = np.stack([self.corner, self.corner + self.size]) @ self.turn  # the inverse of a rotation
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return round(left), round(top), round(right), round(bottom)


def frame_of(cut: Cut, page_size: tuple[int, int]) -> Frame:
    """The frame of a cut: the polygon's bounds with the margin; what lies beyond the page is left off.

    Args:
        cut: The part.
        page_size: (width, height) of the upright page.

    Raises:
        ImageError: The part lies outside the page.
    """
    polygon = np.asarray(cut.polygon, dtype=np.float64)
    quarter = _quarter(cut.quarter_turns)
    baseline = None if cut.baseline is None else np.asarray(cut.baseline, dtype=np.float64) @ quarter.T
    slope = _turn(_slope_deg(polygon @ quarter.T, baseline))
    turn = slope @ quarter
    low, high = _bounds(polygon, _page_corners(page_size), cut.margin_px)
    if (high - low < 1).any():
        raise ImageError(
            f"a part of the image lies outside its {page_size[0]} × {page_size[1]} pixels",
            where=str(cut.path),
            hint="do the coordinates belong to another size of this image?",
        )
    if not np.array_equal(turn, np.eye(2)):
        low, high = _bounds(polygon @ turn.T, _page_corners(page_size) @ turn.T, cut.margin_px)
    width, height = (int(value) for value in high - low)
    return Frame(size=(width, height), corner=low, turn=turn, is_sloping=bool(slope[0, 1]))


def cut_out(page: Image.Image, cut: Cut) -> Image.Image:
    """The part as an RGB image; around the polygon it is of the paper's colour.

    Args:
        page: The whole page, upright and RGB; it is not changed.
        cut: The part.

    Raises:
        ImageError: The part lies outside the page.
    """
    frame = frame_of(cut, page.size)
    polygon = np.asarray(cut.polygon, dtype=np.float64)
    if frame.is_sloping:
        return _turned(page, frame, _mask(frame.places(polygon), frame.size))
    part = page.crop(frame.box)
    kept = _mask(polygon - frame.box[:2], part.size)
    part.paste(_paper(part, kept), mask=_inverse(kept))
    quarters = _QUARTERS[cut.quarter_turns % len(_QUARTERS)]
    return part if quarters is None else part.transpose(quarters)


def _bounds(polygon: Points, page: Points, margin_px: int) -> tuple[Points, Points]:
    """Left upper and right lower corner around a polygon with its margin, as far as the page reaches."""
    low = np.floor(polygon.min(axis=0) - margin_px)
    high = np.ceil(polygon.max(axis=0) + margin_px)
    return np.maximum(low, np.floor(page.min(axis=0))), np.minimum(high, np.ceil(page.max(axis=0)))


def _page_corners(size: tuple[int, int], inset: int = 0) -> Points:
    right, bottom = size[0] - inset, size[1] - inset
    return np.array([(inset, inset), (right, inset), (right, bottom), (inset, bottom)], dtype=np.float64)


def _turned(page: Image.Image, frame: Frame, kept: Image.Image) -> Image.Image:
    """The part out of a page that is turned only as far as it is needed."""
    back = frame.turn.T  # the inverse of a rotation
    # Pillow asks where a pixel of the result comes from: page = back · (pixel + corner).
    offset = back @ frame.corner
    coefficients = (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1])
    part = page.transform(
        frame.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
    )
    # Bicubic sampling mixes the outermost pixels with what is beyond them.
    on_page = _mask(frame.places(_page_corners(page.size, inset=2)), frame.size)
    kept = Image.composite(kept, on_page, on_page)
    part.paste(_paper(part, kept, on_page), mask=_inverse(kept))
    return part


def _mask(polygon: Points, size: tuple[int, int]) -> Image.Image:
    """255 within the polygon, its edge included, else 0."""
    mask = Image.new("L", size, 0)
    polygon = np.clip(polygon, -_FARTHEST_PX, _FARTHEST_PX)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in polygon], fill=255, outline=255)
    return mask


def _inverse(mask: Image.Image) -> Image.Image:
    return mask.point(lambda value: 255 - value)


def _paper(part: Image.Image, kept: Image.Image, on_page: Image.Image | None = None) -> tuple[int, int, int]:
    """The median colour of what is not kept, or of everything where too little is left out."""
    pixels = np.asarray(part)
    is_page = np.ones(pixels.shape[:2], dtype=bool) if on_page is None else np.asarray(on_page) > 0
    outside = is_page & (np.asarray(kept) == 0)
    chosen = pixels[outside if outside.sum() >= _FEWEST_OUTSIDE_PX else is_page]
    if not len(chosen):
        return (255, 255, 255)
    red, green, blue = np.median(chosen, axis=0).astype(int).tolist()
    return red, green, blue


def _quarter(turns: int) -> Points:
    """The rotation by so many quarters clockwise, exactly."""
    return np.linalg.matrix_power(np.array([(0.0, -1.0), (1.0, 0.0)]), turns % 4)


def _turn(slope_deg: float) -> Points:
    """The rotation that makes a slope level, or none."""
    if not LEAST_TURN_DEG < abs(slope_deg) < MOST_TURN_DEG:
        return np.eye(2)
    angle = np.radians(-slope_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([(cos, -sin), (sin, cos)])


def _slope_deg(polygon: Points, baseline: Points | None) -> float:
    """How much the letters' line goes down to the right, in (-90, 90]."""
    if baseline is not None:
        return _slope_of_line(baseline)
    return _slope_of_shape(polygon)


def _slope_of_line(points: Points) -> float:
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    if not lengths[-1]:
        return 0.0
    # Evenly along the line, for corners stand close together where somebody drew with care.
    along = np.linspace(0, lengths[-1], _BASELINE_SAMPLES)
    x, y = (np.interp(along, lengths, points[:, axis]) for axis in (0, 1))
    return _direction_deg(np.stack([x, y], axis=1))


def _direction_deg(points: Points) -> float:
    """The direction in which the points spread most; which end is the first does not matter."""
    centred = points - points.mean(axis=0)
    x, y = np.linalg.svd(centred, full_matrices=False)[2][0]
    return _folded(float(np.degrees(np.arctan2(y, x))))


def _slope_of_shape(polygon: Points) -> float:
    """The direction of the longer side of the smallest rectangle around the polygon, if it is a long one."""
    best: tuple[float, float, float] | None = None
    for edge in np.diff(polygon, axis=0, append=polygon[:1]):
        if not edge.any():
            continue
        angle = float(np.arctan2(edge[1], edge[0]))
        cos, sin = np.cos(angle), np.sin(angle)
        width, height = np.ptp(polygon @ np.array([(cos, -sin), (sin, cos)]), axis=0)
        if best is None or width * height < best[0]:
            longer = angle if width >= height else angle + np.pi / 2
            best = (width * height, max(width, height) / max(min(width, height), 1.0), longer)
    if best is None or best[1] < _LEAST_ASPECT_RATIO:
        return 0.0
    return _folded(float(np.degrees(best[2])))


def _folded(degrees: float) -> float:
    return 90.0 - (90.0 - degrees) % 180.0
