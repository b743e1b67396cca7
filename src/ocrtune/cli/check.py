"""`ocrtune check`: what is wrong with pages, before a run is spent on them."""

from typing import Annotated

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.data import check_uri
from ocrtune.families import get_family
from ocrtune.progress import say


def command(
    pages: Annotated[
        str,
        typer.Argument(
            help="A JSONL manifest, a CSV table, chats, a folder of images with .txt, PAGE XML, ALTO, hOCR, PDFs, one image, or builtin."
        ),
    ],
    *,
    family: Annotated[
        str | None,
        typer.Option(help="Check prompts and images for it: deepseek_ocr, deepseek_ocr2 or unlimited_ocr."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="The run's prompt: a short name of the family's, or a text.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out pages, to be checked too and for leaks between both.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check pages before training: broken images, missing texts, stray tokens, double pages, leaks.

    Every image is opened. Exits with 1 if there are errors.

    Example: ocrtune check scans/manifest.jsonl --family deepseek_ocr --prompt markdown
    """
    check = check_uri(
        pages,
        validation_uri=validation,
        family=None if family is None else get_family(family),
        prompt=prompt,
    )
    totals = check.totals()
    print_findings(check.findings)
    say(str(check.summary))
    say(", ".join(f"{count} {name}" for name, count in totals.items()))
    if json:
        print_json(check.as_dict())
    if totals["errors"]:
        raise typer.Exit(1)
