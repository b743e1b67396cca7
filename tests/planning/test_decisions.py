"""What is decided for the published model on known cards, and what is said about it."""

import jsonschema
import pytest
import torch
import yaml

from ocrtune.config import TrainingSection, parse_config
from ocrtune.config.reading import apply_overrides
from ocrtune.errors import PlanningError, PrecisionUnavailable
from ocrtune.models.features import views_per_forward
from ocrtune.planning import CARDS, find_card, plan_run
from ocrtune.planning.cards import GIB
from ocrtune.planning.deciding import decide
from ocrtune.planning.forwards import Computation
from ocrtune.planning.pages import Example, Sample
from ocrtune.planning.plan import MOST_OF_MEMORY, Planner
from ocrtune.sources import sample_path

PAGES = {"uri": str(sample_path("vicksburg_pages") / "manifest.jsonl")}


def recipe(*, method="lora", parts=("decoder",), mode="gundam", model="deepseek-ai/DeepSeek-OCR", **training):
    return parse_config(
        {
            "model": model,
            "data": PAGES,
            "inputs": {"mode": mode},
            "tuning": {"method": method, "parts": list(parts)},
            "training": {"batch_size": 1, "accumulation_steps": 16, "epochs": 3, **training},
        }
    )


ALL = ("decoder", "projector", "vision")


@pytest.mark.parametrize("card", ["T4", "L4", "4090", "A100", "H100"])
def test_adapters_of_the_published_model_fit_every_card(card):
    plan = plan_run(recipe(), CARDS[card])
    assert plan.fits
    assert plan.choice.memory.total <= MOST_OF_MEMORY * CARDS[card].memory_bytes
    assert not plan.remedies


def test_a_t4_gets_fp16_with_a_scaler_and_fewer_examples_a_forward_than_larger_cards():
    small, large = (plan_run(recipe(), CARDS[card]) for card in ("T4", "A100"))
    assert "fp16 autocast with a scaler" in small.precision
    assert "bf16" in large.precision
    assert any("would need" in reason for reason in small.reasons)
    assert small.choice.run_s(3) > large.choice.run_s(3)


def test_full_fine_tuning_does_not_fit_24_gb_and_what_would_is_said():
    plan = plan_run(recipe(method="full", parts=ALL), CARDS["4090"])
    assert not plan.fits
    # Weights, gradients and two moments in fp32, before any activation.
    assert plan.choice.memory.total > 16 * 3_335_504_128
    assert any("more than 90%" in reason for reason in plan.reasons)
    remedies = {remedy.change: remedy for remedy in plan.remedies}
    assert remedies["adapters (tuning.method=lora)"].fits
    assert not remedies["8-bit moments (optimizer.moments=int8)"].fits
    card = next(remedy for change, remedy in remedies.items() if change.startswith("a card"))
    assert card.needed_bytes == pytest.approx(plan.choice.memory.total, rel=0.01)


def test_full_fine_tuning_fits_80_gb():
    assert plan_run(recipe(method="full", parts=ALL), CARDS["A100"]).fits


def test_examples_of_an_optimizer_step_stay_what_the_recipe_has():
    for card in ("T4", "H100"):
        choice = plan_run(recipe(), CARDS[card]).choice
        assert choice.examples == pytest.approx(16, rel=0.1)
        if choice.grouping.pack_tokens is None:
            assert choice.grouping.rows * choice.accumulation == 16


def test_features_are_kept_where_vision_stays_what_it_is_and_pages_come_again():
    assert plan_run(recipe(), CARDS["L4"]).choice.cached
    assert not plan_run(recipe(epochs=1), CARDS["L4"]).choice.cached
    assert not plan_run(recipe(parts=("decoder", "projector")), CARDS["L4"]).choice.cached


def test_kept_features_save_the_time_of_vision_from_the_second_epoch_on():
    choice = plan_run(recipe(), CARDS["A100"]).choice
    assert choice.epoch_s < choice.first_epoch_s


