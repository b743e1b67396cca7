"""The guide about the six errors: every code has its heading, and its Python runs."""

import re
from pathlib import Path

import pytest
from PIL import Image

from ocrtune.inputs.contract import ERROR_CLASSES
from ocrtune.models.tiny import build_tiny_checkpoint

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "six-errors.md").read_text(encoding="utf-8")
CONCEPTS = (ROOT / "docs" / "concepts" / "models.md").read_text(encoding="utf-8")
PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
CHECKS = ("contract", "published_checks", "native_checks", "label_checks", "view_checks")


def mild_codes():
    """Codes of warnings and notes, which have no exception class."""
    sources = [(ROOT / "src" / "ocrtune" / "inputs" / f"{name}.py").read_text() for name in CHECKS]
    return {code for source in sources for code in re.findall(r'code="([a-z-]+)"', source)}


def test_every_code_has_a_heading_and_every_heading_a_code():
    headings = re.findall(r"^### `([a-z0-9-]+)`$", GUIDE, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == set(ERROR_CLASSES) | mild_codes()


def test_every_link_within_the_guide_leads_to_a_heading():
    headings = re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert not [anchor for anchor in re.findall(r"\]\(#([^)]+)\)", GUIDE) if anchor not in anchors]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """What the guides presume: a model folder and a page."""
    build_tiny_checkpoint(tmp_path / "DeepSeek-OCR")
    Image.new("RGB", (900, 700), "white").save(tmp_path / "page.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(blocks, names):
    for block in blocks:
        exec(compile(block, "guide", "exec"), names)
    return names


def test_the_python_of_the_guide_runs(workplace, capsys):
    dump, *blocks = PYTHON_BLOCK.findall(GUIDE)
    names = run([*blocks, dump], {})
    assert names["loss"].isfinite()
    assert capsys.readouterr().out == "", "the batch of the guide has findings"
    assert (workplace / "batch.pt").exists()


@pytest.mark.parametrize("grid", [(1, 1), (2, 3)])
def test_a_row_made_by_hand_as_the_guide_says_keeps_the_contract(workplace, grid):
    import torch

    from ocrtune.inputs.contract import check_batch

    names = run(PYTHON_BLOCK.findall(GUIDE)[1:], {})
    tiles = None if grid == (1, 1) else torch.ones((6, 3, 640, 640))
    batch = names["one_row"]([5, 6], [7, 8], tiles, torch.ones((1, 3, 1024, 1024)), grid, 128_815)
    assert check_batch(batch, names["family"]) == []
    assert batch["images_seq_mask"].sum() == (273 if grid == (1, 1) else 903)


def test_the_python_of_the_concepts_runs(workplace):
    run(PYTHON_BLOCK.findall(CONCEPTS), {})
    assert (workplace / "letters-ocr" / "model.safetensors").exists()
