"""`ocrtune train`: a recipe becomes a run."""

from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.config import read_config
from ocrtune.errors import require
from ocrtune.progress import is_first_process, say
from ocrtune.reports import report_run, write_report


def command(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML recipe, or a shipped one by name: lora-gundam, lora-t4, full, tiny-demo."
        ),
    ],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given often."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Fine-tune a model as a recipe says; everything it leaves behind lies in its run folder.

    Example: ocrtune train lora-gundam --set data.uri=scans/manifest.jsonl --set run.folder=runs/letters
    """
    recipe = read_config(config, overrides or ())
    try:
        from ocrtune.training import train  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    result = train(recipe)
    if not is_first_process():
        return
    report = result.run / "report.html"
    write_report(report_run(result.run), report)
    say(f"report: {report}")
    if json:
        print_json({**result.as_dict(), "report": str(report)})
