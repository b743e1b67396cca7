import json
import signal
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from ocrtune.errors import SynthError
from ocrtune.sources import read_pages
from ocrtune.synth import files
from ocrtune.synth.files import write_pages
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.making import Maker
from ocrtune.synth.reading import parse_synth_config, read_synth_config, synth_config_text

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
import os, signal, sys, time
from pathlib import Path
from ocrtune.synth import files
from ocrtune.synth.reading import read_synth_config

os.environ.setdefault("RUN", str(os.getpid()))
save = files._Parts._save

def save_or_kill(parts, sample):
    if sample.number == int(sys.argv[4]):
        os.kill(int(os.environ["RUN"]), signal.SIGKILL)
        time.sleep(60)
    return save(parts, sample)

files._Parts._save = save_or_kill  # in processes of the pool too, which import this script
if __name__ == "__main__":
    files.write_pages(read_synth_config(sys.argv[1]), Path(sys.argv[2]), processes=int(sys.argv[3]))
"""


def start_run(config, tmp_path, processes, killed_at):
    """A run of its own that is killed when it comes to a page, with all that holds the pipe of its stderr."""
    script = tmp_path / "write.py"
    script.write_text(WRITE, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(synth_config_text(config), encoding="utf-8")
    arguments = [tmp_path / "recipe.yaml", tmp_path / "killed", processes, killed_at]
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_killed_goes_on_and_writes_the_same_bytes(processes, whole, tmp_path, capsys):
    folder, run = tmp_path / "killed", start_run(LINES, tmp_path, processes, 70)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert list(folder.glob("parts/0*.jsonl"))
    assert not (folder / "manifest.jsonl").exists()
    # What a process was writing when it was killed.
    (folder / "images/0000/.0000070.png.tmp").write_bytes(b"half")
    written = write_pages(LINES, folder, processes=1)
    assert 0 < written.num_resumed < LINES.count
    assert f"going on after {written.num_resumed} of 100 pages" in capsys.readouterr().err
    assert contents(folder) == contents(whole)


def test_processes_end_with_the_run_that_was_killed(tmp_path):
    run = start_run(LINES.model_copy(update={"count": 100_000}), tmp_path, 2, 70)
    # The end of its stderr is read when the last process that holds the other end is gone.
    run.communicate(timeout=45)
    assert run.returncode == -signal.SIGKILL


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
    monkeypatch.setattr(files, "PAGES_PER_PART", 2)
    maker = Maker(FEW)
    counted = sum((maker.sample(number).misses for number in range(FEW.count)), Counter())
    once = write_pages(FEW, tmp_path / "once", processes=1)
    findings = json.loads(once.findings.read_text("utf-8"))
    assert findings["texts_without_font"] == counted
    assert findings["fonts_lacking_letters"]["some font"] == once.num_skipped == counted["en"] > 4
    again = write_pages(FEW, tmp_path / "once", processes=1)
    assert again.num_skipped == once.num_skipped


def test_a_mistake_in_a_process_is_told_as_it_is(tmp_path):
    config = FEW.model_copy(update={"count": 70, "degradations": "typcal"})
    with pytest.raises(SynthError, match="typcal"):
        write_pages(config, tmp_path, processes=2)


def test_a_folder_is_not_gone_on_with_in_other_fonts(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files._Parts, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_pages(FEW, tmp_path, processes=1)
    with monkeypatch.context() as patch:
        patch.setattr(Fonts, "digest", lambda _: "others")
        with pytest.raises(SynthError, match="that differ in font_files"):
            write_pages(FEW, tmp_path, processes=1)
    assert write_pages(FEW, tmp_path, processes=1).num_resumed == 5


def test_a_complete_folder_is_complete_whatever_fonts_there_are(whole, monkeypatch):
    monkeypatch.setattr(Fonts, "digest", lambda _: "others")
    assert write_pages(LINES, whole).num_resumed == 100


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "pages").write_text("")
    with pytest.raises(SynthError, match="this is a file"):
        write_pages(FEW, tmp_path / "pages", processes=1)


@pytest.mark.parametrize("name", ["settings.json", "findings.json"])
def test_a_broken_file_of_an_earlier_run_is_named(tmp_path, name):
    write_pages(FEW, tmp_path, processes=1)
    (tmp_path / name).write_text("{")
    with pytest.raises(SynthError, match="missing or broken") as caught:
        write_pages(FEW, tmp_path, processes=1)
    assert caught.value.where.endswith(name)


def test_a_part_without_rows_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files._Parts, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_pages(FEW, tmp_path, processes=1)
    (part,) = (tmp_path / "parts").iterdir()
    part.write_text("")
    with pytest.raises(SynthError, match="missing or broken"):
        write_pages(FEW, tmp_path, processes=1)
