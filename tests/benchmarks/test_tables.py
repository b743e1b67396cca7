import importlib.util
import json
import re
from pathlib import Path

import pytest

from ocrtune.errors import OcrtuneError

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load_script("tables")
training_step = load_script("training_step")


def results():
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in BENCHMARKS.glob("*.json")}


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("README.md", tables.numbers),
        ("docs/benchmarks.md", tables.parts_numbers),
        ("pretraining/README.md", tables.card_numbers),
    ],
)
def test_the_numbers_of_a_page_are_those_of_the_json_files(name, region):
    page = (ROOT / name).read_text(encoding="utf-8")
    assert tables.with_numbers(page, region()) == page, "run `python benchmarks/tables.py`"


def test_the_numbers_and_pictures_of_the_speed_page_are_those_of_the_json_file():
    docs = ROOT / "docs"
    page = (docs / "speed.md").read_text(encoding="utf-8")
    assert tables.with_speed(page) == page, "run `python benchmarks/tables.py`"
    for name, picture in tables.speed_pictures().items():
        assert (docs / name).read_text(encoding="utf-8") == picture, "run `python benchmarks/tables.py`"


def test_of_several_regions_the_one_of_the_name_is_written():
    page = "<!-- numbers: one -->\nold\n<!-- /numbers -->\n<!-- numbers: two -->\nold\n<!-- /numbers -->\n"
    written = tables.with_numbers(page, "new\n", "two")
    assert written == page.replace("two -->\nold", "two -->\nnew")


def test_only_the_region_between_the_marks_is_written():
    page = "before\n<!-- numbers: of old -->\n1 \\1\n<!-- /numbers -->\nafter\n"
    written = tables.with_numbers(page, "2 \\1\n")
    assert written == "before\n<!-- numbers: of old -->\n2 \\1\n<!-- /numbers -->\nafter\n"


@pytest.mark.parametrize("count", [0, 2])
def test_a_page_without_one_region_is_refused(count):
    with pytest.raises(OcrtuneError, match=f"{count} regions for numbers"):
        tables.with_numbers("<!-- numbers: here -->\n<!-- /numbers -->\n" * count, "")


def test_every_row_of_a_table_has_a_cell_for_every_head():
    told = tables.numbers() + tables.parts_numbers() + tables.card_numbers()
    lines = [line for line in told.splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in lines]
    heads = [
        index for index, line in enumerate(lines) if index + 1 < len(lines) and "--:" in lines[index + 1]
    ]
    for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        assert len(set(widths[start:end])) == 1
    assert len(heads) == len(results())


def test_every_variant_measured_is_told():
    told = tables.training_part(results()["training_step"])
    for row in results()["training_step"]["rows"]:
        assert row["title"] in told
        assert f"{row['images_per_s']:.2f}" in told


def test_all_ways_to_train_computed_the_same_loss_and_gradient():
    rows = results()["training_step"]["rows"]
    losses = [row["first_loss"] for row in rows]
    norms = [row["first_gradient_norm"] for row in rows]
    assert max(losses) - min(losses) == results()["training_step"]["first_loss_difference"]
    assert max(losses) - min(losses) <= 1e-4
    # Grouped experts add in another order; where two experts are all but tied, a token may go to the other.
    assert max(norms) / min(norms) - 1 <= 1e-4


def test_a_way_that_computes_another_loss_stops_the_benchmark():
    assert training_step.require_equal([9.0, 9.00005]) == pytest.approx(5e-5)
    with pytest.raises(SystemExit, match=r"differ by 0\.001"):
        training_step.require_equal([9.0, 9.001])


def test_a_row_holds_means_over_the_epochs():
    measured = dict.fromkeys(("title", "vision", "logits", "experts", "order"), "x")
    measured |= {"cpu_s": [12.0, 8.0], "positions": 100, "first_loss": 9.0, "first_gradient_norm": 5.0}
    facts = {"pages": {"number": 36, "tokens": 4000}, "batch_size": 8}
    row = training_step.summarize("x", measured, facts)
    assert row["steps_in_an_epoch"] == 5
    assert row["cpu_s_of_epochs"] == [12.0, 8.0]
    assert row["cpu_s_per_step"] == 2.0
    assert row["images_per_s"] == 3.6
    assert row["tokens_per_s"] == 400
    assert row["positions_in_an_epoch"] == 50


def test_runs_take_turns_step_by_step(tmp_path, monkeypatch):
    script = tmp_path / "steps.py"
    script.write_text(
        "import sys\n"
        "for step in range(int(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    with open(sys.argv[2] + '/turns', 'a') as file:\n"
        "        file.write(sys.argv[1])\n"
        "print('{\"steps\": ' + sys.argv[1] + '}')\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(training_step, "SCRIPT", script)
    results = training_step.run_all({"short": ["2", str(tmp_path)], "long": ["3", str(tmp_path)]})
    assert results == {"short": {"steps": 2}, "long": {"steps": 3}}
    assert (tmp_path / "turns").read_text(encoding="utf-8") == "23233"


def test_a_run_that_fails_stops_the_benchmark_with_its_error(tmp_path, monkeypatch):
    script = tmp_path / "fails.py"
    script.write_text("raise RuntimeError('no more')\n", encoding="utf-8")
    monkeypatch.setattr(training_step, "SCRIPT", script)
    with pytest.raises(SystemExit, match="no more"):
        training_step.run_all({"plain": ["plain"]})


def test_the_head_has_its_published_share_of_what_a_token_goes_through():
    model = results()["training_step"]["model"]
    shape = model["shape"]
    width = shape["decoder_width"]
    per_token = shape["experts_per_token"] + shape["shared_experts"]
    sparse = 3 * per_token * shape["expert_width"] * width + shape["experts"] * width
    layers = shape["decoder_layers"]
    body = layers * 4 * width**2 + 3 * shape["dense_width"] * width + (layers - 1) * sparse
    head = model["vocabulary"] * width
    published_head, published_active = 129_280 * 1280, 574e6
    assert head / (head + body) == pytest.approx(published_head / published_active, abs=0.005)


def test_nothing_in_the_results_names_a_machine():
    for result in results().values():
        for key, value in result["machine"].items():
            assert key == "cpus" or re.fullmatch(r"[\d.+a-z]+", value), f"{key}: {value}"
