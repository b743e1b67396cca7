"""`ocrtune evaluate`: predictions and references become scores."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.evaluation import Scorecard, evaluate, write_scores
from ocrtune.progress import say
from ocrtune.text import Normalization


class UnicodeForm(StrEnum):
    """Which code points are made equal."""

    NONE = "none"
    NFC = "NFC"
    NFD = "NFD"
    NFKC = "NFKC"
    NFKD = "NFKD"


class Whitespace(StrEnum):
    """What becomes of spaces and line breaks."""

    KEEP = "keep"
    TRIM = "trim"
    COLLAPSE = "collapse"


class Case(StrEnum):
    """Whether capitals count."""

    KEEP = "keep"
    FOLD = "fold"


def command(
    predictions: Annotated[Path, typer.Argument(help="JSONL with `image` and `text`, one page a line.")],
    *,
    reference: Annotated[
        str,
        typer.Option("--reference", "-r", help="A JSONL manifest, a folder of images with .txt, or builtin."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write each page's texts, counts and rates as JSONL.")
    ] = None,
    unicode: Annotated[
        UnicodeForm, typer.Option(help="Unicode normal form of both texts.")
    ] = UnicodeForm.NFC,
    whitespace: Annotated[
        Whitespace,
        typer.Option(help="`trim`: runs of spaces are one, lines are stripped. `collapse`: line breaks too."),
    ] = Whitespace.TRIM,
    case: Annotated[Case, typer.Option(help="`fold` compares without case.")] = Case.KEEP,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score predictions against references: CER, WER, NED, and the share of runaway answers.

    Pages are matched by `image`; one without prediction counts as an empty
    answer. `micro` weighs pages by length, `macro` takes them alike, `clipped`
    counts no page worse than wholly wrong.

    Example: ocrtune evaluate predictions.jsonl --reference scans/manifest.jsonl
    """
    normalization = Normalization(unicode=unicode.value, whitespace=whitespace.value, case=case.value)
    evaluation = evaluate(predictions, reference, normalization=normalization)
    print_findings(evaluation.findings)
    if out is not None:
        write_scores(out, evaluation.scores)
        say(f"scores of each page: {out}")
    if json:
        print_json(evaluation.as_dict())
    else:
        card = evaluation.scorecard
        console = Console(highlight=False)
        console.print(_table(card))
        console.print(f"{card.runaway_rate:.1%} of the pages ran away; normalised: {card.normalization}")


def _table(card: Scorecard) -> Table:
    table = Table(title=f"{card.pages} pages")
    for heading in ("", "micro", "macro", "median", "clipped"):
        table.add_column(heading, justify="right")
    for name, rates in (("CER", card.cer), ("WER", card.wer), ("NED", card.ned)):
        values = (rates.micro, rates.macro, rates.median, rates.clipped)
        table.add_row(name, *(f"{value:.2%}" for value in values))
    return table
