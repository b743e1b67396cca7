import json
import shutil

import pytest
from tiny_reviews import LINES, write_lines, write_predictions, write_rows

from ocrtune.config import parse_config, write_config
from ocrtune.errors import EvaluationError, ReviewError
from ocrtune.review import gather_items, open_review


def names(gathered):
    return [item.name for item in gathered.items]


def test_runaways_come_first_then_the_highest_error_rate(predictions, lines):
    gathered = gather_items(str(predictions), str(lines))
    assert names(gathered) == ["cut.png", "odd.png", "near.png", "good.png"]
    assert [item.reason for item in gathered.items] == ["cut off", "CER 21%", "CER 8%", ""]
    assert [item.place for item in gathered.items] == [1, 2, 3, 0]
    assert gathered.items[1].start == LINES["odd.png"][0]


def test_without_a_reference_the_unsure_come_first_and_the_prediction_is_corrected(tmp_path):
    write_lines(tmp_path)
    (tmp_path / "manifest.jsonl").unlink()
    path = write_predictions(tmp_path, good={"mean_logprob": -0.5}, near={"mean_logprob": -0.01})
    gathered = gather_items(str(path))
    assert names(gathered)[:3] == ["cut.png", "good.png", "near.png"]
    assert gathered.items[1].reason == "61% sure"
    assert gathered.items[1].reference is None
    assert gathered.items[1].start == LINES["good.png"][1]


def test_a_row_may_say_itself_that_it_ran_away(tmp_path, lines):
    path = write_predictions(
        tmp_path, good={"runaway": True}, cut={"truncated": False, "text": "gerous for use"}
    )
    assert names(gather_items(str(path), str(lines)))[0] == "good.png"


def test_texts_of_a_source_come_by_how_odd_their_length_is(lines):
    rows = [{"image": name, "text": text} for name, (text, _) in LINES.items()]
    rows[2]["text"] = "x" * 400
    rows[3]["text"] = ""
    write_rows(lines / "manifest.jsonl", rows)
    gathered = gather_items(str(lines))
    assert names(gathered)[:2] == ["near.png", "odd.png"]
    assert [item.reason for item in gathered.items][:2] == ["no text", "long for its image"]
    assert gathered.folder == lines


def test_predictions_of_other_pages_are_left_out_and_told(tmp_path, lines):
    path = write_predictions(tmp_path)
    path.write_text(path.read_text() + json.dumps({"image": "gone.png", "text": "x", "num_tokens": 1}) + "\n")
    gathered = gather_items(str(path), str(lines))
    assert len(gathered.items) == 4
    assert [(finding.code, finding.count) for finding in gathered.findings] == [("page-missing", 1)]
    assert "gone.png" in gathered.findings[0].message


def test_predictions_of_no_page_are_an_error_that_tells_how_they_are_matched(tmp_path, lines):
    path = write_rows(tmp_path / "p.jsonl", [{"image": "x.png", "text": "x", "num_tokens": 1}])
    with pytest.raises(ReviewError, match="none of 1 predictions belongs to any of 4 pages"):
        gather_items(str(path), str(lines))


def test_broken_predictions_are_told_line_by_line(tmp_path, lines):
    path = tmp_path / "p.jsonl"
    path.write_text('{"image": "a.png", "num_tokens": 1}\n')
    with pytest.raises(EvaluationError, match="no `text`"):
        gather_items(str(path), str(lines))


@pytest.mark.parametrize("best", [True, False])
def test_of_a_run_the_best_predictions_or_the_latest_are_reviewed(tmp_path, best):
    held_out = write_lines(tmp_path / "held")
    run = tmp_path / "run"
    config = parse_config(
        {
            "model": "builtin",
            "family": "deepseek_ocr",
            "data": {"uri": "builtin", "validation_uri": str(held_out)},
            "run": {"folder": str(run)},
        }
    )
    run.mkdir()
    write_config(config, run / "config.yaml")
    for step in (10, 20):
        path = write_predictions(run / "predictions", good={"text": f"step {step}"})
        shutil.move(path, run / "predictions" / f"step-{step:06d}.jsonl")
    if best:
        (run / "best.json").write_text(json.dumps({"step": 10, "checkpoint": "checkpoints/x", "cer": 0.1}))
    gathered = gather_items(str(run))
    texts = {item.name: item.prediction for item in gathered.items}
    assert texts["good.png"] == f"step {10 if best else 20}"
    assert {item.name: item.reference for item in gathered.items}["good.png"] == LINES["good.png"][0]
    assert gathered.folder == run
    with pytest.raises(ReviewError, match="a run, which knows"):
        gather_items(str(run), "builtin")


def test_what_has_no_folder_of_its_own_needs_one(tmp_path):
    with pytest.raises(ReviewError, match="no folder beside 'builtin'"):
        open_review("builtin")
    review = open_review("builtin", folder=tmp_path)
    assert review.store.count_states()["all"] == 257
    review.store.close()


def test_an_answer_that_was_stopped_in_a_loop_is_looked_at_first(tmp_path):
    write_lines(tmp_path)
    predictions = write_predictions(tmp_path, near={"stop": "repetition"}, cut={"truncated": False})
    items = gather_items(str(predictions)).items
    assert (items[0].name, items[0].reason) == ("near.png", "stopped in a loop")


@pytest.mark.parametrize("content", ["[]", "no JSON", '{"step": "x"}'])
def test_a_run_that_does_not_say_which_step_is_best_is_one_clear_error(tmp_path, content):
    write_config(parse_config({"model": "builtin", "data": {"uri": "builtin"}}), tmp_path / "config.yaml")
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(ReviewError, match="which step is the best"):
        gather_items(str(tmp_path))
