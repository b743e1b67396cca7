import json
from dataclasses import replace

import pytest

from ocrtune.config import DecodingSection
from ocrtune.errors import ImageError, PredictionError
from ocrtune.evaluation import read_predictions
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import pages, predict, predict_to_file
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
