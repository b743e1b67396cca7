"""`ocrtune import`: pages of other formats as a folder of images with a manifest."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.data import gather_findings
from ocrtune.errors import SourceError
from ocrtune.progress import say
from ocrtune.records import Finding
from ocrtune.sources.importing import FINDINGS_NAME, import_pages


class Kind(StrEnum):
    """What the files are."""

    AUTO = "auto"
    FOLDER = "folder"
    PAGE = "page"
    ALTO = "alto"
    HOCR = "hocr"
    PDF = "pdf"
    CSV = "csv"
    JSONL = "jsonl"
    CHAT = "chat"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    HUB = "hub"


def command(
    kind: Annotated[Kind, typer.Argument(help="What the files are; auto tells by their content.")],
    files: Annotated[
        list[str],
        typer.Argument(help="Files, folders, archives of them (.zip, .tar, .tar.gz), or names of data sets."),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KEY=VALUE", help="Of the kind, such as level=line; may be given often."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write pages of folders, PDFs, PAGE XML, ALTO, hOCR, tables, chats, shards or data sets of a hub as images with a manifest, cut and rendered once.

    An archive is unpacked into a folder `unpacked` beside the manifest first, if it is safe to.

    A run takes such sources without it, too: data.uri=pdf:books?level=line. Exits with 1 if pages were left out because of
    errors.

    Example: ocrtune import page export/ --option level=line --option margin=6 -o data/lines
    """
    imported = import_pages([_uri(kind, file, options or []) for file in files], out)
    findings = gather_findings(imported.findings)
    print_findings(findings)
    say(f"{imported.num_pages} pages: {imported.manifest}")
    if json:
        print_json(
            {
                "manifest": str(imported.manifest),
                "pages": imported.num_pages,
                "errors": count_errors(imported.findings),
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    exit_for_errors(imported.findings, out)


def exit_for_errors(findings: Sequence[Finding], out: Path) -> None:
    """Say how many errors were found, and exit with 1 if there are any."""
    errors = count_errors(findings)
    if errors:
        say(f"{errors} errors, their pages are left out: {out / FINDINGS_NAME}")
        raise typer.Exit(1)


def count_errors(findings: Sequence[Finding]) -> int:
    """How many of the findings are errors."""
    return sum(finding.severity == "error" for finding in findings)


def _uri(kind: Kind, file: str, options: list[str]) -> str:
    if kind is Kind.AUTO:
        if options:
            raise SourceError(
                f"options such as {options[0]!r} are of a kind, and auto is none",
                hint="name the kind: ocrtune import pdf books/ --option dpi=300 -o data/books",
            )
        return file
    pairs = (option.partition("=") for option in options)
    query = "&".join(f"{key}={quote(value, safe=' /,;|:-')}" for key, _, value in pairs)
    return f"{kind}:{file}?{query}" if query else f"{kind}:{file}"
