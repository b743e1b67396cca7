from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ocrtune.evaluation import score_page, summarize
from ocrtune.records import Finding, Prediction
from ocrtune.reports import Curve, CurvePoint, Fact, LearningRow, ReportLine, RunReport
from ocrtune.text import Normalization

RULE = Normalization()


def line(image, reference, after, before=None):
    return ReportLine(
        image=image,
        after=score_page(reference, Prediction(image=f"{reference}.png", text=after), RULE),
        before=None
        if before is None
        else score_page(reference, Prediction(image=f"{reference}.png", text=before), RULE),
    )


def curve(name, *values):
    return Curve(
        name=name,
        points=tuple(CurvePoint(step=10 * step, value=value) for step, value in enumerate(values, start=1)),
    )


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.png"
    Image.new("L", (300, 20), 255).save(path)
    return path


@pytest.fixture
def report(scan: Path) -> RunReport:
    lines = (
        line(scan, "the siege", "the siege", "xxxx"),
        line(scan, "of Vicksburg", "of Vicksbung", ""),
        line(scan, "a <b>bold</b> day", "a <script>alert(1)</script> day", "a"),
    )
    return RunReport(
        title="A model & its lines",
        summary="Learned from <many> lines.",
        before=summarize([shown.before for shown in lines], RULE),
        after=summarize([shown.after for shown in lines], RULE),
        losses=(curve("training loss", 4.0, 2.0, 1.5), curve("loss on held-out pages", 4.2, 2.5)),
        rates=(curve("CER on held-out pages", 1.2, 0.25),),
        facts=(Fact(name="model", value="builtin"),),
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
        lines=lines,
    )


@pytest.fixture
def bare(report: RunReport) -> RunReport:
    """Only what a report cannot do without."""
    return replace(
        report,
        after=None,
        before=None,
        losses=(),
        rates=(),
        facts=(),
        precision=(),
        learning=(),
        findings=(),
        lines=(),
    )
