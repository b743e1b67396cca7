import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ocrtune.config import DecodingSection
from ocrtune.errors import ImageError, PredictionError
from ocrtune.evaluation import read_predictions
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import Outputs, pages, predict, predict_to_file
from ocrtune.prediction.partial import PartialRun
from ocrtune.records import Prediction
from ocrtune.sources import read_pages

NUM_PAGES = 20
DECODING = DecodingSection(max_new_tokens=3, batch_size=2)


@pytest.fixture(scope="module")
def loaded(tiny_v1):
    return replace(load_checkpoint(tiny_v1.folder, device="cpu"), recipe=tiny_v1.recipe)


@pytest.fixture
def manifest(tmp_path, page):
    rows = []
    for number in range(NUM_PAGES):
        name = f"{number:02d}.png"
        page(name, (60 + 17 * (number % 5), 70), number).images[0].save(tmp_path / name)
        rows.append({"image": name, "text": "reference"})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "predictions.jsonl"


def rows_of(path):
    """Rows without what differs from run to run."""
    return [without_time(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def without_time(row):
    assert row.pop("seconds") >= 0 if "text" in row else True
    return row


def texts_of(path):
    """What does not depend on rounding, which differs between sizes of batches."""
    return [{key: row[key] for key in ("image", "text", "num_tokens", "stop")} for row in rows_of(path)]


def test_a_file_has_a_row_for_each_page_in_their_order(loaded, manifest, out):
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    wanted = predict(loaded, read_pages(str(manifest)), decoding=DECODING)
    assert rows_of(out) == [without_time(json.loads(json.dumps(row.as_dict()))) for row in wanted]
    assert read_predictions(out) == wanted
    assert [path.name for path in out.parent.iterdir()] == ["predictions.jsonl"]
    assert (run.num_pages, run.num_skipped, run.num_resumed, run.skipped) == (NUM_PAGES, 0, 0, None)
    assert run.num_tokens == sum(row.num_tokens for row in wanted)
    assert run.num_truncated == sum(row.truncated for row in wanted)
    assert run.as_dict()["pages"] == NUM_PAGES


def test_a_run_that_was_cut_off_goes_on_and_ends_with_the_same_file(loaded, manifest, out, tmp_path):
    whole = tmp_path / "whole.jsonl"
    predict_to_file(loaded, str(manifest), whole, decoding=DECODING)
    twelfth = tmp_path / "12.png"
    picture = twelfth.read_bytes()
    twelfth.write_bytes(b"no picture")
    with pytest.raises(ImageError):
        predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    assert not out.exists()
    window = DECODING.batch_size * pages.BATCHES_IN_WINDOW
    assert len(rows_of(out.parent / "predictions.jsonl.partial" / "predictions.jsonl")) == window
    twelfth.write_bytes(picture)
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING.model_copy(update={"batch_size": 3}))
    assert run.num_resumed == window
    assert texts_of(out) == texts_of(whole)
    assert [path.name for path in out.parent.iterdir()] == ["predictions.jsonl"]


@pytest.mark.parametrize("torn_bytes", [1, 10, 60])
def test_a_row_that_was_not_written_whole_is_made_again(loaded, manifest, out, tmp_path, torn_bytes):
    whole = tmp_path / "whole.jsonl"
    predict_to_file(loaded, str(manifest), whole, decoding=DECODING)
    unfinished(loaded, manifest, out)
    partial = out.parent / "predictions.jsonl.partial" / "predictions.jsonl"
    partial.write_bytes(partial.read_bytes()[:-torn_bytes])
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    assert run.num_resumed < DECODING.batch_size * pages.BATCHES_IN_WINDOW
    assert rows_of(out) == rows_of(whole)


def unfinished(loaded, manifest, out, broken="12.png"):
    """A run that stops at a page, and leaves what it has."""
    path = manifest.parent / broken
    picture = path.read_bytes()
    path.write_bytes(b"no picture")
    with pytest.raises(ImageError):
        predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    path.write_bytes(picture)


def test_pages_that_are_skipped_are_counted_and_listed_across_a_restart(loaded, manifest, out):
    for name in ("03.png", "15.png"):
        (manifest.parent / name).write_bytes(b"no picture")
    with pytest.raises(ImageError):
        predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING, on_error="skip")
    skipped = out.parent / "predictions.skipped.jsonl"
    assert (run.num_skipped, run.skipped) == (2, skipped)
    assert [row["image"] for row in rows_of(skipped)] == ["03.png", "15.png"]
    assert {row["code"] for row in rows_of(skipped)} == {ImageError.code}
    assert len(rows_of(out)) == NUM_PAGES - 2


