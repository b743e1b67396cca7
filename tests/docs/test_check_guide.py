"""The guide of checks: every code has its row, and its Python runs."""

import re
from pathlib import Path

from ocrtune.data import CODES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "check.md").read_text(encoding="utf-8")
CHECKS = ["texts", "characters", "markup", "prompts", "pictures"]
"""Modules of `ocrtune.data` that find what is wrong with a page by itself."""

SOURCES = [
    *(ROOT / "src/ocrtune/data" / f"{name}.py" for name in CHECKS),
    ROOT / "src/ocrtune/inputs/budget.py",
]


def emitted():
    return {code for source in SOURCES for code in re.findall(r'code="([a-z-]+)"', source.read_text("utf-8"))}


def test_every_code_of_a_page_has_one_row_in_the_guide():
    rows = re.findall(r"^\| `([a-z-]+)` \|", GUIDE, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert emitted() - set(rows) == set()
    assert set(rows) - set(CODES) == set()


def test_the_python_of_the_guide_mends_its_text():
    names = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)), names)
    assert (names["text"], names["applied"]) == ("café", ["mojibake"])
