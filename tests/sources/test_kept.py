"""Pages that stay decoded: the same pixels, within bytes, made once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ocrtune.records import Cut
from ocrtune.sources import images, open_image
from ocrtune.sources.kept import BYTES_OF_A_PIXEL, KeptImages

PAGE_BYTES = 10 * 10 * BYTES_OF_A_PIXEL


def image(number, side=10):
    return Image.new("RGB", (side, side), (number, 0, 0))


def counted(made, number, side=10):
    def make():
        made.append(number)
        return image(number, side)

    return make


def test_images_used_last_are_kept_within_their_bytes():
    kept, made = KeptImages(3 * PAGE_BYTES), []
    for number in (1, 2, 3, 1, 4, 1, 2):
        assert kept.find(number, counted(made, number)).getpixel((0, 0)) == (number, 0, 0)
        assert kept.num_bytes <= 3 * PAGE_BYTES
    assert made == [1, 2, 3, 4, 2]


def test_one_that_is_larger_than_all_may_be_is_kept_alone():
    kept, made = KeptImages(3 * PAGE_BYTES), []
    kept.find("small", counted(made, 1))
    for _ in range(2):
        kept.find("large", counted(made, 2, side=100))
    assert kept.num_bytes == 100 * PAGE_BYTES
    kept.find("small", counted(made, 3))
    assert kept.num_bytes == PAGE_BYTES
    assert made == [1, 2, 3]


def test_threads_that_want_one_image_wait_for_the_first_that_makes_it():
    kept, made = KeptImages(3 * PAGE_BYTES), []
    barrier = threading.Barrier(4)

    def find(_):
        barrier.wait()
        return kept.find("page", counted(made, 1))

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(find, range(4)))
    assert made == [1]
    assert all(each is found[0] for each in found)


def test_an_image_that_is_kept_twice_counts_once():
    kept, made = KeptImages(3 * PAGE_BYTES), []

    def make():
        # As a thread does that waited for one that could not make it, while another one had begun anew.
        kept._making.clear()
        kept.find("page", counted(made, 2))
        return image(1)

    kept.find("page", make)
    assert kept.num_bytes == PAGE_BYTES
    assert kept._making == {}


def test_no_thread_comes_between_the_making_and_the_keeping(monkeypatch):
    kept, made = KeptImages(3 * PAGE_BYTES), []
    keep = kept._keep
    monkeypatch.setattr(
        kept, "_keep", lambda key, image: (waits.append(key in kept._making), keep(key, image))
    )
    waits = []
    kept.find("page", counted(made, 1))
    assert waits == [True]


def test_an_image_that_could_not_be_made_is_tried_again():
    kept = KeptImages(PAGE_BYTES)

    def fail():
        raise OSError("gone")

    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            kept.find("page", fail)
    assert kept.find("page", lambda: image(1)).getpixel((0, 0)) == (1, 0, 0)


def test_lines_of_pages_in_any_order_have_the_pixels_of_pages_decoded_anew(tmp_path, monkeypatch):
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    cuts = [
        Cut(path=tmp_path / f"{number}.png", polygon=((5, top), (70, top), (70, top + 9), (5, top + 9)))
        for top in (0, 10, 20, 30)
        for number in range(4)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(images, "_PAGES", KeptImages(0))
        expected = [np.asarray(open_image(cut)) for cut in cuts]
    opened = []
    open_file = images.open_file
    monkeypatch.setattr(images, "open_file", lambda path: opened.append(path) or open_file(path))
    monkeypatch.setattr(images, "_PAGES", KeptImages(4 * 60 * 80 * BYTES_OF_A_PIXEL))
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda cut: np.asarray(open_image(cut)), cuts))
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_array_equal(first, second)
    assert sorted(opened) == [tmp_path / f"{number}.png" for number in range(4)]
