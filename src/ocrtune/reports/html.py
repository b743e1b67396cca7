"""A Report → one self-contained HTML file."""

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ocrtune import __version__
from ocrtune.reports.charts import Format, describe, line_chart
from ocrtune.reports.distribution import interval_bars, rate_bars
from ocrtune.reports.explaining import explain_runaways, tell_intervals, tell_verdict
from ocrtune.reports.page_data import MAX_ALIGNED_RATE, json_block, page_columns
from ocrtune.reports.records import Curve, Report
from ocrtune.reports.scores import Interval, RateLine, Slice, Value
from ocrtune.reports.thumbnails import Images, Pictures, make_pictures
from ocrtune.reports.wording import (
    format_count,
    format_interval,
    format_learning_rate,
    format_loss,
    format_percent,
    format_percent_tick,
    format_points,
    show_controls,
    show_glyph,
)
from ocrtune.sources import write_text_atomically

MOST_BYTES = 15_000_000
"""A report with thumbnails is no larger, as long as its texts leave room."""

MOST_GROUP_VALUES = 40
"""A column with more values is no filter."""

WAYS = ("micro", "macro", "median", "clipped")

FILTERS = {
    "wrong": "with errors",
    "runaway": "runaway",
    "empty": "empty",
    "repeated": "repeating",
    "findings": "with findings",
}


@dataclass(frozen=True, slots=True)
class _Chart:
    svg: Markup
    captions: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _ScoreRow:
    name: str
    lines: list[tuple[str, list[Value]]]


def write_report(report: Report, path: Path, *, images: Images = "thumbnails") -> None:
    """Write the report as one HTML file; atomically.

    Args:
        report: What to show.
        path: The file; it needs nothing beside it, unless `images` is `link`.
        images: `thumbnails` keeps the file within `MOST_BYTES`, `embed` takes whole pictures, `link` points to files.
    """
    write_text_atomically(path, render_report(report, images=images, beside=path.parent))


