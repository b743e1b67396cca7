"""`ocrtune cache`: what it keeps is all that training reads, however it ends."""

import json
import os
import signal

import pytest

from ocrtune.errors import ConfigError
from ocrtune.models.known_features import FeatureSource
from ocrtune.training import train
from ocrtune.training.filling import fill_cache

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
EPOCHS = ("training.max_steps=null", "training.epochs=2", "training.batch_size=1")
NONE = "training.feature_cache.use=off"


def losses(result):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [(row.get("loss"), row.get("validation_loss"), row.get("cer")) for row in rows]


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("deepseek_ocr", ()),
        ("deepseek_ocr2", ("inputs.mode.global_px=768", "data.validation_documents=[d1,d2]")),
        ("unlimited_ocr", ()),
        ("deepseek_ocr", ("tuning.method=full",)),
        ("unlimited_ocr", ("training.precision=bf16", "training.pack_tokens=120")),
    ],
)
def test_what_is_kept_is_all_that_training_reads_and_it_learns_the_same(
    recipe, tiny_base, tmp_path, family, overrides
):
    shared = (*LORA, *EPOCHS, "evaluation.max_pages=1", f"model={tiny_base(family)}", *overrides)
    config = recipe.config(tmp_path / "run", *shared)
    first, second = fill_cache(config), fill_cache(config)
    assert first.computed == first.pages == first.images == second.found == second.images
    assert second.computed == 0
    # The decoder, of the same or another dtype, is not in the key.
    told = (result := train(config)).feature_cache
    assert [row["computed"] for row in told["epochs"]] == [0, 0]
    assert told["evaluation"]["computed"] == 0
    assert told["folder"] == first.folder
    if "training.precision=bf16" not in overrides:
        assert losses(train(recipe.config(tmp_path / "plain", *shared, NONE))) == losses(result)


def test_another_precision_reads_nothing_of_what_is_there(recipe, tmp_path):
    config = recipe.config(tmp_path / "run", *LORA, *EPOCHS)
    other = recipe.config(tmp_path / "run", *LORA, *EPOCHS, "training.precision=bf16")
    first, second = fill_cache(config), fill_cache(other)
    assert (second.found, second.computed) == (0, first.computed)
    assert first.folder != second.folder


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM], ids=["error", "ctrl-c", "sigterm"])
def test_what_was_computed_before_it_was_broken_off_is_there_for_the_next(
    recipe, tmp_path, monkeypatch, number
):
    config = recipe.config(tmp_path / "run", *LORA, *EPOCHS)
    complete = FeatureSource.complete

    def break_off(self, model, arguments):
        if self.counts["computed"] == 4 and number is None:
            raise MemoryError
        if self.counts["computed"] == 4:
            os.kill(os.getpid(), number)
        return complete(self, model, arguments)

    ends = {None: MemoryError, signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}
    with monkeypatch.context() as patch:
        patch.setattr(FeatureSource, "complete", break_off)
        with pytest.raises(ends[number]):
            fill_cache(config)
    after = fill_cache(config)
    assert (after.found, after.computed) == (4, 6)


def test_a_recipe_whose_features_change_is_refused(recipe, tmp_path):
    with pytest.raises(ConfigError, match="vision learn"):
        fill_cache(recipe.config(tmp_path))
