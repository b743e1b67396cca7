"""Draw the contact sheets beside this module: `python docs/synth/contact_sheets.py`, or the names of some of them.

Fonts are those of the system it runs on.
"""

import random
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from ocrtune.synth import Maker, contact_sheet, parse_synth_config

HERE = Path(__file__).parent
MOST_BYTES = 400_000
WIDTH_PX = 1600
BEST_QUALITY, WORST_QUALITY = 85, 40

ENGLISH = {"language": "en", "prose": 0.9, "listed": 0.05, "invented": 0.05, "numbers": 0}
PAPER = {"width_px": 900, "height_px": 1240, "font_px": [18, 28]}
KINDS: dict[str, Any] = {
    # Each part: how many, and its recipe.
    "pages": [
        (3, {"texts": [ENGLISH], "layouts": {"columns": 1}, "degradations": "old-print"}),
        (2, {"texts": [ENGLISH], "layouts": {"table": 1}}),
        (2, {"texts": [ENGLISH], "layouts": {"form": 1}}),
        (2, {"layouts": {"receipt": 1}, "degradations": "photo", "paper": {"width_px": 480, "height_px": 1100, "font_px": [18, 24]}}),
        (2, {"texts": [{**ENGLISH, "language": "ru", "pre_reform": 0.5}], "layouts": {"columns": 1}}),
        (3, {"texts": [ENGLISH], "layouts": {"paragraph": 1}}),
    ],
    "rtl": [
        (4, {"texts": [{"language": "ar", "prose": 1, "invented": 0, "listed": 0, "numbers": 0}], "layouts": {"columns": 1}}),
        (4, {"texts": [{"language": "ar"}], "layouts": {"paragraph": 1}}),
        (8, {"texts": [{"language": "ar"}], "layouts": {"line": 1}}),
    ],
    "devanagari": [
        (4, {"texts": [{"language": "hi", "prose": 1, "invented": 0, "listed": 0, "numbers": 0}], "layouts": {"columns": 1}}),
        (4, {"texts": [{"language": "hi"}], "layouts": {"paragraph": 1}}),
        (8, {"texts": [{"language": "hi"}], "layouts": {"line": 1}}),
    ],
    "lines": [
        (14, {"texts": [{"language": "en"}]}),
        (14, {"texts": [{"language": "ru", "pre_reform": 0.3}]}),
        (6, {"texts": [{"language": "el"}]}),
    ],
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or KINDS:
        images = [image for count, keys in KINDS[name] for image in made(count, keys)]
        if name != "lines":
            random.Random(0).shuffle(images)
        write_small(contact_sheet(images, width_px=WIDTH_PX), HERE / f"{name}.jpg")


def made(count: int, keys: dict[str, Any]) -> list[Image.Image]:
    """The first samples of a recipe."""
    maker = Maker(parse_synth_config({"paper": PAPER, **keys}))
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
