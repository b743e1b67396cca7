import dataclasses
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from torch import nn

import flops
import speed
import speed_cases
import speed_features
import speed_page
import speed_pictures
import speed_plain
import speed_runs
import speed_summary
import speed_variants
import speed_workloads
from ocrtune.training.data import prepare_data
from ocrtune.training.train import make_plan

LINES = speed_cases.Case(workload="lines", regime="decoder", variant="ours")
PLAIN = LINES.baseline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What workloads of the small model need."""
    made = tmp_path_factory.mktemp("speed")
    for workload in ("lines", "mixture"):
        speed_workloads.write_lines(made / workload)
    return made


def request_of(case, folder, **changes):
    return dataclasses.replace(speed.request_of(case, str(folder), 1), **changes)


def first_loss(case, folder):
    run = speed_runs.make_run(request_of(case, folder))
    run.trainer.create_optimizer()
    before = [parameter.detach().clone() for parameter in run.trainer.model.parameters()]
    loss = speed_runs.step_on(run, run.data.train[: run.facts.step_size])
    after = run.trainer.model.parameters()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    return loss


@pytest.fixture
def small_mixture(folder, monkeypatch):
    """The mixture on lines and the small model; the folder it lies in."""
    small = dataclasses.replace(speed_workloads.WORKLOADS["mixture"], model="builtin", mode=None)
    workloads = {**speed_workloads.WORKLOADS, "mixture": small}
    for module in (speed_workloads, speed_runs, speed_plain):
        monkeypatch.setattr(module, "WORKLOADS", workloads)
    return folder


@pytest.mark.parametrize("workload", ["lines", "mixture"])
def test_every_way_of_training_has_the_loss_of_the_plain_path_and_warming_up_moves_no_weight(
    workload, small_mixture
):
    folder = small_mixture
    cases = speed_cases.list_cases([workload], ["decoder"], None)
    named = [case for case in cases if case.variant not in {"given", "cached"}]
    losses = {case: first_loss(case, folder) for case in named}
    assert len(losses) == 3 + len(speed_features.features_of(workload))
    for case, loss in losses.items():
        assert loss == pytest.approx(losses[case.baseline], abs=2e-6), case.title


def test_a_measured_part_is_told_by_the_tables(small_mixture, monkeypatch):
    for name in ("begin", "give_memory_back"):
        monkeypatch.setattr(speed_variants, name, lambda *_: None)
    monkeypatch.setattr(speed, "in_process", lambda work, argument: work(argument))
    monkeypatch.setattr(speed, "WEIGHED", ("mixture",))
    cases = speed_cases.list_cases(["mixture"], ["decoder"], ["recipe", "ours", "given", "cached"])
    requests = {case: request_of(case, small_mixture) for case in cases}
    part = speed.measure_workload(requests, rounds=1)
    result = speed_summary.merge_results({}, {"model": {}, "threads": 1, "machine": {}, **part})
    assert [row["variant"] for row in result["rows"]] == ["plain", "ours", "given", "cached", "recipe"]
    assert result["rounds"] == {"mixture, decoder": 1}
    (bound,) = result["bounds"]
    assert bound["gflops_per_step"]["all"] > bound["gflops_per_step"]["decoder"] > 0
    told = speed_page.ways_part(result) + speed_page.bounds_part(result)
    assert all(row["title"] in told for row in result["rows"])


@pytest.mark.parametrize("regime", ["lora", "all"])
def test_what_learns_does_not_change_the_first_loss(folder, regime):
    plain, ours = (first_loss(dataclasses.replace(case, regime=regime), folder) for case in (PLAIN, LINES))
    assert ours == pytest.approx(plain, abs=2e-6)


def test_given_features_have_the_loss_of_the_plain_path(folder):
    # All features by name, so that none are kept: pages are computed here.
    case = dataclasses.replace(LINES, used=tuple(speed_features.features_of("lines")))
    run = speed_runs.make_run(request_of(case, folder))
    examples = run.data.train[:8]
    batch = speed_runs.batch_of(run, examples)
    given = speed_plain.with_features(run.trainer.model, batch)
    assert "pixel_values" not in given
    with torch.no_grad():
        loss, of_given = (run.trainer.compute_loss(run.trainer.model, each) for each in (batch, given))
    assert float(of_given) == pytest.approx(float(loss), abs=2e-6)


def test_a_way_that_computes_another_loss_stops_the_benchmark():
    seen = [{PLAIN: {"first_loss": 9.0}, LINES: {"first_loss": 9.00005}}]
    assert speed_summary.require_equal_losses(seen) == {"lines, decoder": pytest.approx(5e-5)}
    for wrong in (9.001, float("nan")):
        seen[0][LINES]["first_loss"] = wrong
        with pytest.raises(SystemExit, match="the first loss is"):
            speed_summary.require_equal_losses(seen)


def test_ratios_are_taken_within_a_round():
    times = [(4.0, 2.0), (9.0, 3.0), (2.0, 2.0)]
    seen = [
        {
            PLAIN: {"s_per_step": plain, "matmul_flops_per_s": 100.0},
            LINES: {"s_per_step": ours, "matmul_flops_per_s": 100.0},
        }
        for plain, ours in times
    ]
    peaks = {PLAIN: {"peak_mib": 200.0}, LINES: {"peak_mib": 50.0}}
    flops = {"all": 60.0, "decoder": 20.0, "vision": 40.0}
    work = {"lines, decoder": {**flops, "targets": 12.0, "held_mib": 40.0}}
    row = speed_summary.summarize(LINES, seen, peaks, work)
    assert row["speedup"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert row["pages_per_s"] == {"median": 4.0, "min": 2.667, "max": 4.0}
    assert row["target_tokens_per_s"]["median"] == 6.0
    assert row["matmul_share"]["max"] == 0.3
    assert (row["peak_ratio"], row["speedup_over_recipe"]) == (0.25, None)
    limit = speed_summary.bound(LINES, seen, peaks, work)
    assert limit["least_s"] == {"all": 0.6, "vision": 0.4, "decoder": 0.2}
    assert (limit["best_speedup"], limit["best_speedup_given_features"]) == (6.67, 20.0)
    assert limit["reached"] == 0.3
    assert limit["least_peak_ratio"] == 0.2
    assert speed_summary.bound(LINES, seen, {}, work)["least_peak_ratio"] is None


def measured_part(workload, regime, seconds, **conditions):
    """What a part of a run comes to, in little."""
    name = f"{workload}, {regime}"
    row = {"workload": workload, "regime": regime, "s_per_step": seconds}
    return {
        "model": "one",
        "threads": 2,
        "machine": "this",
        **conditions,
        **{key: {name: seconds} for key in speed_summary.BY_NAME},
        **{key: [row] for key in speed_summary.LISTS},
        "workloads": {workload: f"title of {workload}"},
        "regimes": {regime: f"title of {regime}"},
    }


def test_a_part_measured_again_takes_its_place_in_the_stored_result():
    parts = [
        ("mixture", "decoder", 1),
        ("page", "decoder", 2),
        ("page", "lora", 3),
        ("mixture", "decoder", 4),
    ]
    result = {}
    for part in parts:
        result = speed_summary.merge_results(result, measured_part(*part))
    wanted = [("page", "decoder", 2), ("page", "lora", 3), ("mixture", "decoder", 4)]
    for key in speed_summary.LISTS:
        assert [(row["workload"], row["regime"], row["s_per_step"]) for row in result[key]] == wanted
    for key in speed_summary.BY_NAME:
        assert result[key] == {f"{workload}, {regime}": seconds for workload, regime, seconds in wanted}
    assert result["workloads"].keys() == {"page", "mixture"}
    assert result["growth"] == {}
    curves = {"model": "one", "threads": 2, "machine": "this", "growth": {"plain": {"tiles": {"0": 1.0}}}}
    with_curves = speed_summary.merge_results(result, curves)
    assert with_curves == {**result, "growth": curves["growth"]}
    assert speed_summary.merge_results(with_curves, measured_part("page", "lora", 3)) == with_curves


@pytest.mark.parametrize("change", [{"threads": 1}, {"model": "another"}, {"machine": "another"}])
def test_parts_measured_under_other_conditions_are_not_put_together(change):
    stored = measured_part("page", "decoder", 2)
    with pytest.raises(SystemExit, match=next(iter(change))):
        speed_summary.merge_results(stored, measured_part("page", "lora", 3, **change))


@pytest.mark.parametrize(
    ("words", "into"),
    [("", speed.RESULT), ("--only lines", None), ("--only growth --into some.json", Path("some.json"))],
)
def test_a_whole_run_and_one_that_is_told_to_write_a_file_of_results(words, into, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["speed.py", *words.split()])
    assert speed.read_options().into == into


@pytest.mark.parametrize("words", ["--quick", "--variant ours"])
def test_a_part_of_a_comparison_is_not_written(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed.py", *words.split(), "--into", "some.json"])
    with pytest.raises(SystemExit):
        speed.read_options()
    assert "are not written into a file" in capsys.readouterr().err


def test_the_ablation_climbs_from_no_feature_to_all_but_the_last():
    features = list(speed_features.features_of("mixture"))
    rungs = [case.used for case in speed_cases.ablation("mixture", "decoder")]
    assert [len(rung) for rung in rungs] == list(range(len(features)))
    assert rungs[-1] == tuple(features[:-1])


def test_a_feature_that_the_package_lacks_is_left_out():
    assert speed_features.Feature(on={"training.batch_size": 2}).exists
    assert not speed_features.Feature(on={"training.no_such_key": 2}).exists
    assert not speed_features.Feature(on={"training.batch_size": "many"}).exists
    assert not speed_features.Feature(on={"training.batch_size.deeper": 2}).exists
    assert not speed_features.Feature(module="ocrtune.no_such_module").exists
    assert speed_features.Feature(module="ocrtune.models.loss").exists


def test_the_pages_have_the_tiles_and_the_targets_they_are_made_for(tmp_path):
    wanted = [
        *((speed_workloads.SIZE_OF_TILES[tiles], 301, tiles) for tiles in speed_workloads.GROWTH_TILES),
        ((600, 600), 2000, 0),
    ]
    book = "four score and seven years ago " * 200
    speed_workloads.write_pages(tmp_path / "page", book, [(size, targets) for size, targets, _ in wanted])
    config = speed_workloads.run_config(tmp_path, "lines", "decoder", pages="page")
    config = config.model_copy(update={"inputs": config.inputs.model_copy(update={"mode": "gundam"})})
    plan = make_plan(config)
    # The small model's sequences end before these answers do.
    recipe = dataclasses.replace(plan.recipe, max_tokens=8192)
    train = prepare_data(config, recipe, plan.tokenizer).train
    for example, (_, targets, tiles) in zip(train, wanted, strict=True):
        assert len(example.views[0].tiles) == tiles
        assert (example.labels != -100).sum() == targets


@pytest.mark.parametrize("causal", [False, True])
def test_products_and_attention_are_counted_forward_and_backward(causal):
    batch, length, width = 2, 16, 8
    layer = nn.Linear(width, width, bias=False)
    inputs = torch.randn(batch, length, width)

    def work():
        heads = layer(inputs)[:, None]
        nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=causal).sum().backward()

    product = 2 * batch * length * width * width
    attention = 2 * 2 * batch * length * length * width // (2 if causal else 1)
    # Weights get a gradient and inputs do not; attention's backward is twice its forward.
    assert flops.count_flops(work) == 2 * product + 3 * attention


def test_experts_a_token_goes_through_are_counted_and_no_others(folder):
    run = speed_runs.make_run(request_of(LINES, folder))
    model = run.trainer.model
    speed_features.set_experts(model, "eager")
    experts = next(
        module
        for module in model.modules()
        if hasattr(module, "gate_up_proj") and module.gate_up_proj.ndim == 3
    )
    tokens, width = 10, experts.gate_up_proj.shape[-1]
    chosen = torch.arange(2 * tokens).reshape(tokens, 2) % len(experts.gate_up_proj)
    with torch.no_grad():
        counted = flops.count_flops(
            lambda: experts(torch.randn(tokens, width), chosen, torch.full((tokens, 2), 0.5))
        )
    per_token = 2 * (experts.gate_up_proj[0].numel() + experts.down_proj[0].numel())
    assert counted == 2 * tokens * per_token


def test_pictures_are_svg_and_say_in_words_what_they_show():
    bars = [speed_pictures.Bar("a & b", 2.0, 1.5, 2.5), speed_pictures.Bar("ours", 3.0, 3.0, 3.0, "last")]
    panel = speed_pictures.Panel("tiles", {"(a)": {0.0: 1.0, 2.0: 3.0}, "(d)": {0.0: 0.5}})
    for drawn in (
        speed_pictures.bars_picture({"one page": bars}, "speed"),
        speed_pictures.curves_picture([panel, panel], "seconds"),
    ):
        assert ET.fromstring(drawn).attrib["aria-label"]
    assert "a &amp; b: 2.00" in speed_pictures.bars_picture({"one page": bars}, "speed")


def test_curves_have_no_point_where_logits_everywhere_would_need_too_much_memory(folder, monkeypatch):
    pages = [((200, 60), 20), ((200, 60), 60)]
    speed_workloads.write_pages(folder / "growth", "four score and seven years ago " * 9, pages)
    points = {"targets": {20: [0], 60: [1]}, "pages": {2: [0, 1]}}
    monkeypatch.setattr(speed_variants, "growth_points", lambda: points)
    monkeypatch.setattr(speed_variants, "begin", lambda _request: None)
    monkeypatch.setattr(speed_variants, "MOST_PLAIN_POSITIONS", 100)
    ours = speed_variants.grow(request_of(LINES, folder))
    plain = speed_variants.grow(request_of(PLAIN, folder))
    assert all(seconds > 0 for curve in ours.values() for seconds in curve.values())
    assert plain["targets"][20] > 0
    assert plain["pages"][2] is None


def test_the_growth_pages_are_named_by_the_points_of_the_curves():
    pages = speed_workloads.growth_pages()
    points = speed_workloads.growth_points()
    assert min(place for curve in points.values() for [place, *_] in curve.values()) == 0
    assert {pages[place][1] for [place] in points["targets"].values()} == set(points["targets"])
    assert {pages[place][0] for [place] in points["tiles"].values()} == set(
        speed_workloads.SIZE_OF_TILES.values()
    )
    assert max(place for places in points["pages"].values() for place in places) == len(pages) - 1
