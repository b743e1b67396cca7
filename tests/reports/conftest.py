from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from report_pages import RULE, cards_of, curve, page, rates, side_result, side_row, write_json, write_rows

from ocrtune.records import Finding
from ocrtune.reports import Fact, LearningRow, MixtureRow, Report


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.png"
    Image.new("L", (300, 20), 255).save(path)
    return path


@pytest.fixture
def report(scan: Path) -> Report:
    pages = (
        page(scan, "the siege", "xxxx", "the siege"),
        page(scan, "of Vicksburg", "", "of Vicksbung"),
        page(scan, "a <b>bold</b> day", "a", "a <script>alert(1)</script> day"),
    )
    return Report(
        kind="run",
        title="A model & its lines",
        summary="Learned from <many> lines.",
        sides=("before", "after"),
        cards=tuple(cards_of(pages)),
        normalization=str(RULE),
        losses=(curve("training loss", 4.0, 2.0, 1.5), curve("loss on held-out pages", 4.2, 2.5)),
        rates=(curve("CER on held-out pages", 1.2, 0.25),),
        learning_rates=(curve("learning rate", 3e-4, 1e-4),),
        facts=(Fact(name="model", value="builtin"), Fact(name="prompt", value="<image>⏎Free OCR.")),
        mixture=(MixtureRow(name="letters", uri="letters.jsonl", pages=178, seen=1602),),
        precision=(Fact(name="policy", value="on cpu", reason="nothing narrower is faster"),),
        learning=(
            LearningRow(
                part="decoder",
                tensors=3,
                parameters=1234567,
                dtype="float32",
                learns=True,
                learning_rate=0.001,
            ),
            LearningRow(part="vision", tensors=5, parameters=10, dtype="float32", learns=False),
        ),
        findings=(
            Finding(code="x", severity="warning", message="2 texts are empty", where="m.jsonl:3", count=2),
        ),
        skipped=(Finding(code="image", severity="error", message="an image is broken", count=3),),
        versions={"numpy": "2.4"},
        command="ocrtune train runs/letters/config.yaml",
        base_model="deepseek-ai/DeepSeek-OCR",
        dataset="letters",
        pages=pages,
    )


@pytest.fixture
def bare() -> Report:
    """Only what a report cannot do without."""
    return Report(kind="run", title="A model & its lines")


@pytest.fixture
def one_side(bare):
    """Makes a report of one reading of each page."""

    def make(*pages):
        return replace(
            bare, sides=("read",), cards=tuple(cards_of(pages)), normalization=str(RULE), pages=pages
        )

    return make


@pytest.fixture
def comparison(tmp_path: Path, scan: Path) -> Path:
    """A folder as `ocrtune compare --out` writes it."""
    folder = tmp_path / "compared"
    predictions = tmp_path / "tuned.jsonl"
    write_rows(
        predictions,
        [
            {
                "image": "1.png",
                "text": "a day",
                "mean_logprob": -0.25,
                "boxes": [{"label": "title", "box": [1, 2, 30, 19]}],
            }
        ],
    )
    rows = [
        {
            "image": "1.png",
            "reference": "a day",
            "pictures": [str(scan)],
            "columns": {"script": "Latin"},
            "a": side_row("a dey", 0.2, 1),
            "b": side_row("a day", 0.0, 0),
        },
        {
            "image": "2.png",
            "reference": "the end",
            "pictures": [str(scan)],
            "columns": {"script": "Greek"},
            "a": side_row("the end", 0.0, 0),
            "b": side_row("the cnd", 0.142857, 1, truncated=True, num_tokens=9),
        },
    ]
    write_rows(folder / "pages.jsonl", rows)
    result = {
        "kind": "comparison",
        "version": 1,
        "reference": str(tmp_path / "scans" / "manifest.jsonl"),
        "command": "ocrtune compare base.jsonl tuned.jsonl",
        "predictions": ["base.jsonl", str(predictions)],
        "versions": {"rapidfuzz": "3.14"},
        "pages": 2,
        "sides": [side_result("base", 0.1234), side_result("tuned", 0.0456)],
        "differences": {
            "rates": {
                "cer": {
                    "micro": {
                        "value": -0.0778,
                        "interval": {"low": -0.1, "high": -0.05},
                        "b_is_better": 0.987,
                    }
                }
            }
        },
        "slices": [
            {
                "column": "script",
                "value": "Greek",
                "pages": 1,
                "a": rates(0.0),
                "b": rates(0.142857),
                "differences": {
                    "rates": {"cer": {"micro": {"value": 0.142857, "interval": None, "b_is_better": None}}}
                },
            }
        ],
        "findings": [],
    }
    write_json(folder / "comparison.json", result)
    return folder