def sample_of(lengths, supervised=50):
    examples = [Example(positions=n, supervised=supervised, features=256, sides=(1024,)) for n in lengths]
    return Sample(
        examples=tuple(sorted(examples, key=lambda one: -one.positions)),
        num_examples=1000,
        unusable=0,
        estimated=False,
    )


@pytest.fixture
def planner_of():
    def make(config, card, lengths):
        planner = Planner.of(config, CARDS[card])
        return Planner.on(config, CARDS[card], planner.model, sample_of(lengths))

    return make


def test_memory_is_that_of_the_longest_example_and_time_that_of_all(planner_of):
    even = planner_of(recipe(), "L4", [1000] * 10).as_asked()
    uneven = planner_of(recipe(), "L4", [500] * 9 + [3000]).as_asked()
    assert uneven.memory.total > even.memory.total
    assert uneven.epoch_s < even.epoch_s


def test_more_rows_and_longer_rows_need_more_memory_and_recomputation_less(planner_of):
    planner = planner_of(recipe(), "L4", [1000] * 10)
    asked = planner.as_asked()
    choices = list(planner.choices())
    for choice in choices:
        if choice.grouping.pack_tokens is None and choice.grouping.rows > 1 and not choice.checkpointed:
            assert choice.memory.total > asked.memory.total
    plain = [one for one in choices if not one.checkpointed]
    for one in plain:
        recomputed = planner.choose(one.grouping, frozenset({"decoder"}), cached=one.cached)
        assert recomputed.memory.decoder <= one.memory.decoder
        assert recomputed.step.flops > one.step.flops


def test_a_recipe_larger_than_memory_is_recomputed_or_made_smaller(planner_of):
    planner = planner_of(recipe(), "T4", [8100] * 4)
    assert not planner.fits(planner.as_asked())
    assert any(planner.fits(choice) for choice in planner.choices())


