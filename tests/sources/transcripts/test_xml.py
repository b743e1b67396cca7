import pytest

from ocrtune.errors import TranscriptError, UnsafeXml
from ocrtune.sources.transcripts import xml
from ocrtune.sources.transcripts.alto import read_alto
from ocrtune.sources.transcripts.hocr import read_hocr
from ocrtune.sources.transcripts.page_xml import read_page_xml

READERS = (read_page_xml, read_alto, read_hocr)
EXTERNAL = '<!DOCTYPE PcGts [<!ENTITY secret SYSTEM "file://{}">]><PcGts>&secret;</PcGts>'
LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><PcGts a="&b;">&b;</PcGts>'


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_files_that_declare_entities_are_refused(tmp_path, write, read, encoding):
    (tmp_path / "secret").write_text("secret words")
    for content in (EXTERNAL.format(tmp_path / "secret"), LAUGHS):
        with pytest.raises(UnsafeXml, match="declares entities") as caught:
            read(write(content.encode(encoding)))
        assert "secret words" not in str(caught.value)


def test_a_declaration_that_an_encoding_hides_is_refused_too(write):
    hidden = '<?xml version="1.0" encoding="UTF-7"?>' + LAUGHS.replace("<!ENTITY", "+ADwAIQ-ENTITY")
    with pytest.raises(UnsafeXml, match="declares entities"):
        read_page_xml(write(hidden))


def test_html_that_is_not_well_formed_declares_no_entities_either(write):
    with pytest.raises(UnsafeXml, match="declares entities"):
        read_hocr(write("<!DOCTYPE html [<!ENTITY a 'b'>]><div class=ocr_page><br>&a;"))


@pytest.mark.parametrize("read", [read_page_xml, read_alto])
def test_an_external_dtd_is_refused(write, read):
    with pytest.raises(UnsafeXml, match=r"external DTD, 'http://example\.org/x\.dtd'"):
        read(write('<!DOCTYPE PcGts SYSTEM "http://example.org/x.dtd"><PcGts/>'))


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_too_large_is_not_read(write, monkeypatch, read):
    monkeypatch.setattr(xml, "MOST_BYTES", 10)
    with pytest.raises(TranscriptError, match="has 11 bytes, more than 10"):
        read(write(b"<a>12345</a"))


@pytest.mark.parametrize("read", [read_page_xml, read_alto])
def test_broken_xml_is_an_error_with_its_line(write, read):
    path = write("<PcGts>\n<Page>\n</PcGts>")
    with pytest.raises(TranscriptError, match="broken") as caught:
        read(path)
    assert caught.value.where == f"{path}:3"


@pytest.mark.parametrize("read", [read_page_xml, read_alto])
@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\xff\xfe", b"<a>\x01</a>", b"<" * 5000, b"<a>" * 5000])
def test_whatever_is_no_xml_is_one_clear_error(write, read, content):
    with pytest.raises(TranscriptError):
        read(write(content))


def test_another_root_element_is_named(write):
    with pytest.raises(TranscriptError, match="'mets', not 'PcGts'"):
        read_page_xml(write('<m:mets xmlns:m="http://www.loc.gov/METS/"/>'))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("<PcGts/>", "page"),
        ("<!-- a --><pc:PcGts xmlns:pc='x'>", "page"),
        ("<PcGts/>".encode("utf-16"), "page"),
        ("<alto xmlns='x'>", "alto"),
        ("<div id='x' class=\"ocr_page big\">", "hocr"),
        ("<mets/>", None),
        (b"\x89PNG", None),
    ],
)
def test_formats_are_recognised_by_what_is_written(write, content, wanted):
    assert xml.recognise(write(content)) == wanted
