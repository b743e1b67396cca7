"""Runs, evaluations and comparisons → one HTML file for people, Markdown, or a model card; no torch needed."""

from ocrtune.reports.html import render_report, write_report
from ocrtune.reports.reading import read_report
from ocrtune.reports.records import (
    Curve,
    CurvePoint,
    Fact,
    LearningRow,
    MixtureRow,
    Reading,
    Report,
    ReportPage,
)
from ocrtune.reports.run_folder import add_side, first_image, report_run
from ocrtune.reports.wording import format_percent

__all__ = [
    "Curve",
    "CurvePoint",
    "Fact",
    "LearningRow",
    "MixtureRow",
    "Reading",
    "Report",
    "ReportPage",
    "add_side",
    "first_image",
    "format_percent",
    "read_report",
    "render_report",
    "report_run",
    "write_report",
]
