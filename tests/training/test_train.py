import importlib
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import TrainerCallback

from ocrtune.config import read_config
from ocrtune.errors import GradientAuditError, NonFiniteLoss, TrainingError
from ocrtune.models import OcrModel, load_checkpoint, load_model
from ocrtune.training import train

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
EXPERTS = (*LORA, "tuning.lora.preset=experts")
LORA_EVERYWHERE = ("tuning.method=lora", "tuning.parts=[decoder,projector,vision]", "tuning.lora.rank=2")
TUNINGS = {"full": (), "lora": LORA, "lora on experts": EXPERTS, "lora everywhere": LORA_EVERYWHERE}


def metrics(result, key):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return train(recipe.config(folder, "training.max_steps=30", "evaluation.every_steps=15"))


def test_the_loss_falls(run):
    losses = metrics(run, "loss")
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_run_folder_holds_what_the_docs_say(run):
    names = {path.name for path in run.run.iterdir()}
    assert names >= {
        "config.yaml",
        "precision.json",
        "learning.json",
        "findings.json",
        "skipped.jsonl",
        "metrics.jsonl",
        "tensorboard",
        "predictions",
        "checkpoints",
        "best.json",
        "summary.json",
    }


def test_the_resolved_recipe_repeats_the_run_bit_by_bit(run, tmp_path, tensors_of):
    again = train(read_config(run.run / "config.yaml", [f"run.folder={tmp_path / 'again'}"]))
    first, second = tensors_of(run.last), tensors_of(again.last)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_losses_and_scores_are_logged_with_speeds(run):
    rows = [json.loads(line) for line in (run.run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "cer" in row] == [15, 30]
    loss_rows = [row for row in rows if "loss" in row]
    assert [row["step"] for row in loss_rows] == list(range(1, 31))
    assert all(row["tokens_per_s"] > 0 and row["images_per_s"] > 0 for row in loss_rows)
    assert all(before["elapsed_s"] <= after["elapsed_s"] for before, after in pairwise(rows))


def test_the_best_checkpoint_is_the_one_of_the_lowest_cer(run):
    best = json.loads((run.run / "best.json").read_text())
    scores = dict(zip([15, 30], metrics(run, "cer"), strict=True))
    assert best["cer"] == pytest.approx(min(scores.values()), abs=1e-5)
    assert (run.run / best["checkpoint"]) == run.best
    assert load_checkpoint(run.best).card.scores["cer"] == pytest.approx(best["cer"])


def test_held_out_predictions_are_kept_for_each_evaluation(run):
    rows = [
        json.loads(line) for line in (run.run / "predictions" / "step-000015.jsonl").read_text().splitlines()
    ]
    assert [row["image"] for row in rows] == ["8.png", "10.png"]
    assert all(row["stop"] in {"eos", "length", "repetition"} and row["mean_logprob"] <= 0 for row in rows)


@pytest.mark.parametrize("tuning", TUNINGS.values(), ids=TUNINGS)
def test_resumed_equals_uninterrupted(recipe, tmp_path, tuning, tensors_of):
    uninterrupted = train(recipe.config(tmp_path / "a", *tuning, "evaluation.every_steps=4"))
    # The schedule must be that of the whole run, so the run is stopped by hand, not by max_steps.
    stop_after(2, recipe.config(tmp_path / "b", *tuning, "training.save_every_steps=2"))
    resumed = train(recipe.config(tmp_path / "b", *tuning, "run.resume=true", "training.save_every_steps=2"))
    expected, found = tensors_of(uninterrupted.last), tensors_of(resumed.last)
    assert expected.keys() == found.keys()
    difference = max(np.abs(expected[name] - found[name]).max() for name in expected)
    assert difference == 0.0
    assert metrics(resumed, "loss") == metrics(uninterrupted, "loss")


def stop_after(step, config):
    # `ocrtune.training.train` is the function; its module is reached by name.
    module = importlib.import_module("ocrtune.training.train")

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step >= step

    original = module._callbacks
    module._callbacks = lambda *args, **kwargs: [*original(*args, **kwargs), Stop()]
    try:
        return module.train(config)
    finally:
        module._callbacks = original


@pytest.mark.parametrize(("batch_size", "accumulation"), [(1, 4), (2, 2)])
def test_accumulation_changes_nothing(recipe, tmp_path, batch_size, accumulation, tensors_of):
    whole = train(recipe.config(tmp_path / "whole", "training.batch_size=4", "training.max_steps=3"))
    cut = train(
        recipe.config(
            tmp_path / "cut",
            f"training.batch_size={batch_size}",
            f"training.accumulation_steps={accumulation}",
            "training.max_steps=3",
        )
    )
    np.testing.assert_allclose(metrics(whole, "loss"), metrics(cut, "loss"), rtol=2e-5)
    expected, found = tensors_of(whole.last), tensors_of(cut.last)
    # Adam divides by the root of its second moment: where a gradient is all rounding, its sign decides the step.
    near = [np.mean(np.abs(expected[name] - found[name]) < 1e-4) for name in expected]
    assert np.mean(near) > 0.99


def test_gradient_checkpointing_changes_nothing(recipe, tmp_path):
    plain = train(recipe.config(tmp_path / "plain", *LORA_EVERYWHERE))
    saving = train(
        recipe.config(tmp_path / "saving", *LORA_EVERYWHERE, "training.gradient_checkpointing=true")
    )
    np.testing.assert_allclose(metrics(plain, "loss"), metrics(saving, "loss"), rtol=1e-5)


def test_frozen_parts_keep_their_bits_and_learning_ones_all_change(recipe, tmp_path):
    result = train(recipe.config(tmp_path / "run", "tuning.parts=[decoder,projector]"))
    before = load_model(recipe.model).state_dict()
    after = load_model(result.last).state_dict()
    for name, tensor in before.items():
        same = bool((tensor == after[name]).all())
        assert same == ("vision_tower" in name), name


def test_a_loss_that_is_not_finite_stops_the_run_and_is_never_logged(recipe, tmp_path):
    config = recipe.config(
        tmp_path / "run",
        "optimizer.learning_rate=1.0e+30",
        "optimizer.max_grad_norm=0",
        "training.max_steps=20",
    )
    with pytest.raises(NonFiniteLoss, match="loss"):
        train(config)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(row["loss"]) and row["loss"] > 0 for row in rows if "loss" in row)


