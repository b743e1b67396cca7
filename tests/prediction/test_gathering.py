import io
import json
import shutil

import pytest
from tiny_models import random_page
from tiny_pdfs import Print, write_pdf
from tiny_shards import PAGES, write_tars

from ocrtune.errors import ImageError, PredictionError, SourceError
from ocrtune.prediction import gather_pages
from ocrtune.sources import open_image, read_pages


@pytest.fixture
def scans(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/2.png", "a/10.png", "b/1.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        random_page("", (40, 30), 0).images[0].save(path)
    return tmp_path


def names(*sources):
    return [page.name for page in gather_pages(sources)]


def test_one_source_is_what_read_pages_gives(scans):
    assert list(gather_pages(["a"])) == list(read_pages("a"))
    assert list(gather_pages(["a/1.png"])) == list(read_pages("a/1.png"))
    assert names("builtin") == [page.name for page in read_pages("builtin")]


def test_images_of_several_sources_are_named_by_their_paths(scans):
    assert names("a/1.png", "b/1.png") == ["a/1.png", "b/1.png"]


def test_a_glob_is_in_natural_order_and_one_that_matches_nothing_is_an_error(scans):
    assert names("a/*.png", "b/1.png") == ["a/1.png", "a/2.png", "a/10.png", "b/1.png"]
    assert names("**/2.png") == ["2.png"]
    with pytest.raises(SourceError, match=r"nothing matches 'c/\*\.png'"):
        gather_pages(["c/*.png"])


def test_a_file_whose_name_looks_like_a_glob_is_that_file(scans):
    (scans / "b/1.png").rename(scans / "b/[1].png")
    assert names("b/[1].png", "a/1.png") == ["b/[1].png", "a/1.png"]


def test_stdin_lists_sources(scans, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("b/1.png\n\n  \r\na/2.png\r\n"))
    assert names("-") == ["b/1.png", "a/2.png"]


def test_names_that_come_again_get_their_source_before_them(scans):
    assert names("a", "b") == ["1.png", "2.png", "10.png", "b/1.png"]
    assert [page.document for page in gather_pages(["a", "b"])][-1] == "b/1"
    with pytest.raises(PredictionError, match=r"'1\.png' is named twice"):
        gather_pages(["a", "a", "a"])


def test_all_pages_of_a_pdf_are_taken_with_text_or_without(scans):
    book = write_pdf(scans / "book.pdf", [[Print(says="abc")], [], [Print(says="d")]])
    assert len(read_pages(str(book))) == 2
    pages = gather_pages([str(book)])
    assert [(page.name, page.document) for page in pages] == [
        (f"book.pdf#{number}", "book.pdf") for number in (1, 2, 3)
    ]
    assert open_image(pages[1].images[0]).size == open_image(read_pages(str(book))[0].images[0]).size
    assert names(f"pdf:{book}?pages=2-3&dpi=100") == ["book.pdf#2", "book.pdf#3"]
    with pytest.raises(SourceError, match="has 3 pages, not the pages 3-9"):
        gather_pages([f"pdf:{book}?pages=3-9"])


def test_pdfs_among_images_come_behind_them(scans):
    write_pdf(scans / "a/book.pdf", [[Print(says="abc")], []])
    assert names("a") == ["1.png", "2.png", "10.png", "book.pdf#1", "book.pdf#2"]


def test_a_broken_pdf_is_a_page_that_cannot_be_opened(scans):
    (scans / "no.pdf").write_bytes(b"no PDF")
    (page,) = gather_pages(["no.pdf"])
    with pytest.raises(ImageError, match="no PDF that can be read"):
        open_image(page.images[0])
    with pytest.raises(SourceError):
        gather_pages(["missing.pdf"])


def test_manifests_and_shards_go_together_with_others(scans):
    (scans / "m.jsonl").write_text(json.dumps({"image": "a/2.png", "document": "d"}) + "\n")
    assert names("m.jsonl", "b/1.png") == ["a/2.png", "b/1.png"]
    assert len(names(write_tars(scans / "shards"), "a/1.png")) == PAGES + 1


def test_paths_of_a_list_are_not_opened(scans, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"none/{number}.png\n" for number in range(10_000))))
    assert len(gather_pages(["-"])) == 10_000


def test_a_list_of_nothing_is_an_error(scans, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n \n"))
    with pytest.raises(SourceError, match="nothing is named"):
        gather_pages(["-"])


def test_a_list_that_is_not_utf_8_is_an_error(scans, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a/\xff.png\n"), encoding="utf-8"))
    with pytest.raises(SourceError, match="not UTF-8"):
        gather_pages(["-"])


def test_an_image_named_twice_is_not_read_twice(scans):
    with pytest.raises(PredictionError, match=r"'a/1\.png' is named twice"):
        gather_pages(["a/*.png", "a/1.png"])


def test_documents_of_two_folders_are_not_mixed(scans):
    for name in ("v/x/1.png", "w/x/1.png", "w/x/2.png", "u/x/3.png"):
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scans / "a/1.png", scans / name)
    found = [(page.name, page.document) for page in gather_pages(["v", "w", "u"])]
    assert found == [("x/1.png", "x"), ("w/x/1.png", "w/x"), ("x/2.png", "w/x"), ("x/3.png", "u/x")]


def test_parts_of_a_pdf_stay_one_document(scans):
    book = write_pdf(scans / "book.pdf", [[], [], []])
    pages = gather_pages([f"pdf:{book}?pages=1", f"pdf:{book}?pages=3"])
    assert [page.document for page in pages] == ["book.pdf", "book.pdf"]


def test_a_broken_tiff_among_others_is_a_page_that_cannot_be_opened(scans):
    (scans / "a/no.tif").write_bytes(b"no TIFF")
    pages = gather_pages(["a/no.tif", "a/missing.tif", "a/1.png"])
    assert [page.name for page in pages] == ["a/no.tif", "a/missing.tif", "a/1.png"]
    for page in pages[:2]:
        with pytest.raises(ImageError):
            open_image(page.images[0])
