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
mid_size_model = load_script("mid_size_model")


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


def test_every_result_has_a_place_on_a_page():
    pages = ("README.md", "docs/benchmarks.md", "pretraining/README.md")
    told = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    assert all(f"`python benchmarks/{name}.py`" in told for name in results())


def test_every_benchmark_that_takes_no_more_than_the_repository_is_run_by_make():
    run = set(re.findall(r"benchmarks/(\w+)\.py", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert run == {"tables", *results()} - {"base_model", "tuning_methods", "full_size"}


def test_the_head_has_its_published_share_of_what_a_token_goes_through():
    shape, vocabulary = mid_size_model.SHAPE, mid_size_model.VOCABULARY_SIZE
    width = shape.decoder_width
    per_token = shape.experts_per_token + shape.shared_experts
    sparse = 3 * per_token * shape.expert_width * width + shape.experts * width
    layers = shape.decoder_layers
    body = layers * 4 * width**2 + 3 * shape.dense_width * width + (layers - 1) * sparse
    head = vocabulary * width
    published_head, published_active = 129_280 * 1280, 574e6
    assert head / (head + body) == pytest.approx(published_head / published_active, abs=0.005)


def test_nothing_in_the_results_names_a_machine():
    for result in results().values():
        for key, value in result["machine"].items():
            assert key == "cpus" or re.fullmatch(r"[\d.+a-z]+", value), f"{key}: {value}"
