"""What numbers mean, in sentences."""

from collections.abc import Iterator, Sequence

from ocrtune.evaluation.intervals import tell_few
from ocrtune.reports.records import Report, ReportPage
from ocrtune.reports.scores import Card, Interval, Verdict
from ocrtune.reports.wording import format_count, format_percent, format_points

FEW = 0.1
"""So large a share of the pages at most is said to rule the micro rate."""

MUCH = 1.25
"""A micro rate so many times the clipped one, and the one without runaway pages, needs a word."""


def explain_runaways(report: Report) -> Iterator[tuple[str, str]]:
    """(side, sentence) for each side whose micro CER is ruled by few runaway pages.

    Micro adds up edits, and a page that goes on for thousands of characters adds more of them than all others. Median
    and clipped do not move by it, so they are told beside it.
    """
    for number, (name, card) in enumerate(zip(report.sides, report.cards, strict=True)):
        wild = [page for page in report.pages if page.readings[number].runaway]
        calm = [page for page in report.pages if not page.readings[number].runaway]
        if not wild or not calm or len(wild) > max(1, FEW * len(report.pages)):
            continue
        without = _micro(calm, number)
        if card.cer.micro.value > 0 and card.cer.micro.value >= MUCH * max(without, card.cer.clipped.value):
            yield name, _sentence(card, wild, without, number, len(report.pages))


def tell_verdict(verdict: Verdict, sides: Sequence[str]) -> str:
    """How the second side differs from the first, how sure that is, in one or two sentences."""
    first, second = sides
    difference, interval = verdict.difference.value, verdict.difference.interval
    if difference == 0:
        return f"There is no difference between {first} and {second} in {verdict.measure}."
    chance = _tell_chance(verdict, second)
    if interval is not None and interval.low < 0 < interval.high:
        ends = f"{format_points(interval.low, signed=True)} to {format_points(interval.high, signed=True)}"
        less = "less" if difference < 0 else "more"
        return (
            f"It is not sure which is better: {second} has {format_points(abs(difference))} points {less} of "
            f"{verdict.measure} than {first} (95 % interval {ends}).{chance}"
        )
    better, worse = (second, first) if difference < 0 else (first, second)
    here = "On these pages " if _tell_few(verdict) else ""
    return f"{here}{better} is better than {worse} by {format_points(abs(difference))} points of {verdict.measure}{_ends(interval)}.{chance}"


def _tell_few(verdict: Verdict) -> str:
    return tell_few(verdict.num_units, verdict.unit) if verdict.num_units else ""


def _tell_chance(verdict: Verdict, second: str) -> str:
    """How sure it is. Drawn from few documents that agree any chance comes out as certain, so none is told then."""
    if verdict.probability is None:
        return ""
    if few := _tell_few(verdict):
        return f" But {few}, and others may tell otherwise."
    where = " on this document" if verdict.unit == "page" else ""
    return f" That {second} is the better one{where} has a probability of {format_probability(verdict.probability)}."


def _ends(interval: Interval | None) -> str:
    """The ends of an interval without 0 in it, as distances."""
    if interval is None:
        return ""
    low, high = sorted((abs(interval.low), abs(interval.high)))
    return f" (95 % interval {format_points(low)} to {format_points(high)})"


def tell_intervals(report: Report) -> str:
    """How the intervals were made and what they hold for; empty without any."""
    card = report.cards[-1] if report.cards else None
    if card is None or card.cer.micro.interval is None:
        return ""
    if card.unit == "page":
        return (
            "Intervals hold the number with 95 % probability, by drawing pages anew; all are of one document, so they "
            "tell nothing of others."
        )
    few = tell_few(card.num_units, card.unit)
    told = "Intervals hold the number with 95 % probability, by drawing documents anew"
    return f"{told}; {few}." if few else f"{told}."


def format_probability(probability: float) -> str:
    """As people read it; what no resampling can tell from certainty is not called certain."""
    if probability > 0.999:  # noqa: PLR2004  # two thousand draws tell no more
        return f"more than {format_percent(0.999)}"
    if probability < 0.001:  # noqa: PLR2004  # as above
        return f"less than {format_percent(0.001)}"
    return format_percent(probability)


def _sentence(card: Card, wild: Sequence[ReportPage], without: float, side: int, total: int) -> str:
    written = sum(len(page.readings[side].text) for page in wild)
    wanted = sum(len(page.reference) for page in wild)
    cer = card.cer
    pages = "it" if len(wild) == 1 else "them"
    return (
        f"{format_count(len(wild), 'page')} of {total:,} ran away: {written:,} characters where {wanted:,} stand. "
        f"Micro adds up all edits, so {'that page' if len(wild) == 1 else 'those pages'} alone lift"
        f"{'s' if len(wild) == 1 else ''} it to {format_percent(cer.micro.value)}; without {pages} micro is {format_percent(without)}. "
        f"The page in the middle has {format_percent(cer.median.value)}, and with no page above 100 % the mean is "
        f"{format_percent(cer.clipped.value)}."
    )


def _micro(pages: Sequence[ReportPage], side: int) -> float:
    edits = sum(page.readings[side].edits for page in pages)
    length = sum(len(page.reference) for page in pages)
    return edits / length if length else float(edits > 0)
