import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import ManifestError, SourceError
from ocrtune.sources import read_pages, read_source

ASKED = "<image>\nFree OCR."


def said(*contents, speaker=("user", "assistant"), keys=("role", "content")):
    """Turns of two speakers, one after the other."""
    return [
        dict(zip(keys, (speaker[turn % 2], content), strict=True)) for turn, content in enumerate(contents)
    ]


def parts(*items):
    return [item if isinstance(item, dict) else {"type": "text", "text": item} for item in items]


def image(place):
    return {"type": "image", "image": place}


def url(place):
    return {"type": "image_url", "image_url": {"url": place}}


FORMATS = {
    "openai": {"messages": said(parts(url("a.png"), "Free OCR."), "x")},
    "openai, image as a string": {
        "messages": said(parts({"type": "image_url", "image_url": "a.png"}, "\nFree OCR."), parts("x"))
    },
    "unsloth": {"messages": said(parts(image("a.png"), "Free OCR."), parts("x"))},
    "unsloth for deepseek": {
        "messages": [
            {"role": "<|User|>", "content": ASKED, "images": ["a.png"]},
            {"role": "<|Assistant|>", "content": "x"},
        ]
    },
    "trl": {"messages": said(parts({"type": "image"}, "Free OCR."), parts("x")), "images": ["a.png"]},
    "ms-swift": {"messages": said(ASKED, "x"), "images": ["a.png"]},
    "ms-swift, image as an object": {"messages": said(ASKED, "x"), "images": [{"path": "a.png", "bytes": None}]},
    "sharegpt": {
        "conversations": said(ASKED, "x", speaker=("human", "gpt"), keys=("from", "value")),
        "images": ["a.png"],
    },
    "llava": {
        "id": 1,
        "image": "a.png",
        "conversations": said(ASKED, "x", speaker=("human", "gpt"), keys=("from", "value")),
    },
    "alpaca": {"instruction": "<image>", "input": "Free OCR.", "output": "x", "images": ["a.png"]},
}  # fmt: skip


@pytest.mark.parametrize("name", ["chats.json", "chats.jsonl"])
@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_gives_the_same_page(row, name, save, tmp_path):
    source = read_source(f"chat:{save([row], name)}")
    (page,) = source.pages
    assert (page.name, page.images, page.document) == ("a.png", (tmp_path / "a.png",), "a")
    assert (page.prompt, page.text) == (ASKED, "x")
    assert page.where == f"{tmp_path / name}{'#1' if name == 'chats.json' else ':1'}"
    assert source.findings == []


@pytest.mark.parametrize("name", ["chats.json", "chats.jsonl", "manifest.jsonl"])
@pytest.mark.parametrize("key", ["messages", "conversations"])
def test_a_plain_path_is_recognised_by_its_turns(key, name, save, tmp_path):
    path = save([{"images": ["a.png"], key: said(ASKED, "x")}], name)
    pretty = json.dumps([{"images": ["b.png"], key: said(ASKED, "y")}], indent=2)
    assert [page.text for page in read_pages(str(path))] == ["x"]
    assert [page.text for page in read_pages(str(save(f"\ufeff\n {pretty}", "pretty.json")))] == ["y"]
    if name == "manifest.jsonl":
        assert [page.text for page in read_pages(str(tmp_path))] == ["x"]


def test_a_manifest_stays_one(save):
    path = save([{"image": "a.png", "text": "x", "messages": said(ASKED, "y")}], "m.jsonl")
    assert [page.text for page in read_pages(str(path))] == ["x"]


def test_a_manifest_with_other_keys_is_told_how_it_is_read(save):
    with pytest.raises(ManifestError) as caught:
        read_pages(str(save([{"img": "a.png", "label": "x"}], "m.jsonl")))
    assert "jsonl:" in caught.value.hint
    assert "chat:" in caught.value.hint


def test_the_systems_text_stands_before_the_question_and_it_is_said_once(save):
    system = {"role": "system", "content": "You read."}
    rows = [{"messages": [system, *said(ASKED, "x")], "images": [f"{number}.png"]} for number in range(3)]
    rows.append({"messages": [{"role": "system", "content": ""}, *said(ASKED, "x")], "images": ["3.png"]})
    rows.append({"system": "You read.", "instruction": ASKED, "output": "x", "images": ["4.png"]})
    source = read_source(f"chat:{save(rows, 'chats.json')}")
    joined = f"You read.\n{ASKED}"
    assert [page.prompt for page in source.pages] == [joined, joined, joined, ASKED, joined]
    (note,) = source.findings
    assert (note.code, note.severity, note.count) == ("system-joined", "note", 4)