def with_all(config, settings):
    """As if the settings were taken over into RUN.yaml, or given with --set."""
    return parse_config(
        apply_overrides(
            config.model_dump(mode="json"),
            [f"{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in settings.items()],
        )
    )


ADVISED = {
    "as it is": (recipe(), "L4", [1000] * 8),
    "packed": (recipe(accumulation_steps=32, bucket_by_length=False), "L4", [200] * 30 + [1500] * 10),
    "recomputed": (recipe(), "T4", [7500] * 4),
    "packed in the recipe": (
        recipe(batch_size=2, accumulation_steps=4, pack_tokens=2048),
        "A100",
        [300] * 40,
    ),
    "vision learns": (recipe(method="lora", parts=ALL), "L4", [1500] * 8),
    "in full": (recipe(method="full", parts=ALL), "A100", [1200] * 8),
}


@pytest.mark.parametrize("name", ADVISED)
def test_advice_is_keys_of_a_recipe_whose_forecast_fits(planner_of, name):
    config, card, lengths = ADVISED[name]
    plan = decide(planner_of(config, card, lengths))
    assert plan.fits
    again = planner_of(with_all(config, plan.settings), card, lengths).as_asked()
    assert again.memory == plan.choice.memory
    assert again.memory.total <= MOST_OF_MEMORY * CARDS[card].memory_bytes
    assert again.epoch_s == plan.choice.epoch_s
    assert again.examples == pytest.approx(plan.choice.examples)


def test_what_is_advised_above_has_all_kinds_of_settings(planner_of):
    found = [decide(planner_of(*ADVISED[name])).settings for name in ADVISED]
    for key in ("training.pack_tokens", "training.gradient_checkpointing"):
        assert {bool(settings[key]) for settings in found} == {True, False}
    assert {settings["training.feature_cache.use"] for settings in found} == {"on", "off"}
    assert max(settings["training.batch_size"] for settings in found) > 1
    assert max(settings["training.accumulation_steps"] for settings in found) > 1


def test_remedies_are_keys_of_a_recipe_that_needs_as_much_as_was_said(planner_of):
    config = recipe(method="full", parts=ALL)
    plan = decide(planner_of(config, "4090", [1200] * 8))
    assert len(plan.remedies) == 4
    for remedy in plan.remedies:
        changed = planner_of(with_all(config, remedy.settings), "4090", [1200] * 8)
        assert changed.as_asked().memory.total == remedy.needed_bytes
        if not remedy.change.startswith("a card"):
            assert changed.fits(changed.as_asked()) is remedy.fits


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_without_a_limit_views_go_together_as_the_model_has_it(kind):
    computation = Computation.of(TrainingSection(), window=False, device_kind=kind, number_bytes=2)
    device = "cpu" if kind == "cpu" else "meta"
    for side_px, most in computation.most_views((640, 1024), None):
        views = torch.empty((1, 3, side_px, side_px), dtype=torch.bfloat16, device=device)
        assert most == views_per_forward(views)
    assert computation.most_views((640, 1024), 3) == ((640, 3), (1024, 3))


@pytest.mark.parametrize(
    ("training", "trims"),
    [({}, True), ({"router_loss": 0.01}, False), ({"guidance": {}}, False)],
    ids=["plain", "loss of the router", "guidance"],
)
def test_the_last_layer_is_counted_whole_where_something_looks_at_whole_rows(training, trims):
    section = TrainingSection.model_validate(training)
    computation = Computation.of(section, window=False, device_kind="cpu", number_bytes=4)
    assert computation.trims_rows is trims


def test_an_unknown_card_is_told_the_known_ones():
    with pytest.raises(PlanningError, match="no card 'T5'") as caught:
        find_card("T5")
    assert "T4, L4, 4090, A100, A100-40, H100, this" in caught.value.hint
    assert find_card("a100") is CARDS["A100"]


def test_a_card_without_bf16_refuses_it():
    with pytest.raises(PrecisionUnavailable, match="no bf16 units"):
        plan_run(recipe(precision="bf16"), CARDS["T4"])


def test_this_machine_is_measured():
    card = find_card("this")
    assert card.measured
    assert card.memory_bytes > GIB
    assert card.rates["float32"] > 1e9
    assert card.bandwidth > 1e8


SIZES = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
CHOICE = {
    "type": "object",
    "required": ["rows", "accumulation_steps", "checkpointed", "memory_bytes", "epoch_s", "fits"],
    "properties": {
        "rows": {"type": "integer", "minimum": 1},
        "pack_tokens": {"type": ["integer", "null"]},
        "accumulation_steps": {"type": "integer", "minimum": 1},
        "checkpointed": {"type": "array", "items": {"enum": ["decoder", "vision"]}},
        "memory_bytes": {
            **SIZES,
            "required": ["weights", "gradients", "optimizer", "decoder", "logits", "total"],
        },
        "first_epoch_s": {"type": "number", "exclusiveMinimum": 0},
        "epoch_s": {"type": "number", "exclusiveMinimum": 0},
        "fits": {"type": "boolean"},
    },
}
SCHEMA = {
    "type": "object",
    "required": ["card", "pages", "model", "precision", "asked", "plan", "reasons", "remedies", "settings"],
    "properties": {
        "asked": CHOICE,
        "plan": CHOICE,
        "reasons": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "settings": {"type": "object", "required": ["training.batch_size", "training.pack_tokens"]},
    },
}


@pytest.mark.parametrize(
    "model", ["deepseek-ai/DeepSeek-OCR", "deepseek-ai/DeepSeek-OCR-2", "baidu/Unlimited-OCR"]
)
def test_the_plan_as_json_has_its_schema_and_parts_that_add_up(model):
    told = plan_run(recipe(model=model), CARDS["A100"]).as_dict()
    jsonschema.validate(told, SCHEMA)
    sizes = told["plan"]["memory_bytes"]
    assert sum(size for part, size in sizes.items() if part != "total") == sizes["total"]
