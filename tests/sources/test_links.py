"""Paths and links that lead out of the data are refused by name, wherever they are written."""

import json
import os
from functools import partial

import pytest
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import read_source
from ocrtune.sources.image_paths import check_inside, is_inside
from ocrtune.sources.jsonl import BrokenLine


@pytest.fixture
def data(tmp_path):
    """A folder of data with a page in it, beside a folder of others' images."""
    for name in ("data/own.png", "data/sub/deep.png", "others/secret.png", "others/more/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20)).save(tmp_path / name)
    return tmp_path / "data"


def names(uri):
    return [page.name for page in read_source(str(uri)).pages]


def found(uri):
    return [(finding.code, finding.severity) for finding in read_source(str(uri)).findings]


# One path.


@pytest.mark.parametrize(
    "written",
    ["../others/secret.png", "/etc/passwd", "..", "sub/../../others/x.png", "sub/..", "missing/../../x.png"],
)
def test_paths_are_inside_or_not_whether_they_exist_or_not(written, data):
    if written == "sub/..":
        check_inside(data / written, data)
        return
    with pytest.raises(BrokenLine, match="lies outside the folder") as caught:
        check_inside(data / written, data)
    assert caught.value.code == "image-outside"
    assert "OCRTUNE_DATA_ROOT=" in caught.value.hint


def test_a_folder_whose_name_begins_alike_is_outside(data):
    assert not is_inside(data.with_name("data2") / "x.png", data)
    assert is_inside(data / "x.png", data.with_name("data") / "sub" / "..")


@pytest.mark.parametrize("link", ["link.png", "folder/secret.png", "folder/../secret.png", "chain.png"])
def test_links_out_are_outside(link, data):
    (data / "link.png").symlink_to("../others/secret.png")
    (data / "folder").symlink_to(data.parent / "others" / "more" / "..")
    (data / "chain.png").symlink_to("link.png")
    assert not is_inside(data / link, data)


def test_links_within_the_data_are_inside(data):
    (data / "link.png").symlink_to("sub/deep.png")
    (data / "folder").symlink_to("sub")
    assert is_inside(data / "link.png", data)
    assert is_inside(data / "folder" / "deep.png", data)


def test_data_that_are_themselves_behind_a_link_stay_inside(data):
    (data.parent / "alias").symlink_to("data")
    assert is_inside(data.parent / "alias" / "own.png", data.parent / "alias")
    assert is_inside(data / "own.png", data.parent / "alias")
    assert not is_inside(data.parent / "alias" / ".." / "others" / "x.png", data.parent / "alias")


def test_a_relative_root_is_seen_from_where_the_process_is(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert is_inside(type(data)("data/own.png"), type(data)("data"))
    monkeypatch.chdir(data)
    assert not is_inside(type(data)("../data2/own.png"), type(data)("."))


def test_a_setting_allows_other_folders(data, monkeypatch):
    secret = data.parent / "others" / "secret.png"
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(data.parent / "nowhere"))
    assert not is_inside(secret, data)
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", f"{data.parent / 'nowhere'}{os.pathsep}{data.parent / 'others'}")
    assert is_inside(secret, data)
    assert not is_inside(type(data)("/etc/passwd"), data)
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", "/")
    assert is_inside(type(data)("/etc/passwd"), data)


def test_a_folder_is_asked_for_once_for_all_its_files(data, monkeypatch):
    asked = []
    real = os.path.realpath
    monkeypatch.setattr("os.path.realpath", lambda path, **options: asked.append(path) or real(path))
    monkeypatch.setattr("time.monotonic", lambda: 10.0**9)
    for number in range(100):
        check_inside(data / f"{number}.png", data)
    assert len(asked) == 1


# Every source that names images.


@pytest.mark.parametrize("written", ["link.png", "folder/secret.png", "../others/secret.png"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "chat"])
def test_tables_and_chats_refuse_what_leads_out(kind, written, data, monkeypatch):
    (data / "link.png").symlink_to("../others/secret.png")
    (data / "folder").symlink_to("../others")
    path = data / "t.json"
    rows = [{"image": name, "text": "x"} for name in ("own.png", written)]
    if kind == "csv":
        path.write_text("image,text\n" + "".join(f"{row['image']},x\n" for row in rows))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        said = [{"role": "user", "content": "<image>read"}, {"role": "assistant", "content": "x"}]
        path.write_text(json.dumps([{"messages": said, "images": [row["image"]]} for row in rows]))
    errors = partial(filter, lambda finding: finding[1] == "error")
    assert names(f"{kind}:{path}") == ["own.png"]
    assert list(errors(found(f"{kind}:{path}"))) == [("image-outside", "error")]
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(data.parent / "others"))
    assert names(f"{kind}:{path}") == ["own.png", written]


