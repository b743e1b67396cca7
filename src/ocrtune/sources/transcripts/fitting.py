"""Coordinates in whatever a file measures in → pixels of the image that is there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from ocrtune.records import Finding, TiffPage
from ocrtune.sources.images import frame_numbers, open_file
from ocrtune.sources.sizes import image_size
from ocrtune.sources.transcripts.layout import Layout, Line, Points, Region, Unit

MOST_UNEVEN = 0.02
"""Width and height may be scaled so differently: a scan reduced to whole pixels, a size in rounded millimetres."""

_PER_INCH: dict[Unit, float] = {"mm10": 254.0, "inch1200": 1200.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the header of an image file says.

    Attributes:
        path: The file.
        size: (width, height) in pixels, upright.
        dpi: Pixels an inch, across and down, or None.
        frames: Numbers of the frames that are pages, from 1; one but for TIFFs of several.
        frame: The frame that is meant, which size and dpi are of; None where there is one alone.
    """

    path: Path
    size: tuple[int, int]
    dpi: tuple[float, float] | None
    frames: tuple[int, ...] = (1,)
    frame: int | None = None

    @property
    def source(self) -> Path | TiffPage:
        """What is opened."""
        return self.path if self.frame is None else TiffPage(path=self.path, number=self.frame)


def look_into(image: Path | TiffPage) -> ImageFacts:
    """The facts of an image; its pixels are not decoded.

    Raises:
        ImageError: It cannot be opened.
    """
    size = image_size(image)
    with open_file(image) as opened:
        dpi = _dpi(opened.info.get("dpi"))
        is_tiff = opened.format == "TIFF"
    if isinstance(image, TiffPage):
        return ImageFacts(path=image.path, size=size, dpi=dpi, frame=image.number)
    return ImageFacts(path=image, size=size, dpi=dpi, frames=frame_numbers(image) if is_tiff else (1,))


def _dpi(written: object) -> tuple[float, float] | None:
    """Both, if they can be: some scanners write 0 or 0/0."""
    if not isinstance(written, tuple) or len(written) != 2:  # noqa: PLR2004 - across and down
        return None
    across, down = (float(value) for value in written)
    return (across, down) if 0 < across < inf and 0 < down < inf else None


def fit_to_image(layout: Layout, image: ImageFacts, where: str) -> tuple[Layout | None, list[Finding]]:
    """The layout in pixels of the image, or None where its coordinates cannot belong to it.

    A page of the same shape but another size is scaled. Coordinates in millimetres or inches are scaled by the
    page's size in that unit, else by the image's dots per inch.

    Args:
        layout: As it was read.
        image: The image it is about.
        where: The file, for findings.
    """
    scale = _scale(layout, image)
    if scale is None:
        return None, [_does_not_fit(layout, image, where)]
    findings = []
    if layout.unit == "pixel" and scale != (1.0, 1.0) and layout.size is not None:
        message = f"coordinates are of an image of another size and are scaled by {scale[0]:.3g}"
        findings.append(Finding(code="image-scaled", severity="note", message=message, where=where))
    return _scaled(layout, scale, image.size), findings


def _scale(layout: Layout, image: ImageFacts) -> tuple[float, float] | None:
    """Factors for x and y, or None where there are none that could be right."""
    if layout.size is not None:
        scale = image.size[0] / layout.size[0], image.size[1] / layout.size[1]
        if _differ_by_a_pixel(layout, image.size):
            return 1.0, 1.0
        if abs(scale[0] / scale[1] - 1) <= MOST_UNEVEN:
            return scale
    elif layout.unit == "pixel":
        return 1.0, 1.0
    if layout.unit == "pixel" or image.dpi is None:
        return None
    return image.dpi[0] / _PER_INCH[layout.unit], image.dpi[1] / _PER_INCH[layout.unit]


def _differ_by_a_pixel(layout: Layout, size: Sequence[int]) -> bool:
    assert layout.size is not None
    gaps = (abs(written - found) for written, found in zip(layout.size, size, strict=True))
    return layout.unit == "pixel" and all(gap <= 1 for gap in gaps)


def _does_not_fit(layout: Layout, image: ImageFacts, where: str) -> Finding:
    size = f"{image.size[0]} × {image.size[1]} px"
    if layout.size is None:
        message = (
            f"coordinates are in {layout.unit}, and neither the page nor the image {size} tells its real size"
        )
        hint = "save the image with its dots per inch, or write the page's WIDTH and HEIGHT"
    else:
        written = f"{layout.size[0]:g} × {layout.size[1]:g} {layout.unit}"
        message = f"coordinates are of a page of {written}, but the image has {size}"
        is_turned = image.size[::-1] == layout.size
        hint = (
            "the image is turned, perhaps by its EXIF data: turn its pixels as they were transcribed"
            if is_turned
            else "take the image that was transcribed; it may be scaled, but not cropped or turned"
        )
    return Finding(code="image-size", severity="error", message=message, where=where, hint=hint)


def _scaled(layout: Layout, scale: tuple[float, float], size: tuple[int, int]) -> Layout:
    factors = np.asarray(scale)
    return replace(
        layout,
        size=(float(size[0]), float(size[1])),
        unit="pixel",
        regions=tuple(_scaled_region(region, factors) for region in layout.regions),
    )


def _scaled_region(region: Region, factors: Points) -> Region:
    lines = tuple(_scaled_line(line, factors) for line in region.lines)
    return replace(region, polygon=region.polygon * factors, lines=lines)


def _scaled_line(line: Line, factors: Points) -> Line:
    baseline = None if line.baseline is None else line.baseline * factors
    return replace(line, polygon=line.polygon * factors, baseline=baseline)
