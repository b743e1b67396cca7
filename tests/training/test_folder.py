import json

import pytest

from ocrtune.config import read_config
from ocrtune.errors import TrainingError
from ocrtune.training.folder import RunFolder, check_materials, forget_metrics_after, open_run, step_of


def config_in(folder, *overrides):
    return read_config("tiny-demo", [f"run.folder={folder}", *overrides])


def test_the_resolved_recipe_in_the_folder_reads_back_equal(tmp_path):
    config = config_in(tmp_path / "run", "training.batch_size=3")
    folder = open_run(config)
    assert read_config(folder.config) == config


def test_a_folder_without_a_logged_step_is_used_again(tmp_path):
    open_run(config_in(tmp_path / "run", "training.batch_size=3"))
    folder = open_run(config_in(tmp_path / "run", "training.batch_size=4"))
    assert read_config(folder.config).training.batch_size == 4


def test_a_second_run_in_the_same_folder_is_refused_with_a_hint(tmp_path):
    open_run(config_in(tmp_path / "run")).metrics.write_text("")
    with pytest.raises(TrainingError, match="holds a run already") as caught:
        open_run(config_in(tmp_path / "run"))
    assert "run.resume=true" in caught.value.hint


def test_resuming_opens_the_folder_again(tmp_path):
    open_run(config_in(tmp_path / "run")).metrics.write_text("")
    assert open_run(config_in(tmp_path / "run", "run.resume=true")).path == tmp_path / "run"


def test_the_last_checkpoint_is_the_whole_one_of_the_latest_step(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.last_checkpoint() is None
    for step in (5, 90, 100):
        (folder.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
    for step in (5, 90):
        (folder.checkpoints / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    found = folder.last_checkpoint()
    assert found is not None
    assert step_of(found) == 90


def test_a_resumed_run_forgets_lines_of_steps_it_does_again(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.write_text(
        "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in (1, 5, 6, 9))
    )
    forget_metrics_after(folder, 5)
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [1, 5]


def test_json_is_written_whole_or_not_at_all(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json("x.json", {"a": 1})
    with pytest.raises(TypeError):
        folder.write_json("x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_resumed_stream_tells_what_it_is_made_of_that_has_changed(tmp_path, capsys):
    folder = RunFolder(tmp_path)
    assert check_materials(folder, {"font_files": "a", "pillow": "12"}) == []
    assert check_materials(folder, {"font_files": "a", "pillow": "12"}) == []
    (finding,) = check_materials(folder, {"font_files": "b", "pillow": "12"})
    assert (finding.code, finding.severity) == ("data-changed", "warning")
    assert "font_files" in finding.message
    assert "pillow" not in finding.message
    assert finding.message in capsys.readouterr().err


def test_pages_of_files_have_no_materials_to_write_down(tmp_path):
    assert check_materials(RunFolder(tmp_path), {}) == []
    assert not list(tmp_path.iterdir())
