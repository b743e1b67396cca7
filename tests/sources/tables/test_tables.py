import csv
import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import ManifestError, SourceError
from ocrtune.sources import read_pages, read_source
from ocrtune.sources.tables import csv_rows, json_rows


def texts(uri):
    return [page.text for page in read_pages(str(uri))]


def found(uri):
    """(code, severity, line) of what reading found."""
    return [(one.code, one.severity, one.where.rpartition(":")[2]) for one in read_source(uri).findings]


def test_a_row_becomes_a_page_by_the_columns_that_the_uri_names(save, tmp_path):
    path = save("page;id;words;volume;ask\n1.png;7;Я;book;<image>read\n", "data/t.csv")
    (tmp_path / "data/scans").mkdir()
    options = "image=page&text=words&document=volume&prompt=ask&root=scans&delimiter=;"
    source = read_source(f"csv:{path}?{options}")
    (page,) = source.pages
    assert page.images == (tmp_path / "data/scans/1.png",)
    assert (page.name, page.text, page.document, page.prompt) == ("1.png", "Я", "book", "<image>read")
    assert page.where == f"{path}:2"
    assert source.findings == []


def test_a_jsonl_file_with_other_keys_is_read_the_same_way(save, tmp_path):
    path = save([{"scan": "1.png", "gt": "x", "book": 3}, {"scan": ["2.png", "3.png"], "gt": ""}], "t.jsonl")
    first, second = read_pages(f"jsonl:{path}?image=scan&document=book")
    assert (first.images, first.text, first.document) == ((tmp_path / "1.png",), "x", "3")
    assert (second.name, len(second.images), second.text, second.document) == ("2.png", 2, "", "2")


@pytest.mark.parametrize(
    "image", ["image", "file_name", "filename", "image_path", "path", "img", "File Name"]
)
@pytest.mark.parametrize(
    "text", ["text", "Transcription", "label", "ground_truth", "gt", "caption", "target"]
)
def test_common_names_are_recognised_and_it_is_said(image, text, save):
    source = read_source(str(save(f"n,{image},{text}\n1,a.png,x\n")))
    assert [(page.name, page.text) for page in source.pages] == [("a.png", "x")]
    (note,) = source.findings
    assert (note.code, note.severity) == ("columns-recognised", "note")
    assert f"image from {image!r}, text from {text!r}" in note.message


@pytest.mark.parametrize(
    ("header", "options", "problems"),
    [
        ("image,text,label", "", ["several columns may be the text: 'text', 'label'"]),
        ("image,path,text", "", ["several columns may be the image: 'image', 'path'"]),
        ("a.png,hello", "", ["no column is called image,", "no column is called text,", "'a.png', 'hello'"]),
        ("scan,words", "?image=scna&text=words", ["no column 'scna' for the image, did you mean 'scan'?"]),
        ("image,image,text", "", ["2 columns are called 'image'"]),
        ("image,note", "", ["no column is called text,", "columns: 'image', 'note'"]),
    ],
)
def test_columns_that_are_not_clear_are_an_error_that_names_those_there(header, options, problems, save):
    path = save(f"{header}\n")
    with pytest.raises(SourceError, match="columns") as caught:
        read_pages(f"csv:{path}{options}")
    for problem in problems:
        assert problem in caught.value.message
    assert f"csv:{path}?image=COLUMN&text=COLUMN" in caught.value.hint


def test_images_can_be_read_without_texts_by_saying_so(save):
    path = save("image,note\na.png,x\n")
    assert texts(f"csv:{path}?text=") == [None]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_by_the_columns(mark, save):
    others = "".join({",", ";", "|"} - {mark})
    rows = f"image{mark}text\na.png{mark}x{others}y\n"
    assert texts(save(rows)) == texts(save(rows, "t.tsv")) == [f"x{others}y"]


def test_a_header_of_more_pieces_does_not_outdo_one_with_the_image(save):
    assert texts(save("image;text;a,b,c,d,e\na.png;x;1\n")) == ["x"]


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks(save):
    path = save('\ufeffimage,text\r\na.png,"one\r\ntwo, ""three"""\r\n\r\nb.png,x\r\n')
    pages = read_pages(str(path))
    assert [page.text for page in pages] == ['one\r\ntwo, "three"', "x"]
    assert [page.where.rpartition(":")[2] for page in pages] == ["2", "5"]


