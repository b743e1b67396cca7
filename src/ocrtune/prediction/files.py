"""Predictions on disk: written page by page, and gone on with where a run was cut off."""

import json
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.precision import RequestedDevice
from ocrtune.prediction.answering import settle_decoding
from ocrtune.prediction.pages import OnError, SkippedPage, predict_pages, recipe_with_prompt
from ocrtune.progress import say, track
from ocrtune.records import Page, Prediction
from ocrtune.sources import read_pages
from ocrtune.sources.writing import write_text_atomically

SETTINGS = "settings.json"
PREDICTIONS = "predictions.jsonl"
SKIPPED = "skipped.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRun:
    """What `predict_to_file` wrote, and how it went.

    Attributes:
        predictions: The file of predictions, one row for each page predicted, in the order of the pages.
        skipped: The file of skipped pages; None where none was skipped.
        num_pages: Pages of the source.
        num_skipped: Pages skipped, each listed in `skipped`.
        num_resumed: Pages done by an earlier run that was cut off.
        num_truncated: Answers cut by the length limit, of those made in this run.
        num_tokens: Tokens generated in this run.
        elapsed_s: Seconds in this run, without loading the model.
    """

    predictions: Path
    skipped: Path | None
    num_pages: int
    num_skipped: int
    num_resumed: int
    num_truncated: int
    num_tokens: int
    elapsed_s: float

    def as_dict(self) -> dict[str, object]:
        """The run for `--json`."""
        return {
            "predictions": str(self.predictions),
            "skipped_file": None if self.skipped is None else str(self.skipped),
            "pages": self.num_pages,
            "skipped": self.num_skipped,
            "resumed": self.num_resumed,
            "truncated": self.num_truncated,
            "tokens": self.num_tokens,
            "elapsed_s": round(self.elapsed_s, 1),
        }


def predict_to_file(
    checkpoint: Path | LoadedCheckpoint,
    uri: str,
    out: Path,
    *,
    decoding: DecodingSection | None = None,
    prompt: str | None = None,
    device: RequestedDevice = "auto",
    on_error: OnError = "stop",
) -> PredictionRun:
    """Predict the pages of a source into a JSONL file that `evaluate` reads.

    Rows are written as pages are decoded, into a folder `<out>.partial`; when all are there, `out` takes their
    place in one step. A run that was cut off leaves the folder, and the same call goes on from its last row.

    Args:
        checkpoint: A checkpoint or model folder, or one that is loaded already.
        uri: A source of pages, as `read_pages` takes it.
        out: The file to write; pages skipped are listed beside it in `<stem>.skipped.jsonl`.
        decoding: As for `predict`.
        prompt: As for `predict`.
        device: As for `predict`.
        on_error: A page that cannot be predicted stops the run, or is skipped, counted and listed.

    Raises:
        SourceError: The source, or with `stop` an image, cannot be read.
        InputsError: With `stop`: a page does not fit the recipe of the checkpoint.
        PredictionError: The partial folder is of another call; with `stop`, a prompt leaves no room for an answer.
    """
    pages = read_pages(uri)
    loaded = (
        checkpoint if isinstance(checkpoint, LoadedCheckpoint) else load_checkpoint(checkpoint, device=device)
    )
    settings = decoding or DecodingSection()
    partial = _PartialRun(out)
    partial.open(_fingerprint(loaded, settings, prompt))
    done = partial.restore(pages)
    if done:
        say(f"going on after page {done} of {len(pages)}")
    start = time.monotonic()
    outcomes = predict_pages(
        loaded, islice(pages, done, None), decoding=settings, prompt=prompt, on_error=on_error
    )
    tally = partial.write(track(outcomes, "predicting", total=len(pages) - done))
    skipped = partial.publish()
    return PredictionRun(
        predictions=out,
        skipped=skipped,
        num_pages=len(pages),
        num_skipped=partial.num_skipped,
        num_resumed=done,
        num_truncated=tally.truncated,
        num_tokens=tally.tokens,
        elapsed_s=time.monotonic() - start,
    )


@dataclass(slots=True)
class _Tally:
    tokens: int = 0
    truncated: int = 0

    def count(self, prediction: Prediction) -> None:
        self.tokens += prediction.num_tokens
        self.truncated += prediction.truncated


