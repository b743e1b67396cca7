"""A Report → a summary for terminals."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from ocrtune.reports.explaining import explain_runaways, tell_intervals, tell_verdict
from ocrtune.reports.records import Report, ReportPage
from ocrtune.reports.scores import Value
from ocrtune.reports.wording import SPACE, format_count, format_interval, format_percent, show_controls

WORST = 5
"""So many pages are named."""

NAME_CELLS = 48


def summary_text(report: Report) -> str:
    """The report in some thirty lines, without colour; control characters of texts are shown, not sent."""
    parts = [_heading(report), *_scores(report), *_worst(report), *_loose_ends(report)]
    return show_controls("\n\n".join(part for part in parts if part)).replace(SPACE, " ") + "\n"


def worst_pages(report: Report, most: int) -> list[ReportPage]:
    """The pages that the last side reads worst, those without an error left out."""
    wrong = [page for page in report.pages if page.readings and page.readings[-1].cer > 0]
    return sorted(wrong, key=lambda page: -page.readings[-1].cer)[:most]


def lost_pages(report: Report, most: int) -> list[ReportPage]:
    """The pages that lost most, of two sides."""
    lost = [page for page in report.pages if len(page.readings) > 1 and loss_of(page) > 0]
    return sorted(lost, key=lambda page: -loss_of(page))[:most]


def loss_of(page: ReportPage) -> float:
    """By how much the second side's CER is above the first's."""
    return page.readings[-1].cer - page.readings[0].cer


def with_interval(value: Value) -> str:
    """`4.7 % (4.1–5.4 %)`, or the rate alone."""
    told = format_percent(value.value)
    return (
        told
        if value.interval is None
        else f"{told} ({format_interval(value.interval.low, value.interval.high)})"
    )


def _heading(report: Report) -> str:
    return "\n".join(filter(None, (report.title, report.summary)))


def _scores(report: Report) -> Iterator[str]:
    if not report.cards:
        return
    rows = [["", "micro", "macro", "median", "clipped"]]
    for name in report.cards[-1].rates:
        for side, card in zip(report.sides, report.cards, strict=True):
            if name in card.rates:
                line = card.rates[name]
                values = (line.micro, line.macro, line.median, line.clipped)
                label = name if len(report.sides) == 1 else f"{name} {side}"
                rows.append(
                    [label, with_interval(line.micro), *(format_percent(value.value) for value in values[1:])]
                )
    yield _table(rows)
    if report.verdict is not None:
        yield tell_verdict(report.verdict, report.sides)
    for side, sentence in explain_runaways(report):
        yield f"{side}: {sentence}"
    pages = format_count(report.cards[-1].pages, "page")
    yield f"{pages}; normalised: {report.normalization}. {tell_intervals(report)}".rstrip()


def _worst(report: Report) -> Iterator[str]:
    found = worst_pages(report, WORST)
    if found:
        rows = [[format_percent(page.readings[-1].cer), _short(page.name)] for page in found]
        yield f"worst pages\n{_table(rows)}"
    lost = lost_pages(report, WORST)
    if lost:
        rows = [
            [
                f"{format_percent(page.readings[0].cer)} → {format_percent(page.readings[-1].cer)}",
                _short(page.name),
            ]
            for page in lost
        ]
        yield f"pages that {report.sides[-1]} reads worse than {report.sides[0]}\n{_table(rows)}"


def _loose_ends(report: Report) -> Iterator[str]:
    for finding in (*report.findings, *report.skipped):
        yield f"{finding.severity} {finding.code}: {finding.message}" + (
            f" ({finding.count} times)" if finding.count > 1 else ""
        )
    yield from report.notes
    if report.command:
        yield f"again: {report.command}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_CELLS else f"…{name[-NAME_CELLS + 1 :]}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width; numbers to the right, the last column of two to the left."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [" " * (width - cell_len(cell)) + cell for cell, width in zip(row, widths, strict=True)]
        if len(row) == 2:  # noqa: PLR2004  # a number and a name
            cells[1] = row[1]
        else:
            cells[0] = row[0] + " " * (widths[0] - cell_len(row[0]))
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
