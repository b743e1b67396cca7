"""Draw the contact sheets beside this module: `python docs/synth/contact_sheets.py`, or the names of some of them.

Fonts are those of the system it runs on.
"""

import sys
from pathlib import Path
from typing import Any

from PIL import Image

from ocrtune.synth import Maker, contact_sheet, parse_synth_config

HERE = Path(__file__).parent
MOST_BYTES = 400_000
WIDTH_PX = 1600
BEST_QUALITY, WORST_QUALITY = 85, 40

# Words of no language teach letters, but nobody takes a page of them for a scan.
SENSE = {"prose": 0.9, "listed": 0.1, "invented": 0, "numbers": 0}
SUMS = {"prose": 0.1, "listed": 0.6, "invented": 0, "numbers": 0.3}
SLIP = {"width_px": 480, "height_px": 1000, "font_px": [18, 24]}
PAGE = {"width_px": 900, "height_px": 1240, "font_px": [18, 28]}

COLUMNS = {"pages": 4, "rtl": 3, "devanagari": 3, "lines": 2}
"""Of each sheet."""

PARTS: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "pages": [
        (3, {"texts": [SENSE], "layouts": {"columns": 1}, "degradations": "old-print"}),
        (1, {"seed": 1, "texts": [SENSE], "layouts": {"columns": 1}, "degradations": "photo"}),
        (2, {"texts": [{**SENSE, "language": "ru", "pre_reform": 1}], "layouts": {"columns": 1}}),
        (3, {"texts": [SUMS], "layouts": {"table": 1}, "degradations": "heavy"}),
        (2, {"texts": [SUMS], "layouts": {"form": 1}}),
        (3, {"texts": [SUMS], "layouts": {"receipt": 1}, "degradations": "photo", "paper": SLIP}),
        (4, {"texts": [SENSE], "layouts": {"paragraph": 1}, "degradations": "old-print"}),
    ],
    "rtl": [
        (4, {"texts": [{**SENSE, "language": "ar"}], "layouts": {"columns": 1}}),
        (4, {"texts": [{**SENSE, "language": "ar"}], "layouts": {"paragraph": 1}}),
        (9, {"texts": [{"language": "ar"}], "letters": {"longest": 50}}),
    ],
    "devanagari": [
        (4, {"texts": [{**SENSE, "language": "hi"}], "layouts": {"columns": 1}}),
        (4, {"texts": [{**SENSE, "language": "hi"}], "layouts": {"paragraph": 1}}),
        (9, {"texts": [{"language": "hi"}], "letters": {"longest": 50}}),
    ],
    "lines": [
        (14, {"texts": [{"language": "en"}]}),
        (14, {"texts": [{"language": "ru", "pre_reform": 0.3}]}),
        (6, {"texts": [{"language": "el"}]}),
    ],
}
"""How many of which recipe."""


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        images = [image for count, keys in PARTS[name] for image in made(count, keys)]
        if name != "lines":
            # The small ones fill what the large ones leave.
            images.sort(key=lambda image: -image.height / image.width)
        write_small(contact_sheet(images, width_px=WIDTH_PX, columns=COLUMNS[name]), HERE / f"{name}.jpg")


def made(count: int, keys: dict[str, Any]) -> list[Image.Image]:
    """The first samples of a recipe."""
    maker = Maker(parse_synth_config({"paper": PAGE, **keys}))
    return [maker.sample(number).scan.image for number in range(count)]


def write_small(sheet: Image.Image, path: Path) -> None:
    """Write a JPEG as good as its size allows."""
    for quality in range(BEST_QUALITY, WORST_QUALITY, -5):
        sheet.save(path, quality=quality, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            break
    print(f"{path.name}: {sheet.width}×{sheet.height} px, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
