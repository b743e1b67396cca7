import json
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest
from datasets import ClassLabel, Image, List, Value
from pyarrow import parquet

from ocrtune.errors import ImageError, SourceError
from ocrtune.records import EncodedImage
from ocrtune.sources import image_size, open_image, read_pages, read_source
from ocrtune.sources.hub import rows as rows_module
from ocrtune.sources.importing import import_pages

IMAGE_AND_TEXT = {"image": Image(), "text": Value("string")}


def widths(pages):
    return [image_size(image)[0] for page in pages for image in page.images]


def codes(source):
    return [finding.code for finding in source.findings]


@pytest.mark.parametrize("how", ["parquet", "disk", "dict"])
def test_folders_of_the_library_are_read(save, encode, how):
    files = [{"bytes": encode(30), "path": "a.png"}, {"bytes": encode(31, "JPEG"), "path": None}]
    folder = save({"image": files, "text": ["x", "y"]}, IMAGE_AND_TEXT, how=how)
    source = read_source(f"hub:{folder}")
    assert codes(source) == ["columns-recognised"]
    assert [page.text for page in source.pages] == ["x", "y"]
    assert widths(source.pages) == [30, 31]
    assert all(isinstance(page.images[0], EncodedImage) for page in source.pages)
    assert len({page.name for page in source.pages} | {page.document for page in source.pages}) == 2


def test_image_folders_give_the_files_themselves(image_folder):
    pages = read_pages(f"hub:{image_folder}")
    assert [(page.text, page.images[0].name) for page in pages] == [
        ("w30", "30.png"),
        ("w31", "31.png"),
        ("w32", "32.png"),
    ]


def test_a_parquet_file_is_read_by_itself(save, encode):
    folder = save({"image": [{"bytes": encode(30), "path": None}], "text": ["x"]}, IMAGE_AND_TEXT)
    (file,) = folder.iterdir()
    assert widths(read_pages(f"hub:{file}")) == [30]


def test_no_image_is_read_before_it_is_opened(save, monkeypatch):
    monkeypatch.setattr(rows_module.Rows, "content", lambda *_: pytest.fail("an image was read"))
    folder = save({"image": [{"bytes": b"x", "path": None}] * 3, "text": ["x"] * 3}, IMAGE_AND_TEXT)
    assert [page.text for page in read_pages(f"hub:{folder}")] == ["x"] * 3


def test_pages_go_to_other_processes_small_and_are_opened_there(save, encode, tmp_path):
    files = [{"bytes": encode(30 + n) + bytes(50_000), "path": None} for n in range(40)]
    folder = save({"image": files, "text": ["x"] * 40}, IMAGE_AND_TEXT)
    pages = read_pages(f"hub:{folder}")
    pickled = [pickle.dumps(pages), pickle.dumps(pages[3])]
    assert max(map(len, pickled)) < 5_000
    (tmp_path / "pages").write_bytes(b"".join(pickled))
    code = (
        "import pickle, sys; from ocrtune.sources import image_size\n"
        "file = open(sys.argv[1], 'rb'); pages, page = pickle.load(file), pickle.load(file)\n"
        "assert pages[3].images[0].read.args[0] is page.images[0].read.args[0], 'mapped twice'\n"
        "print(len(pages), image_size(pages[39].images[0])[0], image_size(page.images[0])[0])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "pages")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["40", "69", "33"], ran.stderr


def test_rows_without_an_image_are_left_out_and_those_without_text_told(save, encode):
    file = {"bytes": encode(30), "path": None}
    folder = save({"image": [None, file, file], "text": ["x", None, "z"]}, IMAGE_AND_TEXT)
    source = read_source(f"hub:{folder}")
    assert [page.text for page in source.pages] == [None, "z"]
    assert [(found.code, found.severity, found.where) for found in source.findings[1:]] == [
        ("image-none", "error", "data/train#0"),
        ("text-null", "warning", "data/train#1"),
    ]


def test_a_page_may_have_several_images(save, encode):
    files = [[{"bytes": encode(30 + n), "path": None} for n in range(count)] for count in (2, 0, 1)]
    folder = save(
        {"images": files, "text": ["a", "b", "c"]}, {"images": List(Image()), "text": Value("string")}
    )
    pages = read_pages(f"hub:{folder}")
    assert [len(page.images) for page in pages] == [2, 0, 1]
    assert widths(pages) == [30, 31, 30]


def test_images_may_be_bytes_alone(save, encode):
    folder = save({"scan": [encode(30)], "text": ["x"]}, {"scan": Value("binary"), "text": Value("string")})
    assert widths(read_pages(f"hub:{folder}")) == [30]


def test_columns_are_named_where_several_would_do(save, encode):
    file = [{"bytes": encode(30), "path": None}]
    other = [{"bytes": encode(40), "path": None}]
    features = {"image": Image(), "mask": Image(), "text": Value("string"), "label": ClassLabel(names=["k"])}
    folder = save({"image": file, "mask": other, "text": ["x"], "label": [0]}, features)
    with pytest.raises(SourceError, match="several columns hold images: 'image', 'mask'"):
        read_source(f"hub:{folder}")
    assert widths(read_pages(f"hub:{folder}?image=mask")) == [40]
    with pytest.raises(SourceError, match="'label' is of type ClassLabel, and text wants strings"):
        read_source(f"hub:{folder}?image=image&text=label")
    with pytest.raises(SourceError, match="no column 'txt' for the text, did you mean 'text'"):
        read_source(f"hub:{folder}?image=image&text=txt")
    with pytest.raises(SourceError, match="'label' is of type ClassLabel, and image wants images"):
        read_source(f"hub:{folder}?image=label")


@pytest.mark.parametrize(("values", "kind"), [([7], Value("int64")), ([["x"]], List(Value("string")))])
def test_texts_that_are_none_are_refused(save, encode, values, kind):
    folder = save(
        {"image": [{"bytes": encode(30), "path": None}], "text": values}, {"image": Image(), "text": kind}
    )
    for uri in (f"hub:{folder}", f"hub:{folder}?text=text"):
        with pytest.raises(SourceError, match=r"text wants strings|no column is called text"):
            read_source(uri)


def test_documents_may_be_numbers(save, encode):
    columns = {"image": [{"bytes": encode(30), "path": None}] * 2, "text": ["x", "y"], "book": [7, 8]}
    folder = save(columns, {**IMAGE_AND_TEXT, "book": Value("int32")})
    assert [page.document for page in read_pages(f"hub:{folder}?document=book")] == ["7", "8"]


def chat(encode, turns, count=1):
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, "images": [{"bytes": encode(30 + n), "path": None} for n in range(count)]}


