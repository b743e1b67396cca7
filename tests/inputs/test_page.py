"""What `docs/concepts/inputs.md` says is what the code does."""

import json
import re
import shutil
from pathlib import Path

import pytest

from ocrtune.families import FAMILIES, get_family
from ocrtune.inputs import count_image_tokens, num_image_tokens
from ocrtune.inputs.layout import candidate_grids

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concepts" / "inputs.md").read_text(encoding="utf-8")
A4_AT_200_DPI_PX = (1654, 2339)


def modes_in_the_table():
    table = PAGE.split("## Modes\n")[1].split("##")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    return {(row[0].strip(), row[1].strip()): [cell.strip() for cell in row[2:]] for row in rows[1:]}


def test_the_table_has_every_mode_of_every_family():
    assert list(modes_in_the_table()) == [(f.name, mode) for f in FAMILIES.values() for mode in f.modes]


@pytest.mark.parametrize(
    ("key", "cells"), modes_in_the_table().items(), ids=[" ".join(key) for key in modes_in_the_table()]
)
def test_the_table_tells_sides_and_token_counts(key, cells):
    family = get_family(key[0])
    mode = family.modes[key[1]]
    view, tiles, without_tiles, formula, a4 = cells
    assert view == f"{mode.global_px}, {mode.fit}"
    assert tiles == (f"{mode.tile_px}, at most {mode.max_tiles}" if mode.tile_px else "–")
    assert int(without_tiles) == count_image_tokens((64, 64), family, mode)
    assert int(a4) == count_image_tokens(A4_AT_200_DPI_PX, family, mode)
    assert (formula == "–") == (mode.tile_px is None)
    for columns, rows in candidate_grids(mode.max_tiles):
        more = eval(formula.strip("`").replace("·", "*"), {"columns": columns, "rows": rows})
        wanted = num_image_tokens(
            family, global_px=mode.global_px, tile_px=mode.tile_px, grid=(columns, rows)
        )
        assert int(without_tiles) + more == wanted


def test_the_python_example_runs(tmp_path, monkeypatch, golden, tokenizer_folder, draw_page):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shutil.copytree(tokenizer_folder, tmp_path / "model")
    shutil.copy(golden / "deepseek_ocr" / "config.json", tmp_path / "model")
    draw_page(700, 300).save(tmp_path / "page.png")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    table = PAGE.split("| `batch.published()` |")[1].split("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        "input_ids",
        "attention_mask",
        "labels",
        "images",
        "images_seq_mask",
        "images_spatial_crop",
    ]
    assert set(names["published"]) == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert names["native"]["pixel_values"].shape == (2, 3, 1024, 1024)


def test_the_cost_is_the_measured_one():
    measured = json.loads((ROOT / "benchmarks" / "encode.json").read_text())
    (told,) = re.findall(r"at most ([\d.]+) times the CPU time", PAGE)
    ratios = [numbers["ratio"] for numbers in measured["formats"].values()]
    assert max(ratios) <= float(told) <= 1.3
