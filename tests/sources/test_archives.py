"""Archives made to do harm, and those that only look odd."""

import gzip
import io
import json
import stat
import tarfile
import zipfile

import pytest
from PIL import Image
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.errors import ArchiveError, ArchiveUnsafe, SourceError
from ocrtune.sources import read_pages, read_source
from ocrtune.sources.archives import MARK_NAME, is_archive, top_folder, unpack
from ocrtune.sources.importing import import_pages

GOOD = ("ok/good.txt", b"good")


def make_zip(path, *members, method=zipfile.ZIP_DEFLATED):
    """Members are (name, content), or (ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make_tar(path, *members):
    """Members are (name, content), or TarInfos without content."""
    with tarfile.open(path, "w:gz" if path.name.lower().endswith("gz") else "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def make(path, *members):
    return (make_zip if path.suffix == ".zip" else make_tar)(path, *members)


def tar_info(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_info(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def files_of(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and path.name != MARK_NAME
    )


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.TGZ"]


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / request.param


def refuse(path, match, error=ArchiveUnsafe):
    """Unpacking raises, and the disk is as it was."""
    before = sorted(path.parent.parent.rglob("*"))
    with pytest.raises(error, match=match) as caught:
        unpack(path, path.parent / "out")
    assert sorted(path.parent.parent.rglob("*")) == before
    assert caught.value.where == str(path)
    return caught.value


def test_an_archive_becomes_a_folder(path):
    make(path, GOOD, ("top.txt", b"top"), ("windows\\x.txt", b"w"), ("./dot.txt", b"d"), ("empty", b""))
    assert unpack(path, path.parent / "new" / "out") == []
    out = path.parent / "new" / "out"
    assert files_of(out) == ["dot.txt", "empty", "ok/good.txt", "top.txt", "windows/x.txt"]
    assert (out / "ok" / "good.txt").read_bytes() == b"good"
    assert [found.name for found in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "ok/../../evil",
        "/evil",
        "..\\evil",
        "\\evil",
        "C:\\evil",
        "C:evil",
        "//host/share/evil",
        "a\nb",
    ],
)
def test_a_name_that_leads_out_refuses_the_whole_archive(name, path):
    make(path, GOOD, (name, b"evil"))
    assert "nothing of it was unpacked" in refuse(path, "leads out of its folder").hint


LINKS = [
    ("a.zip", (zip_info("evil", stat.S_IFLNK | 0o777), "/etc/passwd"), "a link"),
    ("a.zip", (zip_info("evil", stat.S_IFIFO | 0o600), ""), "a device"),
    ("a.tar", tar_info("evil", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
    ("a.tar", tar_info("evil", tarfile.LNKTYPE, "/etc/passwd"), "a link"),
    ("a.tar", tar_info("evil", tarfile.CHRTYPE), "a device"),
    ("a.tar", tar_info("evil", tarfile.BLKTYPE), "a device"),
    ("a.tgz", tar_info("evil", tarfile.FIFOTYPE), "a device"),
]


@pytest.mark.parametrize(("name", "member", "kind"), LINKS)
def test_links_and_devices_are_left_out_and_told(name, member, kind, tmp_path):
    path = make(tmp_path / name, GOOD, member)
    (finding,) = unpack(path, tmp_path / "out")
    assert (finding.code, finding.severity) == ("archive-unsafe", "error")
    assert finding.message == f"{kind} in the archive is left out"
    assert finding.where == f"{path}#evil"
    assert files_of(tmp_path / "out") == ["ok/good.txt"]


def test_a_file_is_not_written_through_a_link_that_came_before_it(tmp_path):
    (tmp_path / "victim").mkdir()
    link = tar_info("way", tarfile.SYMTYPE, str(tmp_path / "victim"))
    path = make_tar(tmp_path / "a.tar", link, ("way/evil.txt", b"evil"))
    assert len(unpack(path, tmp_path / "out")) == 1
    assert list((tmp_path / "victim").iterdir()) == []
    assert files_of(tmp_path / "out") == ["way/evil.txt"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Page.txt", "page.TXT"), ("A/x", "a/x"), ("ß", "SS"), ("e\u0301", "é"), ("f", "F/x"), ("F/x", "f")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_some_disks_cannot_tell_apart_are_told(first, second, path):
    make(path, (first, b"1"), (second, b"2"))
    (finding,) = unpack(path, path.parent / "out")
    assert "if case does not count" in finding.message
    assert files_of(path.parent / "out") == [first]
    assert (path.parent / "out" / first).read_bytes() == b"1"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice_is_told(path):
    make(path, ("x", b"1"), ("x", b"2"))
    assert len(unpack(path, path.parent / "out")) == 1
    assert (path.parent / "out" / "x").read_bytes() == b"1"


def test_too_many_bytes_are_refused(path, monkeypatch):
    make(path, GOOD, ("a", b"x" * 600), ("b", b"x" * 600))
    monkeypatch.setenv("OCRTUNE_MAX_ARCHIVE_BYTES", "1204")
    unpack(path, path.parent / "fits")
    monkeypatch.setenv("OCRTUNE_MAX_ARCHIVE_BYTES", "1203")
    assert "OCRTUNE_MAX_ARCHIVE_BYTES" in refuse(path, "unpacks to more than 1,203 bytes").hint


def test_too_many_files_are_refused(path, monkeypatch):
    make(path, *[(f"f{number}", b"") for number in range(11)])
    monkeypatch.setenv("OCRTUNE_MAX_ARCHIVE_FILES", "10")
    assert "OCRTUNE_MAX_ARCHIVE_FILES" in refuse(path, "holds more than 10 files").hint


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_refused_by_its_ratio(name, tmp_path):
    (tmp_path / "here").mkdir()
    path = make(tmp_path / "here" / name, GOOD, ("bomb", b"\0" * (2**26 + 1)))
    assert path.stat().st_size < 2**18
    assert "OCRTUNE_MAX_ARCHIVE_RATIO" in refuse(path, "more than 200 times its size").hint


def test_a_zip_that_claims_less_than_it_holds_does_not_get_past(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    path = make_zip(tmp_path / "here" / "a.zip", ("bomb", b"x" * 5000))
    claimed = (5000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(claimed, (10).to_bytes(4, "little")))
    refuse(path, "cannot be unpacked: Bad CRC", ArchiveError)


def test_a_tar_header_that_claims_gigabytes_is_not_believed(tmp_path):
    (tmp_path / "here").mkdir()
    info = tar_info("x", tarfile.XHDTYPE)
    info.size = 2**33
    (tmp_path / "here" / "a.tgz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240))
    refuse(tmp_path / "here" / "a.tgz", "header of absurd length")


def test_an_encrypted_zip_is_refused(tmp_path):
    (tmp_path / "here").mkdir()
    path = make_zip(tmp_path / "here" / "a.zip", GOOD, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the file's own header
    content[content.index(b"PK\1\2") + 8] |= 1  # and in the table of contents
    path.write_bytes(content)
    assert "unpack it yourself" in refuse(path, "asks for a password").hint


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"\x1f\x8b\x08 broken"])
def test_a_broken_archive_is_named_and_leaves_nothing(content, path):
    path.write_bytes(content)
    refuse(path, "cannot be unpacked", ArchiveError)


def test_an_archive_that_is_cut_off_leaves_nothing(path):
    make(path, GOOD, ("noise", bytes(range(256)) * 400))
    path.write_bytes(path.read_bytes()[:-2000] if path.suffix == ".zip" else path.read_bytes()[:600])
    refuse(path, "cannot be unpacked", ArchiveError)


def test_a_name_too_long_for_the_disk_is_named(path):
    make(path, GOOD, ("x" * 300, b""))
    refuse(path, "cannot be unpacked", ArchiveError)


def test_a_folder_that_is_there_is_never_written_into(path):
    make(path, GOOD)
    (path.parent / "out").mkdir()
    (path.parent / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ArchiveError, match="is there already"):
        unpack(path, path.parent / "out")
    assert files_of(path.parent / "out") == ["mine.txt"]


def test_an_archive_unpacked_before_is_not_unpacked_again(path):
    make(path, GOOD)
    unpack(path, path.parent / "out")
    (path.parent / "out" / "ok" / "good.txt").write_text("mended by hand")
    unpack(path, path.parent / "out")
    assert (path.parent / "out" / "ok" / "good.txt").read_text() == "mended by hand"
    make(path, GOOD, ("more", b"x"))
    with pytest.raises(ArchiveError, match="is there already"):
        unpack(path, path.parent / "out")


def test_what_is_no_archive_is_named(tmp_path):
    with pytest.raises(ArchiveError, match="no such archive"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    assert not is_archive(tmp_path / "a.rar")
    with pytest.raises(ArchiveError, match="no archive that is known"):
        unpack(tmp_path / "a.rar", tmp_path / "out")


def test_a_single_folder_in_an_archive_is_gone_through(tmp_path):
    unpack(make_zip(tmp_path / "a.zip", ("x/y/1.txt", b""), ("x/y/2.txt", b"")), tmp_path / "out")
    assert top_folder(tmp_path / "out") == tmp_path / "out" / "x" / "y"


# Importing.


def picture(size=(40, 30)):
    file = io.BytesIO()
    Image.new("L", size, 255).save(file, format="PNG")
    return file.getvalue()


XML = (
    b'<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
    b'<Page imageFilename="p.png" imageWidth="40" imageHeight="30"><TextRegion id="r">'
    b'<Coords points="1,1 39,1 39,29 1,29"/><TextLine id="l"><Coords points="1,1 39,1 39,29 1,29"/>'
    b"<TextEquiv><Unicode>Ein Wort</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"
)


@pytest.mark.parametrize("name", ["export.zip", "export.tar.gz"])
def test_an_export_is_imported_from_its_archive(name, tmp_path):
    path = make(tmp_path / name, ("job/doc/page/p.xml", XML), ("job/doc/p.png", picture()))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["import", "page", str(path), "--option", "level=page", "-o", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pages"] == 1
    (page,) = read_pages(str(out))
    assert page.text == "Ein Wort"
    assert (out / "unpacked" / name / "job" / "doc" / "page" / "p.xml").is_file()


def test_what_an_archive_left_out_is_among_the_findings(tmp_path):
    link = (zip_info("evil.png", stat.S_IFLNK | 0o777), "/etc/passwd")
    path = make_zip(tmp_path / "a.zip", ("1.png", picture()), ("1.txt", b"one"), link)
    imported = import_pages([str(path)], tmp_path / "out")
    assert imported.num_pages == 1
    assert [finding.code for finding in imported.findings] == ["archive-unsafe"]


def test_an_import_that_was_cut_off_is_done_again(tmp_path):
    path = make_zip(tmp_path / "a.zip", ("1.png", b"broken"))
    for _ in range(2):
        with pytest.raises(SourceError, match="no page is left"):
            import_pages([str(path)], tmp_path / "out")


def test_an_unsafe_archive_stops_an_import(tmp_path):
    path = make_zip(tmp_path / "a.zip", ("1.png", picture()), ("../evil", b"x"))
    result = CliRunner().invoke(app, ["import", "auto", str(path), "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, ArchiveUnsafe)
    assert not (tmp_path / "evil").exists()
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize(("kind", "told"), [("", "auto"), ("page:", "page"), ("pdf:", "pdf")])
def test_an_archive_as_a_source_is_refused_with_the_command_that_unpacks_it(kind, told, tmp_path):
    path = make_zip(tmp_path / "a.zip", ("1.png", picture()))
    with pytest.raises(SourceError, match="is an archive") as caught:
        read_source(f"{kind}{path}")
    assert f"ocrtune import {told} {path} -o FOLDER" in caught.value.hint
