"""Rates of pages and of parts of them → inline SVGs, drawn in the colours of the page they stand in."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from ocrtune.reports.scores import Value
from ocrtune.reports.wording import format_percent

WIDTH, HEIGHT = 480, 220
_TOP, _BOTTOM = 22, 26
_LEAST_BAR_PX = 1.5

STEPS = (
    (0.0, "exact"),
    (0.01, "≤ 1 %"),
    (0.02, "≤ 2 %"),
    (0.05, "≤ 5 %"),
    (0.1, "≤ 10 %"),
    (0.2, "≤ 20 %"),
    (0.5, "≤ 50 %"),
    (1.0, "≤ 100 %"),
)
"""Largest CER of a bar, and its label; what is above the last has a bar of its own."""

FOREST_WIDTH, FOREST_ROW = 200, 12


def count_by_rate(rates: Sequence[float]) -> list[int]:
    """How many rates fall to each of `STEPS`, and how many are above the last."""
    counts = [0] * (len(STEPS) + 1)
    for rate in rates:
        counts[next((number for number, (most, _) in enumerate(STEPS) if rate <= most), len(STEPS))] += 1
    return counts


def rate_bars(sides: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """How many pages of each side have which CER: a bar for each of `STEPS` and side.

    Args:
        sides: Name, and the CER of each page; one or two.
    """
    counts = [count_by_rate(rates) for _, rates in sides]
    most = max(1, *(max(column) for column in counts))
    labels = [*(label for _, label in STEPS), "more"]
    slot = WIDTH / len(labels)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_in_words(sides, counts, labels))}">'
    ]
    for number, label in enumerate(labels):
        middle = f"{(number + 0.5) * slot:.1f}"
        parts += _bars(number, slot, [column[number] for column in counts], most)
        parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>')
    floor = HEIGHT - _BOTTOM
    parts += [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{floor}" y2="{floor}"/>', "</svg>"]
    return Markup("".join(parts))  # noqa: S704  # every text in it was escaped where it was put in


def interval_bars(values: Sequence[Value], *, most: float) -> Markup:
    """One line for each side from the low to the high end of its interval, with a dot at the rate.

    Args:
        values: One or two.
        most: The rate at the right end.
    """
    height = FOREST_ROW * len(values)
    parts = [
        f'<svg viewBox="0 0 {FOREST_WIDTH} {height}" height="{height}" role="img" aria-label="{escape(_interval_words(values))}">'
    ]
    for number, value in enumerate(values):
        y = (number + 0.5) * FOREST_ROW
        side = "only" if len(values) == 1 else f"side-{2 - number}"
        if value.interval is not None:
            low, high = _place(value.interval.low, most), _place(value.interval.high, most)
            parts.append(f'<line class="{side}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="{side}" cx="{_place(value.value, most)}" cy="{y}" r="3.4" stroke-width="1.6"/>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704  # every text in it was escaped where it was put in


def _place(rate: float, most: float) -> str:
    return f"{5 + min(1.0, rate / most if most else 0.0) * (FOREST_WIDTH - 10):.1f}"


def _bars(number: int, slot: float, counts: Sequence[int], most: int) -> Iterator[str]:
    """A bar for each side with its count above; the last side is filled, the one before it is an outline."""
    width = (slot - 8) / len(counts)
    for side, count in enumerate(counts):
        if not count:
            continue
        x = number * slot + 4 + side * width
        height = max(_LEAST_BAR_PX, count / most * (HEIGHT - _TOP - _BOTTOM))
        top = HEIGHT - _BOTTOM - height
        kind = 1 if side == len(counts) - 1 else 2
        yield f'<rect class="bars-{kind}" x="{x + 1:.1f}" y="{top:.1f}" width="{width - 2:.1f}" height="{height:.1f}"/>'
        yield f'<text x="{x + width / 2:.1f}" y="{top - 5:.1f}" text-anchor="middle">{count:,}</text>'


def _in_words(
    sides: Sequence[tuple[str, Sequence[float]]], counts: Sequence[Sequence[int]], labels: Sequence[str]
) -> str:
    told = (
        f"{name}: "
        + ", ".join(f"{label} {count:,}" for label, count in zip(labels, column, strict=True) if count)
        for (name, _), column in zip(sides, counts, strict=True)
    )
    return f"Pages by CER. {'; '.join(told)}"


def _interval_words(values: Sequence[Value]) -> str:
    return "; ".join(
        format_percent(value.value)
        + (
            f", {format_percent(value.interval.low)} to {format_percent(value.interval.high)}"
            if value.interval
            else ""
        )
        for value in values
    )
