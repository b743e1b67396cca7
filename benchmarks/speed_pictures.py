"""Pictures of what `speed.py` measured: bars of the ablation with their spread, and curves of what a step costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ocrtune.reports.charts import nice_ticks

STYLE = """
svg { background: #fff; font-family: sans-serif; }
text { fill: #57606a; font-size: 12.5px; } .head { fill: #24292f; font-weight: 600; }
.grid { stroke: #d8dee4; } .axis { stroke: #57606a; } .one { stroke: #57606a; stroke-dasharray: 3 3; }
.bar { fill: #8ab4f8; } .bar.first { fill: #c9d1d9; } .bar.last { fill: #0b57d0; }
.spread { stroke: #24292f; stroke-width: 1.5; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve-0 { stroke: #b3590a; stroke-dasharray: 6 4; } .curve-1 { stroke: #0b57d0; }
.dot-0 { fill: #b3590a; } .dot-1 { fill: #0b57d0; }
"""
BAR_WIDTH, LABEL_WIDTH, VALUE_WIDTH, ROW_HEIGHT = 360, 300, 130, 24
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 300, 230, 46, 34, 44, 16


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio with its spread."""

    title: str
    median: float
    least: float
    most: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves of one quantity over another.

    Attributes:
        title: Under the horizontal axis.
        curves: Name → value on the horizontal axis → seconds; both in order.
    """

    title: str
    curves: Mapping[str, Mapping[float, float]]


def bars_picture(groups: Mapping[str, Sequence[Bar]], unit: str) -> str:
    """Bars from 0 in groups, with a line at 1, and a stroke from the least to the most of each."""
    most = nice_ticks(0, max(bar.most for bars in groups.values() for bar in bars))[-1]
    scale = BAR_WIDTH / most
    parts: list[str] = []
    top = 8
    for title, bars in groups.items():
        parts.append(f'<text class="head" x="8" y="{top + 16}">{escape(title)}</text>')
        top += ROW_HEIGHT
        for bar in bars:
            parts += _bar(bar, top, scale)
            top += ROW_HEIGHT
        top += 8
    one = LABEL_WIDTH + scale
    parts.append(f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="8" y2="{top}"/>')
    parts.append(f'<text x="{LABEL_WIDTH}" y="{top + 18}">{escape(unit)}</text>')
    words = "; ".join(f"{bar.title}: {bar.median:.2f}" for bars in groups.values() for bar in bars)
    return _svg(LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH, top + 28, f"{unit}: {words}", parts)


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    middle, end = top + ROW_HEIGHT / 2, LABEL_WIDTH + bar.median * scale
    told = f"{bar.median:.2f} ({bar.least:.2f}–{bar.most:.2f})"
    low, high = LABEL_WIDTH + bar.least * scale, LABEL_WIDTH + bar.most * scale
    return [
        f'<text x="{LABEL_WIDTH - 8}" y="{middle}" dy="0.35em" text-anchor="end">{escape(bar.title)}</text>',
        f'<rect class="bar {bar.kind}" x="{LABEL_WIDTH}" y="{top + 4}" width="{end - LABEL_WIDTH:.1f}" height="{ROW_HEIGHT - 8}"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{max(high, end) + 8:.1f}" y="{middle}" dy="0.35em">{told}</text>',
    ]


def curves_picture(panels: Sequence[Panel], unit: str) -> str:
    """Panels side by side, each with its curves from 0; the first curve is dashed."""
    parts: list[str] = []
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * PANEL_WIDTH} 0)">')
        parts += [*_panel(panel, unit if number == 0 else ""), "</g>"]
    names = list(panels[0].curves) or ["not measured"]
    words = "; ".join(
        f"{panel.title}: {name} from {min(points.values()):.2g} to {max(points.values()):.2g}"
        for panel in panels
        for name, points in panel.curves.items()
        if points
    )
    legend = "dashed: {}, solid: {}".format(*names) if len(names) > 1 else names[0]
    parts.append(f'<text x="{LEFT}" y="{PANEL_HEIGHT + 18}">{escape(legend)}</text>')
    return _svg(PANEL_WIDTH * len(panels), PANEL_HEIGHT + 28, f"{unit}: {words}", parts)


def _panel(panel: Panel, unit: str) -> list[str]:
    xs = [x for points in panel.curves.values() for x in points]
    ys = [y for points in panel.curves.values() for y in points.values()]
    x_ticks, y_ticks = nice_ticks(0, max(xs, default=1)), nice_ticks(0, max(ys, default=1))
    width, bottom = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / x_ticks[-1] * width, bottom - y / y_ticks[-1] * (bottom - TOP)

    parts = [f'<text x="{LEFT}" y="16">{escape(unit)}</text>']
    for tick in y_ticks:
        y = at(0, tick)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y:.1f}" dy="0.35em" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x = at(tick, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + width}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(
        f'<text x="{LEFT + width / 2}" y="{bottom + 36}" text-anchor="middle">{escape(panel.title)}</text>'
    )
    for number, points in enumerate(panel.curves.values()):
        places = [at(x, y) for x, y in points.items()]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="curve-{number}" points="{line}"/>')
        parts += [f'<circle class="dot-{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places]
    return parts


def _svg(width: int, height: int, words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}" xmlns="http://www.w3.org/2000/svg">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )
