import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from report_pages import page

from ocrtune.reports.html import MOST_BYTES, write_report
from ocrtune.reports.thumbnails import SIZES, _encoded, fitting_size, make_pictures


def noise(width, height, seed=0):
    """The picture that is hardest to make small."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def opened(uri):
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(BytesIO(base64.b64decode(data)))


def pages(count, image, text="a dxy"):
    return [page(image, "a day", text, name=f"{number}.png") for number in range(count)]


def test_a_few_pictures_are_good_and_keep_their_shape():
    pictures = make_pictures(pages(2, noise(2000, 1000)), "thumbnails", most_bytes=10_000_000)
    image = opened(pictures.sources[0])
    assert image.width * image.height == pytest.approx(SIZES[0].pixels, rel=0.01)
    assert image.width / image.height == pytest.approx(2, rel=0.01)
    assert pictures.sizes == [(2000, 1000)] * 2
    assert pictures.note == ""


def test_many_pictures_become_small():
    assert fitting_size(pages(100, noise(600, 800)), 400_000).pixels < SIZES[0].pixels


def test_what_finds_no_room_are_the_pictures_of_the_best_pages_and_that_is_said():
    image = noise(300, 300)
    mixed = [*pages(3, image, text="a day"), *pages(3, image, text="xxxxx")]
    smallest = len(_encoded(image, SIZES[-1]))
    pictures = make_pictures(mixed, "thumbnails", most_bytes=int(3.5 * smallest))
    assert [bool(source) for source in pictures.sources] == [False] * 3 + [True] * 3
    assert pictures.note.startswith("The pictures of 3 pages of 6, the best read ones, are left out")


def test_embedded_pictures_keep_what_can_be_read_and_know_no_limit():
    pictures = make_pictures(pages(1, noise(1500, 1000)), "embed", most_bytes=10)
    assert opened(pictures.sources[0]).size == (1500, 1000)


def test_a_line_too_wide_for_its_format_is_scaled():
    pictures = make_pictures(pages(1, Image.new("L", (20_000, 10))), "thumbnails", most_bytes=10**6)
    assert opened(pictures.sources[0]).width == 8000


def test_what_is_no_file_cannot_be_linked_and_becomes_a_thumbnail(tmp_path):
    pictures = make_pictures(pages(1, noise(50, 50)), "link", beside=tmp_path, most_bytes=10**6)
    assert opened(pictures.sources[0]).size == (50, 50)


def test_a_report_of_300_pages_of_noise_keeps_its_size(one_side, tmp_path):
    chance = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlu "))
    made = []
    scans = [noise(400, 560, seed) for seed in range(6)]
    for number in range(300):
        text = "".join(chance.choice(letters, 1500))
        read = "".join(letter if chance.random() > 0.1 else "x" for letter in text)
        made.append(page(scans[number % 6], text, read, name=f"{number}.png"))
    path = tmp_path / "report.html"
    write_report(one_side(*made), path)
    assert 3_000_000 < path.stat().st_size <= MOST_BYTES
