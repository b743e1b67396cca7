"""`ocrtune export`: a checkpoint becomes a folder that others load."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.errors import require
from ocrtune.progress import say


class Dtype(StrEnum):
    """Dtype of the exported weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of a run.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    base: Annotated[
        Path | None,
        typer.Option(help="Folder of the base model; the one named in the checkpoint without it."),
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="Dtype of the weights; the base's own without it.")
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write the adapter alone, as PEFT and vLLM load it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder that has files in it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Export a checkpoint: merged weights under published names, configuration, tokenizer and recipe.

    The export is loaded again and compared with the checkpoint before it gets its name.

    Example: ocrtune export runs/letters/checkpoints/checkpoint-500 -o letters-ocr
    """
    try:
        from ocrtune.export import export  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    result = export(
        checkpoint,
        out,
        base=base,
        dtype=None if dtype is None else dtype.value,
        adapter=adapter,
        overwrite=overwrite,
    )
    print_findings(result.findings)
    say(f"exported to {result.folder}; largest difference of logits {result.max_difference:.1e}")
    if json:
        print_json(result.as_dict())
