"""Tables as Markdown has them."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """A Markdown table; columns from the one numbered `left` on hold numbers and stand right."""
    rule = ["---" if index < left else "--:" for index in range(len(heads))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, rule, *rows))
