import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from ocrtune.errors import SynthError
from ocrtune.sources import read_pages
from ocrtune.synth import files
from ocrtune.synth.files import PAGES_PER_PART, write_pages
from ocrtune.synth.making import Maker
from ocrtune.synth.reading import parse_synth_config, read_synth_config, write_synth_config

LINES = parse_synth_config({"count": 100, "letters": {"longest": 12}, "seed": 1, "pages_per_document": 25})
FEW = LINES.model_copy(update={"count": 5})
MIX = parse_synth_config(
    {
        "count": 6,
        "layouts": {"line": 1, "paragraph": 1},
        "paper": {"width_px": 400, "height_px": 400, "font_px": [18, 20]},
    }
)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All lines made at a stretch by one process."""
    folder = tmp_path_factory.mktemp("whole")
    write_pages(LINES, folder, processes=1)
    return folder


def test_the_manifest_is_a_source_of_pages_like_any_other(whole):
    pages = read_pages(str(whole / "manifest.jsonl"))
    assert len(pages) == 100
    sample = Maker(LINES).sample(42)
    assert (pages[42].text, pages[42].document) == (sample.text, sample.document)
    with Image.open(pages[42].images[0]) as image:
        assert image.format == "PNG"
        assert image.tobytes() == sample.scan.image.tobytes()
    assert len({page.document for page in pages}) == 4


def test_a_row_says_where_its_page_is_from(whole):
    rows = [json.loads(line) for line in (whole / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert rows[7].keys() == {"image", "text", "document", "synth"}
    assert rows[7]["image"] == "images/0000/0000007.png"
    assert rows[7]["synth"]["number"] == 7
    assert {"font", "language", "layout", "degradations"} <= rows[7]["synth"].keys()


def test_a_folder_holds_its_recipe_and_nothing_that_was_for_the_time_of_making(whole):
    assert read_synth_config(whole / "synth.yaml") == LINES
    assert {path.name for path in whole.iterdir()} == {
        "findings.json", "images", "manifest.jsonl", "settings.json", "synth.yaml",
    }  # fmt: skip


def test_many_processes_write_the_same_bytes_as_one(whole, tmp_path):
    written = write_pages(LINES, tmp_path / "many", processes=3)
    assert (written.num_pages, written.num_resumed) == (100, 0)
    assert contents(tmp_path / "many") == contents(whole)


WRITE = """
import sys
from pathlib import Path
from ocrtune.synth.files import write_pages
from ocrtune.synth.reading import read_synth_config
if __name__ == "__main__":
    write_pages(read_synth_config(sys.argv[1]), Path(sys.argv[2]), processes=int(sys.argv[3]))
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_killed_goes_on_and_writes_the_same_bytes(processes, whole, tmp_path, capsys):
    folder, script = tmp_path / "killed", tmp_path / "write.py"
    script.write_text(WRITE, encoding="utf-8")
    write_synth_config(LINES, tmp_path / "recipe.yaml")
    run = subprocess.Popen([sys.executable, script, tmp_path / "recipe.yaml", folder, str(processes)])
    deadline = time.monotonic() + 60
    while not list(folder.glob("parts/0*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    done = len(list(folder.glob("parts/0*.jsonl")))
    assert 0 < done < len(range(0, LINES.count, PAGES_PER_PART)), "killed too late to prove anything"
    assert not (folder / "manifest.jsonl").exists()
    # What a process was writing when it was killed.
    (folder / "images/0000/.0000099.png.tmp").write_bytes(b"half")
    written = write_pages(LINES, folder, processes=1)
    assert written.num_resumed > 0
    assert "going on after" in capsys.readouterr().err
    assert contents(folder) == contents(whole)


def test_processes_end_with_the_run_that_was_killed(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(WRITE, encoding="utf-8")
    write_synth_config(LINES.model_copy(update={"count": 100_000}), tmp_path / "recipe.yaml")
    command = [sys.executable, script, tmp_path / "recipe.yaml", tmp_path / "out", "2"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not list((tmp_path / "out").glob("parts/0*.jsonl")):
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    # Its end is read when the last of the processes that hold the other end is gone.
    run.communicate(timeout=20)


def test_a_folder_that_is_finished_is_left_as_it_is(tmp_path):
    write_pages(FEW, tmp_path, processes=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    written = write_pages(FEW, tmp_path, processes=1)
    assert (written.num_pages, written.num_resumed) == (5, 5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_pages_of_another_recipe_are_not_mixed_in(tmp_path):
    write_pages(FEW, tmp_path, processes=1)
    other = FEW.model_copy(update={"seed": 9, "target": "grounded"})
    with pytest.raises(SynthError, match="synthetic pages lie there that differ in seed, target") as caught:
        write_pages(other, tmp_path, processes=1)
    assert caught.value.where == str(tmp_path)
    assert caught.value.hint == "write to another folder, or delete this one"
    with pytest.raises(SynthError, match="differ in images"):
        write_pages(FEW, tmp_path, images="jpeg")
    with pytest.raises(SynthError, match="synthetic pages lie there"):
        write_pages(FEW, tmp_path, resume=False)


@pytest.mark.parametrize("name", ["manifest.jsonl", "synth.yaml"])
def test_files_of_somebody_else_are_not_overwritten(name, tmp_path):
    (tmp_path / name).write_text("count: 3\n", encoding="utf-8")
    with pytest.raises(SynthError, match=f"a {name} lies there that this command did not write"):
        write_pages(FEW, tmp_path, processes=1)
    assert (tmp_path / name).read_text("utf-8") == "count: 3\n"


@pytest.mark.parametrize(("images", "suffixes"), [("auto", {"line": ".png", "paragraph": ".jpg"}), ("png", {"line": ".png", "paragraph": ".png"}), ("jpeg", {"line": ".jpg", "paragraph": ".jpg"})])  # fmt: skip
def test_the_format_of_images_can_be_chosen(images, suffixes, tmp_path):
    write_pages(MIX, tmp_path, processes=1, images=images)
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()]
    found = {row["synth"]["layout"]: row["image"][-4:] for row in rows}
    assert found == suffixes
    for row in rows:
        with Image.open(tmp_path / row["image"]) as image:
            assert image.format == {".png": "PNG", ".jpg": "JPEG"}[row["image"][-4:]]


def test_what_was_passed_over_is_counted_whatever_the_number_of_runs(tmp_path, monkeypatch):
    from ocrtune.synth import making

    real = making.make_sheet

    def make_sheet(layout, source, fonts, config, rng, *, longest):
        if rng.random() < 0.5:
            fonts.lacking["some font"] += 1
            return None
        return real(layout, source, fonts, config, rng, longest=longest)

    monkeypatch.setattr(making, "make_sheet", make_sheet)
    monkeypatch.setattr(files, "PAGES_PER_PART", 4)
    once = write_pages(FEW, tmp_path / "once", processes=1)
    findings = json.loads(once.findings.read_text("utf-8"))
    assert findings["texts_without_font"] == {"en": once.num_skipped}
    assert findings["fonts_lacking_letters"]["some font"] == once.num_skipped > 0
    again = write_pages(FEW, tmp_path / "once", processes=1)
    assert again.num_skipped == once.num_skipped


def test_a_mistake_in_a_process_is_told_as_it_is(tmp_path):
    config = FEW.model_copy(update={"count": 70, "degradations": "typcal"})
    with pytest.raises(SynthError, match="typcal"):
        write_pages(config, tmp_path, processes=2)