def test_pages_with_errors_stop_a_run_unless_they_are_to_be_skipped(recipe, tmp_path, manifest):
    bad = manifest.parent / "bad.jsonl"
    rows = manifest.read_text(encoding="utf-8").splitlines()
    rows.append(json.dumps({"image": "missing.png", "text": "x", "document": "d0"}))
    bad.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(TrainingError, match="pages have errors") as caught:
        train(recipe.config(tmp_path / "stop", f"data.uri={bad}"))
    assert "missing.png" in str(caught.value)
    assert "on_error=skip" in caught.value.hint
    result = train(recipe.config(tmp_path / "skip", f"data.uri={bad}", "data.on_error=skip"))
    assert result.num_skipped == 1
    assert result.num_train_pages == 8
    skipped = [json.loads(line) for line in (result.run / "skipped.jsonl").read_text().splitlines()]
    assert "missing.png" in skipped[0]["where"]


def leaking(manifest, tmp_path) -> Path:
    """The manifest with a page of the held-out document in another one as well, and one that only looks like it."""
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for name in ("4.png", "8.png"):
        (tmp_path / name).write_bytes((manifest.parent / name).read_bytes())
    (tmp_path / "again.png").write_bytes((manifest.parent / "8.png").read_bytes())
    with Image.open(manifest.parent / "9.png") as image:
        image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC).save(
            tmp_path / "near.png"
        )
    (tmp_path / "9.png").write_bytes((manifest.parent / "9.png").read_bytes())
    kept = [row for row in rows if row["image"] in {"4.png", "8.png", "9.png"}]
    kept += [{"image": name, "text": "owl", "document": "d0"} for name in ("again.png", "near.png")]
    path = tmp_path / "leaking.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return path


