"""Pages with the boxes of their answers drawn on them."""

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ocrtune.progress import track
from ocrtune.records import Page, Prediction, TextBox
from ocrtune.sources import open_image
from ocrtune.sources.naming import FileNames
from ocrtune.sources.writing import write_bytes_atomically

_COLOURS = ("#c2185b", "#1565c0", "#2e7d32", "#b25000", "#6a1b9a", "#00695c")
_LABEL_SHARE = 60
"""A label's letters are that part of the page's longer side high."""

_SMALLEST_LABEL_PX = 12


def draw_predictions(predicted: Iterable[tuple[Page, Prediction]], folder: Path) -> tuple[Path, ...]:
    """Write each page that has boxes as a PNG with them: number in the answer, label, frame.

    Returns:
        The files; fewer than pages where answers have no boxes.
    """
    names = FileNames()
    files = []
    for page, prediction in track(list(predicted), "drawing boxes"):
        if prediction.boxes:
            path = folder / names.take(page.name, ".png")
            write_bytes_atomically(path, _as_png(draw_boxes(open_image(page.images[0]), prediction.boxes)))
            files.append(path)
    return tuple(files)


def draw_boxes(image: Image.Image, boxes: Iterable[TextBox]) -> Image.Image:
    """A copy of an upright image with frames and labels; labels of one name have one colour."""
    drawn = image.convert("RGB")
    if drawn is image:
        drawn = image.copy()
    longest = max(drawn.size)
    font = ImageFont.load_default(size=max(_SMALLEST_LABEL_PX, longest // _LABEL_SHARE))
    draw = ImageDraw.Draw(drawn)
    colours: dict[str, str] = {}
    for number, box in enumerate(boxes, start=1):
        colour = colours.setdefault(box.label, _COLOURS[len(colours) % len(_COLOURS)])
        draw.rectangle(box.box, outline=colour, width=max(2, longest // 500))
        _write_label(draw, box, f"{number} {box.label}".strip(), colour, font)
    return drawn


def _write_label(
    draw: ImageDraw.ImageDraw,
    box: TextBox,
    label: str,
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """White on the colour of the frame, above it, or inside where the page ends there."""
    left, top, *_ = box.box
    _, _, width, height = draw.textbbox((0, 0), label, font=font)
    pad = 3
    y = top - height - 2 * pad
    y = y if y >= 0 else top
    draw.rectangle((left, y, left + width + 2 * pad, y + height + 2 * pad), fill=colour)
    draw.text((left + pad, y + pad), label, fill="white", font=font)


def _as_png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()