def test_chats_are_read_with_their_column_of_images(save, encode):
    turns = [("user", "<image>\nFree OCR."), ("assistant", "x")]
    rows = [chat(encode, turns), chat(encode, turns, count=2), chat(encode, [*turns, *turns])]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    source = read_source(f"hub:{save(columns, {**CHAT, 'images': List(Image())})}")
    (page,) = source.pages
    assert (page.text, page.prompt, widths([page])) == ("x", "<image>\nFree OCR.", [30])
    assert page.name == page.document == "data/train#0"
    assert [(found.code, found.where) for found in source.findings] == [
        ("image-marks", "data/train#1"),
        ("turns-more", "data/train#2"),
    ]


CHAT = {"messages": List({"role": Value("string"), "content": Value("string")})}


def test_chats_of_parts_name_their_images_by_order(save, encode):
    part = {"type": Value("string"), "text": Value("string")}
    features = {"messages": List({"role": Value("string"), "content": List(part)}), "images": List(Image())}
    turns = [
        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Free OCR."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
    ]
    file = {"bytes": encode(30), "path": None}
    (page,) = read_pages(f"hub:{save({'messages': [turns], 'images': [[file]]}, features)}")
    assert (page.prompt, page.text, widths([page])) == ("<image>\nFree OCR.", "x", [30])


@pytest.fixture
def refer(tmp_path):
    """A folder of Parquet by somebody else, in which an image is a path."""

    def write(path):
        image = pa.array([{"bytes": None, "path": path}], pa.struct({"bytes": "binary", "path": "string"}))
        (tmp_path / "data").mkdir()
        parquet.write_table(pa.table({"image": image, "text": ["x"]}), tmp_path / "data" / "train.parquet")
        return tmp_path / "data"

    return write


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../secret.png", "https://there.org/a.png", "hf://datasets/a/b/c.png"]
)
def test_paths_in_rows_lead_nowhere_else(refer, path):
    with pytest.raises(SourceError, match=r"lies outside the folder|nothing is fetched"):
        read_source(f"hub:{refer(path)}")


def test_paths_in_rows_lead_below_the_folder(refer, encode):
    folder = refer("scans/a.png")
    (folder / "scans").mkdir()
    (folder / "scans" / "a.png").write_bytes(encode(33))
    assert widths(read_pages(f"hub:{folder}?split=train")) == [33]