def test_an_image_that_is_held_out_too_stops_a_run_unless_it_is_skipped_or_allowed(
    recipe, tmp_path, manifest
):
    uri = f"data.uri={leaking(manifest, tmp_path)}"
    few = ("training.max_steps=1", "data.max_skipped_share=0.5")
    with pytest.raises(
        TrainingError, match="image-leaked: the same image is in train and validation"
    ) as caught:
        train(recipe.config(tmp_path / "stop", uri, *few))
    assert "ocrtune split" in caught.value.hint
    result = train(recipe.config(tmp_path / "skip", uri, *few, "data.on_error=skip"))
    assert (result.num_train_pages, result.num_validation_pages) == (2, 2)
    (skipped,) = [json.loads(line) for line in (result.run / "skipped.jsonl").read_text().splitlines()]
    assert (skipped["code"], skipped["where"].rpartition(":")[2]) == ("image-leaked", "4")
    result = train(recipe.config(tmp_path / "allow", uri, *few, 'data.allow=["image-leaked"]'))
    assert (result.num_train_pages, result.num_skipped) == (3, 0)
    found = {row["code"]: row for row in json.loads((result.run / "findings.json").read_text())}
    assert found["image-leaked"]["severity"] == "warning"
    assert found["image-leaked-near"]["where"].count("leaking.jsonl:") == 2


def test_pages_that_a_source_leaves_out_stop_a_run_unless_they_are_to_be_skipped(recipe, tmp_path, manifest):
    line = '<TextLine id="l"><Coords points="0,0 60,0 60,40 0,40"/><TextEquiv><Unicode>cat</Unicode></TextEquiv></TextLine>'
    for name in ("a.xml", "b.xml"):
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_text(
            '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png">'
            f'<TextRegion id="r">{line}</TextRegion></Page></PcGts>'.replace(
                "a.png", name.replace("xml", "png")
            )
        )
    shutil.copy(manifest.parent / "0.png", tmp_path / "data" / "a.png")
    changes = (
        f"data.uri=page:{tmp_path / 'data'}",
        "data.validation_documents=[]",
        "data.validation_fraction=0",
    )
    with pytest.raises(TrainingError, match="image-missing"):
        train(recipe.config(tmp_path / "stop", *changes))
    result = train(recipe.config(tmp_path / "skip", *changes, "data.on_error=skip", "training.max_steps=1"))
    assert (result.num_skipped, result.num_train_pages) == (1, 1)
    assert "b.png" in (result.run / "skipped.jsonl").read_text()


def test_too_long_pages_stop_a_run_unless_they_are_to_be_skipped(recipe, tmp_path):
    limit = "inputs.max_tokens=26"
    with pytest.raises(Exception, match="tokens") as caught:
        train(recipe.config(tmp_path / "stop", limit))
    assert caught.value.code == "sequence-too-long"
    skip = (limit, "inputs.on_too_long=skip")
    with pytest.raises(TrainingError, match=r"max_skipped_share allows: [0-9]+ sequence-too-long"):
        train(recipe.config(tmp_path / "many", *skip))
    result = train(recipe.config(tmp_path / "skip", *skip, "data.max_skipped_share=1"))
    assert result.skipped_by_reason == {"sequence-too-long": result.num_skipped}
    assert 0 < result.num_skipped < 12
    assert result.num_train_pages + result.num_validation_pages + result.num_skipped == 10


def test_a_run_without_held_out_pages_ends_with_its_last_checkpoint(recipe, tmp_path):
    config = recipe.config(tmp_path / "run", "data.validation_documents=[]", "data.validation_fraction=0")
    result = train(config)
    assert result.best_cer is None
    assert result.best == result.last
    assert result.num_train_pages == 12


def test_training_stops_early_when_scores_do_not_improve(recipe, tmp_path):
    result = train(
        recipe.config(
            tmp_path / "run",
            "optimizer.learning_rate=1.0e-12",
            "training.max_steps=40",
            "training.early_stop_evaluations=2",
        )
    )
    assert result.steps == 6


def test_a_part_said_to_learn_without_gradient_stops_the_run_at_the_first_step(recipe, tmp_path, monkeypatch):
    original = OcrModel.encode_images

    def without_gradient(self, images):
        with torch.no_grad():
            return original(self, images)

    monkeypatch.setattr(OcrModel, "encode_images", without_gradient)
    with pytest.raises(GradientAuditError, match="no gradient"):
        train(recipe.config(tmp_path / "run"))


@pytest.mark.parametrize("family", ["unlimited_ocr"])
def test_other_families_learn_by_the_same_path(recipe, tmp_path, tiny_base, family):
    result = train(
        recipe.config(
            tmp_path / "run", f"model={tiny_base(family)}", "training.max_steps=12", *LORA_EVERYWHERE
        )
    )
    losses = metrics(result, "loss")
    assert losses[-1] < losses[0]
