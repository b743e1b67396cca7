import json
import os
import stat
from collections.abc import Iterator

import pytest

from ocrtune.sources import make_readable, write_jsonl, write_text_atomically


def test_text_is_written_as_it_is(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text_atomically(path, "Я\r\n\n")
    assert path.read_bytes() == "Я\r\n\n".encode()


def test_an_old_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")
    write_text_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_text_atomically(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_rows_are_one_object_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "Я\u2028\n"}, {"n": 1.5, "none": None}]
    write_jsonl(path, rows)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == rows
    assert lines[-1] == ""
    assert "Я" in lines[0]


def test_no_rows_make_an_empty_file(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [])
    assert (tmp_path / "rows.jsonl").read_bytes() == b""


def test_rows_that_break_off_leave_no_file(tmp_path):
    def rows() -> Iterator[dict[str, object]]:
        yield {"a": 1}
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError):
        write_jsonl(tmp_path / "rows.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_what_json_cannot_say_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_jsonl(tmp_path / "rows.jsonl", [{"loss": float("nan")}])


def test_a_file_made_readable_has_the_rights_of_any_other(tmp_path):
    plain, private = tmp_path / "plain", tmp_path / "private"
    plain.write_text("")
    private.touch(mode=0o600)
    private.chmod(0o600)
    make_readable(private)
    assert private.stat().st_mode == plain.stat().st_mode
