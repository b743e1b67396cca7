import zlib

import pytest
from PIL import Image, ImageFile

from ocrtune.errors import ImageError
from ocrtune.inputs import image_size
from ocrtune.sources import open_image

ORIENTATIONS = range(1, 9)


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def save(image, path, orientation):
    image.save(path, exif=exif(orientation))
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_size_is_that_of_the_opened_image(tmp_path, draw_page, suffix, orientation):
    path = save(draw_page(30, 20), tmp_path / f"page.{suffix}", orientation)
    assert image_size(path) == open_image(path).size
    assert image_size(path) == ((20, 30) if orientation >= 5 else (30, 20))


def test_a_png_that_tells_its_orientation_behind_the_pixels_is_turned_too(tmp_path, draw_page):
    path = tmp_path / "page.png"
    draw_page(30, 20).save(path)
    content = path.read_bytes()
    chunk = b"eXIf" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    path.write_bytes(content[:-12] + chunk + content[-12:])
    assert image_size(path) == open_image(path).size == (20, 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_no_pixels_are_decoded(tmp_path, draw_page, suffix, monkeypatch):
    path = tmp_path / f"page.{suffix}"
    draw_page(30, 20).save(path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("the image was decoded"))
    assert image_size(path) == (30, 20)


def test_an_image_in_memory_has_its_upright_size(draw_page):
    page = draw_page(30, 20)
    assert image_size(page) == (30, 20)
    page.getexif()[0x0112] = 6
    assert image_size(page) == open_image(page).size == (20, 30)


def test_a_file_that_is_no_image_is_an_image_error(tmp_path):
    path = tmp_path / "page.png"
    path.write_text("no image")
    with pytest.raises(ImageError):
        image_size(path)
    with pytest.raises(ImageError):
        image_size(tmp_path / "missing.png")
