import contextlib
import random

import numpy as np
import pytest
from PIL import ExifTags, Image

from ocrtune.errors import ImageError
from ocrtune.sources import IMAGE_SUFFIXES, count_frames, open_image

HEIC_SUFFIXES = {".heic", ".heif"}  # Pillow cannot write them


@pytest.fixture
def page() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def one_pixel(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (1, 1), value)


def colour(image: Image.Image) -> tuple[int, int, int]:
    return open_image(image).getpixel((0, 0))


def test_an_rgb_image_in_memory_is_the_very_same(page):
    assert open_image(page) is page


def test_an_rgb_file_keeps_every_pixel(page, tmp_path):
    page.save(tmp_path / "page.png")
    opened = open_image(tmp_path / "page.png")
    assert opened.mode == "RGB"
    assert opened.tobytes() == page.tobytes()


def test_an_opened_file_can_still_be_used_after_it_was_deleted(page, tmp_path):
    path = tmp_path / "page.png"
    page.save(path)
    opened = open_image(path)
    path.unlink()
    assert opened.resize((3, 3)).size == (3, 3)


@pytest.mark.parametrize(
    "mode",
    [
        "1",
        "L",
        "LA",
        "La",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBa",
        "RGBX",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I",
        "F",
        "I;16",
        "I;16L",
        "I;16B",
        "I;16N",
    ],
)
def test_every_mode_of_pillow_becomes_rgb(mode):
    opened = open_image(Image.new(mode, (5, 4)))
    assert (opened.mode, opened.size) == ("RGB", (5, 4))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 255), (0, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
    ],
)
def test_colours_stay_and_transparency_is_laid_over_white(mode, value, expected):
    assert colour(one_pixel(mode, value)) == expected


def test_a_transparent_palette_entry_is_white_paper(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "palette.png", transparency=0)
    opened = open_image(tmp_path / "palette.png")
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (40, 50, 60)]


def test_a_transparent_colour_of_an_rgb_png_is_white_paper(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    assert open_image(tmp_path / "keyed.png").getpixel((0, 0)) == (255, 255, 255)


def test_all_8_bit_greys_written_with_16_bits_come_back(tmp_path):
    greys = np.arange(256, dtype=np.uint16).reshape(1, 256) * 257
    Image.fromarray(greys).save(tmp_path / "grey16.png")
    opened = np.asarray(open_image(tmp_path / "grey16.png"))
    assert (opened == np.arange(256).reshape(1, 256, 1)).all()


def test_grey_of_16_bits_is_scaled_and_not_cut(tmp_path):
    Image.fromarray(np.array([[0x1234, 200, 65279]], np.uint16)).save(tmp_path / "grey16.png")
    opened = np.asarray(open_image(tmp_path / "grey16.png"))
    assert opened[0, :, 0].tolist() == [18, 1, 254]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 32896, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 2**31 - 1]], np.int32), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 128.0, 200.0]], np.float32), [0, 128, 200]),
        (np.array([[0.0, 4e10]], np.float32), [0, 255]),
    ],
)
def test_grey_without_a_range_takes_the_smallest_that_holds_it(values, expected):
    opened = np.asarray(open_image(Image.fromarray(values)))
    assert opened[0, :, 0].tolist() == expected


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_grey_below_0_or_not_finite_is_an_error(value):
    with pytest.raises(ImageError, match="below 0 or not finite"):
        open_image(Image.fromarray(np.array([[0.5, value]], np.float32)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_all_8_exif_orientations_come_out_upright(orientation, suffix, tmp_path):
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste("black", (0, 0, 32, 16))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / f"turned{suffix}", exif=exif)
    opened = open_image(tmp_path / f"turned{suffix}")
    assert opened.size == (64, 32)
    assert opened.getpixel((8, 8))[0] < 60
    assert opened.getpixel((56, 24))[0] > 200


def test_an_image_with_an_orientation_is_not_changed_in_memory():
    image = Image.new("RGB", (4, 2))
    image.getexif()[ExifTags.Base.Orientation] = 6
    assert open_image(image).size == (2, 4)
    assert image.size == (4, 2)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(ImageError, match="does not exist") as caught:
        open_image(tmp_path / "none.png")
    assert caught.value.where == str(tmp_path / "none.png")
    assert "relative" in caught.value.hint


def test_an_empty_file_is_told_from_a_broken_one(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "page.png").write_text("not an image")
    with pytest.raises(ImageError, match="is empty"):
        open_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="not an image"):
        open_image(tmp_path / "page.png")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path)


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_is_an_error(size):
    with pytest.raises(ImageError, match="no pixels"):
        open_image(Image.new("RGB", size))


def test_a_truncated_file_is_an_error_and_never_half_grey(page, tmp_path):
    page.save(tmp_path / "page.jpg")
    whole = (tmp_path / "page.jpg").read_bytes()
    (tmp_path / "page.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match="cannot be read: image file is truncated"):
        open_image(tmp_path / "page.jpg")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES - HEIC_SUFFIXES))
def test_damaged_files_raise_nothing_but_image_errors(suffix, page, tmp_path):
    path = tmp_path / f"page{suffix}"
    page.save(path)
    whole = path.read_bytes()
    chance = random.Random(suffix)
    named = []
    for round_ in range(150):
        damaged = bytearray(whole if round_ % 2 else whole[: chance.randrange(len(whole))])
        for _ in range(min(3, len(damaged))):
            damaged[chance.randrange(min(len(damaged), 400))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ImageError):
            named.append(open_image(path).mode)
    assert set(named) <= {"RGB"}
    assert len(named) < 120


def test_frames_are_counted(page, tmp_path):
    page.save(tmp_path / "one.png")
    page.save(tmp_path / "three.tif", save_all=True, append_images=[page, page])
    assert [count_frames(tmp_path / "one.png"), count_frames(tmp_path / "three.tif")] == [1, 3]
    assert count_frames(page) == 1


def test_the_first_frame_is_opened(page, tmp_path):
    page.save(tmp_path / "two.tif", save_all=True, append_images=[Image.new("RGB", page.size)])
    assert open_image(tmp_path / "two.tif").tobytes() == page.tobytes()