def test_a_restart_behind_a_skipped_page_skips_it_no_second_time(loaded, manifest, out):
    (manifest.parent / "03.png").write_bytes(b"no picture")

    class Stop(BaseException):
        pass

    def stopping(outcomes, *_args, **_options):
        for number, outcome in enumerate(outcomes):
            if number == 6:
                raise Stop
            yield outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ocrtune.prediction.files.track", stopping)
        with pytest.raises(Stop):
            predict_to_file(loaded, str(manifest), out, decoding=DECODING, on_error="skip")
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING, on_error="skip")
    assert (run.num_resumed, run.num_skipped) == (6, 1)
    assert [row["image"] for row in rows_of(run.skipped)] == ["03.png"]
    assert [row["image"] for row in rows_of(out)] == [f"{n:02d}.png" for n in range(NUM_PAGES) if n != 3]


def test_a_list_of_skipped_pages_of_an_earlier_run_does_not_stay(loaded, manifest, out):
    out.parent.mkdir()
    stale = out.parent / "predictions.skipped.jsonl"
    stale.write_text('{"image": "old"}\n', encoding="utf-8")
    predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    assert not stale.exists()


def test_an_unfinished_run_with_other_settings_is_not_mixed_in(loaded, manifest, out):
    unfinished(loaded, manifest, out)
    other = DECODING.model_copy(update={"max_new_tokens": 4})
    with pytest.raises(PredictionError, match="differs in max_new_tokens"):
        predict_to_file(loaded, str(manifest), out, decoding=other)
    with pytest.raises(PredictionError, match="differs in inputs"):
        predict_to_file(loaded, str(manifest), out, decoding=DECODING, prompt="markdown")


def test_an_unfinished_run_over_other_pages_is_not_mixed_in(loaded, manifest, out):
    unfinished(loaded, manifest, out)
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(reversed(lines)), encoding="utf-8")
    with pytest.raises(PredictionError, match=r"starts with page '00\.png', the source with '19\.png'"):
        predict_to_file(loaded, str(manifest), out, decoding=DECODING)


def test_an_unfinished_run_over_another_folder_with_the_same_names_is_not_mixed_in(
    loaded, manifest, out, tmp_path
):
    unfinished(loaded, manifest, out)
    other = tmp_path / "other"
    shutil.copytree(tmp_path, other, ignore=shutil.ignore_patterns("out", "other"))
    with pytest.raises(PredictionError, match="differs in sources"):
        predict_to_file(loaded, str(other / "manifest.jsonl"), out, decoding=DECODING)


def test_pages_that_changed_in_the_middle_are_said_to_be_read_again(loaded, manifest, out, capsys):
    unfinished(loaded, manifest, out)
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(lines[:3] + lines[4:]), encoding="utf-8")
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    assert run.num_resumed == 3
    assert "page 4 is another one than in the unfinished run" in capsys.readouterr().err
    assert [row["image"] for row in rows_of(out)] == [f"{n:02d}.png" for n in range(NUM_PAGES) if n != 3]


def test_a_run_that_stopped_before_its_first_row_leaves_others_free(loaded, manifest, out):
    unfinished(loaded, manifest, out, broken="00.png")
    run = predict_to_file(loaded, str(manifest), out, decoding=DECODING, prompt="markdown")
    assert (run.num_pages, run.num_resumed) == (NUM_PAGES, 0)


