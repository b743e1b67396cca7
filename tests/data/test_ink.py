import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrtune.data.ink import look_for_ink
from ocrtune.data.pictures import check_images
from ocrtune.sources import open_image, read_pages, sample_path

WORDS = "the siege of the town began in spring and lasted many weeks before it surrendered "


def draw_page(size_px, *, angle=0.0, noise=0.0, dark=False):
    """A page of print, and the true height of its small letters."""
    font = ImageFont.load_default(size_px)
    page = Image.new("L", (1000, 1400), 245)
    per_line = int(800 / font.getlength("n"))
    for row, top in enumerate(range(80, 1300, int(size_px * 1.3))):
        ImageDraw.Draw(page).text((100, top), (WORDS * 9)[row * 7 :][:per_line], fill=20, font=font)
    page = page.rotate(angle, fillcolor=245, resample=Image.Resampling.BICUBIC)
    pixels = np.asarray(page) + np.random.default_rng(0).normal(0, noise, (1400, 1000))
    pixels = np.clip(255 - pixels if dark else pixels, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB"), -font.getbbox("x", anchor="ls")[1]


@pytest.mark.parametrize("size_px", [14, 20, 30, 50])
@pytest.mark.parametrize("changes", [{}, {"angle": 1.5, "noise": 10}, {"dark": True}], ids=str)
def test_small_letters_are_measured(size_px, changes):
    page, truth = draw_page(size_px, **changes)
    assert look_for_ink(page).x_height_px == pytest.approx(truth, rel=0.2)


def test_the_height_is_that_of_the_whole_image():
    page, truth = draw_page(30)
    large = page.resize((3000, 4200))
    assert look_for_ink(large).x_height_px == pytest.approx(3 * truth, rel=0.2)


def test_letters_of_a_scanned_book_are_alike_on_all_its_pages():
    pages = read_pages(str(sample_path("vicksburg_pages")))
    heights = [look_for_ink(open_image(page.images[0])).x_height_px for page in pages]
    assert all(14 < height < 15 for height in heights)


def blank(noise=0.0, size=(1400, 1000)):
    pixels = np.random.default_rng(0).normal(240, noise, size).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


@pytest.mark.parametrize(
    ("image", "text", "codes"),
    [
        (blank(), "words that are not there", ["page-blank"]),
        (blank(3), "words that are not there " * 40, ["page-blank"]),
        (blank(), "", []),
        (blank(), None, []),
        (draw_page(30)[0], "", ["text-empty-but-ink"]),
        (draw_page(30)[0], "words", []),
        (draw_page(30)[0], None, []),
    ],
)
def test_text_and_ink_belong_together(image, text, codes, make_page):
    _, findings = check_images(make_page(text=text, images=[image]))
    assert [finding.code for finding in findings] == codes


def test_a_lone_page_number_is_ink(make_page):
    page = blank()
    ImageDraw.Draw(page).text((500, 900), "1", fill=0, font=ImageFont.load_default(24))
    assert check_images(make_page(text="1", images=[page]))[1] == []


def test_one_blank_picture_of_two_is_no_blank_page(make_page):
    assert check_images(make_page(text="words", images=[blank(), draw_page(30)[0]]))[1] == []
