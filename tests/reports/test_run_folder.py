import json
from pathlib import Path

import pytest

from ocrtune.config import parse_config, write_config
from ocrtune.errors import SourceError
from ocrtune.reports import CurvePoint, Fact, render_report, report_run
from ocrtune.sources import read_pages

HELD_OUT = [page for page in read_pages("builtin") if page.document == "5"]
RECIPE = {
    "family": "deepseek_ocr",
    "mode": {"name": "custom", "global_px": 64, "tile_px": 64, "max_tiles": 24, "fit": "pad"},
    "prompt": "<image>\nFree OCR.",
    "normalization": {"unicode": "NFC", "whitespace": "trim", "case": "keep"},
    "max_tokens": 512,
}
SUMMARY = {"steps": 20, "elapsed_s": 75.2, "train_pages": 178, "validation_pages": 40}
METRICS = [
    {"step": 10, "loss": 3.0, "images_per_s": 20.0},
    {"step": 10, "cer": 0.9, "cer_clipped": 0.8, "validation_loss": 3.5},
    {"step": 20, "loss": 2.0, "images_per_s": 30.0},
]
POLICY = {
    "device_kind": "cpu",
    "base_dtype": "float32",
    "learning_dtype": "float32",
    "autocast_dtype": None,
    "scaler": False,
    "optimizer_dtype": "float32",
    "quantized": False,
    "reason": "a cpu computes fp32 fastest",
}
LEARNING = [
    {
        "part": "decoder",
        "tensors": 2,
        "parameters": 30,
        "dtype": "float32",
        "learns": True,
        "learning_rate": 0.1,
    },
    {
        "part": "vision",
        "tensors": 1,
        "parameters": 10,
        "dtype": "float32",
        "learns": False,
        "learning_rate": None,
    },
]
FINDING = {
    "code": "x",
    "severity": "warning",
    "message": "a text is empty",
    "where": "",
    "hint": "",
    "count": 1,
}


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_rows(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as training leaves it, in which one held-out line was read exactly and the others not at all."""
    config = parse_config(
        {
            "model": "builtin",
            "data": {"uri": "builtin", "validation_documents": ["5"], "test_documents": ["6"]},
            "training": {"batch_size": 4, "accumulation_steps": 2},
            "tuning": {"method": "full"},
        }
    )
    write_config(config, tmp_path / "config.yaml")
    write_json(tmp_path / "best.json", {"checkpoint": "checkpoints/checkpoint-10", "step": 10, "cer": 0.9})
    write_json(tmp_path / "checkpoints" / "checkpoint-10" / "ocrtune.json", {"format": 1, "inputs": RECIPE})
    write_json(tmp_path / "summary.json", SUMMARY)
    write_json(tmp_path / "precision.json", POLICY)
    write_json(tmp_path / "learning.json", LEARNING)
    write_json(tmp_path / "findings.json", [FINDING])
    write_rows(tmp_path / "skipped.jsonl", [{**FINDING, "message": "an image is broken"}])
    write_rows(tmp_path / "metrics.jsonl", METRICS)
    read = [{"image": HELD_OUT[0].name, "text": HELD_OUT[0].text}]
    read += [{"image": page.name, "text": ""} for page in HELD_OUT[1:]]
    write_rows(tmp_path / "predictions" / "step-000010.jsonl", read)
    return tmp_path


def test_scores_are_those_of_the_best_checkpoint_on_held_out_pages(run):
    report = report_run(run)
    characters = [len(page.text) for page in HELD_OUT]
    assert report.after.pages == len(HELD_OUT)
    assert report.after.cer.micro == pytest.approx(1 - characters[0] / sum(characters))
    assert report.before is None
    assert [line.after.image for line in report.lines] == [page.name for page in HELD_OUT]


def test_curves_hold_each_logged_value_at_its_step(run):
    report = report_run(run)
    assert {curve.name: curve.points for curve in report.losses} == {
        "training loss": (CurvePoint(step=10, value=3.0), CurvePoint(step=20, value=2.0)),
        "loss on held-out pages": (CurvePoint(step=10, value=3.5),),
    }
    assert [curve.points[0].value for curve in report.rates] == [0.9, 0.8]


def test_facts_tell_model_mode_steps_and_speed(run):
    facts = {fact.name: fact.value for fact in report_run(run).facts}
    assert facts == {
        "model": "builtin, DeepSeek-OCR, 40 parameters",
        "tuning": "full: 75\N{NO-BREAK SPACE}% of them learn",
        "mode": "custom: global view of 64 px, at most 24 tiles of 64 px",
        "prompt": "<image>⏎Free OCR.",
        "pages": "178 learned from, 40 held out to choose",
        "steps": "20 of 8 pages each",
        "time": "1 min 15 s",
        "speed": "25.0 images/s while training",
    }


def test_the_precision_policy_comes_with_its_reason(run):
    precision = report_run(run).precision
    assert precision[0] == Fact(name="policy", value="on cpu", reason="a cpu computes fp32 fastest")
    assert {fact.name: fact.value for fact in precision}["autocast"] == "none"


def test_findings_and_skipped_pages_are_both_told(run):
    assert [finding.message for finding in report_run(run).findings] == [
        "a text is empty",
        "an image is broken",
    ]


def test_a_run_without_held_out_pages_has_curves_and_no_scores(run):
    write_json(run / "summary.json", {**SUMMARY, "validation_pages": 0})
    report = report_run(run)
    assert report.after is None
    assert report.lines == ()
    assert "training loss" in render_report(report)


@pytest.mark.parametrize(
    "name", ["config.yaml", "best.json", "summary.json", "metrics.jsonl", "learning.json"]
)
def test_a_folder_that_is_not_a_finished_run_is_an_error(run, name):
    (run / name).unlink()
    with pytest.raises(SourceError, match=f"no {name}"):
        report_run(run)


def test_a_held_out_page_that_left_the_source_is_an_error(run):
    write_rows(run / "predictions" / "step-000010.jsonl", [{"image": "other.png", "text": ""}])
    with pytest.raises(SourceError, match=r"'other\.png' is not in builtin any more"):
        report_run(run)
