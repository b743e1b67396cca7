import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import find_stray_texts, natural_key, open_image, read_pages


@pytest.fixture
def folder(tmp_path):
    def fill(**texts: str | None):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/").replace("_png", ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)
            if text is not None:
                path.with_suffix(".txt").write_text(text, encoding="utf-8")
        return tmp_path

    return fill


def test_an_image_and_its_text_are_a_page(folder):
    path = folder(page_png="Ünï\n")
    (page,) = read_pages(str(path))
    assert page.name == "page.png"
    assert page.images == (path / "page.png",)
    assert page.text == "Ünï"
    assert page.document == "page"
    assert page.where == str(path / "page.png")


def test_only_the_last_line_break_goes(folder):
    (page,) = read_pages(str(folder(page_png="a\n\nb\n\n")))
    assert page.text == "a\n\nb\n"


def test_a_byte_order_mark_is_no_text(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read_pages(str(tmp_path))[0].text == "one\ntwo"


def test_an_image_without_text_is_a_page_without_text(folder):
    assert read_pages(str(folder(page_png=None)))[0].text is None


def test_pages_come_in_natural_order_through_all_folders(folder):
    path = folder(p10_png="", p2_png="", b__1_png="", a10__1_png="", a9__2_png="", a9__10_png="")
    names = [page.name for page in read_pages(str(path))]
    assert names == ["a9/2.png", "a9/10.png", "a10/1.png", "b/1.png", "p2.png", "p10.png"]


def test_the_folder_in_the_folder_is_the_document(folder):
    path = folder(x__1_png="", x__2_png="", x__y__1_png="", loose_png="")
    documents = {page.name: page.document for page in read_pages(str(path))}
    assert documents == {"x/1.png": "x", "x/2.png": "x", "x/y/1.png": "x/y", "loose.png": "loose"}


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".PNG"])
def test_suffixes_are_known_whatever_their_case(suffix, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / f"page{suffix}")
    (page,) = read_pages(str(tmp_path))
    assert open_image(page.images[0]).size == (4, 4)


def test_hidden_and_other_files_are_left_alone(folder):
    path = folder(page_png="x")
    (path / "._page.png").write_bytes(b"resource fork")
    (path / ".cache").mkdir()
    (path / ".cache" / "b.png").write_bytes(b"")
    (path / "notes.md").write_text("x")
    (path / "folder.png").mkdir()
    assert [page.name for page in read_pages(str(path))] == ["page.png"]


def test_texts_without_image_are_found(folder):
    path = folder(page_png="x", sub__other_png="y")
    (path / "sub" / "lost.txt").write_text("z")
    (path / "readme.txt").write_text("z")
    assert find_stray_texts(str(path)) == [path / "readme.txt", path / "sub" / "lost.txt"]


def test_sources_that_are_no_folder_of_images_have_no_stray_texts(folder):
    path = folder(page_png="x")
    (path / "readme.txt").write_text("z")
    (path / "manifest.jsonl").write_text('{"image": "page.png"}')
    assert find_stray_texts(str(path)) == []
    assert find_stray_texts("builtin") == []
    assert find_stray_texts(str(path / "manifest.jsonl")) == []


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "page.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no images") as caught:
        read_pages(str(tmp_path))
    assert ".png" in caught.value.hint


def test_a_text_that_is_not_utf8_is_named(folder):
    path = folder(page_png="x")
    (path / "page.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(SourceError, match="not UTF-8 at byte 0") as caught:
        read_pages(str(path))
    assert caught.value.where == str(path / "page.txt")


def test_numbers_sort_as_numbers_and_letters_without_case():
    names = ["a1", "A2", "a10", "a10b", "b", "9", "10", "a02b"]
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == ["9", "10", "a1", "A2", "a02b", "a10", "a10b", "b"]


@given(st.lists(st.text(), max_size=8))
def test_any_names_can_be_sorted(names):
    assert len(sorted(names, key=natural_key)) == len(names)