class _PartialRun:
    """The folder of a run that is not finished: its settings, and the rows it has."""

    def __init__(self, out: Path) -> None:
        self.num_skipped = 0
        self._out = out
        self._folder = out.with_name(f"{out.name}.partial")
        self._predictions = self._folder / PREDICTIONS
        self._skipped = self._folder / SKIPPED

    def open(self, fingerprint: dict[str, object]) -> None:
        """Start the folder, or find it again.

        Raises:
            PredictionError: It is of another checkpoint, or of other settings.
        """
        path = self._folder / SETTINGS
        text = json.dumps(fingerprint, ensure_ascii=False, indent=1) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") != text:
            found = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in fingerprint if found.get(name) != fingerprint[name]]
            raise PredictionError(
                f"an unfinished run lies there that differs in {', '.join(differing)}",
                where=str(self._folder),
                hint="finish it with its own settings, delete the folder, or write to another file",
            )
        write_text_atomically(path, text)

    def restore(self, pages: Sequence[Page]) -> int:
        """How many of the pages are done; rows that were not written whole are cut off.

        Raises:
            PredictionError: The rows are of other pages.
        """
        predicted, skipped = _RowCursor(self._predictions), _RowCursor(self._skipped)
        done = 0
        for page in pages:
            cursor = next((cursor for cursor in (predicted, skipped) if cursor.image == page.name), None)
            if cursor is None:
                break
            cursor.advance()
            done += 1
        if pages and not done and predicted.image is not None:
            raise PredictionError(
                f"the unfinished run starts with page {predicted.image!r}, the source with {pages[0].name!r}",
                where=str(self._folder),
                hint="delete the folder, or write to another file",
            )
        self.num_skipped = skipped.num_rows
        predicted.cut()
        skipped.cut()
        return done

    def write(self, outcomes: Iterable[Prediction | SkippedPage]) -> _Tally:
        """Append what becomes of each page, as it comes."""
        tally = _Tally()
        with ExitStack() as stack:
            predictions = stack.enter_context(self._predictions.open("ab"))
            skipped = stack.enter_context(self._skipped.open("ab"))
            for outcome in outcomes:
                if isinstance(outcome, Prediction):
                    tally.count(outcome)
                    _append(predictions, outcome.as_dict())
                else:
                    self.num_skipped += 1
                    _append(skipped, outcome.as_dict())
        return tally

    def publish(self) -> Path | None:
        """Put the finished files in their place and remove the folder; the file of skipped pages, if any."""
        skipped: Path | None = self._out.with_name(f"{self._out.stem}.skipped.jsonl")
        assert skipped is not None
        if self.num_skipped:
            self._skipped.replace(skipped)
        else:
            self._skipped.unlink()
            # One that an earlier run left here would be taken for this run's.
            skipped.unlink(missing_ok=True)
            skipped = None
        self._predictions.replace(self._out)
        (self._folder / SETTINGS).unlink()
        self._folder.rmdir()
        return skipped


class _RowCursor:
    """Walks the whole rows of a JSONL file by the page they are of; a torn last row is none."""

    def __init__(self, path: Path) -> None:
        self.num_rows = 0
        self._path = path
        self._rows = self._read()
        self._end = 0
        self._next: tuple[str, int] | None = next(self._rows, None)

    @property
    def image(self) -> str | None:
        """The page of the row that is next; None at the end."""
        return None if self._next is None else self._next[0]

    def advance(self) -> None:
        """Go past the row that is next."""
        assert self._next is not None
        self._end = self._next[1]
        self.num_rows += 1
        self._next = next(self._rows, None)

    def cut(self) -> None:
        """Drop everything behind the rows gone past."""
        self._rows.close()
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.truncate(self._end)

    def _read(self) -> Generator[tuple[str, int]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield json.loads(line)["image"], file.tell()


def _append(file: BinaryIO, row: dict[str, object]) -> None:
    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    file.flush()


def _fingerprint(
    checkpoint: LoadedCheckpoint, decoding: DecodingSection, prompt: str | None
) -> dict[str, object]:
    """What the answers of a run depend on; the batch size is not part of it."""
    recipe = recipe_with_prompt(checkpoint.recipe, prompt)
    guard = settle_decoding(decoding, recipe.family)
    return {
        "checkpoint": str(checkpoint.tokenizer.folder.resolve()),
        "step": checkpoint.card.step,
        "inputs": recipe.as_dict(),
        "no_repeat_ngram_tokens": guard.no_repeat_ngram_tokens,
        "window_tokens": guard.window_tokens,
        "max_new_tokens": decoding.max_new_tokens or recipe.family.max_new_tokens,
    }