@pytest.mark.parametrize(
    ("asked", "listed", "prompt", "images"),
    [
        (parts(image("a.png"), "one", image("b.png"), "two"), [], "<image>one<image>two", "ab"),
        (parts("one", image("a.png"), "two"), [], "one<image>two", "a"),
        (parts(image("a.png"), image("b.png"), "<image><image>both"), [], "<image><image>both", "ab"),
        (parts({"type": "image"}, "one", {"type": "image"}), ["b.png", "a.png"], "<image>one<image>", "ba"),
        (parts({"type": "image"}, "one", image("a.png")), ["b.png"], "<image>one<image>", "ba"),
        ("one <image> two <image>", ["b.png", "a.png"], "one <image> two <image>", "ba"),
        ("Who wrote it?", [], "Who wrote it?", ""),
        (parts(image("a.png"), "document parsing."), [], "<image>document parsing.", "a"),
        (parts(image("a.png"), "What is said?"), [], "<image>What is said?", "a"),
        ("<image>Free OCR.", ["a.png"], "<image>Free OCR.", "a"),
    ],
)  # fmt: skip
def test_images_come_in_the_order_of_their_marks(asked, listed, prompt, images, save):
    path = save([{"messages": said(asked, "x"), "images": listed}], "chats.json")
    (page,) = read_pages(f"chat:{path}")
    assert page.prompt == prompt
    assert "".join(place.stem for place in page.images) == images


def test_a_question_without_an_answer_is_a_page_to_predict(save):
    (page,) = read_pages(f"chat:{save([{'messages': said(ASKED), 'images': ['a.png']}], 'chats.json')}")
    assert page.text is None


def test_several_chats_about_one_image_are_pages_of_one_document(save):
    rows = [{"messages": said(ASKED, text), "images": ["s/a.png"]} for text in "xyz"]
    pages = read_pages(str(save(rows, "chats.jsonl")))
    assert [page.name for page in pages] == ["s/a.png", "s/a.png~2", "s/a.png~3"]
    assert {page.document for page in pages} == {"s/a"}


def test_images_are_in_the_folder_of_the_file_or_in_its_root(save, tmp_path):
    (tmp_path / "scans").mkdir()
    row = {"messages": said(parts(url(f"file://{tmp_path}/scans/a.png"), "Free OCR."), "x")}
    path = save([row, {"messages": said(ASKED, "y"), "images": ["b.png"]}], "data/chats.json")
    first, second = read_pages(f"chat:{path}?root=../scans")
    assert first.images == (path.parent / "../scans" / f"{tmp_path}/scans/a.png",)
    assert second.images == (path.parent / "../scans/b.png",)


GOOD = {"messages": said(ASKED, "fine"), "images": ["good.png"]}
LIST = ["b.png"]
FAULTS = [
    (3, "row-broken"),
    ({"image": "b.png", "text": "x"}, "row-broken"),
    ({"messages": "x"}, "row-broken"),
    ({"messages": ["x"]}, "row-broken"),
    ({"messages": said(None, "x"), "images": LIST}, "row-broken"),
    ({"messages": said(["a", 3], "x"), "images": LIST}, "row-broken"),
    ({"messages": said([{"type": "video", "video": "b.mp4"}], "x")}, "row-broken"),
    ({"messages": said([{"type": "text"}], "x")}, "row-broken"),
    ({"messages": said(ASKED, parts(image("b.png"))), "images": LIST}, "row-broken"),
    ({"messages": said(ASKED, "\ud800"), "images": LIST}, "row-broken"),
    ({"messages": said(ASKED, "x"), "images": [3]}, "row-broken"),
    ({"messages": said(ASKED, "x"), "images": [{"path": {"url": {"path": "b.png"}}}]}, "row-broken"),
    ({"messages": said(ASKED, "x"), "images": LIST, "videos": ["b.mp4"]}, "row-broken"),
    ({"messages": said(ASKED, "x"), "images": LIST, "document": []}, "row-broken"),
    ({"instruction": ["x"], "output": "y"}, "row-broken"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "turn-unknown"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "turn-unknown"),
    ({"messages": []}, "turns-order"),
    ({"messages": said("x", ASKED, speaker=("assistant", "user")), "images": LIST}, "turns-order"),
    ({"messages": said(ASKED, "x", speaker=("user", "user")), "images": LIST}, "turns-order"),
    ({"messages": said(ASKED, "x", "y", "z"), "images": LIST}, "turns-more"),
    ({"messages": said(ASKED, "x", "y"), "images": LIST}, "turns-more"),
    ({"instruction": ASKED, "output": "x", "images": LIST, "history": [["a", "b"]]}, "turns-more"),
    ({"instruction": ASKED, "output": "x", "images": LIST, "history": 3}, "turns-more"),
    ({"messages": said("Free OCR.", "x"), "images": LIST}, "image-marks"),
    ({"messages": said(ASKED, "x"), "images": ["b.png", "c.png"]}, "image-marks"),
    ({"messages": said("<image><image>", "x"), "images": LIST}, "image-marks"),
    ({"messages": said(ASKED, "x")}, "image-marks"),
    ({"messages": said(parts({"type": "image"}, "x"), "y")}, "image-marks"),
    ({"messages": said(parts(image("b.png"), "x"), "y"), "images": ["c.png"]}, "image-marks"),
    ({"messages": said(ASKED, "x"), "images": [{"bytes": "iVBO", "path": None}]}, "image-data"),
    ({"messages": said(parts(url("data:image/png;base64,iVBORw0KGgo="), "x"), "y")}, "image-data"),
    ({"messages": said(parts(url("https://example.org/b.png"), "x"), "y")}, "image-url"),
    ({"messages": said(ASKED, "x"), "images": ["s3://bucket/b.png"]}, "image-url"),
    ({"messages": said(ASKED, "x"), "images": ["/etc/b.png"]}, "image-outside"),
    ({"messages": said(ASKED, "x"), "images": ["../b.png"]}, "image-outside"),
    ({"messages": said(parts(url("file:///etc/b.png"), "x"), "y")}, "image-outside"),
    ({"messages": said(parts(url("file://host/b.png"), "x"), "y"), "images": []}, None),
]  # fmt: skip


