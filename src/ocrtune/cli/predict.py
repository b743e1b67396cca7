"""`ocrtune predict`: a checkpoint reads pages."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError, require
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


class Format(StrEnum):
    """What is written."""

    JSONL = "jsonl"
    TXT = "txt"
    MD = "md"
    JSON = "json"
    PAGE = "page"
    ALTO = "alto"
    HOCR = "hocr"
    PDF = "pdf"


class OnError(StrEnum):
    """What a page that cannot be predicted does."""

    STOP = "stop"
    SKIP = "skip"


PREDICTIONS = "predictions.jsonl"


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A checkpoint of a run, an export, a model folder, or builtin for the small model."
        ),
    ],
    pages: Annotated[
        list[str],
        typer.Argument(
            help="What is read, one or several: images, folders, globs, PDFs (all pages), JSONL manifests, tables, chats,"
            " PAGE XML, ALTO, hOCR, shards, builtin; - for a list of paths on stdin."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The JSONL file to write, predictions.jsonl without it; with another --format the folder.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Format,
        typer.Option(
            "--format",
            help="jsonl: a row for each page. txt, md, json, pdf (the page images, searchable): also a file for each "
            "document, its pages in order. page, alto, hocr: also a file for each page, with the places of lines.",
        ),
    ] = Format.JSONL,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="A prompt of the family by its short name, or a text; the checkpoint's without it."
        ),
    ] = None,
    documents: Annotated[
        bool,
        typer.Option(
            "--documents", help="Read the pages of a document together, as many as fit (Unlimited-OCR)."
        ),
    ] = False,
    pages_together: Annotated[
        int | None, typer.Option(min=1, help="Most pages read together, with --documents.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; the family's limit without it.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Pages decoded together; halved for the rest when memory does not do.")
    ] = 8,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads that open and encode images while others are decoded.")
    ] = 2,
    use: Annotated[Use, typer.Option(help="Published guard against repetition to take.")] = Use.EVALUATION,
    retries: Annotated[
        int, typer.Option(min=0, help="Tries with ever stronger guards while an answer runs in a loop.")
    ] = 1,
    retry_mode: Annotated[
        str | None, typer.Option(help="A mode to try at last, such as base, where it still does.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="A folder for pages with the boxes of their answers drawn on them.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="A page that cannot be read stops the run, or is skipped and listed.")
    ] = OnError.STOP,
    device: Annotated[Device, typer.Option(help="Where to decode.")] = Device.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Read pages with a checkpoint: one JSON row per page, in the order of the pages, and files for each document.

    Pages are cut and prompted as the checkpoint was trained. A row has the text, why it ended, how sure the model was,
    and boxes in pixels where the answer has boxes. A run that is cut off goes on where it stopped when the same command
    is given again.

    Example: ocrtune predict runs/letters scans/ book.pdf --format md -o read/
    """
    if pages_together is not None and not documents:
        raise PredictionError(
            "--pages-together says how many pages are read together, and they are not",
            hint="add --documents, or leave it out",
        )
    try:
        from ocrtune.prediction import Outputs, RetryPolicy, Together, predict_to_file  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    file, folder = _places(out, format)
    run = predict_to_file(
        checkpoint,
        pages,
        file,
        decoding=DecodingSection(use=use.value, max_new_tokens=max_new_tokens, batch_size=batch_size),
        prompt=prompt,
        device=device.value,
        on_error=on_error.value,
        retry=RetryPolicy(retries=retries, mode=retry_mode),
        workers=workers,
        together=Together(max_pages=pages_together) if documents else None,
        outputs=Outputs(format=format.value, folder=folder, draw=draw),
    )
    print_findings(run.documents.findings)
    for line in run.tell():
        say(line)
    if json:
        print_json(run.as_dict())


def _places(out: Path | None, format: Format) -> tuple[Path, Path | None]:  # noqa: A002  # as above
    """The file of predictions, and the folder of other files if there are any."""
    if format is Format.JSONL:
        return out or Path(PREDICTIONS), None
    folder = out or Path("predictions")
    return folder / PREDICTIONS, folder
