import pytest

from ocrtune.errors import ExportError
from ocrtune.export.staging import staged_folder


def write(out, text="new", **options):
    with staged_folder(
        out, overwrite=options.get("overwrite", False), keep=options.get("keep", ())
    ) as staged:
        (staged / "file").write_text(text, encoding="utf-8")
        assert staged.parent == out.parent, "a rename stays on one disk"
        if "error" in options:
            raise options["error"]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    write(tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / "file").read_text(encoding="utf-8") == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", error=KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_folder_as_it_was(tmp_path):
    out = tmp_path / "out"
    write(out, "old")
    with pytest.raises(ZeroDivisionError):
        write(out, overwrite=True, error=ZeroDivisionError())
    assert (out / "file").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_read_from_is_refused_however_its_path_is_written(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="which it is made of"):
        write(out.relative_to(tmp_path), overwrite=True, keep=[out])
