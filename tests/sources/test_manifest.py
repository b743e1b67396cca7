import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import ManifestError
from ocrtune.sources import encodings, jsonl, read_pages, read_source


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.jsonl"

    def write(*rows: object, raw: bytes | None = None):
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_bytes(raw if raw is not None else "\n".join(lines).encode())
        return str(path)

    return write


def problems_of(uri: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_pages(uri)
    assert caught.value.where == uri
    return [line.removeprefix("  - ") for line in caught.value.message.splitlines()[1:]]


def test_a_line_becomes_a_page(manifest, tmp_path):
    uri = manifest(
        {"image": "scans/1.png", "text": "Я", "prompt": "<image>read", "document": "book", "x": [1]}
    )
    (page,) = read_pages(uri)
    assert page.name == "scans/1.png"
    assert page.images == (tmp_path / "scans/1.png",)
    assert (page.text, page.prompt, page.document) == ("Я", "<image>read", "book")
    assert page.where == f"{uri}:1"


@pytest.mark.parametrize(
    "written", ["../elsewhere.png", "/etc/passwd", "a/../../elsewhere.png", "link/x.png"]
)
def test_an_image_outside_the_folder_of_the_manifest_is_refused(written, manifest, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path.parent)
    (problem,) = problems_of(manifest({"image": written}))
    assert "outside" in problem


def test_an_absolute_path_stays_absolute_where_its_folder_is_allowed(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(tmp_path.parent))
    absolute = str(tmp_path.parent / "elsewhere.png")
    (page,) = read_pages(manifest({"image": absolute}))
    assert page.name == absolute
    assert str(page.images[0]) == absolute


@pytest.mark.parametrize(
    ("keys", "document"),
    [
        ({}, "scans/1"),
        ({"document": None}, "scans/1"),
        ({"document": ""}, "scans/1"),
        ({"page": 3}, "3"),
        ({"page": 0}, "0"),
        ({"page": "iv"}, "iv"),
        ({"document": "book", "page": 3}, "book"),
        ({"document": None, "page": 3}, "3"),
        ({"document": 1.5}, "1.5"),
    ],
)
def test_the_document_is_document_else_page_else_the_page_itself(keys, document, manifest):
    (page,) = read_pages(manifest({"image": "scans/1.png", **keys}))
    assert page.document == document


@pytest.mark.parametrize("path", [".", "a", "a/.."])
def test_a_path_that_is_no_file_is_left_to_the_check_of_images(path, manifest):
    (page,) = read_pages(manifest({"image": path}))
    assert page.name == path


def test_several_images_make_one_page_named_by_the_first(manifest, tmp_path):
    (page,) = read_pages(manifest({"images": ["b.png", "a.png"], "text": "t"}))
    assert page.name == "b.png"
    assert page.images == (tmp_path / "b.png", tmp_path / "a.png")


def test_a_page_of_text_alone_says_so_and_is_named_by_its_line(manifest):
    first, second = read_pages(manifest({"images": [], "text": "a"}, {"images": [], "text": "b"}))
    assert (first.name, first.images) == ("manifest.jsonl:1", ())
    assert second.document == second.name == "manifest.jsonl:2"


@pytest.mark.parametrize("row", [{"image": "a.png"}, {"image": "a.png", "text": None}])
def test_a_page_may_have_no_text(row, manifest):
    assert read_pages(manifest(row))[0].text is None


def test_blank_lines_crlf_and_a_byte_order_mark_do_no_harm(manifest):
    raw = b'\xef\xbb\xbf{"image": "a.png"}\r\n\r\n  \n{"image": "b.png", "text": "x"}\r\n'
    pages = read_pages(manifest(raw=raw))
    assert [page.name for page in pages] == ["a.png", "b.png"]
    assert pages[1].where.endswith(":4")
    assert pages[1].text == "x"


def test_a_line_separator_inside_a_text_does_not_end_the_line(manifest):
    (page,) = read_pages(manifest({"image": "a.png", "text": "one\u2028two\x85three"}))
    assert page.text == "one\u2028two\x85three"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON at column 2"),
        ("[1]", "a list, not an object"),
        ('"text"', "a string, not an object"),
        ("null", "null, not an object"),
        ('{"img": "a.png", "text": "x"}', "no `image`; its keys: `img`, `text`"),
        ("{}", "no `image`; its keys: none"),
        ('{"image": 1}', "`image` holds a number, not a path"),
        ('{"image": null}', "`image` holds null, not a path"),
        ('{"image": " "}', "`image` holds ' ', not a path"),
        ('{"image": "a\\u0000.png"}', "`image` holds 'a\\x00.png', not a path"),
        ('{"image": "a.png", "images": []}', "has both `image` and `images`"),
        ('{"images": "a.png"}', "`images` is a string, not a list of paths"),
        ('{"images": ["a.png", true]}', "`images` holds a boolean, not a path"),
        ('{"image": "a.png", "text": 3}', "`text` is a number, not a string"),
        (
            '{"image": "a.png", "text": {"a": NaN}}',
            "`text` holds a number that JSON does not know: NaN or an infinite one",
        ),
        ('{"image": "a.png", "prompt": {}}', "`prompt` is an object, not a string"),
        ('{"image": "a.png", "document": true}', "`document` is a boolean, not a string or a number"),
        ('{"image": "a.png", "page": []}', "`page` is a list, not a string or a number"),
        ('{"image": "a.png", "text": "\\ud800"}', "`text` holds \\ud800, half of a surrogate pair"),
        ("[" * 100_000, "not JSON: nested too deep"),
    ],
)
def test_a_broken_line_is_told_in_its_own_words(line, problem, manifest):
    (told,) = problems_of(manifest({"image": "fine.png"}, line))
    assert told.startswith(f"line 2: {problem}")


