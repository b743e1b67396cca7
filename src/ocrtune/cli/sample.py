"""`ocrtune sample`: a few pages that stand for all."""

from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.importing import exit_for_errors
from ocrtune.cli.printing import print_findings, print_json
from ocrtune.data import gather_findings
from ocrtune.data.sampling import write_sample
from ocrtune.data.units import By
from ocrtune.progress import say
from ocrtune.sources.importing import Files


def command(
    pages: Annotated[list[str], typer.Argument(help="Sources of pages.")],
    *,
    size: Annotated[str, typer.Option("--size", "-n", help="How many pages, such as 200, or 5% of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    seed: Annotated[int, typer.Option(help="Draws pages.")] = 0,
    by: Annotated[
        By, typer.Option(help="What is taken: pages of each document, or whole documents.")
    ] = "page",
    files: Annotated[
        Files,
        typer.Option(
            help="What becomes of image files outside the folder: second names, copies, or paths that lead there."
        ),
    ] = "link",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write a few pages that stand for all as a folder of images with a manifest.

    Sources, documents, shapes of images and lengths of texts keep their shares. The same seed and pages give the same
    sample. Exits with 1 if pages were left out because of errors.

    Example: ocrtune sample page:export -n 200 -o data/small
    """
    sampled = write_sample(pages, out, size=size, seed=seed, by=by, files=files)
    findings = gather_findings(sampled.findings)
    print_findings(findings)
    say(f"{sampled.num_pages} of {sampled.num_all} pages: {sampled.manifest}")
    if json:
        print_json(
            {
                "manifest": str(sampled.manifest),
                "pages": sampled.num_pages,
                "of": sampled.num_all,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    exit_for_errors(sampled.findings, out)
