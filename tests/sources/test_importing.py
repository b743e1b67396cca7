import json

import pytest
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import open_image, read_pages, write_jsonl
from ocrtune.sources.importing import import_pages


@pytest.fixture
def scans(tmp_path):
    """Two scans in a folder, one beside it that is broken, and a table of all three."""
    folder = tmp_path / "scans"
    (folder / "vol 1").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / "vol 1" / "a.png")
    Image.new("L", (20, 30), 7).save(folder / "b.jpg")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    rows = "file,text,document\nvol 1/a.png,Ein Wort,x\nb.jpg,,\nbroken.png,z,\n"
    (folder / "lines.csv").write_text(rows.replace("file,", "image,"))
    return folder


def test_pages_are_written_as_a_source_of_their_own(scans, tmp_path):
    imported = import_pages([f"csv:{scans / 'lines.csv'}"], tmp_path / "out")
    pages = read_pages(str(tmp_path / "out"))
    assert imported.num_pages == len(pages) == 2
    assert (pages[0].text, pages[0].document) == ("Ein Wort", "x")
    assert pages[1].text is None
    assert [open_image(page.images[0]).size for page in pages] == [(40, 30), (20, 30)]
    assert (scans / "b.jpg").read_bytes() == pages[1].images[0].read_bytes()


def test_an_image_that_cannot_be_read_is_listed_and_costs_one_page(scans, tmp_path):
    imported = import_pages([str(scans / "lines.csv")], tmp_path / "out")
    errors = [finding for finding in imported.findings if finding.severity == "error"]
    assert [finding.code for finding in errors] == ["image"]
    assert "broken.png" in errors[0].where
    rows = (tmp_path / "out" / "findings.jsonl").read_text().splitlines()
    assert [json.loads(row)["code"] for row in rows].count("image") == 1


def test_parts_of_scans_are_cut_once(tmp_path):
    Image.effect_noise((300, 200), 80).save(tmp_path / "p.png")
    (tmp_path / "p.xml").write_text(
        '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        '<Page imageFilename="p.png" imageWidth="300" imageHeight="200"><TextRegion id="r">'
        '<Coords points="10,10 200,10 200,60 10,60"/><TextLine id="l">'
        '<Coords points="10,10 200,10 200,60 10,60"/>'
        "<TextEquiv><Unicode>ein Wort</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"
    )
    uri = f"page:{tmp_path}?level=line&margin=0"
    import_pages([uri], tmp_path / "out")
    (written,), (cut,) = read_pages(str(tmp_path / "out")), read_pages(uri)
    assert written.text == "ein Wort"
    assert open_image(written.images[0]).tobytes() == open_image(cut.images[0]).tobytes()


def test_pages_of_one_name_get_files_of_their_own(scans, tmp_path):
    import_pages([str(scans / "b.jpg"), str(scans / "b.jpg")], tmp_path / "out")
    assert len({page.name for page in read_pages(str(tmp_path / "out"))}) == 2


def test_names_cannot_lead_out_of_the_folder(scans, tmp_path):
    write_jsonl(scans / "m.jsonl", [{"image": "../scans/../scans/b.jpg", "text": "x"}])
    import_pages([str(scans / "m.jsonl")], tmp_path / "out" / "deep")
    written = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {"b.jpg", "manifest.jsonl", "findings.jsonl"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scans"]


def test_a_folder_with_a_manifest_is_never_written_to(scans, tmp_path):
    import_pages([str(scans / "b.jpg")], tmp_path / "out")
    with pytest.raises(SourceError, match="a manifest lies there already"):
        import_pages([str(scans / "b.jpg")], tmp_path / "out")


def test_no_page_left_is_an_error_that_names_the_list(scans, tmp_path):
    with pytest.raises(SourceError, match="no page is left") as caught:
        import_pages([str(scans / "broken.png")], tmp_path / "out")
    assert "findings.jsonl" in caught.value.hint


def test_a_file_that_lies_there_already_is_left_alone(scans, tmp_path):
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "b.jpg").write_bytes(b"somebody's")
    import_pages([str(scans / "b.jpg")], tmp_path / "out")
    assert (tmp_path / "out" / "images" / "b.jpg").read_bytes() == b"somebody's"
    (page,) = read_pages(str(tmp_path / "out"))
    assert page.images[0].read_bytes() == (scans / "b.jpg").read_bytes()