@pytest.mark.parametrize("options", ["", "&streaming=true&limit=9"])
def test_images_may_be_paths_in_json(tmp_path, encode, options):
    (tmp_path / "a.png").write_bytes(encode(30))
    rows = [{"file_name": "a.png", "text": "x"}, {"file_name": None, "text": "y"}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = read_source(f"hub:{tmp_path}?image=file_name{options}")
    assert widths(source.pages) == [30]
    assert "image-none" in codes(source)


def test_splits_are_chosen_by_name_or_part(save, encode):
    files = [{"bytes": encode(30 + n), "path": None} for n in range(10)]
    folder = save({"image": files, "text": ["x"] * 10}, IMAGE_AND_TEXT, splits=("train", "test"))
    assert read_pages(f"hub:{folder}")[0].name == "data/train#0"
    assert read_pages(f"hub:{folder}?split=test")[0].name == "data/test#0"
    assert widths(read_pages(f"hub:{folder}?split=train[30%25:50%25]")) == [33, 34]
    assert widths(read_pages(f"hub:{folder}?limit=2")) == [30, 31]
    with pytest.raises(SourceError, match="no split 'tets', did you mean 'test'"):
        read_source(f"hub:{folder}?split=tets")


def test_a_stream_is_read_as_far_as_asked_for(save, encode, monkeypatch):
    files = [{"bytes": encode(30 + n), "path": None} for n in range(9)]
    folder = save({"image": [*files, None], "text": ["x"] * 10}, IMAGE_AND_TEXT)
    pages = read_pages(f"hub:{folder}?streaming=true&limit=4")
    assert widths(pickle.loads(pickle.dumps(pages))) == [30, 31, 32, 33]
    assert codes(read_source(f"hub:{folder}?streaming=true&limit=99"))[1:] == ["image-none"]
    with pytest.raises(SourceError, match="how many rows"):
        read_source(f"hub:{folder}?streaming=true")
    monkeypatch.setattr("ocrtune.sources.hub.streaming.MOST_HELD_BYTES", 100)
    with pytest.raises(SourceError, match="more than 100 bytes"):
        read_source(f"hub:{folder}?streaming=true&limit=4")


def test_a_stream_of_files_gives_the_files(image_folder):
    pages = read_pages(f"hub:{image_folder}?streaming=true&limit=2")
    assert [page.images[0].name for page in pages] == ["30.png", "31.png"]


def test_a_data_set_that_cannot_be_reached_is_one_error():
    with pytest.raises(SourceError, match="'nobody/gone' cannot be reached") as caught:
        read_source("hub:nobody/gone")
    assert "hf auth login" in caught.value.hint
    with pytest.raises(SourceError, match="there is no folder"):
        read_source("hub:gone/here/deep")


def test_a_program_is_never_run(tmp_path):
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SourceError, match="no code that comes with data is run"):
        read_source(f"hub:{folder}")
    assert not (tmp_path / "ran").exists()


def test_folders_without_data_and_broken_files_are_one_error(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        read_source(f"hub:{folder}")
    (folder / "train.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(SourceError, match="cannot be read"):
        read_source(f"hub:{folder}")


def test_a_broken_image_is_found_when_it_is_opened(save):
    folder = save({"image": [{"bytes": b"none", "path": None}], "text": ["x"]}, IMAGE_AND_TEXT)
    (page,) = read_pages(f"hub:{folder}")
    with pytest.raises(ImageError) as caught:
        open_image(page.images[0])
    assert caught.value.where == "data/train#0"


@pytest.mark.parametrize(
    "uri", ["hub:", "hub:x?spilt=train", "hub:x?streaming=yes", "hub:x?limit=0", "hub:x?image="]
)
def test_wrong_options_are_told(uri):
    with pytest.raises(SourceError):
        read_source(uri)


def test_a_data_set_is_imported_with_its_files_as_they_are(save, encode, tmp_path):
    contents = [encode(30), encode(31, "JPEG"), encode(32, "GIF")]
    folder = save(
        {"image": [{"bytes": each, "path": None} for each in contents], "text": list("xyz")}, IMAGE_AND_TEXT
    )
    assert import_pages([f"hub:{folder}"], tmp_path / "out").num_pages == 3
    written = [page.images[0] for page in read_pages(str(tmp_path / "out"))]
    assert [path.suffix for path in written] == [".png", ".jpg", ".gif"]
    assert [path.read_bytes() for path in written[:2]] == contents[:2]
    assert widths(read_pages(str(tmp_path / "out"))) == [30, 31, 32]


@pytest.mark.parametrize(
    ("how", "option"), [("disk", "split"), ("disk", "config"), ("disk", "revision"), ("dict", "config")]
)
def test_what_cannot_be_chosen_of_a_saved_folder_is_told(save, encode, how, option):
    folder = save({"image": [{"bytes": encode(30), "path": None}], "text": ["x"]}, IMAGE_AND_TEXT, how=how)
    with pytest.raises(SourceError, match=f"{option}=other cannot be chosen"):
        read_source(f"hub:{folder}?{option}=other")
