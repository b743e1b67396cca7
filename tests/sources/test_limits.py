"""Images that would fill the memory are refused by name, before they do."""

import multiprocessing
import os
import struct
import threading
import tracemalloc
import zlib

import pytest
from PIL import Image

from ocrtune.data.pictures import check_images
from ocrtune.errors import ImageError, ImageTooLarge, SourceError
from ocrtune.records import Cut, EncodedImage, Page, TiffPage
from ocrtune.sources import image_size, open_image, read_source
from ocrtune.sources.images import file_facts
from ocrtune.sources.importing import import_pages
from ocrtune.sources.limits import ImageLimits, image_limits, pillow_obeys, set_image_limits


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png(path, size=(32, 32), *chunks: bytes):
    """A grey PNG that claims a size; its pixels are those of 32 × 32."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 33 * 32))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b""))
    return path


@pytest.fixture
def few_pixels(monkeypatch):
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_PIXELS", "5000")


@pytest.mark.parametrize("look", [open_image, image_size])
@pytest.mark.parametrize("size", [(60_000, 60_000), (20_000, 15_000), (2**31 - 1, 2**31 - 1)])
def test_a_tiny_png_that_claims_huge_pixels_is_refused_while_memory_stays_flat(look, size, tmp_path):
    path = save_png(tmp_path / "bomb.png", size)
    tracemalloc.start()
    with pytest.raises(ImageTooLarge, match="more than 200,000,000 pixels") as caught:
        look(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert caught.value.where == str(path)
    assert "OCRTUNE_MAX_IMAGE_PIXELS" in caught.value.hint


def test_a_bomb_in_a_folder_costs_its_own_page_alone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    save_png(folder / "bomb.png", (60_000, 60_000))
    save_png(folder / "good.png")
    imported = import_pages([str(folder)], tmp_path / "out")
    assert imported.num_pages == 1
    (finding,) = imported.findings
    assert (finding.code, finding.severity) == ("image-too-large", "error")
    assert finding.where == str(folder / "bomb.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".gif", ".bmp", ".jp2"])
def test_the_limit_is_exact_in_every_format(suffix, tmp_path, few_pixels):
    Image.new("L", (100, 50)).save(tmp_path / f"fits{suffix}")
    Image.new("L", (100, 51)).save(tmp_path / f"over{suffix}")
    assert open_image(tmp_path / f"fits{suffix}").size == (100, 50)
    for look in (open_image, image_size):
        with pytest.raises(ImageTooLarge):
            look(tmp_path / f"over{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".gif", ".bmp", ".jp2"])
def test_no_warning_of_pillows_is_heard_between_its_limit_and_twice_that(
    suffix, tmp_path, few_pixels, recwarn
):
    Image.new("L", (100, 80)).save(tmp_path / f"over{suffix}")
    for look in (open_image, image_size, file_facts):
        with pytest.raises(ImageTooLarge, match="more than 5,000 pixels"):
            look(tmp_path / f"over{suffix}")
    assert not recwarn.list


def test_a_small_page_in_one_thread_does_not_make_a_large_one_in_another_too_large(tmp_path):
    path = save_png(tmp_path / "p.png")
    with pillow_obeys(2000), pillow_obeys(100):
        assert Image.open(path).size == (32, 32)


def test_a_later_page_of_a_tiff_is_measured_too(tmp_path, few_pixels):
    Image.new("L", (20, 20)).save(
        tmp_path / "p.tif", save_all=True, append_images=[Image.new("L", (100, 51))]
    )
    assert open_image(TiffPage(path=tmp_path / "p.tif", number=1)).size == (20, 20)
    with pytest.raises(ImageTooLarge) as caught:
        open_image(TiffPage(path=tmp_path / "p.tif", number=2))
    assert caught.value.where == f"{tmp_path / 'p.tif'}#2"


def test_a_part_of_a_page_that_is_too_large_is_refused(tmp_path, few_pixels):
    Image.new("L", (100, 51)).save(tmp_path / "p.png")
    with pytest.raises(ImageTooLarge):
        open_image(Cut(path=tmp_path / "p.png", polygon=((1, 1), (9, 1), (9, 9))))


def test_a_part_larger_than_pillows_own_limit_is_cut(tmp_path, monkeypatch):
    Image.new("L", (100, 50)).save(tmp_path / "p.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    cut = Cut(path=tmp_path / "p.png", polygon=((0, 0), (100, 0), (100, 49), (0, 49)))
    assert open_image(cut).size == (100, 49)


@pytest.mark.parametrize(
    "bomb",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2**25)),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"x" * 2**25)),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"x" * 2**25)),
    ],
    ids=["zTXt", "iCCP", "iTXt"],
)
def test_notes_and_profiles_that_unpack_to_very_much_are_refused(bomb, tmp_path):
    path = save_png(tmp_path / "p.png", (32, 32), bomb)
    with pytest.raises(ImageTooLarge, match="notes or the colour profile"):
        open_image(path)


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path, monkeypatch):
    path = save_png(tmp_path / "p.png")
    content = path.read_bytes()
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_BYTES", str(len(content)))
    assert open_image(path).size == (32, 32)
    path.write_bytes(content + b"\0")
    for source in (path, EncodedImage(name="x.tar#p.png", read=path.read_bytes)):
        with pytest.raises(ImageTooLarge, match=f"more than {len(content)} bytes") as caught:
            open_image(source)
        assert f"OCRTUNE_MAX_IMAGE_BYTES={len(content) + 1}" in caught.value.hint


def test_a_file_that_never_ends_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="it is no file"):
        open_image(tmp_path / "pipe.png")


def test_limits_are_set_for_this_process_and_its_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_PIXELS", "1")
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_BYTES", "1")
    limits = ImageLimits(most_pixels=1000, most_bytes=10_000)
    set_image_limits(limits)
    assert image_limits() == limits
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(image_limits) == limits


@pytest.mark.parametrize("written", ["many", "0", "-1", "1e9", "²"])
def test_a_limit_that_is_no_number_is_named(written, tmp_path, monkeypatch):
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_PIXELS", written)
    with pytest.raises(SourceError, match="OCRTUNE_MAX_IMAGE_PIXELS must be a whole number above 0"):
        open_image(save_png(tmp_path / "p.png"))


def test_pillows_own_limit_comes_back_after_the_last_of_several_threads(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with pillow_obeys(100):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    with pillow_obeys(100):
        assert Image.MAX_IMAGE_PIXELS == 100
    assert Image.MAX_IMAGE_PIXELS == 100
    leave.set()
    thread.join()
    assert Image.MAX_IMAGE_PIXELS == 7


def test_pillows_own_limit_decides_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert open_image(save_png(tmp_path / "p.png")).size == (32, 32)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".jp2", ".gif", ".bmp", ".heic"])
@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "cut off"])
def test_a_bad_file_costs_its_own_page_and_is_named(suffix, content, tmp_path, golden):
    bad = tmp_path / f"bad{suffix}"
    if content is None and suffix == ".heic":
        content = (golden / "images" / "turned.heic").read_bytes()[:300]
    elif content is None:
        Image.effect_noise((64, 64), 90).convert("L").save(bad)
        content = bad.read_bytes()[: bad.stat().st_size // 3]
    bad.write_bytes(content)
    save_png(tmp_path / "good.png")
    pages = read_source(str(tmp_path)).pages
    assert len(pages) == 2
    found = {page.name: check_images(Page(name=page.name, images=page.images))[1] for page in pages}
    assert found["good.png"] == []
    (finding,) = found[bad.name]
    assert (finding.code, finding.severity) == ("image", "error")
    assert str(bad) in finding.where
