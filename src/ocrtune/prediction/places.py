"""Where predictions are written: looked at before the first page is read, for hours may lie between."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from ocrtune.errors import PredictionError
from ocrtune.prediction.documents import JSONL_ALONE, Outputs
from ocrtune.records import Cut, Page, PdfPage, TiffPage
from ocrtune.sources.naming import FileNames
from ocrtune.transcription.exporting import SUFFIXES


def check_places(out: Path, outputs: Outputs) -> None:
    """That files can be written where they are wanted.

    Raises:
        PredictionError: A folder lies where a file is to be written, a file where a folder is needed, or nothing may
            be written there.
    """
    folders = [folder for folder in (out.parent, outputs.folder, outputs.draw) if folder is not None]
    if out.is_dir():
        raise PredictionError(
            "it is a folder, and a file is to be written",
            where=str(out),
            hint=f"-o {out / 'predictions.jsonl'}",
        )
    for folder in folders:
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise PredictionError(
                    "it is a file, and a folder is needed", where=str(place), hint="take another name"
                )
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not os.access(there, os.W_OK):
            raise PredictionError(
                "nothing may be written there", where=str(there), hint="take another folder"
            )


@contextmanager
def telling_of_disks(place: Path) -> Iterator[None]:
    """A disk that is full, or refuses, is told as what it is.

    Args:
        place: What is written, where the error does not know.

    Raises:
        PredictionError: Writing failed in the block.
    """
    try:
        yield
    except OSError as error:
        raise PredictionError(
            f"it cannot be written: {error.strerror or error}",
            where=str(error.filename or place),
            hint="when there is room, the same command goes on where it stopped",
        ) from error


def check_nothing_is_lost(sources: Sequence[str], pages: Sequence[Page], out: Path, outputs: Outputs) -> None:
    """That no source is replaced, nor anything that lies beside the pages, such as texts of people.

    Files in other folders may be replaced: those of an earlier run.

    Args:
        sources: As they were named.
        pages: What was found in them.
        out: The file of predictions.
        outputs: What is written beside it.

    Raises:
        PredictionError: Something would be.
    """
    hint = "write to a folder of its own"
    if any(Path(source).is_file() and Path(source).resolve() == out.resolve() for source in sources):
        raise PredictionError("what is read would be replaced", where=str(out), hint=hint)
    if outputs == JSONL_ALONE:
        return
    folders = {folder.resolve() for folder in {file.parent for file in _files_of(pages)}}
    for path in _planned(pages, outputs):
        if path.exists() and path.parent.resolve() in folders:
            raise PredictionError(
                "a file that lies beside the pages would be replaced", where=str(path), hint=hint
            )


def _files_of(pages: Sequence[Page]) -> Iterator[Path]:
    for image in chain.from_iterable(page.images for page in pages):
        source = image.path if isinstance(image, Cut) else image
        if isinstance(source, Path):
            yield source
        elif isinstance(source, PdfPage | TiffPage):
            yield source.path


def _planned(pages: Sequence[Page], outputs: Outputs) -> Iterator[Path]:
    """The files that are to be written, named as they will be unless pages are skipped."""
    if outputs.draw is not None:
        names = FileNames()
        yield from (outputs.draw / names.take(page.name, ".png") for page in pages)
    form, folder, names = outputs.format, outputs.folder, FileNames()
    if folder is None or form == "jsonl":
        return
    if form == "page" or form == "alto" or form == "hocr":  # noqa: PLR1714  # a set does not narrow the type
        # What was read from files of transcriptions is written beside them under names of its own.
        own = (page for page in pages if page.part is None)
        yield from (folder / names.take(page.name, SUFFIXES[form]) for page in own)
    else:
        documents = dict.fromkeys(page.document or page.name for page in pages)
        yield from (folder / names.take(document, f".{form}") for document in documents)
