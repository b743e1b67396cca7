import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import natural_key, open_image, read_pages, read_source
from ocrtune.sources.folder import find_files
from ocrtune.sources.importing import import_pages
from ocrtune.sources.side_texts import MOST_TEXT_CHARS


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


def test_texts_without_image_are_told_whatever_their_kind(folder):
    path = folder(page_png="x", sub__other_png="y")
    strays = [path / "readme.txt", path / "sub/lost.gt.txt", path / "sub/lost.json", path / "sub/lost.MD"]
    for stray in strays:
        stray.write_text("z")
    findings = read_source(str(path)).findings
    assert {(finding.code, finding.severity) for finding in findings} == {("text-without-image", "warning")}
    assert {finding.where for finding in findings} == {str(stray) for stray in strays}


def test_texts_of_a_folder_with_a_manifest_are_not_looked_for(folder):
    path = folder(page_png="x")
    (path / "readme.txt").write_text("z")
    (path / "manifest.jsonl").write_text('{"image": "page.png"}')
    assert read_source(str(path)).findings == []


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "page.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no images") as caught:
        read_pages(str(tmp_path))
    assert ".png" in caught.value.hint


BROKEN = {
    "bad.txt": ("é".encode("latin-1"), "text-broken", "not UTF-8"),
    "bad.md": (b"x" * (MOST_TEXT_CHARS + 1), "text-broken", "longer than 16777216 characters"),
    "bad.gt.txt": (b"x" * (4 * MOST_TEXT_CHARS + 1), "text-broken", "longer than 16777216 characters"),
    "bad.json": (b'{"a": 1, "a": 2}', "target-not-json", "the key 'a' is there twice"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_text_costs_its_page_only(name, folder):
    content, code, message = BROKEN[name]
    path = folder(good_png="x", bad_png=None)
    (path / name).write_bytes(content)
    source = read_source(str(path))
    assert [page.name for page in source.pages] == ["good.png"]
    (finding,) = (found for found in source.findings if found.severity == "error")
    assert finding.code == code
    assert message in finding.message
    assert finding.where.startswith(str(path / name))


def test_a_folder_whose_only_text_is_broken_is_an_error_that_names_it(folder):
    path = folder(page_png="x")
    (path / "page.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(SourceError, match=r"no page of the folder(.|\n)*not UTF-8 \(.*page.txt, byte 0\)"):
        read_pages(str(path))


@pytest.mark.parametrize("kind", ["txt", "md", "gt.txt", "GT.TXT"])
def test_each_kind_of_text_is_found_by_the_stem_of_the_image(kind, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "eng.foo.exp0.tif")
    (tmp_path / f"eng.foo.exp0.{kind}").write_text("# A\n")
    source = read_source(str(tmp_path))
    assert ([page.text for page in source.pages], source.findings) == (["# A"], [])


def test_one_ground_truth_serves_the_binarised_and_the_normalised_line(tmp_path):
    for name in ("0001.bin.png", "0001.nrm.png", "0002.bin.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "0001.gt.txt").write_text("one")
    (tmp_path / "0002.gt.txt").write_text("two")
    source = read_source(str(tmp_path))
    assert [(page.text, page.document) for page in source.pages] == [
        ("one", "0001"),
        ("one", "0001"),
        ("two", "0002"),
    ]
    (finding,) = source.findings
    assert (finding.code, finding.where) == ("text-shared", str(tmp_path / "0001.gt.txt"))


def test_two_texts_of_an_image_are_an_error_and_no_choice(folder):
    path = folder(page_png="plain", other_png="other")
    (path / "page.md").write_text("# marked")
    source = read_source(str(path))
    assert [page.name for page in source.pages] == ["other.png"]
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("texts-several", "error")
    assert finding.message == "the image has several texts: .md and .txt"
    assert "page.png: page.md, page.txt" in finding.where
    assert f"folder:{path}?text=md" in finding.hint


@pytest.mark.parametrize(
    ("choice", "text"), [("md", "# marked"), ("txt", "plain"), ("none", None), ("json", None)]
)
def test_the_uri_chooses_among_texts(choice, text, folder):
    path = folder(page_png="plain")
    (path / "page.md").write_text("# marked")
    source = read_source(f"folder:{path}?text={choice}")
    assert ([page.text for page in source.pages], source.findings) == ([text], [])


def test_texts_of_different_kinds_are_taken_with_a_warning(folder):
    path = folder(a_png="plain", b_png=None, c_png="plain")
    (path / "b.md").write_text("# marked")
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["plain", "# marked", "plain"]
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("texts-mixed", "warning")
    assert finding.message.endswith("2 .txt, 1 .md")


def test_each_image_can_be_a_document(folder):
    path = folder(x__1_png="", x__2_png="", loose_png="")
    documents = [page.document for page in read_pages(f"folder:{path}?document=file")]
    assert documents == ["loose", "x/1", "x/2"]


@pytest.mark.parametrize(
    ("written", "page"),
    [
        ('{"total": 1.50,\n "names": ["Ö", null]}', ('{"total":1.5,"names":["Ö",null]}', None, "page")),
        ('{"text": "words", "prompt": "Read.", "document": 7}', ("words", "Read.", "7")),
        ('{"text": "words", "other": 1}', ('{"text":"words","other":1}', None, "page")),
        ('{"text": 5}', ('{"text":5}', None, "page")),
        ("[]", ("[]", None, "page")),
    ],
)
def test_json_beside_an_image_is_the_target_or_the_fields_of_its_page(written, page, folder):
    path = folder(page_png=None)
    (path / "page.json").write_text(written, encoding="utf-8")
    (read,) = read_pages(str(path))
    assert (read.text, read.prompt, read.document) == page


def test_a_field_of_the_wrong_type_costs_the_page(folder):
    path = folder(page_png=None, good_png="x")
    (path / "page.json").write_text('{"text": "words", "prompt": 5}')
    (error,) = (found for found in read_source(str(path)).findings if found.severity == "error")
    assert (error.code, error.message) == ("text-broken", "`prompt` is a number, not a string")


def test_transcriptions_in_xml_go_before_json_but_not_before_texts(folder):
    path = folder(page_png=None)
    (path / "page.json").write_text('{"width": 4}')
    (path / "page.hocr").write_text(
        "<html><body><div class='ocr_page' title='image \"page.png\"; bbox 0 0 4 4'>"
        "<span class='ocr_line' title='bbox 0 0 4 4'>words</span></div></body></html>"
    )
    assert [page.text for page in read_pages(str(path))] == ["words"]
    (path / "page.txt").write_text("typed")
    source = read_source(f"folder:{path}?text=txt")
    assert [page.text for page in source.pages] == ["typed"]
    assert [finding.code for finding in source.findings] == ["transcript-beside-text"]


def test_a_folder_read_as_images_tells_that_its_manifest_is_left_out(folder):
    path = folder(page_png="x")
    (path / "manifest.jsonl").write_text("{}")
    source = read_source(f"folder:{path}")
    assert [page.text for page in source.pages] == ["x"]
    assert [finding.code for finding in source.findings] == ["manifest-beside-images"]


def test_one_image_takes_the_text_that_is_chosen(folder):
    path = folder(page_png="plain") / "page.png"
    path.with_suffix(".md").write_text("# marked")
    (page,) = read_pages(f"folder:{path}?text=md")
    assert page.text == "# marked"
    with pytest.raises(SourceError, match="several texts"):
        read_pages(str(path))


def test_a_wrong_option_is_told_with_the_right_ones(folder):
    path = folder(page_png="x")
    with pytest.raises(SourceError, match="found 'gt'") as caught:
        read_pages(f"folder:{path}?text=gt&document=page")
    assert "document: must be one of folder, file" in caught.value.message
    with pytest.raises(SourceError, match="neither a folder nor an image"):
        read_pages(f"folder:{path / 'page.txt'}")


def test_lines_of_the_read_dataset_and_pages_of_transkribus_are_read_as_exported(tmp_path):
    for name in ("read/Seite0001/1882-L_083_01_009.png", "trp/0012_Bd_03.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "read/Seite0001/1882-L_083_01_009.txt").write_text("daß für\n", encoding="utf-8")
    (tmp_path / "trp/0012_Bd_03.txt").write_bytes("\ufeffErste\r\n\r\nZweite\r\n".encode())
    source = read_source(str(tmp_path))
    assert [page.text for page in source.pages] == ["daß für", "Erste\n\nZweite"]
    assert [page.document for page in source.pages] == ["read/Seite0001", "trp"]
    assert source.findings == []


def test_a_folder_that_cannot_be_looked_into_is_told(folder, monkeypatch):
    path = folder(a_png="x", shut__b_png="y")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    source = read_source(str(path))
    assert [page.name for page in source.pages] == ["a.png"]
    assert [(finding.code, finding.where) for finding in source.findings] == [
        ("folder-unreadable", str(path / "shut"))
    ]


def test_links_to_files_are_followed_and_circles_are_not(folder):
    path = folder(sub__a_png="x")
    (path / "sub/again").symlink_to(path, target_is_directory=True)
    (path / "linked.png").symlink_to(path / "sub/a.png")
    (path / "gone.png").symlink_to(path / "nowhere.png")
    assert [file.name for file in find_files(path)] == ["linked.png", "a.png", "a.txt"]


def test_numbers_sort_as_numbers_and_letters_without_case():
    names = ["a1", "A2", "a10", "a10b", "b", "9", "10", "a02b"]
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == ["9", "10", "a1", "A2", "a02b", "a10", "a10b", "b"]


@given(st.lists(st.text(), max_size=8))
def test_any_names_can_be_sorted(names):
    assert len(sorted(names, key=natural_key)) == len(names)


def test_what_has_a_name_that_is_not_utf8_is_left_out_and_told(tmp_path):
    folder = tmp_path / "in"
    (folder / "good").mkdir(parents=True)
    Image.new("L", (40, 30)).save(folder / "good" / "é.png")
    for name in (b"bad\xff.png", b"vol\xe9"):
        (folder / os.fsdecode(name)).mkdir()
    Image.new("L", (40, 30)).save(folder / os.fsdecode(b"vol\xe9") / "a.png")
    imported = import_pages([str(folder)], tmp_path / "out")
    assert imported.num_pages == 1
    assert {(one.code, one.severity, one.where) for one in imported.findings} == {
        ("file-name", "error", f"{folder}/bad\ufffd.png"),
        ("file-name", "error", f"{folder}/vol\ufffd"),
    }
