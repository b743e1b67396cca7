import shlex
from pathlib import Path

import pytest
from report_pages import write_json, write_rows

from ocrtune.config import parse_config, write_config
from ocrtune.errors import ReportError
from ocrtune.reports import CurvePoint, Fact, MixtureRow, render_report, report_run
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
    {"step": 10, "loss": 3.0, "images_per_s": 20.0, "learning_rate": 0.0003},
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
    write_json(
        tmp_path / "checkpoints" / "checkpoint-10" / "ocrtune.json",
        {"format": 1, "version": "0.1.0", "inputs": RECIPE},
    )
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
    assert len(report.cards) == 1
    assert report.cards[0].pages == len(HELD_OUT)
    assert report.cards[0].cer.micro.value == pytest.approx(1 - characters[0] / sum(characters))
    assert [page.name for page in report.pages] == [page.name for page in HELD_OUT]
    assert [page.readings[0].text for page in report.pages][:2] == [HELD_OUT[0].text, ""]


def test_curves_hold_each_logged_value_at_its_step(run):
    report = report_run(run)
    assert {curve.name: curve.points for curve in report.losses} == {
        "training loss": (CurvePoint(step=10, value=3.0), CurvePoint(step=20, value=2.0)),
        "loss on held-out pages": (CurvePoint(step=10, value=3.5),),
    }
    assert [curve.points[0].value for curve in report.rates] == [0.9, 0.8]
    assert [curve.points[0].value for curve in report.learning_rates] == [0.0003]


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
    assert report_run(run).versions == {"ocrtune": "0.1.0"}


def test_pages_that_were_left_out_are_told_by_reason(run):
    left_out = [
        {**FINDING, "code": code, "where": where}
        for code, where in (("image", "1"), ("long", "2"), ("image", "3"))
    ]
    write_rows(run / "skipped.jsonl", left_out)
    report = report_run(run)
    assert [finding.message for finding in report.findings] == ["a text is empty"]
    assert [(finding.code, finding.count) for finding in report.skipped] == [("image", 2), ("long", 1)]


def test_what_was_learned_from_each_source_is_told_where_the_run_wrote_it(run):
    assert report_run(run).mixture == ()
    write_json(
        run / "mixture.json", [{"name": "a", "uri": "a.jsonl", "pages": 9, "examples_seen": 27, "new": 1}]
    )
    assert report_run(run).mixture == (MixtureRow(name="a", uri="a.jsonl", pages=9, seen=27),)


def test_a_run_without_held_out_pages_has_curves_and_no_scores(run):
    write_json(run / "summary.json", {**SUMMARY, "validation_pages": 0})
    report = report_run(run)
    assert report.cards == ()
    assert report.pages == ()
    assert "training loss" in render_report(report)


@pytest.mark.parametrize(
    "name", ["config.yaml", "best.json", "summary.json", "metrics.jsonl", "learning.json"]
)
def test_a_folder_that_is_not_a_finished_run_is_an_error(run, name):
    (run / name).unlink()
    with pytest.raises(ReportError, match=f"no {name}"):
        report_run(run)


def test_pages_that_left_their_source_leave_a_report_of_the_rest_and_a_note(run):
    write_rows(run / "predictions" / "step-000010.jsonl", [{"image": "other.png", "text": ""}])
    report = report_run(run)
    assert "1 page that the run read, such as 'other.png', is not in builtin any more" in report.notes[0]
    assert "--reference" in report.notes[0]
    assert report.pages == report.cards == ()
    assert "training loss" in render_report(report)


def test_a_reference_is_where_the_pages_are_now(run, tmp_path):
    names = ["here.png", "there.png"]
    write_rows(run / "predictions" / "step-000010.jsonl", [{"image": name, "text": "ab"} for name in names])
    write_rows(tmp_path / "moved" / "manifest.jsonl", [{"image": name, "text": " abcd"} for name in names])
    report = report_run(run, reference=str(tmp_path / "moved" / "manifest.jsonl"))
    assert report.cards[0].cer.micro.value == 0.5
    assert report.notes == ()
    with pytest.raises(ReportError, match="are not in builtin any more"):
        report_run(run, reference="builtin")


@pytest.mark.parametrize(
    ("name", "content"),
    [("summary.json", {}), ("best.json", []), ("learning.json", [{"new": 1}]), ("precision.json", {})],
)
def test_a_broken_file_of_a_run_is_one_clear_error(run, name, content):
    write_json(run / name, content)
    with pytest.raises(ReportError, match="missing or of a wrong kind"):
        report_run(run)


def test_test_pages_read_before_and_after_are_shown_instead_of_held_out_ones(run):
    pages = [page for page in read_pages("builtin") if page.document == "6"]
    for name, texts in (("before", [""] * len(pages)), ("after", [page.text for page in pages])):
        rows = [{"image": page.name, "text": text} for page, text in zip(pages, texts, strict=True)]
        write_rows(run / "predictions" / f"test-{name}.jsonl", rows)
    write_json(run / "told.json", {"title": "A book", "command": "make demo", "findings": [FINDING]})
    report = report_run(run)
    assert report.sides == ("before", "after")
    assert [card.cer.micro.value for card in report.cards] == [1.0, 0.0]
    assert (report.title, report.command, len(report.findings)) == ("A book", "make demo", 2)


def test_the_command_makes_the_run_again_in_another_folder(run, tmp_path):
    moved = run.rename(run.with_name("my run; ls"))
    write_json(moved / "summary.json", {**SUMMARY, "processes": 4})
    report = report_run(moved)
    words = shlex.split(report.command.replace("$(which ocrtune)", "ocrtune"))
    assert words[:4] == ["torchrun", "--standalone", "--nproc-per-node", "4"]
    assert words[4:] == ["ocrtune", "train", f"{moved}/config.yaml", "--set", f"run.folder={moved}-again"]
    facts = {fact.name: fact.value for fact in report.facts}
    assert facts["steps"] == "20 of 32 pages each"
    assert facts["processes"] == "4 learned together"


def test_versions_are_those_the_run_wrote_down(run):
    write_json(run / "versions.json", {"python": "3.11.2", "torch": "2.9"})
    assert report_run(run).versions == {"python": "3.11.2", "torch": "2.9"}
