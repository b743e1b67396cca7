"""`ocrtune demo`: the whole way, on data that come with the package."""

from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.errors import require
from ocrtune.progress import say


def command(
    run: Annotated[
        Path, typer.Option(help="The run folder; one that an earlier demo made is replaced.")
    ] = Path("runs/demo"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Fine-tune a small DeepSeek-OCR on real scanned lines, score it before and after, export it, write a report.

    It takes a few minutes on two CPU cores and needs no network: model and lines come with the package.

    Example: ocrtune demo --run runs/demo
    """
    try:
        from ocrtune.demo import run_demo  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    result = run_demo(run)
    say(f"CER on unseen lines: {result.cer_before:.1%} before, {result.cer_after:.1%} after")
    say(f"export, read again: {'the same text' if result.export_matches else 'other text'}: {result.export}")
    say(f"report: {result.report}")
    if json:
        print_json(result.as_dict())
    if not result.export_matches:
        raise typer.Exit(1)
