"""Images as scanners, phones and web pages write them, by their pixels."""

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from ocrtune.data.pictures import check_images
from ocrtune.errors import HeicUnreadable, ImageError
from ocrtune.records import EncodedImage, Page, TiffPage
from ocrtune.sources import count_frames, image_size, open_image, read_pages
from ocrtune.sources.images import frame_numbers

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def halves(mode="RGB", left="black", right="white", size=(64, 32)) -> Image.Image:
    """Black on the left, white on the right."""
    image = Image.new(mode, size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def ends(path) -> list[tuple[int, int, int]]:
    """The colours in the middle of the left half and of the right half."""
    image = open_image(path)
    assert image.mode == "RGB"
    return [image.getpixel((image.width // 4, 8)), image.getpixel((image.width * 3 // 4, 8))]


def codes(*images) -> list[tuple[str, str]]:
    _, findings = check_images(Page(name="p", images=images, where="m.jsonl:1"))
    return [(finding.code, finding.severity) for finding in findings]


def near(found, wanted) -> bool:
    return all(abs(int(a) - b) <= 3 for a, b in zip(np.ravel(found), np.ravel(wanted), strict=True))


@pytest.mark.parametrize("suffix", [".jp2", ".j2k", ".jpx", ".gif", ".tif", ".webp", ".bmp", ".jpg"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_black_and_white_stay_in_every_format(suffix, mode, tmp_path):
    halves(mode, 0 if mode == "L" else "black", 255 if mode == "L" else "white").save(
        tmp_path / f"p{suffix}", **({"format": "JPEG2000"} if suffix in {".j2k", ".jpx"} else {})
    )
    assert near(ends(tmp_path / f"p{suffix}"), [BLACK, WHITE])
    assert image_size(tmp_path / f"p{suffix}") == (64, 32)
    assert codes(tmp_path / f"p{suffix}") == []


def test_heic_of_a_phone_comes_out_upright(golden):
    path = golden / "images" / "turned.heic"
    assert near(ends(path), [BLACK, WHITE])
    assert image_size(path) == (64, 32)
    assert codes(path) == []


def test_heic_without_its_package_is_a_finding_that_says_what_to_install(golden, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "photo.jpg").write_bytes((golden / "images" / "turned.heic").read_bytes())
    encoded = EncodedImage(name="shard.tar#p.heic", read=(tmp_path / "photo.jpg").read_bytes)
    for source in (tmp_path / "photo.jpg", encoded):
        with pytest.raises(HeicUnreadable, match="pi-heif is not installed") as caught:
            open_image(source)
        assert caught.value.hint == "pip install 'ocrtune[heic]'"
        assert caught.value.where == str(source)
        assert codes(source) == [("image-heic", "error")]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_white_paper_stays_white(suffix, tmp_path):
    # Pillow writes CMYK in a JPEG as Adobe does, turned round; a TIFF holds it as it is.
    halves("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)).save(tmp_path / f"p{suffix}")
    assert near(ends(tmp_path / f"p{suffix}"), [BLACK, WHITE])
    halves("CMYK", (0, 255, 255, 0), (255, 0, 0, 0)).save(tmp_path / f"c{suffix}")
    assert near(ends(tmp_path / f"c{suffix}"), [(255, 0, 0), (0, 255, 255)])


def test_adobe_cmyk_is_stored_turned_round(tmp_path):
    halves("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)).save(tmp_path / "p.jpg")
    assert b"Adobe" in (tmp_path / "p.jpg").read_bytes()[:200]


@pytest.mark.parametrize("photometric", [0, 1])
def test_one_bit_fax_is_black_on_white_in_both_senses(photometric, tmp_path):
    halves("1", 0, 255).save(tmp_path / "fax.tif", compression="group4", tiffinfo={262: photometric})
    with Image.open(tmp_path / "fax.tif") as image:
        assert (image.mode, image.tag_v2[262], image.tag_v2[259]) == ("1", photometric, 4)
    assert ends(tmp_path / "fax.tif") == [BLACK, WHITE]


@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_tiffs_are_read_in_both_senses(photometric, tmp_path):
    halves("L", 10, 250).save(tmp_path / "grey.tif", tiffinfo={262: photometric})
    assert ends(tmp_path / "grey.tif") == [(10, 10, 10), (250, 250, 250)]


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jp2"])
def test_grey_of_16_bits_is_scaled(suffix, tmp_path):
    values = np.repeat(np.array([[0x1234] * 32 + [0xFFFF] * 32], np.uint16), 32, axis=0)
    Image.fromarray(values).save(tmp_path / f"p{suffix}")
    assert near(ends(tmp_path / f"p{suffix}"), [(18, 18, 18), WHITE])


def test_grey_of_16_bits_with_the_other_byte_order_is_scaled(tmp_path):
    image = Image.frombytes("I;16B", (64, 32), np.full((32, 64), 0x8080, ">u2").tobytes())
    image.save(tmp_path / "big.tif")
    assert open_image(tmp_path / "big.tif").getpixel((0, 0)) == (128, 128, 128)


def test_a_tall_scan_of_16_bits_is_scaled_in_every_row(tmp_path):
    rows = np.linspace(0, 65535, 1001).astype(np.uint16)
    Image.fromarray(np.repeat(rows[:, None], 3, axis=1)).save(tmp_path / "tall.png")
    found = np.asarray(open_image(tmp_path / "tall.png"))[:, 0, 0]
    assert found.tolist() == np.rint(rows / 257).astype(int).tolist()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_colour_of_16_bits_is_read(tmp_path):
    row = b"\0" + struct.pack(">6H", 0xFFFF, 0x8080, 0, 0x1010, 0xFFFF, 0xFFFF)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    (tmp_path / "p.png").write_bytes(png((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b"")))
    image = open_image(tmp_path / "p.png")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 128, 0), (16, 255, 255)]


def test_lab_and_floats_are_read(tmp_path):
    halves("LAB", (0, 128, 128), (255, 128, 128)).save(tmp_path / "lab.tif")
    assert near(ends(tmp_path / "lab.tif"), [BLACK, WHITE])
    halves("F", 0.0, 1.0).save(tmp_path / "float.tif")
    assert ends(tmp_path / "float.tif") == [BLACK, WHITE]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jp2", ".tif", ".gif"])
def test_what_is_transparent_is_white_paper(suffix, tmp_path):
    image = halves("RGBA", (0, 0, 0, 255), (0, 0, 0, 0))
    image.save(tmp_path / f"p{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    assert ends(tmp_path / f"p{suffix}") == [BLACK, WHITE]


def test_grey_with_transparency_is_laid_over_white(tmp_path):
    halves("LA", (0, 255), (0, 51)).save(tmp_path / "p.png")
    assert ends(tmp_path / "p.png") == [BLACK, (204, 204, 204)]


# What a file is, and what it is called.


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".heic", ".gif"])
def test_a_png_by_another_name_is_read_and_told(suffix, tmp_path):
    halves().save(tmp_path / f"p{suffix}", format="PNG")
    assert ends(tmp_path / f"p{suffix}") == [BLACK, WHITE]
    assert codes(tmp_path / f"p{suffix}") == [("image-suffix", "note")]
    assert len(read_pages(str(tmp_path))) == 1


def test_no_suffix_and_a_right_one_are_no_finding(tmp_path):
    for name in ("P.PNG", "scan", "p.dat"):
        halves().save(tmp_path / name, format="PNG")
    assert codes(*tmp_path.iterdir()) == []


def test_a_program_that_calls_itself_a_picture_is_not_run(tmp_path):
    (tmp_path / "p.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ImageError, match="not an image that can be read"):
        open_image(tmp_path / "p.png")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_of_an_animation_the_first_frame_is_used_and_told(suffix, tmp_path):
    halves().save(tmp_path / f"p{suffix}", save_all=True, append_images=[halves(left="white", right="black")])
    assert near(ends(tmp_path / f"p{suffix}"), [BLACK, WHITE])
    assert codes(tmp_path / f"p{suffix}") == [("image-animated", "warning")]


def test_a_tiff_of_several_pages_is_told_from_an_animation(tmp_path):
    halves().save(tmp_path / "p.tif", save_all=True, append_images=[halves()])
    assert codes(tmp_path / "p.tif") == [("image-frames", "warning")]


def test_a_phones_jpeg_with_a_preview_behind_it_is_one_image(tmp_path):
    halves().save(tmp_path / "p.jpg", format="MPO", save_all=True, append_images=[halves(size=(8, 4))])
    assert count_frames(tmp_path / "p.jpg") == 1
    assert codes(tmp_path / "p.jpg") == []


# Pages of a TIFF.


def test_each_page_of_a_tiff_is_opened_by_its_number_and_upright(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    first = Image.new("L", (20, 16), 255)
    second = halves().transpose(Image.Transpose.ROTATE_90)
    second.encoderinfo = {"exif": exif}
    first.save(tmp_path / "p.tif", save_all=True, append_images=[second])
    pages = [TiffPage(path=tmp_path / "p.tif", number=number) for number in (1, 2)]
    assert [open_image(page).size for page in pages] == [(20, 16), (64, 32)]
    assert [image_size(page) for page in pages] == [(20, 16), (64, 32)]
    assert ends(pages[1]) == [BLACK, WHITE]
    assert codes(*pages) == []
    with pytest.raises(ImageError, match="no frame 3"):
        open_image(TiffPage(path=tmp_path / "p.tif", number=3))


def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path):
    copy, second = halves(size=(8, 4)), halves()
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    halves().save(tmp_path / "p.tif", save_all=True, append_images=[copy, second])
    assert frame_numbers(tmp_path / "p.tif") == (1, 3)
    assert count_frames(tmp_path / "p.tif") == 2


def save_tiff(path, num_pages=3):
    path.parent.mkdir(exist_ok=True)
    pages = [Image.new("L", (20 + number, 10), 255) for number in range(num_pages)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_a_tiff_of_several_pages_in_a_folder_is_as_many_pages_of_one_document(tmp_path):
    path = save_tiff(tmp_path / "scan.tif")
    pages = read_pages(str(tmp_path))
    assert [page.name for page in pages] == ["scan.tif#1", "scan.tif#2", "scan.tif#3"]
    assert [open_image(page.images[0]).width for page in pages] == [20, 21, 22]
    assert {(page.document, page.text) for page in pages} == {("scan", None)}
    assert pages[1].where == f"{path}#2"
    assert read_pages(str(path)) == pages


@pytest.mark.parametrize(
    "text", ["one\n\ftwo\n\n\fdrei\n", "one\n\ftwo\n\n\fdrei\n\f", "one\ftwo\n\fdrei\f\n"]
)
def test_form_feeds_part_the_text_of_a_tiff(text, tmp_path):
    save_tiff(tmp_path / "vol" / "scan.tif").with_suffix(".txt").write_text(text)
    pages = read_pages(str(tmp_path))
    assert [page.text.strip() for page in pages] == ["one", "two", "drei"]
    assert {page.document for page in pages} == {"vol"}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [("one\n\f", "one"), ("one\n\ntwo\n\f\n", "one\n\ntwo"), ("one\n\n", "one\n"), ("a\fb\n", "a\fb")],
)
def test_the_form_feed_that_tesseract_writes_behind_a_page_is_none_of_it(tmp_path, suffix, text, wanted):
    halves().save(tmp_path / f"p{suffix}")
    (tmp_path / "p.txt").write_text(text, encoding="utf-8")
    assert [page.text for page in read_pages(str(tmp_path))] == [wanted]


@pytest.mark.parametrize("text", ["one", "one\ftwo", "one\ftwo\fdrei\ffour", ""])
def test_a_text_for_another_number_of_pages_leaves_the_tiff_as_one_page_that_is_told(text, tmp_path):
    save_tiff(tmp_path / "scan.tif").with_suffix(".txt").write_text(text)
    (page,) = read_pages(str(tmp_path))
    assert (page.name, page.text, page.images) == ("scan.tif", text, (tmp_path / "scan.tif",))
    assert ("image-frames", "warning") in codes(*page.images)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_tiff_is_a_page_that_is_told_when_it_is_opened(tmp_path):
    whole = save_tiff(tmp_path / "scan.tif").read_bytes()
    (tmp_path / "scan.tif").write_bytes(whole[:100])
    (page,) = read_pages(str(tmp_path))
    assert codes(*page.images) == [("image", "error")]
