"""The rows of a run that is not finished: written as they come, and found again after the run was cut off."""

import json
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ocrtune.errors import PredictionError
from ocrtune.prediction.pages import SkippedPage
from ocrtune.prediction.places import telling_of_disks
from ocrtune.progress import say
from ocrtune.records import Page, Prediction
from ocrtune.sources.writing import write_text_atomically

SETTINGS = "settings.json"
PREDICTIONS = "predictions.jsonl"
SKIPPED = "skipped.jsonl"


@dataclass(slots=True)
class Tally:
    """Counts of the predictions made in one run.

    Attributes:
        tokens: Generated, of answers that were kept.
        truncated: Answers without EOS.
        looping: Answers that loop all the same.
        retried: Pages that were read more than once.
    """

    tokens: int = 0
    truncated: int = 0
    looping: int = 0
    retried: int = 0

    def count(self, prediction: Prediction) -> None:
        """Take one more in."""
        self.tokens += prediction.num_tokens
        self.truncated += prediction.truncated
        self.looping += prediction.stop == "repetition"
        self.retried += bool(prediction.attempts)


class PartialRun:
    """The folder of a run that is not finished: its settings, and the rows it has.

    Attributes:
        num_skipped: Rows of pages skipped.
        predictions: The file of the others.
    """

    def __init__(self, out: Path) -> None:
        self.num_skipped = 0
        self._out = out
        self._folder = out.with_name(f"{out.name}.partial")
        self.predictions = self._folder / PREDICTIONS
        self._skipped = self._folder / SKIPPED

    @property
    def has_rows(self) -> bool:
        """An earlier run left something to go on from."""
        return any(path.exists() and path.stat().st_size for path in (self.predictions, self._skipped))

    def open(self, fingerprint: dict[str, object]) -> None:
        """Start the folder, or find it again.

        Raises:
            PredictionError: It is of another checkpoint, or of other settings.
        """
        path = self._folder / SETTINGS
        text = json.dumps(fingerprint, ensure_ascii=False, indent=1) + "\n"
        if self.has_rows and path.exists() and path.read_text(encoding="utf-8") != text:
            found = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in fingerprint if found.get(name) != fingerprint[name]]
            raise PredictionError(
                f"an unfinished run lies there that differs in {', '.join(differing)}",
                where=str(self._folder),
                hint="finish it with its own settings, delete the folder, or write to another file",
            )
        with telling_of_disks(path):
            write_text_atomically(path, text)

    def restore(self, pages: Sequence[Page]) -> int:
        """How many of the pages are done; rows that were not written whole are cut off.

        Raises:
            PredictionError: The rows are of other pages.
        """
        predicted, skipped = _RowCursor(self.predictions), _RowCursor(self._skipped)
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
        if done < len(pages) and (predicted.image is not None or skipped.image is not None):
            say(f"page {done + 1} is another one than in the unfinished run: from it on all are read again")
        predicted.cut()
        skipped.cut()
        return done

    def write(self, outcomes: Iterable[Prediction | SkippedPage]) -> Tally:
        """Append what becomes of each page, as it comes."""
        tally = Tally()
        with ExitStack() as stack:
            predictions = stack.enter_context(_appending(self.predictions))
            skipped = stack.enter_context(_appending(self._skipped))
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
        self.predictions.replace(self._out)
        # Whatever else there is, a kill has left it: temporary files that never became what they should.
        shutil.rmtree(self._folder, ignore_errors=True)
        return skipped


class _RowCursor:
    """Walks the whole rows of a JSONL file by the page they are of, up to the first one that is torn or broken."""

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
                image = _image_of(line)
                if image is None:
                    return
                yield image, file.tell()


def _image_of(line: bytes) -> str | None:
    """The page of a row; None for a torn one, and for zeros as a machine leaves them that lost its power."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    image = row.get("image") if isinstance(row, dict) else None
    return image if isinstance(image, str) else None


@contextmanager
def _appending(path: Path) -> Iterator[BinaryIO]:
    with telling_of_disks(path):
        file = path.open("ab")
    try:
        yield file
    finally:
        # What a full disk did not take is tried again here.
        with telling_of_disks(path):
            file.close()


def _append(file: BinaryIO, row: dict[str, object]) -> None:
    with telling_of_disks(Path(file.name)):
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        file.flush()