def test_all_broken_lines_are_told_at_once(manifest):
    told = problems_of(manifest("{", {"image": "a.png"}, "[]", {"image": "b.png", "text": 1}))
    assert [line.partition(":")[0] for line in told] == ["line 1", "line 3", "line 4"]


def test_of_many_broken_lines_the_first_twenty_are_told_and_the_rest_counted(manifest):
    told = problems_of(manifest(*["{"] * 33))
    assert len(told) == 21
    assert told[-1] == "and 13 more"


def test_a_name_given_twice_is_an_error_that_names_both_lines(manifest):
    told = problems_of(manifest({"image": "a.png"}, {"image": "b.png"}, {"images": ["a.png", "c.png"]}))
    assert told == ["line 3: 'a.png' is there already, on line 1"]


def test_bytes_that_are_not_utf8_are_told(manifest):
    told = problems_of(manifest(raw=b'{"image": "a.png"}\n{"image": "caf\xe9.png"}'))
    assert told == ["line 2: not UTF-8 at byte 14"]


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_manifest_without_pages_is_an_error(raw, manifest):
    with pytest.raises(ManifestError, match="holds no pages"):
        read_pages(manifest(raw=raw))


rows = st.lists(
    st.fixed_dictionaries(
        {"text": st.none() | st.text(st.characters(exclude_categories=["Cs"]))},
        optional={"document": st.text("ab1", min_size=1), "page": st.integers(), "note": st.floats()},
    ),
    min_size=1,
    max_size=6,
)


@given(rows=rows, crlf=st.booleans(), ascii_only=st.booleans())
def test_what_was_written_is_read(rows, crlf, ascii_only, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "m.jsonl"
    named = [{"image": f"{index}.png", **row} for index, row in enumerate(rows)]
    ending = "\r\n" if crlf else "\n"
    path.write_bytes(ending.join(json.dumps(row, ensure_ascii=ascii_only) for row in named).encode())
    pages = read_pages(str(path))
    assert [page.name for page in pages] == [row["image"] for row in named]
    assert [page.text for page in pages] == [row["text"] for row in named]


ROWS = [{"image": f"{name}.png", "text": text} for name, text in [("a", "Ж"), ("b", "ਅĊ\u2028"), ("c", "")]]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]


