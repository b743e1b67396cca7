"""Scores and curves of a run → one HTML file for people; no torch needed."""

from ocrtune.reports.html import render_report, write_report
from ocrtune.reports.records import Curve, CurvePoint, Fact, LearningRow, ReportLine, RunReport
from ocrtune.reports.run_folder import report_run
from ocrtune.reports.wording import format_percent

__all__ = [
    "Curve",
    "CurvePoint",
    "Fact",
    "LearningRow",
    "ReportLine",
    "RunReport",
    "format_percent",
    "render_report",
    "report_run",
    "write_report",
]
