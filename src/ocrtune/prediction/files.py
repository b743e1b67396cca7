"""Predictions on disk: written page by page, and gone on with where a run was cut off."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ocrtune.config import DecodingSection
from ocrtune.models.builtin import find_builtin
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.precision import RequestedDevice
from ocrtune.prediction.documents import JSONL_ALONE, Documents, Outputs, write_outputs
from ocrtune.prediction.gathering import gather_pages
from ocrtune.prediction.grouping import Together, read_together
from ocrtune.prediction.pages import OnError, predict_pages, recipe_with_prompt
from ocrtune.prediction.partial import PartialRun
from ocrtune.prediction.places import check_nothing_is_lost, check_places, telling_of_disks
from ocrtune.prediction.retrying import USUAL_POLICY, RetryPolicy, plan_settings
from ocrtune.progress import say, track
from ocrtune.records import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRun:
    """What `predict_to_file` wrote, and how it went.

    Attributes:
        predictions: The file of predictions, one row for each page predicted, in the order of the pages.
        skipped: The file of skipped pages; None where none was skipped.
        num_pages: Pages of the source.
        num_skipped: Pages skipped, each listed in `skipped`.
        num_resumed: Pages done by an earlier run that was cut off.
        num_truncated: Answers without EOS, of those made in this run.
        num_looping: Answers that loop all the same after all tries, of those made in this run.
        num_retried: Pages that were read more than once, of those read in this run.
        num_tokens: Tokens generated in this run, without those of tries that were not kept.
        elapsed_s: Seconds in this run, without loading the model.
        documents: What was written beside the predictions.
        drawn_to: The folder of pages with their boxes; None where they were not asked for.
    """

    predictions: Path
    skipped: Path | None
    num_pages: int
    num_skipped: int
    num_resumed: int
    num_truncated: int
    num_looping: int
    num_retried: int
    num_tokens: int
    elapsed_s: float
    documents: Documents
    drawn_to: Path | None

    def tell(self) -> Iterator[str]:
        """How it went, in lines for people."""
        predicted = self.num_pages - self.num_skipped
        yield f"{predicted} of {self.num_pages} pages predicted in {self.elapsed_s:.0f} s: {self.predictions}"
        if self.num_retried:
            yield f"{self.num_retried} pages were tried again, for their answers ran in a loop; {self.num_looping} still do"
        cut = self.num_truncated - self.num_looping
        if cut:
            yield f"{cut} answers were cut by the length limit"
        if self.skipped is not None:
            yield f"{self.num_skipped} pages were skipped: {self.skipped}"
        if self.documents.files:
            count = len(self.documents.files)
            yield f"{count} {'file' if count == 1 else 'files'} written: {self.predictions.parent}"
        if self.drawn_to is not None:
            yield f"{len(self.documents.drawn)} of {predicted} pages have boxes and were drawn: {self.drawn_to}"

    def as_dict(self) -> dict[str, object]:
        """The run for `--json`."""
        return {
            "predictions": str(self.predictions),
            "skipped_file": None if self.skipped is None else str(self.skipped),
            "pages": self.num_pages,
            "skipped": self.num_skipped,
            "resumed": self.num_resumed,
            "truncated": self.num_truncated,
            "looping": self.num_looping,
            "retried": self.num_retried,
            "tokens": self.num_tokens,
            "elapsed_s": round(self.elapsed_s, 1),
            "pages_per_s": round((self.num_pages - self.num_resumed) / max(self.elapsed_s, 1e-9), 3),
            "files": [str(path) for path in self.documents.files],
            "drawn": [str(path) for path in self.documents.drawn],
            "findings": [finding.as_dict() for finding in self.documents.findings],
        }


def predict_to_file(
    checkpoint: Path | LoadedCheckpoint,
    sources: str | Sequence[str],
    out: Path,
    *,
    decoding: DecodingSection | None = None,
    prompt: str | None = None,
    device: RequestedDevice = "auto",
    on_error: OnError = "stop",
    retry: RetryPolicy = USUAL_POLICY,
    workers: int = 1,
    together: Together | None = None,
    outputs: Outputs = JSONL_ALONE,
) -> PredictionRun:
    """Predict the pages of sources into a JSONL file that `evaluate` reads, and other files if they are asked for.

    Rows are written as pages are decoded, into a folder `<out>.partial`; when all are there, and the other files too,
    `out` takes their place in one step. A run that was cut off leaves the folder, and the same call goes on from its
    last row.

    Args:
        checkpoint: A checkpoint or model folder, `builtin` for the small model, or one that is loaded already.
        sources: One or several, as `gather_pages` takes them.
        out: The file to write; pages skipped are listed beside it in `<stem>.skipped.jsonl`.
        decoding: As for `predict`.
        prompt: As for `predict`.
        device: As for `predict`.
        on_error: A page that cannot be predicted stops the run, or is skipped, counted and listed.
        retry: As for `predict`.
        workers: As for `predict`.
        together: Pages of a document are read together, as many as fit; None for one by one.
        outputs: What is written beside the predictions.

    Raises:
        SourceError: A source, or with `stop` an image, cannot be read.
        InputsError: With `stop`: a page does not fit the recipe of the checkpoint. `together` and a family that
            reads one page at a time.
        PredictionError: The partial folder is of another call; a file lies where a folder is needed, or the other way
            round; files of the sources would be replaced; with `stop`, a prompt leaves no room for an answer, or memory
            does not do for one page alone.
    """
    settings = decoding or DecodingSection()
    check_places(out, outputs)
    named = [sources] if isinstance(sources, str) else sources
    loaded, pages, prompt = _prepare(checkpoint, named, device, prompt, together)
    partial = PartialRun(out)
    if not partial.has_rows:
        check_nothing_is_lost(named, pages, out, outputs)
    partial.open({**_fingerprint(loaded, settings, prompt, retry), "sources": _places(named)})
    done = partial.restore(pages)
    if done:
        say(f"going on after page {done} of {len(pages)}")
    left = islice(pages, done, None)
    start = time.monotonic()
    outcomes = predict_pages(
        loaded, left, decoding=settings, prompt=prompt, on_error=on_error, retry=retry, workers=workers
    )
    try:
        tally = partial.write(track(outcomes, "predicting", total=len(pages) - done))
    except KeyboardInterrupt:
        say(f"stopped: the same command goes on from {partial.predictions.parent}")
        raise
    elapsed_s = time.monotonic() - start
    with telling_of_disks(out):
        documents = write_outputs(pages, partial.predictions, outputs)
    return PredictionRun(
        predictions=out,
        skipped=partial.publish(),
        num_pages=len(pages),
        num_skipped=partial.num_skipped,
        num_resumed=done,
        num_truncated=tally.truncated,
        num_looping=tally.looping,
        num_retried=tally.retried,
        num_tokens=tally.tokens,
        elapsed_s=elapsed_s,
        documents=documents,
        drawn_to=outputs.draw,
    )


def _prepare(
    checkpoint: Path | LoadedCheckpoint,
    sources: Sequence[str],
    device: RequestedDevice,
    prompt: str | None,
    together: Together | None,
) -> tuple[LoadedCheckpoint, Sequence[Page], str | None]:
    """The model, what it reads, and the prompt, where the model's recipe has not the wanted one."""
    # Before the model, which takes long to load: a path that is wrong is told at once.
    pages = gather_pages(sources)
    loaded = (
        checkpoint
        if isinstance(checkpoint, LoadedCheckpoint)
        else load_checkpoint(find_builtin(checkpoint), device=device)
    )
    if together is None:
        return loaded, pages, prompt
    loaded, groups = read_together(loaded, pages, prompt, together)
    return loaded, groups, None


def _places(sources: Sequence[str]) -> list[str]:
    """Sources as they are called from anywhere: two folders may have pages of the same names."""
    return [str(Path(source).resolve()) if Path(source).exists() else source for source in sources]


def _fingerprint(
    checkpoint: LoadedCheckpoint, decoding: DecodingSection, prompt: str | None, retry: RetryPolicy
) -> dict[str, object]:
    """What the answers of a run depend on; the batch size is not part of it."""
    recipe = recipe_with_prompt(checkpoint.recipe, prompt)
    guard = plan_settings(recipe, decoding, retry)[0].guard
    return {
        "checkpoint": str(checkpoint.tokenizer.folder.resolve()),
        "step": checkpoint.card.step,
        "inputs": recipe.as_dict(),
        "no_repeat_ngram_tokens": guard.no_repeat_ngram_tokens,
        "window_tokens": guard.window_tokens,
        "max_new_tokens": decoding.max_new_tokens or recipe.family.max_new_tokens,
        "retries": retry.retries,
        "retry_mode": retry.mode,
    }