PAGE_XML = (
    '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
    '<Page imageFilename="{image}" imageWidth="20" imageHeight="20"><TextRegion id="r">'
    '<Coords points="1,1 19,1 19,19 1,19"/><TextLine id="l"><Coords points="1,1 19,1 19,19 1,19"/>'
    "<TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"
)


@pytest.mark.parametrize("image", ["link.png", "folder/secret.png", "images/linked.png"])
def test_transcriptions_refuse_what_leads_out(image, data, monkeypatch):
    (data / "images").mkdir()
    (data / "images" / "linked.png").symlink_to("../../others/secret.png")
    (data / "link.png").symlink_to("../others/secret.png")
    (data / "folder").symlink_to("../others")
    (data / "p.xml").write_text(PAGE_XML.format(image=image))
    with pytest.raises(SourceError, match="outside the data"):
        read_source(f"page:{data / 'p.xml'}")
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(data.parent / "others"))
    assert len(read_source(f"page:{data / 'p.xml'}").pages) == 1


# Folders.


def test_links_out_of_a_folder_are_told_and_not_followed(data, monkeypatch):
    (data / "link.png").symlink_to("../others/secret.png")
    (data / "folder").symlink_to("../others")
    assert names(data) == ["own.png", "sub/deep.png"]
    findings = read_source(str(data)).findings
    assert [(finding.code, finding.where) for finding in findings] == [
        ("link-outside", str(data / "folder")),
        ("link-outside", str(data / "link.png")),
    ]
    assert f"OCRTUNE_DATA_ROOT={data.parent / 'others'}" in findings[1].hint
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(data.parent / "others"))
    assert names(data) == ["folder/more/x.png", "folder/secret.png", "link.png", "own.png", "sub/deep.png"]
    assert found(data) == []


def test_a_text_behind_a_link_out_is_not_read(data):
    (data.parent / "others" / "key.txt").write_text("secret")
    (data / "own.txt").symlink_to("../others/key.txt")
    source = read_source(str(data))
    assert [page.text for page in source.pages] == [None, None]
    assert [finding.code for finding in source.findings] == ["link-outside"]


def test_a_folder_of_nothing_but_links_out_says_so(tmp_path, data):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to(data / "own.png")
    with pytest.raises(SourceError, match="leads out of the folder") as caught:
        read_source(str(tmp_path / "links"))
    assert f"OCRTUNE_DATA_ROOT={data}" in caught.value.hint


def test_links_within_a_folder_are_files_like_others_and_loops_end(data):
    (data / "again.png").symlink_to("own.png")
    (data / "sub" / "loop").symlink_to("..")
    (data / "gone.png").symlink_to("nowhere.png")
    assert names(data) == ["again.png", "own.png", "sub/deep.png"]
    assert sorted(found(data)) == [("link-broken", "warning"), ("link-folder", "note")]


def test_loops_through_an_allowed_folder_end_too(data, monkeypatch):
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(data.parent))
    (data / "up").symlink_to("..")
    (data.parent / "others" / "back").symlink_to("../others")
    assert names(data) == ["own.png", "sub/deep.png", "up/others/more/x.png", "up/others/secret.png"]


def test_a_folder_that_is_itself_a_link_is_walked(data):
    (data.parent / "alias").symlink_to("data")
    assert names(data.parent / "alias") == ["own.png", "sub/deep.png"]
    assert found(data.parent / "alias") == []


def test_transcriptions_and_pdfs_tell_links_out_as_well(data, tmp_path):
    (data / "p.xml").write_text(PAGE_XML.format(image="own.png"))
    (tmp_path / "others" / "q.xml").write_text(PAGE_XML.format(image="secret.png"))
    (data / "q.xml").symlink_to("../others/q.xml")
    assert ("link-outside", "error") in found(f"page:{data}")
    (data / "q.pdf").symlink_to("../others/q.xml")
    with pytest.raises(SourceError, match="leads out of the folder"):
        read_source(f"pdf:{data}")
