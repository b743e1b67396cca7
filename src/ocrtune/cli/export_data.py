"""`ocrtune export-data`: texts with their places, for archives."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.progress import say
from ocrtune.transcription import export_pages


class To(StrEnum):
    """What is written."""

    PAGE = "page"
    ALTO = "alto"
    HOCR = "hocr"


def command(
    pages: Annotated[
        str,
        typer.Argument(
            help="Whatever `ocrtune predict` reads: PAGE XML, ALTO, hOCR, a manifest, images, PDFs, or builtin."
        ),
    ],
    *,
    to: Annotated[To, typer.Option(help="PAGE XML of 2019-07-15, ALTO 4, or hOCR 1.2.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    predictions: Annotated[
        Path | None,
        typer.Option(help="JSONL with `image` and `text`; without it the pages' own texts are written."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that holds files already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write predictions or targets as PAGE XML, ALTO or hOCR, with the places of lines and regions.

    Predict and export with the same PAGES, for both are matched by the pages' names. Lines of PAGE XML, ALTO or hOCR
    become whole scans again; in the format they came from, only their texts are changed. Exits with 1 if pages were
    left out because of errors.

    Example: ocrtune export-data page:export --to page --predictions predictions.jsonl -o archive/
    """
    exported = export_pages(pages, out, to=to.value, predictions=predictions, overwrite=overwrite)
    print_findings(exported.findings)
    say(f"{exported.num_pages} pages in {len(exported.files)} files: {exported.folder}")
    errors = sum(finding.count for finding in exported.findings if finding.severity == "error")
    if json:
        print_json(
            {
                "folder": str(exported.folder),
                "files": [str(path) for path in exported.files],
                "pages": exported.num_pages,
                "errors": errors,
                "findings": [finding.as_dict() for finding in exported.findings],
            }
        )
    if errors:
        raise typer.Exit(1)