@pytest.mark.parametrize(
    "text", ["= 2", "+49 30", "-5", "- (a)", "@name", "==", "=", "\t=1", "1e5", "007", "NULL"]
)
def test_a_cell_that_looks_like_a_number_or_begins_with_a_mark_stays_as_it_is(text, save):
    assert texts(save(f'image,text\na.png,"{text}"\n')) == [text]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=SUM(A1:A9)", "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "@SUM(1)", "-HYPERLINK(1)", "=(1)"],
)
def test_a_formula_is_refused_unless_it_is_said_to_be_text(text, save):
    path = save(f'image,text\na.png,"{text}"\nb.png,x\n')
    source = read_source(f"csv:{path}")
    assert [page.text for page in source.pages] == ["x"]
    (finding,) = [finding for finding in source.findings if finding.severity == "error"]
    assert (finding.code, finding.where) == ("cell-formula", f"{path}:2")
    assert texts(f"csv:{path}?formulas=text") == [text, "x"]


def test_an_empty_cell_is_no_text(save):
    assert texts(save("image,text\na.png,\n")) == [None]


def test_another_encoding_is_named_or_the_byte_is_told(save):
    rows = b"image,text\na.png,x\nb.png," + "Ж".encode("cp1251") + b"\n"
    with pytest.raises(ManifestError, match="not UTF-8 at byte 28") as caught:
        read_pages(str(save(b"\xef\xbb\xbf" + rows)))
    assert "begins with the mark of UTF-8" in caught.value.hint
    path = save(rows)
    with pytest.raises(ManifestError, match="not UTF-8 at byte 25") as caught:
        read_pages(str(path))
    assert caught.value.where == f"{path}:3"
    assert f"csv:{path}?encoding=cp1251" in caught.value.hint
    save("image,text\na.png,Ж\n".encode("cp1251"))
    assert texts(f"csv:{path}?encoding=cp1251") == ["Ж"]


@pytest.mark.parametrize("asked", ["", "?encoding=utf-16", "?encoding=utf-16-le", "?encoding=cp1251"])
@pytest.mark.parametrize("kind", ["utf-8-sig", "utf-16", "utf-32", "be"])
def test_a_byte_order_mark_tells_the_encoding_whatever_is_asked(kind, asked, save):
    # Ċ has the byte of a line break in UTF-16.
    table = 'image,text\r\na.png,"ЖĊ\nਅ"\r\nb.png,\u2028\r\n'
    path = save(f"\ufeff{table}".encode("utf-16-be") if kind == "be" else table.encode(kind))
    assert texts(f"csv:{path}{asked}") == ["ЖĊ\nਅ", "\u2028"]
    assert texts(str(path)) == ["ЖĊ\nਅ", "\u2028"]


