"""`ocrtune cache`: vision features of a run's pages, computed before it begins."""

from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.config import read_config
from ocrtune.errors import require
from ocrtune.progress import is_first_process


def command(
    config: Annotated[
        str,
        typer.Argument(
            help="The recipe of the run: a YAML file, or a shipped one by name. Model, mode, precision, device and pages "
            "of it decide what is computed."
        ),
    ],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given often."),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many compute at once, each with the vision part in memory; of several cards each takes its own. "
            "Under torchrun its processes share the work, and this is left out.",
        ),
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Compute the vision features of a run's pages, held-out ones too, so that training only reads them.

    Training does so by itself in its first epoch; this spreads it over processes and machines that share a folder. What is
    there already is not computed again, so it may be cut off, and run twice at once.

    Example: ocrtune cache lora-gundam --set data.uri=scans/manifest.jsonl --processes 4
    """
    recipe = read_config(config, overrides or ())
    try:
        from ocrtune.training.filling import fill_cache  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    result = fill_cache(recipe, processes=processes)
    if json and is_first_process():
        print_json(result.as_dict())