@pytest.mark.parametrize("name", ["chats.json", "chats.jsonl"])
@pytest.mark.parametrize(("row", "code"), FAULTS)
def test_a_chat_that_is_no_page_is_left_out_and_told(row, code, name, tmp_path):
    rows = [GOOD, row, {**GOOD, "images": ["last.png"]}]
    path = tmp_path / name
    path.write_text(json.dumps(rows) if name == "chats.json" else "\n".join(map(json.dumps, rows)))
    source = read_source(f"chat:{path}")
    assert [(one.code, one.severity) for one in source.findings] == ([(code, "error")] if code else [])
    assert len(source.pages) == (2 if code else 3)
    assert (source.pages[0].name, source.pages[-1].name) == ("good.png", "last.png")
    assert all(one.where in {f"{path}#2", f"{path}:2"} for one in source.findings)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'[{"messages": []},', "the list is not JSON at column"),
        (b'[{"messages": "\xff"}]', "the list is not UTF-8 at byte 15"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", "no page of the chats"),
        (b"", "no page of the chats"),
        (b"[" + b"9" * 5000 + b"]", "a number is too long"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_one_error(content, error, save):
    with pytest.raises(SourceError, match=error):
        read_pages(f"chat:{save(content, 'chats.json')}")


@pytest.mark.parametrize(
    "row",
    [{"x" * 10**6: 1}, {"messages": [{"role": "x" * 10**6}]}, {"messages": said([{"type": "x" * 10**6}])}],
)
def test_what_is_wrong_is_told_in_short(row, save):
    (finding,) = read_source(f"chat:{save([GOOD, row], 'chats.json')}").findings
    assert len(finding.message) < 250


def test_an_image_of_megabytes_in_the_row_is_told_in_short(save):
    long = f"data:image/png;base64,{'A' * 1_000_000}"
    source = read_source(f"chat:{save([GOOD, {'messages': said(parts(url(long), 'x'), 'y')}], 'chats.json')}")
    (finding,) = source.findings
    assert finding.code == "image-data"
    assert len(finding.message) < 200
    assert "save it as a file" in finding.hint


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["user", "assistant", ASKED, "a.png", "image", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "from", "content", "value", "type", "text", "image", "image_url", "url", "path"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
keys = st.sampled_from(
    ["messages", "conversations", "images", "image", "instruction", "output", "system", "history"]
)


@given(rows=st.lists(st.dictionaries(keys, values, max_size=5) | values, max_size=4))
def test_whatever_a_row_holds_is_a_page_or_a_finding(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "chats.json"
    path.write_text(json.dumps([GOOD, *rows]))
    source = read_source(f"chat:{path}")
    errors = [one for one in source.findings if one.severity == "error"]
    assert len(source.pages) + len(errors) == len(rows) + 1


def test_names_of_several_chats_about_an_image_are_no_other_images_names(save):
    turns = [{"role": "user", "content": "<image>read"}, {"role": "assistant", "content": "x"}]
    rows = [{"messages": turns, "images": [name]} for name in ("a.png", "a.png", "a.png~2")]
    names = [page.name for page in read_pages(f"chat:{save(rows, 'c.jsonl')}")]
    assert names == ["a.png", "a.png~2", "a.png~2~2"]


def test_a_key_of_turns_that_is_null_is_none(save):
    turns = [{"from": "human", "value": "<image>read"}, {"from": "gpt", "value": "x"}]
    rows = [{"messages": None, "conversations": turns, "image": "a.png"}]
    assert [page.text for page in read_pages(f"chat:{save(rows, 'c.jsonl')}")] == ["x"]


@pytest.mark.parametrize(
    ("encoding", "option"), [("utf-16", ""), ("utf-8-sig", ""), ("cp1251", "?encoding=cp1251")]
)
@pytest.mark.parametrize("name", ["c.jsonl", "c.json"])
def test_chats_may_be_in_another_encoding(encoding, option, name, save):
    turns = [{"role": "user", "content": "<image>read"}, {"role": "assistant", "content": "Ж"}]
    row = json.dumps({"messages": turns, "image": "a.png"}, ensure_ascii=False)
    path = save((f"[{row}]" if name == "c.json" else row).encode(encoding), name)
    assert [page.text for page in read_pages(f"chat:{path}{option}")] == ["Ж"]
    if not option:
        assert [page.text for page in read_pages(str(path))] == ["Ж"]