def test_utf16_that_is_cut_off_or_has_no_mark_is_told(save):
    cut = "image,text\na.png,x\nb.png,Ċ".encode("utf-16")[:-1]
    with pytest.raises(ManifestError, match=f"not UTF-16-LE at byte {len(cut) - 1}") as caught:
        read_pages(str(save(cut)))
    assert caught.value.where.endswith(":3")
    path = save("image,text\na.png,x\n".encode("utf-16-le"))
    with pytest.raises(ManifestError, match="holds NUL") as caught:
        read_pages(str(path))
    assert f"csv:{path}?encoding=utf-16-le" in caught.value.hint
    assert texts(f"csv:{path}?encoding=utf-16-le") == texts(f"csv:{path}?encoding=utf-16") == ["x"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_json_in_another_encoding_is_named_or_told(name, save):
    rows = json.dumps([{"image": "a.png", "text": "x"}, {"image": "b.png", "text": "Ж"}], ensure_ascii=False)
    rows = rows if name == "t.json" else rows[1:-1].replace("}, ", "}\n")
    path = save(rows.encode("cp1251"), name)
    assert texts(f"jsonl:{path}?encoding=cp1251") == ["x", "Ж"]
    if name == "t.json":
        with pytest.raises(ManifestError, match="not UTF-8 at byte") as caught:
            read_pages(f"jsonl:{path}")
        hint = caught.value.hint
    else:
        hint = read_source(f"jsonl:{path}").findings[-1].hint
    assert f"jsonl:{path}?encoding=cp1251" in hint
    assert texts(f"jsonl:{save(rows.encode('utf-16'), name)}") == ["x", "Ж"]


@pytest.mark.parametrize("size", [0, 3 * 2**20, *range(2**20 - 23, 2**20 - 16)])
def test_the_byte_is_right_wherever_it_stands(size, save):
    content = b"image,text\n" + b"\n" * size + "a.png,é€".encode() + b"\xff"
    with pytest.raises(ManifestError, match="not UTF-8") as caught:
        read_pages(str(save(content)))
    assert caught.value.message.endswith(f"at byte {len(content) - 1}")
    assert caught.value.where.endswith(f":{size + 2}")


def test_quotes_can_be_letters(save):
    path = save('image\ttext\na.png\t"Go," he said\nb.png\t"\n')
    assert texts(f"csv:{path}?quoting=none") == ['"Go," he said', '"']


GOOD = "good.png,fine"
FAULTS = [
    # what stands between two good rows, and what is found at which line
    ("b.png", [("row-cells", "error", "3")]),
    ("b.png,x,y", [("row-cells", "error", "3")]),
    ("b.png,x,", [("row-cells", "error", "3")]),
    (",x", [("image-none", "error", "3")]),
    (" ,x", [("row-broken", "error", "3")]),
    ("b\0.png,x", [("row-broken", "error", "3")]),
    ("/etc/passwd,x", [("image-outside", "error", "3")]),
    ("../b.png,x", [("image-outside", "error", "3")]),
    ("a/../../b.png,x", [("image-outside", "error", "3")]),
    ("..\\..\\b.png,x", [("image-outside", "error", "3")]),
    ("C:\\scans\\b.png,x", [("image-outside", "error", "3")]),
    ("file:///etc/passwd,x", [("image-outside", "error", "3")]),
    ("file:///etc/%2e%2e/passwd,x", [("image-outside", "error", "3")]),
    ("https://example.org/b.png,x", [("image-url", "error", "3")]),
    ('"data:image/png;base64,iVBORw0KGgo=",x', [("image-data", "error", "3")]),
    ("good.png,x", [("image-twice", "error", "3")]),
    ('b.png,"x"y', [("row-broken", "error", "3")]),
    ('b.png,"x\ny"z', [("row-broken", "error", "3")]),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("row", "findings"), FAULTS)
def test_a_bad_row_is_left_out_and_told_with_its_line(row, findings, save):
    path = save(f"image,text\n{GOOD}\n{row}\nlast.png,fine\n")
    uri = f"csv:{path}?image=image&text=text"
    assert [page.name for page in read_source(uri).pages] == ["good.png", "last.png"]
    assert found(uri) == findings


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "row-broken"),
        ("[1]", "row-broken"),
        (f'{{"image": {"9" * 5000}}}', "row-broken"),
        ('{"image": 3}', "row-broken"),
        ('{"image": [1]}', "row-broken"),
        ('{"image": "b.png", "text": 3}', "row-broken"),
        ('{"image": "b.png", "text": "\\ud800"}', "row-broken"),
        ('{"image": "b.png", "document": []}', "row-broken"),
        ('{"text": "x"}', "image-none"),
        ('{"image": ["b.png", "../c.png"]}', "image-outside"),
        (b'{"image": "caf\xe9.png"}', "row-broken"),
    ],
)
def test_a_bad_line_of_json_is_left_out_and_told(line, code, save):
    good = b'{"image": "good.png", "text": "x", "document": "d"}\n'
    path = save(good + (line if isinstance(line, bytes) else line.encode()), "t.jsonl")
    uri = f"jsonl:{path}?image=image&text=text&document=document"
    assert [page.name for page in read_source(uri).pages] == ["good.png"]
    assert found(uri) == [(code, "error", "2")]


def test_a_quote_that_is_never_closed_is_told_and_not_swallowed_in_silence(save):
    source = read_source(str(save('image,text\na.png,x\nb.png,"y\nc.png,z\nd.png,w\n')))
    assert [page.name for page in source.pages] == ["a.png"]
    (finding,) = [one for one in source.findings if one.severity == "error"]
    assert "never closed, so lines 3 to 5" in finding.message
    assert "quoting=none" in finding.hint


