"""A Report → Markdown for pull requests, and the tables of a model card."""

import re
from collections.abc import Iterator, Sequence

from ocrtune import __version__
from ocrtune.reports.explaining import explain_runaways, tell_intervals, tell_verdict
from ocrtune.reports.records import Report, ReportPage
from ocrtune.reports.summary_text import loss_of, lost_pages, with_interval, worst_pages
from ocrtune.reports.wording import format_count, format_percent, format_points, show_controls, show_glyph
from ocrtune.text import shorten

MOST_PAGES = 10
MOST_CONFUSIONS = 12
MOST_TEXT = 120

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_BREAKS = re.compile(r"\s*\n\s*")


def markdown_summary(report: Report) -> str:
    """The report in Markdown; texts and names cannot make links, HTML or mentions of it."""
    parts = [
        f"## {plain(report.title)}",
        plain(report.summary),
        *score_parts(report),
        *_slice_part(report),
        *_confusion_part(report),
        *_page_parts(report),
        *_finding_part(report),
        *(plain(note) for note in report.notes),
        *made_part(report),
        f"<sub>Made by ocrtune {__version__}.</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def score_parts(report: Report) -> Iterator[str]:
    """Headline, table and what they mean."""
    if not report.cards:
        return
    last = report.cards[-1].cer.micro
    if len(report.cards) == 1:
        yield f"**CER {with_interval(last)}**"
    else:
        yield f"**CER {with_interval(report.cards[0].cer.micro)} → {with_interval(last)}**"
    if report.verdict is not None:
        yield plain(tell_verdict(report.verdict, report.sides))
    for side, sentence in explain_runaways(report):
        yield f"> **{plain(side)}:** {plain(sentence)}"
    yield _score_table(report)
    pages = format_count(report.cards[-1].pages, "page")
    yield f"{pages}. Normalisation: {plain(report.normalization)}. {tell_intervals(report)}".rstrip()


def made_part(report: Report) -> Iterator[str]:
    """How it was made, folded away."""
    rows = [[plain(fact.name), plain(fact.value)] for fact in (*report.facts, *report.precision)]
    rows += [[plain(name), plain(found)] for name, found in report.versions.items()]
    if rows:
        yield f"<details><summary>How it was made</summary>\n\n{table(['', ''], rows)}\n\n</details>"
    if report.command:
        yield f"```sh\n{report.command.replace('`', '')}\n```"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int | None = None) -> str:
    """A Markdown table of cells that are Markdown already; columns from `numbers_from` on stand to the right."""
    rule = [
        "---:" if numbers_from is not None and column >= numbers_from else "---"
        for column in range(len(head))
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    shown = _MARKS.sub(r"\\\1", _BREAKS.sub(" ", show_controls(text)))
    # A zero-width character keeps names of people and addresses from becoming mentions and links.
    return shown.replace("@", "@\u2060").replace("://", ":\u2060//").replace("www.", "www\u2060.")


def _score_table(report: Report) -> str:
    head = ["", *(["of"] if len(report.sides) > 1 else []), "micro", "macro", "median", "clipped"]
    rows = []
    for name in report.cards[-1].rates:
        for side, card in zip(report.sides, report.cards, strict=True):
            if name in card.rates:
                line = card.rates[name]
                values = [
                    with_interval(value) for value in (line.micro, line.macro, line.median, line.clipped)
                ]
                rows.append([name, *([plain(side)] if len(report.sides) > 1 else []), *values])
    for name in report.cards[-1].shares:
        told = [format_percent(card.shares[name]) if name in card.shares else "–" for card in report.cards]
        rows.append([name, *([""] if len(report.sides) > 1 else []), " → ".join(told), "", "", ""])
    return table(head, rows, numbers_from=len(head) - 4)


def _slice_part(report: Report) -> Iterator[str]:
    if not report.slices:
        return
    rows = []
    for row in report.slices:
        difference = "" if row.verdict is None else format_points(row.verdict.difference.value, signed=True)
        cers = [with_interval(value) for value in row.cers]
        more = [difference] if len(report.sides) > 1 else []
        rows.append([plain(row.column), plain(row.value) or "–", f"{row.pages:,}", *cers, *more])
    head = [
        "",
        "",
        "pages",
        *(plain(side) for side in report.sides),
        *(["points"] if len(report.sides) > 1 else []),
    ]
    yield f"<details><summary>CER of parts of the pages</summary>\n\n{table(head, rows, numbers_from=2)}\n\n</details>"


def _confusion_part(report: Report) -> Iterator[str]:
    if not report.confusions:
        return
    told = [
        f"{plain(show_glyph(found.reference))} → {plain(show_glyph(found.prediction))} ({' → '.join(map('{:,}'.format, found.counts))})"
        for found in report.confusions[:MOST_CONFUSIONS]
    ]
    yield f"Taken for another, most often: {', '.join(told)}."


def _page_parts(report: Report) -> Iterator[str]:
    lost, worst = lost_pages(report, MOST_PAGES), worst_pages(report, MOST_PAGES)
    if lost:
        heading = (
            f"{format_count(sum(loss_of(page) > 0 for page in report.pages), 'page')} read worse than before"
        )
        yield _pages(heading, lost, report)
    if worst:
        yield _pages("Worst pages", worst, report)


def _pages(heading: str, pages: Sequence[ReportPage], report: Report) -> str:
    rows = []
    for page in pages:
        rates = " → ".join(format_percent(reading.cer) for reading in page.readings)
        rows.append(
            [
                plain(page.name),
                rates,
                plain(shorten(page.reference, MOST_TEXT)),
                plain(shorten(page.readings[-1].text, MOST_TEXT)) or "–",
            ]
        )
    head = ["page", "CER", "reference", plain(report.sides[-1])]
    return f"<details><summary>{heading}</summary>\n\n{table(head, rows)}\n\n</details>"


def _finding_part(report: Report) -> Iterator[str]:
    found = [
        f"* **{finding.severity}** `{finding.code}`: {plain(finding.message)}"
        + (f" ({finding.count:,} times)" if finding.count > 1 else "")
        for finding in (*report.findings, *report.skipped)
    ]
    if found:
        yield "\n".join(found)
