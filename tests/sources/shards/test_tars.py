import json
import pickle
import tarfile

import pytest
from PIL import Image

from ocrtune.errors import ShardError, SourceError
from ocrtune.sources import image_size, open_image, read_source
from ocrtune.sources.importing import import_pages


def codes(source):
    return {finding.code for finding in source.findings}


def pairs(encoded, count, first=0):
    for number in range(first, first + count):
        yield f"{number:04}.png", encoded(number)
        yield f"{number:04}.txt", f"page {number}\n".encode()


def test_members_of_one_key_are_a_page_in_the_order_of_shards(write_tar, encoded, tmp_path):
    for shard in range(12):
        write_tar(f"s/{shard}.tar", pairs(encoded, 2, first=shard * 2))
    source = read_source(f"webdataset:{tmp_path}/s")
    assert source.findings == []
    assert [page.text for page in source.pages] == [f"page {number}" for number in range(24)]
    assert source.pages[23].name == "11.tar#0023"
    assert source.pages[-1].images[0].read() == encoded(23)
    assert open_image(source.pages[3].images[0]).size == image_size(source.pages[3].images[0]) == (24, 16)


def test_pages_go_to_other_processes(write_tar, encoded):
    source = read_source(f"webdataset:{write_tar('a.tar', pairs(encoded, 3))}")
    copy = pickle.loads(pickle.dumps(source.pages))
    assert [page.text for page in copy] == ["page 0", "page 1", "page 2"]
    assert copy[1].images[0].read() == encoded(1)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_letters_of_any_script_are_read_from_every_form_of_tar(write_tar, encoded, form):
    long = f"{'a' * 90}/{'b' * 90}/seite"
    name = long if form == tarfile.USTAR_FORMAT else f"{long}-страница-{'c' * 120}"
    path = write_tar("a.tar", [(f"{name}.jpg", encoded(1, "JPEG")), (f"{name}.txt", b"x")], form=form)
    (page,) = read_source(f"webdataset:{path}").pages
    assert (page.name, page.text) == (f"a.tar#{name}", "x")
    assert page.document == name.rpartition("/")[0]


def test_every_member_is_where_the_standard_library_finds_it(write_tar, encoded):
    members = [*pairs(encoded, 5), (f"{'n' * 150}.png", encoded(9)), ("z.jpg", encoded(8, "JPEG"))]
    path = write_tar("a.tar", members)
    with tarfile.open(path) as tar:
        expected = {info.name: tar.extractfile(info).read() for info in tar if not info.name.endswith("txt")}
    images = [image for page in read_source(f"webdataset:{path}").pages for image in page.images]
    assert {image.name.partition("#")[2]: image.read() for image in images} == expected


def test_json_brings_text_prompt_and_document(write_tar, encoded):
    members = [
        ("a.png", encoded()),
        ("a.json", json.dumps({"text": "from json", "prompt": "<image>\nRead.", "document": 7}).encode()),
        ("b.png", encoded(1)),
        ("b.gt.txt", "\ufeffтак\r\nи так\n".encode()),
        ("b.json", b'{"text": "not this one"}'),
        ("c.png", encoded(2)),
        ("d.json", b'{"prompt": "Say x.", "text": "x"}'),
    ]
    a, b, c, d = read_source(f"webdataset:{write_tar('a.tar', members)}").pages
    assert (a.text, a.prompt, a.document) == ("from json", "<image>\nRead.", "7")
    assert b.text == "так\nи так"
    assert c.text is None
    assert (d.images, d.prompt, d.text) == ((), "Say x.", "x")


def test_images_of_one_key_are_one_page_in_natural_order(write_tar, encoded):
    members = [(f"a.{number}.png", encoded(number)) for number in (10, 2, 1)]
    (page,) = read_source(f"webdataset:{write_tar('a.tar', [*members, ('a.txt', b'x')])}").pages
    assert [image.read() for image in page.images] == [encoded(1), encoded(2), encoded(10)]


def test_texts_may_stand_apart_from_their_images(write_tar, encoded):
    members = list(pairs(encoded, 4))
    apart = [member for member in members if member[0].endswith("png")] + members[1::2]
    pages = read_source(f"webdataset:{write_tar('a.tar', apart)}").pages
    assert [page.text for page in pages] == [f"page {number}" for number in range(4)]