def test_a_cell_without_end_is_refused_by_name(save, monkeypatch):
    monkeypatch.setattr(csv_rows, "MOST_CELL_CHARS", 1000)
    before = csv.field_size_limit()
    assert texts(save(f"image,text\na.png,{'x' * 1000}\n")) == ["x" * 1000]
    with pytest.raises(ManifestError, match="a cell is longer than 1000 characters") as caught:
        read_pages(str(save(f'image,text\na.png,"{"x" * 900}\n{"x" * 900}\nb.png,x\n')))
    assert caught.value.where.endswith(":2")
    assert csv.field_size_limit() == before


def test_a_text_longer_than_the_default_of_the_csv_module_is_read(save):
    (text,) = texts(save(f"image,text\na.png,{'x' * 1_000_000}\n"))
    assert len(text) == 1_000_000


@pytest.mark.parametrize("most_cell_chars", [60, 1000])
@pytest.mark.parametrize(
    ("row", "lines"),
    [
        ("b.png,{}", 1),
        ('b.png,"{} ""x"", "', 1),
        ('b.png,"x\n{}"', 2),
    ],
)
def test_a_row_that_is_too_long_costs_itself_alone(row, lines, most_cell_chars, save, monkeypatch):
    monkeypatch.setattr(csv_rows, "MOST_LINE_CHARS", 100)
    monkeypatch.setattr(csv_rows, "MOST_CELL_CHARS", most_cell_chars)
    monkeypatch.setattr(csv_rows, "_CHUNK_BYTES", 7)
    path = save(f"image,text\na.png,x\n{row.format('x' * 200)}\nc.png,z\n")
    source = read_source(f"csv:{path}?image=image&text=text")
    assert [(page.name, page.where) for page in source.pages] == [
        ("a.png", f"{path}:2"),
        ("c.png", f"{path}:{3 + lines}"),
    ]
    (finding,) = source.findings
    assert (finding.code, finding.where) == ("row-broken", f"{path}:3")
    assert "is longer than" in finding.message


def test_a_line_that_is_too_long_within_quotes_that_may_be_open_ends_the_reading(save, monkeypatch):
    monkeypatch.setattr(csv_rows, "MOST_LINE_CHARS", 100)
    path = save(f'image,text\na.png,"{"x" * 100}\nb.png,not a row\n"\n')
    with pytest.raises(ManifestError, match="a line is longer than 100 characters") as caught:
        read_pages(str(path))
    assert caught.value.where == f"{path}:2"


def test_lists_without_end_are_refused_by_name(save, monkeypatch):
    monkeypatch.setattr(json_rows, "MOST_LIST_BYTES", 100)
    rows = [{"image": "a.png", "text": "x" * 100}]
    with pytest.raises(ManifestError, match="read whole") as caught:
        read_pages(f"jsonl:{save(rows, 't.json')}")
    assert "JSONL" in caught.value.hint


def test_all_rows_of_a_long_file_are_read_and_blank_lines_are_passed_over(save):
    rows = [json.dumps({"image": f"{number}.png", "text": "x"}) for number in range(250)]
    path = save("\ufeff" + "\r\n\n".join(rows), "t.jsonl")
    lines = read_source(f"jsonl:{path}")
    assert [page.name for page in lines.pages] == [f"{number}.png" for number in range(250)]
    assert lines.pages[249].where.endswith(":499")
    table = save("image,text\n" + "".join(f"{number}.png,x\n" for number in range(250)))
    assert len(read_pages(str(table))) == 250


