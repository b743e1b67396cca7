from collections import Counter

import pytest
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import SAMPLES, open_image, read_pages, sample_path


def test_the_sample_lines_are_257_of_six_pages():
    pages = read_pages("builtin")
    assert len(pages) == 257
    assert Counter(page.document for page in pages) == {"1": 43, "2": 41, "3": 52, "4": 42, "5": 40, "6": 39}
    assert pages[0].text == "THE SIEGE OF VICKSBURG. 49"
    assert all(page.text for page in pages)


def test_every_sample_image_opens():
    for name in SAMPLES:
        for page in read_pages(str(sample_path(name))):
            opened = open_image(page.images[0])
            assert opened.mode == "RGB"
            assert min(opened.size) >= 20


def test_the_sample_pages_are_six_documents():
    pages = read_pages(str(sample_path("vicksburg_pages")))
    assert len({page.document for page in pages}) == len(pages) == 6


def test_the_lines_of_a_page_are_found_in_its_text():
    # Drop caps and captions part a few lines otherwise than the page's text does.
    whole = " ".join(page.text for page in read_pages(str(sample_path("vicksburg_pages")))).replace("\n", " ")
    lines = [page.text for page in read_pages("builtin")]
    assert sum(line in whole for line in lines) > 0.97 * len(lines)


def test_the_samples_tell_where_they_are_from():
    readme = (sample_path("vicksburg_lines").parent / "README.md").read_text()
    for word in ("public domain", "1885", "pypdf 7.1.0", "BSD-3", "corrected by hand"):
        assert word in readme


def test_unknown_samples_are_an_error():
    with pytest.raises(SourceError, match="no sample data 'lines'") as caught:
        sample_path("lines")
    assert "vicksburg_lines" in caught.value.hint


def test_a_folder_with_a_manifest_is_that_manifest(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    (tmp_path / "manifest.jsonl").write_text('{"image": "b.png", "text": "b"}')
    assert [page.name for page in read_pages(str(tmp_path))] == ["b.png"]


def test_one_image_is_a_page_with_the_text_beside_it(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "scan.png")
    (tmp_path / "scan.txt").write_text("words")
    (page,) = read_pages(str(tmp_path / "scan.png"))
    assert (page.name, page.text, page.document) == ("scan.png", "words", "scan")


def test_a_folder_named_builtin_is_reached_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "builtin").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "builtin" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(read_pages("builtin")) == 257
    assert len(read_pages("./builtin")) == 1


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("manifets.jsonl", "did you mean 'manifest.jsonl'?"),
        ("buitlin", "did you mean 'builtin'?"),
        ("nowhere/x.jsonl", "there is no folder 'nowhere' either"),
        ("zzz", "looked in"),
    ],
)
def test_a_source_that_is_not_there_gets_a_hint(uri, hint, tmp_path, monkeypatch):
    (tmp_path / "manifest.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="no file or folder") as caught:
        read_pages(uri)
    assert hint in caught.value.hint


def test_a_file_of_another_kind_is_no_source(tmp_path):
    (tmp_path / "book.docx").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"suffix '\.docx' is no source"):
        read_pages(str(tmp_path / "book.docx"))


def test_a_stream_is_no_source_of_files_and_the_error_says_how_to_make_some():
    with pytest.raises(SourceError, match="without end") as caught:
        read_pages("synth:lines-en")
    assert "ocrtune synth lines-en -o pages/" in caught.value.hint