def test_a_key_that_comes_again_is_another_page(write_tar, encoded):
    source = read_source(f"webdataset:{write_tar('a.tar', [*pairs(encoded, 1), *pairs(encoded, 1)])}")
    assert [page.name for page in source.pages] == ["a.tar#0000", "a.tar#0000~2"]
    assert [page.text for page in source.pages] == ["page 0", "page 0"]
    assert codes(source) == {"shard-key-twice"}


def test_pages_before_a_cut_are_kept_and_the_one_in_it_is_not(write_tar, encoded):
    path = write_tar("a.tar", pairs(encoded, 10))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        places = {info.name: info.offset_data for info in tar}
    for name, left in [("0006.png", 6), ("0006.txt", 6)]:
        path.write_bytes(whole[: places[name] + 3])
        source = read_source(f"webdataset:{path}")
        assert [page.text for page in source.pages] == [f"page {number}" for number in range(left)]
        (finding,) = source.findings
        assert (finding.code, finding.severity, finding.where) == ("shard-cut-off", "error", str(path))
        assert name in finding.message


@pytest.mark.parametrize("length", [0, 3, 100, 511, 512, 513, 1024, 1500])
def test_a_tar_may_end_anywhere_without_a_crash(write_tar, encoded, length):
    path = write_tar("a.tar", pairs(encoded, 2))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SourceError, match="no page of the shards"):
        read_source(f"webdataset:{path}")


def test_bytes_that_are_no_header_end_a_shard(write_tar, encoded):
    path = write_tar("a.tar", pairs(encoded, 3))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        place = tar.getmembers()[4].offset
    content[place + 10] ^= 1
    path.write_bytes(bytes(content))
    source = read_source(f"webdataset:{path}")
    assert codes(source) == {"shard-broken"}
    assert [page.text for page in source.pages] == ["page 0"]


def test_links_devices_and_paths_out_are_never_followed(write_tar, encoded, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    members = [*pairs(encoded, 1)]
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
        info = tarfile.TarInfo(f"x{number}.txt")
        info.type, info.linkname = kind, str(tmp_path / "secret.txt")
        members.append((info, b""))
    members += [("/abs.png", encoded()), ("../up.png", encoded()), ("C:\\x.png", encoded())]
    source = read_source(f"webdataset:{write_tar('a.tar', members)}")
    assert [page.text for page in source.pages] == ["page 0"]
    assert {(finding.code, finding.count) for finding in source.findings} == {
        ("shard-member-refused", 4),
        ("shard-member-refused", 3),
    }


def test_what_is_no_page_is_told(write_tar, encoded, monkeypatch):
    monkeypatch.setattr("ocrtune.sources.shards.tar_pages.MOST_TEXT_BYTES", 50)
    members = [
        *pairs(encoded, 1),
        ("0000.cls", b"3"),
        ("0001.cls", b"3"),
        (".hidden.png", b""),
        ("lonely.txt", b"x"),
        *[(f"{key}.png", encoded()) for key in ("latin", "long", "json", "number")],
        ("latin.txt", b"\xe4"),
        ("long.txt", b"x" * 51),
        ("json.json", b"{"),
        ("number.json", b'{"text": 3}'),
    ]
    source = read_source(f"webdataset:{write_tar('a.tar', members)}")
    assert [page.text for page in source.pages] == ["page 0"]
    told = [(finding.code, finding.severity, finding.count) for finding in source.findings]
    assert ("shard-member-passed-over", "note", 2) in told
    assert ("shard-without-image", "error", 1) in told
    assert told.count(("shard-text", "error", 1)) == 4


def test_a_compressed_tar_is_refused_with_the_command_that_unpacks_it(write_tar, encoded, tmp_path):
    write_tar("s/a.tar.gz", pairs(encoded, 1), mode="w:gz")
    with pytest.raises(SourceError, match="compressed") as error:
        read_source(f"webdataset:{tmp_path}/s")
    assert "gzip -d" in error.value.hint
    write_tar("s/b.tar", pairs(encoded, 1))
    source = read_source(f"webdataset:{tmp_path}/s")
    assert len(source.pages) == 1
    assert codes(source) == {"shard-compressed"}


def test_braces_count_and_list_shards_and_all_must_be_there(write_tar, encoded, tmp_path):
    for name in ("a-08", "a-09", "a-10", "b-08", "b-09", "b-10"):
        write_tar(f"{name}.tar", [(f"{name}.png", encoded())])
    pages = read_source(f"webdataset:{tmp_path}/{{a,b}}-{{08..10}}.tar").pages
    assert [page.name.partition("#")[2] for page in pages] == ["a-08", "a-09", "a-10", "b-08", "b-09", "b-10"]
    with pytest.raises(SourceError, match="2 of the 8 shards are not there"):
        read_source(f"webdataset:{tmp_path}/{{a,b}}-{{08..11}}.tar")


def test_a_tar_without_a_mark_at_its_end_is_read_with_a_warning(write_tar, encoded):
    path = write_tar("a.tar", pairs(encoded, 2))
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + 512])
    source = read_source(f"webdataset:{path}")
    assert [page.text for page in source.pages] == ["page 0", "page 1"]
    assert [(finding.code, finding.severity) for finding in source.findings] == [("shard-no-end", "warning")]


