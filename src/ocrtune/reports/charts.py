"""Curves over steps → an inline SVG, drawn in the colours of the page it stands in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from markupsafe import Markup, escape

from ocrtune.reports.records import Curve, CurvePoint

WIDTH, HEIGHT = 480, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 30, 46
_MOST_INTERVALS = 6
_MOST_DOTS = 40

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values on `[low, high]` to `[start, end]` px."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(curves: Sequence[Curve], *, title: str, unit: str, format_value: Format) -> Markup:
    """A chart of one or two curves with ticks, units, hover titles and a text alternative.

    The first curve is solid, the second dashed, so that they differ in print too.

    Args:
        curves: Each with a point or more; values are finite.
        title: Names the chart to those who hear it.
        unit: What the value axis counts.
        format_value: Writes a value, as tick and as hover title.
    """
    points = list(chain.from_iterable(curve.points for curve in curves))
    x = _Axis(0, max(1, *(point.step for point in points)), _LEFT, WIDTH - _RIGHT)
    y_ticks = nice_ticks(0, max(point.value for point in points))
    y = _Axis(0, y_ticks[-1], HEIGHT - _BOTTOM, _TOP)
    words = "; ".join(f"{curve.name} from {describe(curve, format_value)}" for curve in curves)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {words}")}">',
        *_value_axis(y, y_ticks, unit, format_value),
        *_step_axis(x),
        *(_curve(curve, number, x, y, format_value) for number, curve in enumerate(curves)),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704  # every text in it was escaped where it was put in


def describe(curve: Curve, format_value: Format) -> str:
    """A curve in words: where it starts, ends, and is lowest."""
    first, last = curve.points[0], curve.points[-1]
    lowest = min(curve.points, key=lambda point: point.value)
    return (
        f"{format_value(first.value)} at step {first.step} to {format_value(last.value)} at step {last.step}, "
        f"lowest {format_value(lowest.value)} at step {lowest.step}"
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Round values from at most `low` to at least `high`, 2 to 8 of them, evenly spaced by 1, 2 or 5 × 10ⁿ."""
    raw = max(high - low, 1e-9) / _MOST_INTERVALS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _value_axis(y: _Axis, ticks: Sequence[float], unit: str, format_value: Format) -> list[str]:
    parts = []
    for tick in ticks:
        at = f"{y.place(tick):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{at}" dy="0.35em" text-anchor="end">{escape(format_value(tick))}</text>'
        )
    parts.append(f'<text class="unit" x="0" y="12">{escape(unit)}</text>')
    return parts


def _step_axis(x: _Axis) -> list[str]:
    bottom = HEIGHT - _BOTTOM
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>']
    ticks = [tick for tick in nice_ticks(0, x.high) if tick <= x.high and tick == int(tick)]
    for tick in ticks:
        at = f"{x.place(tick):.1f}"
        parts.append(f'<line class="axis" x1="{at}" x2="{at}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{bottom + 18}" text-anchor="middle">{int(tick)}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="unit" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">optimizer step</text>'
    )
    return parts


def _curve(curve: Curve, number: int, x: _Axis, y: _Axis, format_value: Format) -> str:
    places = [(x.place(point.step), y.place(point.value)) for point in curve.points]
    line = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in places)
    dots = "".join(
        f'<circle class="dot" cx="{at_x:.1f}" cy="{at_y:.1f}" r="{_radius(curve.points)}">'
        f"<title>{escape(curve.name)}, step {point.step}: {escape(format_value(point.value))}</title></circle>"
        for point, (at_x, at_y) in zip(curve.points, places, strict=True)
    )
    return f'<g class="curve curve-{number + 1}"><polyline points="{line}"/>{dots}</g>'


def _radius(points: Sequence[CurvePoint]) -> str:
    """Dots are seen where there is room for them; the smallest still catch the pointer."""
    return "3.2" if len(points) <= _MOST_DOTS else "1.6"
