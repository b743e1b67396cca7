"""How scores are asked for and printed, by `evaluate` and by `compare`."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ocrtune.evaluation import Confusions, Interval, Intervals, Rates, Scorecard, show_character
from ocrtune.evaluation.intervals import tell_few
from ocrtune.text import NamedNormalization, Normalization

MOST_SLICES = 12
"""Slices of a column in a table; the files and the JSON have all."""

MOST_CONFUSIONS = 10

ONE_DOCUMENT = "they tell nothing of other documents"

NormalizationNames = Annotated[
    list[str] | None,
    typer.Option(
        "--normalization",
        "-n",
        help=(
            "What is made equal before counting; may be given several times, the first one's numbers lead. "
            "Names joined by +: none, trim (the default), collapse, compatible, fold, long-s, u-v, i-j, ligatures, dashes, "
            "quotes, modern (the last six), pairs:FILE, regex:FILE. Lines of a file: what is replaced, a tab, what by."
        ),
        show_default=False,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        help=(
            "Slice the pages by a column: source, script, length, tiles, document, or any column of the manifest, "
            "CSV, Parquet, or JSONL of predictions; may be given several times."
        ),
        show_default=False,
    ),
]
Workers = Annotated[
    int, typer.Option(help="Processes that score; one scores some thousand pages a second.", min=1)
]


def typed_command() -> str:
    """The command as it was typed."""
    return shlex.join(["ocrtune", *sys.argv[1:]])


def rates_table(title: str, rows: Iterable[tuple[str, Rates, Mapping[str, Interval]]]) -> Table:
    """A row for each rate: four ways to sum it up, each with its interval below."""
    table = Table(title=title)
    for heading in ("", "micro", "macro", "median", "clipped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, rates, intervals in rows:
        values = {
            "micro": rates.micro,
            "macro": rates.macro,
            "median": rates.median,
            "clipped": rates.clipped,
        }
        cells = (_with_interval(f"{value:.2%}", intervals.get(way)) for way, value in values.items())
        table.add_row(escape(name), *cells)
    return table


def tell_interval(interval: Interval | None) -> str:
    """An interval of a difference in percent, without the sign of percent; empty where there is none."""
    return "" if interval is None else f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def name_of(normalization: Normalization) -> str:
    """What a normalisation is called in a table."""
    return normalization.name if isinstance(normalization, NamedNormalization) else str(normalization)


def tell_normalizations(cards: Iterable[Scorecard]) -> str:
    """What was made equal, in a line for each scorecard."""
    return "\n".join(f"normalised: {card.normalization}" for card in cards)


def tell_shares(card: Scorecard) -> str:
    """The rates that are no error rates, in one line."""
    return (
        f"exact {card.exact_rate:.1%}, ran away {card.runaway_rate:.1%}, empty {card.empty_rate:.1%}, "
        f"repeating {card.repetition_rate:.1%}; bag-of-words F1 {card.bag_of_words_f1:.1%}; "
        f"OmniDocBench text edit distance {card.text_edit_distance:.4f}"
    )


def tell_structures(card: Scorecard) -> str:
    """Measures of what is no running text, in one line; empty where no page has any."""
    return ", ".join(
        f"{name} {measure.mean:.1%} ({measure.pages} pages)" for name, measure in card.structures.items()
    )


def tell_bootstrap(intervals: Intervals) -> str:
    """What intervals mean, in one line."""
    if not intervals.rates:
        return "one page has no interval"
    told = f"{intervals.level:.0%} intervals by bootstrap over {intervals.num_units} {intervals.unit}s"
    if intervals.unit == "page":
        return f"{told} of one document: {ONE_DOCUMENT}"
    few = tell_few(intervals.num_units, intervals.unit)
    return f"{told}, drawn {intervals.resamples} times with seed {intervals.seed}" + (few and f"; {few}")


def tell_confusions(confusions: Confusions) -> str:
    """The most frequent confusions in one line, those of scripts, and what is not among them; empty for nothing."""
    told = [
        f"{show_character(each.reference)}→{show_character(each.prediction)} {each.count}"
        for each in confusions.characters[:MOST_CONFUSIONS]
    ]
    told += [
        f"{each.reference}→{each.prediction} {each.count} ({each.look_alikes} look the same)"
        for each in confusions.scripts
    ]
    if confusions.pages_left_out:
        told.append(f"left out as no reading of their reference {confusions.pages_left_out}")
    return ", ".join(told)


def shown_columns(slices: Iterable[str], by: Sequence[str]) -> list[str]:
    """The columns to print: those asked for, or all that are known."""
    known = list(dict.fromkeys(slices))
    return [column for column in known if not by or column in by]


def slices_title(title: str, num_slices: int) -> str:
    """The title of a table of slices, which says how many are left out."""
    return title if num_slices <= MOST_SLICES else f"{title}, the first {MOST_SLICES} of {num_slices}"


def slices_caption(units: Iterable[str]) -> str | None:
    """What is to be said below a table of slices: whether any interval is of the pages of one document."""
    return "intervals of one document's slice are over its pages" if "page" in set(units) else None


def _with_interval(value: str, interval: Interval | None) -> str:
    return (
        value if interval is None else f"{value}\n[dim]{100 * interval.low:.2f}–{100 * interval.high:.2f}[/]"
    )