def test_zeros_that_a_lost_disk_leaves_and_stray_temporary_files_do_no_harm(loaded, manifest, out, tmp_path):
    whole = tmp_path / "whole.jsonl"
    predict_to_file(loaded, str(manifest), whole, decoding=DECODING)
    unfinished(loaded, manifest, out)
    partial = out.parent / "predictions.jsonl.partial"
    rows = partial / "predictions.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:5]) + bytes(40) + b"\n")
    (partial / ".settings.json.0a0a0a0a.tmp").write_text("{")
    assert predict_to_file(loaded, str(manifest), out, decoding=DECODING).num_resumed == 5
    assert rows_of(out) == rows_of(whole)
    assert not partial.exists()


def test_rows_are_written_batch_by_batch(loaded, page, out):
    same = [page(f"{number}", (60, 60), number) for number in range(8)]
    decoded = []

    def count(outcomes):
        for outcome in outcomes:
            decoded.append(len(asked))
            yield outcome

    asked = []
    generate = type(loaded.model).generate

    def noting(self, *args, **options):
        asked.append(1)
        return generate(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(loaded.model), "generate", noting)
        list(count(pages.predict_pages(loaded, same, decoding=DECODING)))
    assert decoded == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    "wrong", ["out is a folder", "a file is in the way", "the folder of a format is a file"]
)
def test_places_that_cannot_be_written_are_told_before_a_page_is_read(loaded, manifest, tmp_path, wrong):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    out, outputs = {
        "out is a folder": (tmp_path, Outputs()),
        "a file is in the way": (in_the_way / "predictions.jsonl", Outputs()),
        "the folder of a format is a file": (tmp_path / "p.jsonl", Outputs(draw=in_the_way)),
    }[wrong]
    with pytest.raises(PredictionError, match=r"it is a (file|folder), and a (file|folder) is"):
        predict_to_file(loaded, "missing", out, outputs=outputs)


@pytest.mark.parametrize("form", ["txt", "draw", "page", "jsonl"])
def test_nothing_that_lies_beside_the_pages_is_replaced(loaded, page, tmp_path, form):
    scans = tmp_path / "scans"
    scans.mkdir()
    page("", (60, 60), 0).images[0].save(scans / "1.png")
    for name in ("1.txt", "1.xml", "manifest.jsonl"):
        (scans / name).write_text('{"image": "1.png"}\n', encoding="utf-8")
    before = {path.name: path.read_bytes() for path in scans.iterdir()}
    out, source, outputs = {
        "txt": (scans / "p.jsonl", scans / "1.png", Outputs(format="txt", folder=scans)),
        "page": (scans / "p.jsonl", scans / "1.png", Outputs(format="page", folder=scans)),
        "draw": (tmp_path / "p.jsonl", scans / "1.png", Outputs(draw=scans)),
        "jsonl": (scans / "manifest.jsonl", scans / "manifest.jsonl", Outputs()),
    }[form]
    with pytest.raises(PredictionError, match="would be replaced"):
        predict_to_file(loaded, str(source), out, decoding=DECODING, outputs=outputs)
    assert {path.name: path.read_bytes() for path in scans.iterdir()} == before


def test_whoever_stops_a_run_is_told_that_it_goes_on(loaded, manifest, out, capsys, monkeypatch):
    def stopping(outcomes, *_args, **_options):
        yield next(iter(outcomes))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ocrtune.prediction.files.track", stopping)
        with pytest.raises(KeyboardInterrupt):
            predict_to_file(loaded, str(manifest), out, decoding=DECODING)
    assert "stopped: the same command goes on from" in capsys.readouterr().err
    assert predict_to_file(loaded, str(manifest), out, decoding=DECODING).num_resumed == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_is_told(tmp_path):
    partial = PartialRun(tmp_path / "p.jsonl")
    partial.predictions, partial._skipped = Path("/dev/full"), tmp_path / "skipped.jsonl"
    with pytest.raises(PredictionError, match="cannot be written: No space left") as caught:
        partial.write([Prediction(image="1.png", text="Rain")])
    assert caught.value.where == "/dev/full"