def test_a_shard_that_changed_under_a_run_is_an_error(write_tar, encoded):
    path = write_tar("a.tar", pairs(encoded, 3))
    pages = read_source(f"webdataset:{path}").pages
    write_tar("a.tar", [("other.png", encoded(5, size=(90, 90)))])
    with pytest.raises(ShardError, match="not as it was"):
        pages[2]


def test_shards_are_imported_as_any_other_source(write_tar, encoded, tmp_path):
    path = write_tar("a.tar", [*pairs(encoded, 2), ("x.jpg", encoded(5, "JPEG")), ("x.txt", b"x")])
    imported = import_pages([f"webdataset:{path}"], tmp_path / "out")
    assert imported.num_pages == 3
    (row, *_) = [json.loads(line) for line in imported.manifest.read_text().splitlines()]
    assert row["text"] == "page 0"
    with Image.open(tmp_path / "out" / row["image"]) as image:
        assert image.size == (24, 16)


def test_of_several_texts_of_one_kind_the_plain_one_counts_or_none(write_tar, encoded):
    members = [
        ("a.png", encoded(1)), ("a.zzz.txt", b"no"), ("a.TXT", b"yes"), ("a.b.json", b'{"text": "no"}'),
        ("b.png", encoded(2)), ("b.ocr.txt", b"one"), ("b.hand.txt", b"two"),
        ("c.png", encoded(3)), ("c.only.txt", b"three"),
        ("d.png", encoded(4)), ("d.txt", b"four"), ("d.TXT", b"five"),
    ]  # fmt: skip
    source = read_source(f"webdataset:{write_tar('a.tar', members)}")
    assert [(page.name, page.text) for page in source.pages] == [("a.tar#a", "yes"), ("a.tar#c", "three")]
    *several, passed = sorted(source.findings, key=lambda finding: (finding.severity, finding.where))
    assert [(one.code, one.severity) for one in several] == [("texts-several", "error")] * 2
    assert [one.message.rpartition(": ")[2] for one in several] == [".hand.txt, .ocr.txt", ".TXT, .txt"]
    assert (passed.code, passed.severity, passed.where.endswith("#a")) == (
        "shard-member-passed-over",
        "note",
        True,
    )


def test_json_in_a_shard_may_be_a_target_and_begin_with_a_mark(write_tar, encoded):
    members = [("a.png", encoded(1)), ("a.json", '\ufeff{"text": {"total": 1}}'.encode())]
    (page,) = read_source(f"webdataset:{write_tar('a.tar', members)}").pages
    assert page.text == '{"total":1}'


def test_a_text_in_json_without_image_or_prompt_is_no_page(write_tar, encoded):
    members = [
        ("a.png", encoded(1)),
        ("b.json", b'{"text": "x"}'),
        ("c.json", b'{"text": "x", "prompt": "y"}'),
    ]
    source = read_source(f"webdataset:{write_tar('a.tar', members)}")
    assert [page.name for page in source.pages] == ["a.tar#a", "a.tar#c"]
    assert codes(source) == {"shard-without-image"}


def test_a_folder_may_have_braces_in_its_name(write_tar, encoded, tmp_path):
    write_tar("{1}/a.tar", pairs(encoded, 1))
    assert len(read_source(f"webdataset:{tmp_path}/{{1}}").pages) == 1
    assert len(read_source(f"webdataset:{tmp_path}/{{1}}/a.tar").pages) == 1
    write_tar("1.tar", pairs(encoded, 1))
    assert len(read_source(f"webdataset:{tmp_path}/{{1,1}}.tar").pages) == 1
