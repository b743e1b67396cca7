"""A histogram → an inline SVG of bars, drawn in the colours of the page it stands in."""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 480, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 24, 28
_LEAST_BAR_PX = 1.5
"""A bin with a single value among a million is still to be seen."""


def bar_chart(edges: Sequence[float], counts: Sequence[int], title: str) -> Markup:
    """Bars of equal width with the first and last edge below, the highest count above, and hover titles.

    Args:
        edges: One more than there are counts.
        counts: Of each bin.
        title: Names the chart to those who hear it.
    """
    most = max(counts, default=0)
    step = (WIDTH - _LEFT - _RIGHT) / max(len(counts), 1)
    floor = HEIGHT - _BOTTOM
    bars = []
    for number, count in enumerate(counts):
        if not count:
            continue
        height = max(count / most * (floor - _TOP), _LEAST_BAR_PX)
        told = f"{edges[number]:.4g} to {edges[number + 1]:.4g}: {count:,}"
        bars.append(
            f'<rect x="{_LEFT + number * step + 1:.1f}" y="{floor - height:.1f}" width="{max(step - 2, 1):.1f}" '
            f'height="{height:.1f}"><title>{told}</title></rect>'
        )
    words = f"{title}: from {edges[0]:.4g} to {edges[-1]:.4g}, at most {most:,} in a bin"
    parts = [
        f'<svg class="chart bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">',
        f'<text x="{_LEFT}" y="14">{most:,}</text>',
        f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>',
        *bars,
        f'<text x="{_LEFT}" y="{HEIGHT - 8}">{edges[0]:.4g}</text>',
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{edges[-1]:.4g}</text>',
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704  # every text in it was escaped where it was put in
