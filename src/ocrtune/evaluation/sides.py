"""What any engine read → predictions: our JSONL, texts in a folder, or hOCR, ALTO and PAGE XML."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ocrtune.errors import EvaluationError
from ocrtune.evaluation.predictions import read_predictions
from ocrtune.records import Page, Prediction
from ocrtune.sources import IMAGE_SUFFIXES
from ocrtune.sources.folder import walk_folder
from ocrtune.sources.naming import safe_path
from ocrtune.sources.side_texts import read_text_file
from ocrtune.sources.transcripts.pages import plain_text
from ocrtune.sources.transcripts.reading import READERS, is_transcript
from ocrtune.sources.transcripts.xml import recognise

PREDICTIONS_NAME = "predictions.jsonl"

_TEXT_SUFFIXES = frozenset({".txt", ".md", ".gt"})
_JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_OTHER_SUFFIXES = frozenset({".xml", ".hocr", ".html", ".htm", ".xhtml", ".pdf", ".parquet", ".pq"})
_SUFFIXES = _TEXT_SUFFIXES | _OTHER_SUFFIXES | IMAGE_SUFFIXES
"""What is no part of the name that a page and the file of its text have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read on one page, before it is known which page of the reference that is.

    Attributes:
        names: What the page may be called, the likeliest first: names of images, or paths of files.
        text: What was read.
        where: The file.
    """

    names: tuple[str, ...]
    text: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one engine or checkpoint read.

    Attributes:
        name: What it is called where both sides of a comparison are told.
        path: Where it was read.
        predictions: Of pages known by their exact name.
        readings: Of pages known by the stem of a file.
    """

    name: str
    path: Path
    predictions: tuple[Prediction, ...] = ()
    readings: tuple[Reading, ...] = ()

    def predictions_of(self, pages: Sequence[Page]) -> list[Prediction]:
        """All predictions, those of files named as the page they belong to; a page that is not found keeps its name.

        Raises:
            EvaluationError: A file may belong to several pages.
        """
        found = list(self.predictions)
        if self.readings:
            stems = _Stems(page.name for page in pages)
            found += [_prediction(reading, stems) for reading in self.readings]
        return found


def read_side(path: Path, *, name: str = "") -> Side:
    """What an engine read.

    Args:
        path: JSONL as `read_predictions` takes it, or a folder with `predictions.jsonl` in it; a folder of `.txt` or `.md`, or of hOCR,
            ALTO or PAGE XML, or one such file. Texts belong to the page of their stem: `scans/7.txt` to
            `scans/7.png`, and the folders count as far as they are needed to tell pages apart. A page of hOCR, ALTO or PAGE
            is found by its file's stem, else by the image that it names.
        name: What it is called; after its path without it.

    Raises:
        EvaluationError: There is no such file, or nothing in it can be read.
        TextError: A text is not UTF-8 or too large.
        TranscriptError: XML is broken.
    """
    if path.is_dir() and (path / PREDICTIONS_NAME).is_file():
        path /= PREDICTIONS_NAME
    name = name or _name_of(path)
    if path.is_dir():
        return Side(name=name, path=path, readings=tuple(_read_folder(path)))
    if path.is_file() and path.suffix.lower() not in _JSONL_SUFFIXES:
        return Side(name=name, path=path, readings=tuple(_require_some(_read_file(path, path.name), path)))
    return Side(name=name, path=path, predictions=tuple(read_predictions(path)))


def both_named(a: Side, b: Side) -> tuple[Side, Side]:
    """The sides under names that differ: their paths, where they would be called the same."""
    if a.name != b.name:
        return a, b
    names = (str(a.path), str(b.path))
    if names[0] == names[1]:
        names = (f"{names[0]} (a)", f"{names[1]} (b)")
    return replace(a, name=names[0]), replace(b, name=names[1])


def _name_of(path: Path) -> str:
    resolved = path.resolve()
    return resolved.parent.name if path.name == PREDICTIONS_NAME else resolved.stem


def _read_folder(path: Path) -> list[Reading]:
    files = walk_folder(path).files
    return _require_some(
        (reading for file in files for reading in _read_file(file, file.relative_to(path).as_posix())), path
    )


def _require_some(readings: Iterable[Reading], path: Path) -> list[Reading]:
    found = list(readings)
    if not found:
        raise EvaluationError(
            "there is nothing that an engine read",
            where=str(path),
            hint="give JSONL with `image` and `text`, a folder of .txt named as the images, or hOCR, ALTO or PAGE XML",
        )
    return found


def _read_file(path: Path, below: str) -> Iterator[Reading]:
    """The readings of one file; none of what is no text."""
    if path.suffix.lower() in _TEXT_SUFFIXES:
        yield Reading(names=(below,), text=read_text_file(path), where=str(path))
    elif is_transcript(path):
        yield from _read_transcript(path, below)


def _read_transcript(path: Path, below: str) -> Iterator[Reading]:
    kind = recognise(path)
    assert kind is not None
    layouts = READERS[kind](path)
    for layout in layouts:
        names = (below, layout.image) if len(layouts) == 1 else (layout.image, f"{below}#{layout.id}")
        yield Reading(
            names=tuple(filter(None, names)), text=plain_text(layout), where=f"{path}#{layout.id}".rstrip("#")
        )


def _prediction(reading: Reading, stems: "_Stems") -> Prediction:
    for name in reading.names:
        found = stems.find(name)
        if len(found) > 1:
            raise EvaluationError(
                f"{name!r} may be of {len(found)} pages: {', '.join(found[:3])}",
                where=reading.where,
                hint="lay the files into folders as the images are",
            )
        if found:
            return Prediction(image=found[0], text=reading.text)
    return Prediction(image=reading.names[0], text=reading.text)


class _Stems:
    """Pages by the ends of their paths, without suffix."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self._as_written: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in names:
            for found, parts in ((self._names, _parts(name)), (self._as_written, _parts(safe_path(name)))):
                for first in range(len(parts)):
                    found[parts[first:]].append(name)

    def find(self, name: str) -> list[str]:
        """The pages whose path ends as this one, in as many folders as possible.

        Failing that, those whose path would be written so: `ocrtune predict` writes `my_scan.txt` for `my scan.png`.
        """
        for names, parts in ((self._names, _parts(name)), (self._as_written, _parts(safe_path(name)))):
            for first in range(len(parts)):
                found = names.get(parts[first:])
                if found:
                    return found
        return []


def _parts(name: str) -> tuple[str, ...]:
    """Folders and stem: of `a/7.png.txt` they are a and 7, of `book.pdf#3` it is `book#3`."""
    path = PurePosixPath("#".join(map(_without_suffixes, name.replace("\\", "/").split("#"))))
    return tuple(part for part in path.parts if part not in {"/", "."})


def _without_suffixes(name: str) -> str:
    while True:
        stem, dot, suffix = name.rpartition(".")
        if not stem or stem.endswith("/") or (dot + suffix).lower() not in _SUFFIXES:
            return name
        name = stem