def written(encoding, *extra):
    """ROWS with a line before the last one, in an encoding with its byte order mark."""
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    text = "\r\n \n".join([*lines[:-1], *extra, lines[-1]])
    return (f"\ufeff{text}" if encoding == "utf-16-be" else text).encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_byte_order_mark_tells_the_encoding(encoding, manifest):
    pages = read_pages(manifest(raw=written(encoding)))
    one_by_one = [pages[place] for place in range(3)]
    assert [page.text for page in one_by_one] == ["Ж", "ਅĊ\u2028", ""]
    assert list(pages) == one_by_one
    assert [page.where.rpartition(":")[2] for page in pages] == ["1", "3", "5"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("extra", range(80))
def test_a_line_that_is_too_long_costs_itself_alone(encoding, extra, manifest, monkeypatch):
    monkeypatch.setattr(jsonl, "MOST_LINE_BYTES", 200)
    monkeypatch.setattr(encodings, "_SKIPPED_AT_ONCE", 16)
    uri = manifest(raw=written(encoding, json.dumps({"image": "x.png", "text": "ਅ" * (200 + extra)})))
    source = read_source(uri)
    (finding,) = source.findings
    assert (finding.code, finding.severity, finding.where) == ("row-broken", "error", f"{uri}:5")
    assert "longer than 200 bytes" in finding.message
    assert [source.pages[place].text for place in range(3)] == ["Ж", "ਅĊ\u2028", ""]
    assert [page.where.rpartition(":")[2] for page in source.pages] == ["1", "3", "7"]


def test_a_line_of_the_greatest_length_is_read(manifest, monkeypatch):
    line = '{"image": "a.png", "text": "xyz"}\n'
    for length, is_read in [(len(line), True), (len(line) - 1, False)]:
        monkeypatch.setattr(jsonl, "MOST_LINE_BYTES", length)
        pages = read_source(manifest(raw=(line + '{"image": "b.png"}').encode())).pages
        assert [page.name for page in pages] == (["a.png", "b.png"] if is_read else ["b.png"])


def test_a_long_line_is_passed_over_in_little_memory(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "MOST_LINE_BYTES", 2**20)
    uri = manifest(raw=b'{"image": "a.png"}\n{"image": "' + b"x" * 2**25 + b'"}\n{"image": "b.png"}')
    tracemalloc.start()
    source = read_source(uri)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [page.name for page in source.pages] == ["a.png", "b.png"]
    assert peak < 2**23


def test_the_hint_names_the_option_for_another_encoding(manifest):
    uri = manifest(raw='{"image": "a.png"}\n{"image": "b.png", "text": "Ж"}\n'.encode("cp1251"))
    assert f"jsonl:{uri}?encoding=cp1251" in read_source(uri).findings[0].hint
    with pytest.raises(ManifestError, match="line 2: not UTF-8 at byte 28") as caught:
        read_pages(uri)
    assert f"jsonl:{uri}?encoding=cp1251" in caught.value.hint


def test_files_put_one_behind_the_other_keep_their_byte_order_marks(manifest):
    raw = '\ufeff{"image": "a.png"}\n\ufeff{"image": "b.png"}\n'.encode()
    assert len(read_pages(manifest(raw=raw))) == 2


@pytest.mark.parametrize("now", ['{"image": "a.png"}\n', None])
def test_a_manifest_that_grows_shorter_is_told(now, manifest, tmp_path):
    uri = manifest({"image": "a.png"}, {"image": "b.png"})
    pages = read_pages(uri)
    if now is None:
        (tmp_path / "manifest.jsonl").unlink()
    else:
        (tmp_path / "manifest.jsonl").write_text(now)
    with pytest.raises(ManifestError, match="was changed while it was in use"):
        list(pages)
    with pytest.raises(ManifestError, match="was changed while it was in use"):
        pages[1]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_list_is_told_from_lines(encoding, manifest):
    rows = ",\n".join(json.dumps(row) for row in ROWS)
    uri = manifest(raw=("\ufeff" * (encoding == "utf-16-be") + f"[\n{rows}\n]").encode(encoding))
    with pytest.raises(ManifestError, match="the file is a list") as caught:
        read_source(uri)
    assert f"jsonl:{uri} reads lists" in caught.value.hint


def test_of_a_key_that_is_there_twice_no_value_is_chosen(manifest):
    told = problems_of(manifest({"image": "a.png"}, '{"image": "b.png", "text": {"a": 1, "a": 2}}'))
    assert told == ["line 2: the key 'a' is there twice"]