def test_an_absolute_path_within_the_root_is_fine(save, tmp_path):
    path = save(f"image,text\n{tmp_path}/a.png,x\nfile://{tmp_path}/b%20c.png,y\nsub\\d.png,z\n")
    images = [page.images[0] for page in read_pages(str(path))]
    assert images == [tmp_path / "a.png", tmp_path / "b c.png", tmp_path / "sub/d.png"]


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("csv:{}?colour=red&imge=a", "unknown option 'imge', did you mean 'image'?"),
        ("csv:{}?colour=red&delimiter=ab", "delimiter: must be one mark such as , ; | or the word tab, found 'ab'"),
        ("csv:{}?colour=red&delimiter=", "delimiter: must be"),
        ("csv:{}?colour=red&encoding=cp99", "encoding: must be one that Python knows, such as cp1251, found 'cp99'"),
        ("csv:{}?colour=red&encoding=hex", "encoding: must be"),
        ("csv:{}?colour=red&quoting=some", "quoting: must be one of csv, none, found 'some'"),
        ("csv:{}?colour=red&image=", "image: must name a column"),
        ("jsonl:{}?colour=red&delimiter=;", "unknown option 'delimiter'"),
        ("chat:{}?colour=red&image=a", "unknown option 'image'"),
    ],
)  # fmt: skip
def test_options_are_checked_and_every_mistake_is_told(uri, problem, save):
    with pytest.raises(SourceError) as caught:
        read_pages(uri.format(save("image,text\n")))
    assert problem in caught.value.message
    assert "unknown option 'colour'" in caught.value.message
    assert "root" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("csv:{}/gone.csv", "no file or folder"),
        ("csv:{}", "is a folder"),
        ("csv:{}/t.csv?root=gone", "no folder '.*gone'"),
        ("csv:{}/t.csv?root=a&root=b", "'root' is given twice"),
        ("csv:{}/empty.csv", "the table is empty"),
        ("csv:{}/t.csv?quoting=csv", "no page of the table"),
        ("csv:{}/broken.csv?delimiter=,", "the row that names the columns is broken"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_error(uri, error, save, tmp_path):
    save("image,text\n", "t.csv")
    save("\n\n", "empty.csv")
    save('image,"text\n', "broken.csv")
    with pytest.raises(SourceError, match=error):
        read_pages(uri.format(tmp_path))


def test_if_no_row_can_be_used_the_first_findings_are_the_error(save):
    path = save("image,text\nhttps://example.org/a.png,x\nb.png\n")
    with pytest.raises(SourceError, match="no page of the table") as caught:
        read_pages(str(path))
    assert "in the net" in caught.value.message
    assert "1 cell, and there are 2 columns" in caught.value.message
    assert "columns are taken" not in caught.value.message


def test_options_may_hold_the_marks_of_a_uri(save):
    path = save("image,a&b=c\nx.png,y\n")
    assert texts(f"csv:{path}?text=a%26b=c") == ["y"]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(rows=st.lists(cells, min_size=1, max_size=6), mark=st.sampled_from(csv_rows.DELIMITERS))
def test_what_was_written_is_read(rows, mark, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    written = io.StringIO()
    writer = csv.writer(written, delimiter=mark)
    writer.writerows([("image", "text"), *((f"{index}.png", text) for index, text in enumerate(rows))])
    path.write_bytes(written.getvalue().encode())
    assert texts(f"csv:{path}?formulas=text") == rows


@given(content=st.binary(max_size=200) | st.text(st.sampled_from('image,tx;"\n\r\t|')).map(str.encode))
def test_whatever_a_table_holds_is_pages_or_one_error(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    path.write_bytes(content)
    with suppress(SourceError):
        read_source(str(path))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_without_rows_says_so(kind, save):
    path = save("image,text\n") if kind == "csv" else save("[]", "t.json")
    with pytest.raises(SourceError, match="there are none in it" if kind == "csv" else "columns: none"):
        read_pages(f"{kind}:{path}")


def test_if_none_of_the_first_lines_is_json_that_is_the_error(save):
    rows = "\n".join(json.dumps({"image": f"{n}.png", "text": "Ж"}, ensure_ascii=False) for n in range(120))
    path = save(rows.encode("cp1251"), "t.jsonl")
    with pytest.raises(ManifestError, match="none of the first 100 rows can be read") as caught:
        read_pages(f"jsonl:{path}")
    assert f"jsonl:{path}?encoding=cp1251" in caught.value.hint
    assert len(read_pages(f"jsonl:{path}?encoding=cp1251")) == 120


def test_of_a_key_that_is_there_twice_no_value_is_chosen(save):
    path = save('{"image": "a.png", "text": "x"}\n{"image": "b.png", "text": "x", "text": "y"}\n', "t.jsonl")
    assert found(f"jsonl:{path}?image=image&text=text") == [("row-broken", "error", "2")]
    path = save('[{"image": "b.png", "text": "x", "text": "y"}]', "t.json")
    with pytest.raises(ManifestError, match="the key 'text' is there twice"):
        read_pages(f"jsonl:{path}")


def test_an_image_in_base64_is_no_path(save):
    path = save(f"image,text\na.png,x\n{'iVBORw0KGgo' * 500},y\n")
    source = read_source(f"csv:{path}?image=image&text=text")
    (finding,) = source.findings
    assert finding.code == "image-data"
    assert len(finding.message) < 200
