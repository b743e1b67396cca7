import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ocrtune.reports.pictures import data_uri


def opened(uri):
    kind, _, data = uri.partition(";base64,")
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def noise(width, height, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels.squeeze())


def test_a_line_keeps_every_pixel():
    line = noise(892, 38)
    assert opened(data_uri(line)).convert("RGB").tobytes() == line.tobytes()


def test_a_grey_line_is_stored_in_grey():
    assert opened(data_uri(noise(100, 20, 1))).mode == "L"


@pytest.mark.parametrize("width", [1201, 4000])
def test_a_wide_picture_is_scaled_down_in_proportion(width):
    image = opened(data_uri(Image.new("RGB", (width, width // 4))))
    assert image.width == 1200
    assert abs(image.height - 300) <= 1


def test_a_whole_page_is_smaller_as_jpeg_than_as_png():
    uri = data_uri(noise(1000, 1000))
    assert opened(uri).format == "JPEG"
    assert len(uri) < 1000 * 1000 * 3


def test_a_picture_one_pixel_high_survives_scaling():
    assert opened(data_uri(Image.new("RGB", (5000, 1)))).size == (1200, 1)
