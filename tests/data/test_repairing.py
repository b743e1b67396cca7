import json

import pytest

from ocrtune.data import check_uri, write_repaired
from ocrtune.errors import SourceError
from ocrtune.records import Page, PdfPage
from ocrtune.sources import read_pages, write_jsonl


def without_hyphens(text):
    mended = text.replace("\u00ad", "")
    return mended, ["invisible-character"] if mended != text else []


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def uri(picture, tmp_path):
    for name, seed in {"a": 0, "b": 1, "c": 0, "d": 0}.items():
        picture(f"scans/{name}.png", seed)
    texts = {"a": "one", "b": "co\u00adop", "c": "one", "d": "two"}
    rows = [{"image": f"scans/{name}.png", "text": text, "document": 7} for name, text in texts.items()]
    write_jsonl(tmp_path / "m.jsonl", [*rows, {"images": [], "prompt": "say", "text": "x"}])
    return str(tmp_path / "m.jsonl")


def test_texts_are_mended_doubles_left_out_and_every_change_is_listed(monkeypatch, uri, tmp_path):
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(tmp_path))
    check = check_uri(uri)
    path = tmp_path / "out" / "fixed.jsonl"
    repaired = write_repaired(read_pages(uri), path, without_hyphens, repeated=check.repeated)
    assert (repaired.num_pages, repaired.num_repaired, repaired.num_dropped) == (4, 1, 1)
    pages = read_pages(str(path))
    assert [page.text for page in pages] == ["one", "coop", "two", "x"]
    assert all(image.is_file() for page in pages for image in page.images)
    assert [page.document for page in pages[:3]] == ["7"] * 3
    assert pages[3].prompt == "say"
    assert [
        (row["image"], row["codes"], row["before"], row["after"]) for row in lines_of(repaired.changes)
    ] == [
        ("scans/b.png", ["invisible-character"], "co\u00adop", "coop"),
        ("scans/c.png", ["image-repeated"], "one", None),
    ]


def test_what_is_sound_stays_as_it_is(uri, tmp_path):
    repaired = write_repaired(read_pages(uri), tmp_path / "f.jsonl", lambda text: (text, []))
    assert repaired.changes.read_text() == ""
    before, after = read_pages(uri), read_pages(str(repaired.manifest))
    assert [(page.images[:1], page.text, page.document) for page in before[:4]] == [
        (page.images[:1], page.text, page.document) for page in after[:4]
    ]


@pytest.mark.parametrize("kind", ["pdf", "twice"])
def test_pages_that_no_manifest_can_name_are_refused_and_nothing_is_left(kind, picture, tmp_path):
    image = picture("a.png")
    other = PdfPage(path=image, number=1, dpi=72) if kind == "pdf" else image
    pages = [
        Page(name="a", images=(image,), text="x"),
        Page(name="b", images=(other,), text="y", where="m:2"),
    ]
    with pytest.raises(SourceError) as caught:
        write_repaired(pages, tmp_path / "f.jsonl", without_hyphens)
    assert caught.value.where == "m:2"
    assert "ocrtune import" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_a_file_that_is_there_is_not_written_over(uri, tmp_path):
    with pytest.raises(SourceError, match="already"):
        write_repaired(read_pages(uri), tmp_path / "m.jsonl", without_hyphens)
