"""`ocrtune facts`: what a page says, and whether the predictions say it too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.evaluation.facts import BASELINE, FactRate, FactsResult, check_facts, write_failed
from ocrtune.progress import say

_MOST_TOLD = 10


def command(
    predictions: Annotated[
        Path,
        typer.Argument(help="JSONL with `image` and `text`, or a folder of .md and .txt, one page a file."),
    ],
    *,
    facts: Annotated[
        Path,
        typer.Option("--facts", "-f", help="JSONL of facts as olmOCR-bench has them, or a folder of such."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the facts that do not hold, with why, as JSONL.")
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline", help="Check page 1 of each document for blanks, repeats and odd letters too."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check facts about pages: a text is present or absent, comes before another, stands in a cell, a formula is there.

    A fact names its PDF and page; predictions are found as `book.pdf#3`,
    `book_pg3_repeat1.md`, or `book.md` for page 1. Formulas are compared by
    their LaTeX tokens, not as they look.

    Example: ocrtune facts predictions.jsonl --facts bench_data/tables.jsonl
    """
    result = check_facts(facts, predictions, add_baseline=baseline)
    print_findings(result.findings)
    if out is not None:
        write_failed(out, result)
        say(f"facts that do not hold: {out}")
    if json:
        print_json(result.as_dict())
    else:
        _print(result)


def _print(result: FactsResult) -> None:
    console = Console(highlight=False)
    console.print(_table(result))
    failed = result.failed()
    for outcome in failed[:_MOST_TOLD]:
        fact = outcome.fact
        console.print(
            f"{fact.document}#{fact.page} {fact.id} ({fact.type}): {outcome.why}",
            markup=False,
            soft_wrap=True,
        )
    if len(failed) > _MOST_TOLD:
        console.print(f"and {len(failed) - _MOST_TOLD} more; --out writes them all")


def _table(result: FactsResult) -> Table:
    table = Table(title=f"{len(result.outcomes)} facts")
    for heading in ("", "holds", "of", "rate", "95 % interval"):
        table.add_column(heading, justify="right" if heading else "left")
    _add_rates(table, result.by_type())
    files = result.by_file()
    if len(files) > 1:
        _add_rates(table, {_file_name(name): rate for name, rate in files.items()})
    _add_rates(table, {"all": result.overall})
    if len(files) > 1:
        table.add_row("mean of files", "", "", f"{result.mean_of_files:.1%}", "")
    return table


def _add_rates(table: Table, rates: Mapping[str, FactRate]) -> None:
    for name, rate in rates.items():
        interval = f"{rate.low:.1%} – {rate.high:.1%}"
        table.add_row(name, str(rate.held), str(rate.count), f"{rate.rate:.1%}", interval)
    table.add_section()


def _file_name(name: str) -> str:
    return "added for all" if name == BASELINE else f"{name}.jsonl"
