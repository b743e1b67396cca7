"""`ocrtune compare`: two readings of the same pages, and which is better."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.cli.scores import (
    MOST_SLICES,
    ONE_DOCUMENT,
    Columns,
    NormalizationNames,
    Workers,
    name_of,
    shown_columns,
    slices_caption,
    slices_title,
    tell_interval,
    tell_normalizations,
    tell_shares,
    typed_command,
)
from ocrtune.evaluation import (
    Comparison,
    Difference,
    Differences,
    PagePair,
    Rates,
    compare,
    find_normalization,
    rate_page,
    read_side,
    write_comparison,
)
from ocrtune.evaluation.intervals import RESAMPLES, tell_few
from ocrtune.progress import say

_MOST_PAGES = 5
_LEAST_PROBABILITY = 1 / RESAMPLES
_WAYS = ("micro", "macro", "median", "clipped")
_SIDE = "JSONL with `image` and `text`, a folder of .txt named as the images, or hOCR, ALTO or PAGE XML."


def command(
    a: Annotated[Path, typer.Argument(help=f"What the one engine or checkpoint read. {_SIDE}")],
    b: Annotated[Path, typer.Argument(help="What the other read.")],
    *,
    reference: Annotated[
        str,
        typer.Option("--reference", "-r", help="A JSONL manifest, a folder of images with .txt, or builtin."),
    ],
    a_name: Annotated[str, typer.Option(help="What to call A; after its file without it.")] = "",
    b_name: Annotated[str, typer.Option(help="What to call B.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="A folder for comparison.json and pages.jsonl, of which reports are made."
        ),
    ] = None,
    normalizations: NormalizationNames = None,
    by: Columns = None,
    workers: Workers = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Compare two readings of the same pages: differences with intervals, and the pages that got worse.

    Only pages that both sides have read are compared; the others are told. The
    probability that B is better is the share of bootstrap draws of documents in
    which its rate is lower. No model is needed: either side may be any engine.

    Example: ocrtune compare base.jsonl tuned.jsonl --reference scans/manifest.jsonl
    """
    first, *also = map(find_normalization, normalizations or ["trim"])
    comparison = compare(
        reference,
        read_side(a, name=a_name),
        read_side(b, name=b_name),
        normalization=first,
        also=also,
        by=by or [],
        workers=workers,
    )
    print_findings(comparison.findings)
    if out is not None:
        write_comparison(out, comparison, reference=reference, a=a, b=b, command=typed_command())
        say(f"the comparison, and both readings of each page: {out}")
    if json:
        print_json(comparison.as_dict())
    else:
        _print(comparison, by or [])


def _print(comparison: Comparison, by: Sequence[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"A is {comparison.names[0]}, B is {comparison.names[1]}", markup=False)
    console.print(_rates_table(comparison))
    if comparison.others:
        console.print(_normalizations_table(comparison))
    for column in shown_columns((each.column for each in comparison.slices), by):
        console.print(_slices_table(comparison, column))
    for name, explanation in zip(comparison.names, comparison.explanations, strict=True):
        if explanation:
            console.print(f"[bold]{escape(name)}: {explanation}[/]")
    for name, card in (("A", comparison.a), ("B", comparison.b)):
        console.print(f"{name}: {tell_shares(card)}")
    for line in _tell_structures(comparison):
        console.print(line, markup=False)
    _print_pages(console, comparison)
    console.print(_tell_draws(comparison.differences))
    cards = [comparison.a, *(a for a, _, _ in comparison.others)]
    console.print(tell_normalizations(cards), markup=False)


def _rates_table(comparison: Comparison) -> Table:
    table = _table(f"{len(comparison.pairs)} pages", ("",))
    for name, a, b in (
        ("CER", comparison.a.cer, comparison.b.cer),
        ("WER", comparison.a.wer, comparison.b.wer),
    ):
        for way in _WAYS:
            difference = comparison.differences.rates[name.lower()][way]
            _add(table, (f"{name} {way}",), getattr(a, way), getattr(b, way), difference)
    return table


def _normalizations_table(comparison: Comparison) -> Table:
    table = _table("micro CER by normalisation", ("",))
    rows = [(comparison.a, comparison.b, comparison.differences), *comparison.others]
    for a, b, differences in rows:
        _add_micro(table, (name_of(a.normalization),), a.cer, b.cer, differences)
    return table


def _slices_table(comparison: Comparison, column: str) -> Table:
    slices = [each for each in comparison.slices if each.column == column]
    table = _table(slices_title(f"micro CER by {column}", len(slices)), ("", "pages"))
    table.caption = slices_caption(each.differences.unit for each in slices)
    for each in slices[:MOST_SLICES]:
        _add_micro(table, (each.value or "unknown", str(each.pages)), each.a, each.b, each.differences)
    return table


def _add_micro(table: Table, heads: Sequence[str], a: Rates, b: Rates, differences: Differences) -> None:
    _add(table, heads, a.micro, b.micro, differences.rates["cer"]["micro"])


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(title=title)
    for heading in (*heads, "A", "B", "B − A", "95% interval", "B is better"):  # noqa: RUF001 - a minus
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add(table: Table, heads: Sequence[str], a: float, b: float, difference: Difference) -> None:
    table.add_row(
        *map(escape, heads),
        f"{a:.2%}",
        f"{b:.2%}",
        f"{difference.value:+.2%}",
        tell_interval(difference.interval),
        _tell_probability(difference.b_is_better),
    )


def _tell_structures(comparison: Comparison) -> Iterator[str]:
    """A line for each measure of structure: names and intervals together are too wide for a table."""
    for name, each in comparison.structures.items():
        found = each.difference
        told = f"{name}: A {each.a:.1%}, B {each.b:.1%}, B − A {found.value:+.1%}"  # noqa: RUF001 - a minus
        if found.interval is not None:
            told += f" ({tell_interval(found.interval)}), B is better: {_tell_probability(found.b_is_better)}"
        yield f"{told}; {each.pages} pages" + ("" if each.higher_is_better else ", 0 is best")


def _tell_probability(probability: float | None) -> str:
    """A probability in percent; draws alone never make it 0 or 1."""
    if probability is None:
        return ""
    if probability < _LEAST_PROBABILITY:
        return f"<{_LEAST_PROBABILITY:.1%}"
    return f">{1 - _LEAST_PROBABILITY:.1%}" if probability > 1 - _LEAST_PROBABILITY else f"{probability:.1%}"


def _print_pages(console: Console, comparison: Comparison) -> None:
    better, worse = comparison.better, comparison.worse
    same = len(comparison.pairs) - len(better) - len(worse)
    console.print(f"B reads {len(better)} pages better, {len(worse)} worse, {same} as A does")
    for word, pages in (("worse", worse), ("better", better)):
        for pair in pages[:_MOST_PAGES]:
            console.print(f"  {word}: {_tell_page(pair)}", markup=False)


def _tell_page(pair: PagePair) -> str:
    return f"{pair.page.name}, CER {rate_page(pair.a).cer:.1%} → {rate_page(pair.b).cer:.1%}"


def _tell_draws(differences: Differences) -> str:
    told = f"intervals and probabilities by bootstrap over {differences.num_units} {differences.unit}s"
    if differences.unit == "page":
        return f"{told} of one document: {ONE_DOCUMENT}"
    few = tell_few(differences.num_units, differences.unit)
    return f"{told}, drawn {differences.resamples} times with seed {differences.seed}" + (few and f"; {few}")