def render_report(report: Report, *, images: Images = "thumbnails", beside: Path | None = None) -> str:
    """The report as HTML; every text in it is escaped.

    Args:
        report: What to show.
        images: As in `write_report`.
        beside: The folder that links start from.
    """
    environment = _environment()
    page_block = json_block("page-data", page_columns(report)) if report.pages else Markup()
    room = max(0, MOST_BYTES - 200_000 - len(page_block.encode()))
    pictures = make_pictures(report.pages, images, beside=beside, most_bytes=room)
    script = environment.get_template("script.html.j2").render()
    return environment.get_template("report.html.j2").render(
        report=report,
        version=__version__,
        images=images,
        image_sources="data: 'self' file:" if images == "link" else "data:",
        script=Markup(script),  # noqa: S704  # the package's own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        page_block=page_block,
        picture_block=_picture_block(pictures),
        picture_note=pictures.note,
        **_numbers(report),
        **_gallery(report),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ocrtune.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    environment.filters["percent"] = format_percent
    environment.filters["interval"] = lambda interval: format_interval(interval.low, interval.high)
    environment.filters["points"] = lambda difference: format_points(difference, signed=True)
    environment.filters["count"] = format_count
    environment.filters["glyph"] = show_glyph
    environment.filters["thousands"] = "{:,}".format
    return environment


def _shown(value: object) -> object:
    """Texts as HTML can hold them, wherever the template puts one; made parts are so already."""
    return show_controls(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _numbers(report: Report) -> dict[str, object]:
    """What the template shows above the pages."""
    return {
        "sides": list(zip(report.sides, report.cards, strict=False)),
        "ways": WAYS,
        "verdict": tell_verdict(report.verdict, report.sides) if report.verdict else "",
        "explanations": [_of_side(name, line, report) for name, line in explain_runaways(report)],
        "intervals_note": tell_intervals(report),
        "scores": _score_rows(report),
        "shares": _share_rows(report),
        "distribution": _distribution(report),
        "charts": _charts(report),
        "slices": _slice_tables(report.slices),
        "parts": list(_parts(report)),
    }


def _gallery(report: Report) -> dict[str, object]:
    """What the template needs to show the pages; nothing without them."""
    if not report.pages:
        return {}
    columns = sorted({column for page in report.pages for column in page.groups})
    values = {column: sorted({page.groups.get(column, "") for page in report.pages}) for column in columns}
    return {
        "max_aligned": format_percent_tick(MAX_ALIGNED_RATE),
        "filters": list({**FILTERS, "worse": f"worse than {report.sides[0]}"}.items()),
        "groups": [
            (column, found) for column, found in values.items() if 1 < len(found) <= MOST_GROUP_VALUES
        ],
    }


def _picture_block(pictures: Pictures) -> Markup:
    """After the script: the page stands before the pictures have been read."""
    return json_block("picture-data", {"sources": pictures.sources, "sizes": pictures.sizes}, pack=False)


def _of_side(name: str, line: str, report: Report) -> str:
    return line if len(report.sides) == 1 else f"{name}: {line}"


def _parts(report: Report) -> Iterator[tuple[str, str]]:
    """Anchors and names of the parts that there are."""
    if report.cards:
        yield "scores", "Scores"
    if _charts(report):
        yield "training", "Training"
    if report.slices:
        yield "slices", "Parts of the pages"
    if report.confusions:
        yield "confusions", "What is taken for what"
    if report.facts or report.precision or report.learning or report.versions or report.command:
        yield "made", "How it was made"
    if report.findings or report.skipped:
        yield "findings", "Findings"
    if report.pages:
        yield "pages", "Pages"


def _score_rows(report: Report) -> list[_ScoreRow]:
    names = list(dict.fromkeys(name for card in report.cards for name in card.rates))
    return [
        _ScoreRow(
            name,
            [
                (side, _in_ways(card.rates[name]))
                for side, card in zip(report.sides, report.cards, strict=True)
                if name in card.rates
            ],
        )
        for name in names
    ]


def _in_ways(line: RateLine) -> list[Value]:
    return [line.micro, line.macro, line.median, line.clipped]


def _share_rows(report: Report) -> list[tuple[str, list[str]]]:
    names = list(dict.fromkeys(name for card in report.cards for name in card.shares))
    rows = [(name, [_told(card.shares.get(name)) for card in report.cards]) for name in names]
    structures = list(dict.fromkeys(name for card in report.cards for name in card.structures))
    for name in structures:
        found = [card.structures.get(name) for card in report.cards]
        pages = max(each[1] for each in found if each)
        rows.append(
            (f"{name}, mean of {format_count(pages, 'page')}", [_told(each and each[0]) for each in found])
        )
    return rows


def _told(share: float | None) -> str:
    return "–" if share is None else format_percent(share)


def _distribution(report: Report) -> _Chart | None:
    if not report.pages or not report.sides:
        return None
    sides = [
        (show_controls(name), [page.readings[number].cer for page in report.pages])
        for number, name in enumerate(report.sides)
    ]
    return _Chart(rate_bars(sides), [])


def _slice_tables(slices: Sequence[Slice]) -> list[tuple[str, list[tuple[Slice, Markup]]]]:
    """The rows of each column, with a bar each; all bars have one scale."""
    most = max((_end(value) for row in slices for value in row.cers), default=0.0)
    most = min(1.0, most) or 1.0
    return [
        (column, [(row, interval_bars(row.cers, most=most)) for row in rows])
        for column, rows in groupby(slices, key=lambda row: row.column)
    ]


def _end(value: Value) -> float:
    interval: Interval | None = value.interval
    return value.value if interval is None else interval.high


def _charts(report: Report) -> list[_Chart]:
    charts = [
        _chart(report.losses, "Loss", "loss per token, nats", format_loss),
        _chart(report.rates, "Error rate", "share of characters", format_percent_tick),
        _chart(report.learning_rates, "Learning rate", "learning rate", format_learning_rate),
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
