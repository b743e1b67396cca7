import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrtune.data.streams import is_stream
from ocrtune.errors import ImageError, ShardError, SourceError
from ocrtune.sources import open_image, read_source
from ocrtune.sources.shards import cells

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def write(tmp_path):
    def write_table(name, rows=4, /, **columns):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=rows)
        return path

    return write_table


def image_column(encoded, count, first=0):
    return pa.array(
        [{"bytes": encoded(number), "path": None} for number in range(first, first + count)], IMAGE
    )


def test_rows_are_pages_over_row_groups_and_files(write, encoded, tmp_path):
    for part in range(2):
        write(
            f"s/{part}.parquet",
            3,
            image=image_column(encoded, 7, 7 * part),
            text=[f"t{7 * part + n}" for n in range(7)],
        )
    source = read_source(f"parquet:{tmp_path}/s")
    assert [page.text for page in source.pages] == [f"t{number}" for number in range(14)]
    assert [page.images[0].read() for page in source.pages] == [encoded(number) for number in range(14)]
    assert (source.pages[8].name, source.pages[8].where) == ("1.parquet#2", f"{tmp_path}/s/1.parquet#2")
    assert {finding.code for finding in source.findings} == {"columns-recognised"}
    copy = pickle.loads(pickle.dumps(source.pages))
    assert copy[13].text == "t13"


def test_columns_are_those_that_the_uri_names(write, encoded):
    path = write(
        "a.parquet",
        scan=pa.array([encoded(1)], pa.large_binary()),
        gt=pa.array(["a"]).dictionary_encode(),
        book=pa.array([7]),
        ask=pa.array(["<image>\nRead."], pa.large_string()),
    )
    (page,) = read_source(f"parquet:{path}?image=scan&text=gt&document=book&prompt=ask").pages
    assert (page.text, page.document, page.prompt) == ("a", "7", "<image>\nRead.")
    assert open_image(page.images[0]).size == (24, 16)


def test_images_may_lie_beside_the_file_and_no_path_leads_out(write, encoded, tmp_path):
    (tmp_path / "s" / "scans").mkdir(parents=True)
    (tmp_path / "s" / "scans" / "1.png").write_bytes(encoded(1))
    (tmp_path / "out.png").write_bytes(encoded(2))
    path = write("s/a.parquet", image=["1.png", "../../out.png", None], text=["a", "b", None])
    first, second, third = read_source(f"parquet:{path}?root=scans").pages
    assert first.images == (tmp_path / "s" / "scans" / "1.png",)
    assert third.text is None
    with pytest.raises(ImageError, match="outside"):
        open_image(second.images[0])
    with pytest.raises(ImageError, match="no image"):
        open_image(third.images[0])


def test_a_struct_without_bytes_names_a_file_below_the_root(write, encoded, tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(1))
    rows = [{"bytes": None, "path": "1.png"}, {"bytes": None, "path": "../1.png"}, None]
    path = write("a.parquet", image=pa.array(rows, IMAGE), text=["a", "b", "c"])
    good, out, missing = read_source(f"parquet:{path}").pages
    assert good.images[0].read() == encoded(1)
    for page in (out, missing):
        with pytest.raises(ImageError):
            page.images[0].read()


def test_a_list_is_several_images_of_one_page(write, encoded):
    rows = [[{"bytes": encoded(1), "path": None}, {"bytes": encoded(2), "path": None}], []]
    path = write("a.parquet", image=pa.array(rows, pa.list_(IMAGE)), text=["a", "b"])
    both, none = read_source(f"parquet:{path}").pages
    assert [image.read() for image in both.images] == [encoded(1), encoded(2)]
    with pytest.raises(ImageError, match="no image"):
        none.images[0].read()


