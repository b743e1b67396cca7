"""`ocrtune evaluate`: predictions and references become scores."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.cli.scores import (
    MOST_SLICES,
    Columns,
    NormalizationNames,
    Workers,
    name_of,
    rates_table,
    shown_columns,
    slices_caption,
    slices_title,
    tell_bootstrap,
    tell_confusions,
    tell_normalizations,
    tell_shares,
    tell_structures,
    typed_command,
)
from ocrtune.errors import EvaluationError
from ocrtune.evaluation import (
    Evaluation,
    Slice,
    evaluate,
    find_normalization,
    write_evaluation,
    write_scores,
)
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


_UnicodeOption = Annotated[
    UnicodeForm | None,
    typer.Option(help="Unicode normal form of both texts, in place of a name; NFC without it."),
]
_WhitespaceOption = Annotated[
    Whitespace | None,
    typer.Option(help="`trim`: runs of spaces are one, lines are stripped. `collapse`: line breaks too."),
]
_CaseOption = Annotated[Case | None, typer.Option(help="`fold` compares without case.")]


def command(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="JSONL with `image` and `text`, or any engine's output: a folder of .txt named as the images, hOCR, ALTO, PAGE."
        ),
    ],
    *,
    reference: Annotated[
        str,
        typer.Option("--reference", "-r", help="A JSONL manifest, a folder of images with .txt, or builtin."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="A folder for evaluation.json and pages.jsonl, of which reports are made; a name ending in .jsonl gets the pages alone.",
        ),
    ] = None,
    normalizations: NormalizationNames = None,
    by: Columns = None,
    unicode: _UnicodeOption = None,
    whitespace: _WhitespaceOption = None,
    case: _CaseOption = None,
    workers: Workers = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score what was read against references: CER, WER, NED with intervals, and what they are made of.

    Pages are matched by `image`; one without prediction counts as an empty
    answer. `micro` weighs pages by length, `macro` takes them alike, `clipped`
    counts no page worse than wholly wrong.

    Example: ocrtune evaluate predictions.jsonl --reference scans/manifest.jsonl
    """
    first, *also = _normalizations(normalizations or [], unicode, whitespace, case)
    evaluation = evaluate(
        predictions, reference, normalization=first, also=also, by=by or [], workers=workers
    )
    print_findings(evaluation.findings)
    if out is not None:
        _write(out, evaluation, reference, predictions)
    if json:
        print_json(evaluation.as_dict())
    else:
        _print(evaluation, by or [])


def _normalizations(
    names: list[str], unicode: UnicodeForm | None, whitespace: Whitespace | None, case: Case | None
) -> list[Normalization]:
    settings = {"unicode": unicode, "whitespace": whitespace, "case": case}
    chosen = {key: value.value for key, value in settings.items() if value is not None}
    if names and chosen:
        raise EvaluationError(
            f"--normalization and --{next(iter(chosen))} say what is made equal, both",
            hint="names can be joined, as in --normalization collapse+fold",
        )
    if chosen:
        return [Normalization.model_validate(chosen)]
    return [find_normalization(name) for name in names or ["trim"]]


def _write(out: Path, evaluation: Evaluation, reference: str, predictions: Path) -> None:
    if out.suffix == ".jsonl":
        write_scores(out, evaluation.scores)
        say(f"scores of each page: {out}")
        return
    write_evaluation(out, evaluation, reference=reference, predictions=predictions, command=typed_command())
    say(f"scores, and scores of each page: {out}")


def _print(evaluation: Evaluation, by: list[str]) -> None:
    card, intervals = evaluation.scorecard, evaluation.intervals
    console = Console(highlight=False, soft_wrap=True)
    rates = (("CER", card.cer), ("WER", card.wer), ("NED", card.ned), ("grapheme CER", card.grapheme_cer))
    rows = ((name, each, intervals.rates.get(name.lower(), {})) for name, each in rates)
    console.print(rates_table(f"{card.pages} pages", rows))
    if evaluation.others:
        console.print(_normalizations_table(evaluation))
    for column in shown_columns((each.column for each in evaluation.slices), by):
        console.print(_slices_table(column, [each for each in evaluation.slices if each.column == column]))
    if evaluation.explanation:
        console.print(f"[bold]{evaluation.explanation}[/]")
    _print_lines(console, evaluation)


def _print_lines(console: Console, evaluation: Evaluation) -> None:
    card = evaluation.scorecard
    confusions = tell_confusions(evaluation.confusions)
    told = (
        tell_shares(card),
        tell_structures(card),
        tell_bootstrap(evaluation.intervals),
        f"read for another: {confusions}" if confusions else "",
        tell_normalizations([card, *(other for other, _ in evaluation.others)]),
    )
    for line in filter(None, told):
        console.print(line, markup=False)


def _normalizations_table(evaluation: Evaluation) -> Table:
    cards = [(evaluation.scorecard, evaluation.intervals), *evaluation.others]
    rows = (
        (name_of(card.normalization), card.cer, intervals.rates.get("cer", {})) for card, intervals in cards
    )
    return rates_table("CER by normalisation", rows)


def _slices_table(column: str, slices: list[Slice]) -> Table:
    rows = (
        (f"{each.value or 'unknown'} ({each.pages})", each.cer, each.intervals.rates.get("cer", {}))
        for each in slices[:MOST_SLICES]
    )
    table = rates_table(slices_title(f"CER by {column} (pages)", len(slices)), rows)
    table.caption = slices_caption(each.intervals.unit for each in slices)
    return table
