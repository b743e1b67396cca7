"""A RunReport → one self-contained HTML file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ocrtune import __version__
from ocrtune.evaluation import DiffSpan, Rates, Scorecard, diff_spans, rate_page
from ocrtune.records import PageScore
from ocrtune.reports.charts import Format, describe, line_chart
from ocrtune.reports.pictures import data_uri
from ocrtune.reports.records import Curve, ReportLine, RunReport
from ocrtune.reports.wording import (
    format_count,
    format_loss,
    format_percent,
    format_percent_tick,
    show_controls,
)
from ocrtune.sources import write_text_atomically

MAX_ALIGNED_RATE = 0.5
"""A worse reading is marked as a whole: letters that agree by chance would only make it hard to read."""

WAYS = ("micro", "macro", "median", "clipped")


@dataclass(frozen=True, slots=True)
class _Chart:
    svg: Markup
    captions: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Cell:
    before: float | None
    after: float


@dataclass(frozen=True, slots=True)
class _ScoreRow:
    name: str
    cells: list[_Cell]


@dataclass(frozen=True, slots=True)
class _Reading:
    name: str
    spans: list[DiffSpan]
    rate: float


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    picture: str
    reference: str
    readings: list[_Reading]
    after_rate: float
    gain: float


def write_report(report: RunReport, path: Path) -> None:
    """Write the report as one HTML file that needs nothing beside it; atomically.

    Raises:
        ImageError: A picture cannot be read.
    """
    write_text_atomically(path, render_report(report))


def render_report(report: RunReport) -> str:
    """The report as HTML; every text in it is escaped.

    Raises:
        ImageError: A picture cannot be read.
    """
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        version=__version__,
        ways=WAYS,
        max_aligned=format_percent_tick(MAX_ALIGNED_RATE),
        scores=[] if report.after is None else _score_rows(report.before, report.after),
        charts=_charts(report),
        lines=[_line(line) for line in report.lines],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ocrtune.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["percent"] = format_percent
    environment.filters["count"] = format_count
    environment.filters["shown"] = show_controls
    environment.filters["thousands"] = "{:,}".format
    return environment


def _charts(report: RunReport) -> list[_Chart]:
    charts = [
        _chart(report.losses, "Loss", "loss per token, nats", format_loss),
        _chart(report.rates, "Error rate", "share of characters", format_percent_tick),
    ]
    return [chart for chart in charts if chart is not None]


def _chart(curves: Sequence[Curve], title: str, unit: str, format_value: Format) -> _Chart | None:
    drawn = tuple(
        Curve(name=curve.name, points=tuple(point for point in curve.points if math.isfinite(point.value)))
        for curve in curves
    )
    drawn = tuple(curve for curve in drawn if curve.points)
    if not drawn:
        return None
    svg = line_chart(drawn, title=title, unit=unit, format_value=format_value)
    return _Chart(svg, [(curve.name, describe(curve, format_value)) for curve in drawn])


def _score_rows(before: Scorecard | None, after: Scorecard) -> list[_ScoreRow]:
    return [
        _ScoreRow("CER", _cells(None if before is None else before.cer, after.cer)),
        _ScoreRow("WER", _cells(None if before is None else before.wer, after.wer)),
        _ScoreRow("NED", _cells(None if before is None else before.ned, after.ned)),
    ]


def _cells(before: Rates | None, after: Rates) -> list[_Cell]:
    was = [None] * len(WAYS) if before is None else _in_ways(before)
    return [_Cell(old, new) for old, new in zip(was, _in_ways(after), strict=True)]


def _in_ways(rates: Rates) -> list[float]:
    return [rates.micro, rates.macro, rates.median, rates.clipped]


def _line(line: ReportLine) -> _Line:
    readings = [_reading("read", line.after)]
    gain = 0.0
    if line.before is not None:
        readings = [_reading("before", line.before), _reading("after", line.after)]
        gain = readings[0].rate - readings[1].rate
    return _Line(
        name=line.after.image,
        picture="" if line.image is None else data_uri(line.image),
        reference=line.after.reference,
        readings=readings,
        after_rate=readings[-1].rate,
        gain=gain,
    )


def _reading(name: str, score: PageScore) -> _Reading:
    rate = rate_page(score).cer
    if rate <= MAX_ALIGNED_RATE:
        return _Reading(name, diff_spans(score.reference, score.prediction), rate)
    return _Reading(name, [DiffSpan("insert", "", score.prediction)] if score.prediction else [], rate)