def test_columns_that_hold_neither_images_nor_texts_are_refused(write, encoded):
    path = write("a.parquet", image=[1], text=["a"])
    with pytest.raises(SourceError, match="holds int64, not images"):
        read_source(f"parquet:{path}")
    path = write("b.parquet", image=image_column(encoded, 1), text=[2.5])
    with pytest.raises(SourceError, match="not texts"):
        read_source(f"parquet:{path}")
    with pytest.raises(SourceError, match="no column 'txt'"):
        read_source(f"parquet:{path}?text=txt")
    path = write("c.parquet", image=image_column(encoded, 1), messages=[[{"role": "user", "content": "x"}]])
    with pytest.raises(SourceError, match="chats"):
        read_source(f"parquet:{path}")


def test_files_that_are_broken_or_of_other_columns_are_left_out_and_told(write, encoded, tmp_path):
    write("s/a.parquet", image=image_column(encoded, 2), text=["a", "b"])
    write("s/b.parquet", image=image_column(encoded, 2), label=["a", "b"])
    (tmp_path / "s" / "c.parquet").write_bytes(b"PAR1 no table")
    source = read_source(f"parquet:{tmp_path}/s")
    assert [page.text for page in source.pages] == ["a", "b"]
    errors = {finding.code for finding in source.findings if finding.severity == "error"}
    assert errors == {"shard-columns", "shard-broken"}


def test_a_row_group_that_is_broken_costs_its_own_pages(write, encoded):
    path = write("a.parquet", 2, image=image_column(encoded, 4), text=["a", "b", "c", "d"])
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    pages = read_source(f"parquet:{path}").pages
    with pytest.raises(ImageError, match="row group 0"):
        pages[0].images[0].read()
    assert pages[2].images[0].read() == encoded(2)
    path.write_bytes(b"")
    with pytest.raises(ShardError):
        pages[3].images and pages[3].text


def test_row_groups_are_kept_up_to_a_limit(write, encoded, monkeypatch):
    path = write("a.parquet", 2, image=image_column(encoded, 8), text=list("abcdefgh"))
    kept, reads = cells._Kept(), []
    read = cells._read
    monkeypatch.setattr(cells, "_KEPT", kept)
    monkeypatch.setattr(cells, "_read", lambda column: reads.append(column) or read(column))
    pages = read_source(f"parquet:{path}").pages
    assert [page.text for page in pages] == list("abcdefgh")
    assert len(reads) == 4
    monkeypatch.setattr(cells, "MOST_KEPT_BYTES", 1)
    for page in pages:
        page.images[0].read()
    assert len(kept._columns) == 1


def test_several_files_are_a_stream_and_one_is_not(write, encoded, tmp_path):
    path = write("s/a.parquet", image=image_column(encoded, 1), text=["a"])
    assert not is_stream(f"parquet:{tmp_path}/s")
    assert is_stream(f"parquet:{path}?stream=true")
    write("s/b.parquet", image=image_column(encoded, 1), text=["a"])
    assert is_stream(f"parquet:{tmp_path}/s")
    assert not is_stream(f"parquet:{tmp_path}/s?stream=false")
    assert not is_stream(str(path))
    assert len(read_source(str(path)).pages) == 1


def test_lists_of_a_fixed_length_and_structs_of_paths_alone_are_read(write, encoded, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(5))
    two = pa.array([[encoded(1), encoded(2)]], pa.list_(pa.binary(), 2))
    (page,) = read_source(str(write("a.parquet", image=two, text=["x"]))).pages
    assert [image.read() for image in page.images] == [encoded(1), encoded(2)]
    named = pa.array(
        [{"bytes": None, "path": "a.png"}], pa.struct([("bytes", pa.null()), ("path", pa.string())])
    )
    (page,) = read_source(str(write("b.parquet", image=named, text=["x"]))).pages
    assert page.images[0].read() == encoded(5)


def test_bytes_that_are_text_are_refused(write, encoded):
    image = pa.array([{"bytes": "iVBORw0KGgo=", "path": "a.png"}])
    with pytest.raises(SourceError, match="holds struct<bytes: string, path: string>, not images"):
        read_source(str(write("a.parquet", image=image, text=["x"])))


def test_a_table_without_rows_says_so(write):
    empty = {"image": pa.array([], pa.binary()), "text": pa.array([], pa.string())}
    with pytest.raises(SourceError, match="there are none in it"):
        read_source(str(write("a.parquet", **empty)))
