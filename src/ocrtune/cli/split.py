"""`ocrtune split`: pages as manifests to learn from, to choose on and to keep for the end."""

from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.importing import exit_for_errors
from ocrtune.cli.printing import print_findings, print_json
from ocrtune.data import gather_findings
from ocrtune.data.splitting import write_split
from ocrtune.data.units import By
from ocrtune.progress import say
from ocrtune.sources.importing import Files


def command(
    pages: Annotated[list[str], typer.Argument(help="Sources of pages; each gives its share to each part.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    validation: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the pages.")] = 0.05,
    test: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the pages.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Draws what is held out.")] = 0,
    by: Annotated[By, typer.Option(help="What is never cut.")] = "document",
    files: Annotated[
        Files,
        typer.Option(
            help="What becomes of image files outside the folder: second names, copies, or paths that lead there."
        ),
    ] = "link",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Split pages into train.jsonl, validation.jsonl and test.jsonl, by whole documents.

    Documents that show the same page stay together. The same seed and documents give the same split, and a document that is
    added moves hardly any other. Exits with 1 if pages were left out because of errors.

    Example: ocrtune split scans/manifest.jsonl page:export --validation 0.1 -o data/split
    """
    written = write_split(pages, out, validation=validation, test=test, seed=seed, by=by, files=files)
    findings = gather_findings(written.findings)
    print_findings(findings)
    for part, path in written.manifests.items():
        say(f"{part}: {written.num_pages[part]} pages, {written.shares[part]:.1%}: {path}")
    if json:
        print_json(
            {
                "manifests": {part: str(path) for part, path in written.manifests.items()},
                "pages": written.num_pages,
                "shares": written.shares,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    exit_for_errors(written.findings, out)
