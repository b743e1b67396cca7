"""`ocrtune predict`: a checkpoint reads pages."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.config import DecodingSection
from ocrtune.errors import require
from ocrtune.progress import say


class Device(StrEnum):
    """Where to decode."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Use(StrEnum):
    """Which published guard against repetition."""

    SINGLE = "single"
    PAGES = "pages"
    EVALUATION = "evaluation"


class OnError(StrEnum):
    """What a page that cannot be predicted does."""

    STOP = "stop"
    SKIP = "skip"


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of a run, an export, or a model folder.")],
    pages: Annotated[
        str,
        typer.Argument(
            help="A JSONL manifest, a CSV table, chats, a folder of images, PAGE XML, ALTO, hOCR, PDFs, one image, or builtin."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSONL file to write.")] = Path(
        "predictions.jsonl"
    ),
    prompt: Annotated[
        str | None,
        typer.Option(
            help="A prompt of the family by its short name, or a text; the checkpoint's without it."
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; the family's limit without it.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pages decoded together.")] = 8,
    use: Annotated[Use, typer.Option(help="Published guard against repetition to take.")] = Use.EVALUATION,
    on_error: Annotated[
        OnError, typer.Option(help="A page that cannot be read stops the run, or is skipped and listed.")
    ] = OnError.STOP,
    device: Annotated[Device, typer.Option(help="Where to decode.")] = Device.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Read pages with a checkpoint: one JSON row per page, in the order of the pages.

    Pages are cut and prompted as the checkpoint was trained. A run that is cut off goes on where it stopped when the
    same command is given again.

    Example: ocrtune predict runs/letters/checkpoints/checkpoint-500 scans/ -o predictions.jsonl
    """
    try:
        from ocrtune.prediction import predict_to_file  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    decoding = DecodingSection(use=use.value, max_new_tokens=max_new_tokens, batch_size=batch_size)
    run = predict_to_file(
        checkpoint, pages, out, decoding=decoding, prompt=prompt, device=device.value, on_error=on_error.value
    )
    predicted = run.num_pages - run.num_skipped
    say(f"{predicted} of {run.num_pages} pages predicted in {run.elapsed_s:.0f} s: {run.predictions}")
    if run.num_truncated:
        say(f"{run.num_truncated} answers were cut by the length limit")
    if run.skipped is not None:
        say(f"{run.num_skipped} pages were skipped: {run.skipped}")
    if json:
        print_json(run.as_dict())
