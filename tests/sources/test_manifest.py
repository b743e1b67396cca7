import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import ManifestError
from ocrtune.sources import read_pages


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
