"""`ocrtune report`: a run, an evaluation or a comparison becomes a page to look at."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.progress import say
from ocrtune.reports import Report, read_report, write_report
from ocrtune.reports.markdown import markdown_summary
from ocrtune.reports.model_card import model_card
from ocrtune.reports.summary_text import summary_text
from ocrtune.sources import write_text_atomically


class Format(StrEnum):
    """What is written."""

    HTML = "html"
    MD = "md"
    TEXT = "text"
    CARD = "card"


class ImageChoice(StrEnum):
    """How pictures come into an HTML file."""

    THUMBNAILS = "thumbnails"
    EMBED = "embed"
    LINK = "link"


WRITERS = {Format.MD: markdown_summary, Format.TEXT: summary_text, Format.CARD: model_card}


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A run folder, or a folder that `ocrtune evaluate` or `ocrtune compare` wrote with --out.",
            metavar="RUN|EVALUATION|COMPARISON",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The file; report.html in the folder without it, and stdout for md, text and card.",
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="`html`: one page with everything. `md`: for a pull request. `text`: for the terminal. "
            "`card`: a model card for the Hub; the licence is left to you.",
        ),
    ] = Format.HTML,
    images: Annotated[
        ImageChoice,
        typer.Option(
            help="`thumbnails`: the file stays within 15 MB. `embed`: whole pictures, however large the file gets. "
            "`link`: points to the files on disk."
        ),
    ] = ImageChoice.THUMBNAILS,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="Where the pages of a run, or the pictures of an evaluation, are, if they have been moved.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show what was read, how well, and by what: as a page, as Markdown, as text or as a model card.

    The HTML file needs nothing beside it and no network: scores with intervals,
    curves, confusions, and every page with its picture and differences, to be
    sorted, searched and zoomed. Press ? in it for its keys.

    Example: ocrtune report runs/letters

    Example: ocrtune report compared --format md >> "$GITHUB_STEP_SUMMARY"
    """
    report = read_report(folder, reference=reference)
    if format_ is Format.HTML:
        out = out or folder / "report.html"
        write_report(report, out, images=images.value)
    else:
        text = WRITERS[format_](report)
        if out is None and not json:
            sys.stdout.write(text)
            return
        out = out or folder / f"report.{'txt' if format_ is Format.TEXT else 'md'}"
        write_text_atomically(out, text)
    say(f"report: {out}")
    if json:
        print_json({"report": str(out), "format": format_.value, **_numbers(report)})


def _numbers(report: Report) -> dict[str, object]:
    """What a program asks first: CER of each side, and what is sure about it."""
    return {
        "kind": report.kind,
        "title": report.title,
        "pages": len(report.pages),
        "cer": {side: card.cer.micro.value for side, card in zip(report.sides, report.cards, strict=True)},
        "probability_better": None if report.verdict is None else report.verdict.probability,
    }
