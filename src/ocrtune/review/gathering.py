"""A run, a file of predictions or a source of pages → items to review, worst first, and their images."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ocrtune.config import read_config
from ocrtune.data.held_out import held_out_source
from ocrtune.errors import ImageError, ReviewError
from ocrtune.evaluation import read_predictions
from ocrtune.progress import track
from ocrtune.records import Finding, Page, Prediction, TextBox
from ocrtune.review.items import NewItem
from ocrtune.review.ranking import Answer, Doubt, doubt_lengths, doubt_text
from ocrtune.sources import SourcePages, image_size, read_source
from ocrtune.sources.jsonl import BrokenLine, parse_line, read_lines
from ocrtune.text import Normalization

PREDICTION_KEYS = frozenset({"num_tokens", "truncated", "mean_logprob"})
"""A row that has one of them is a prediction, and not a line of a manifest."""

RUNAWAY_KEYS = ("runaway", "repetition")
"""Keys under which a row may say that its answer is not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What there is to review.

    Attributes:
        target: What was asked for, as one name whatever folder the command is called in.
        title: The same for people.
        folder: Where edits are kept unless a folder is named; None where there is no place beside the target.
        items: Worst first.
        pages: Name → page, for the images and for the export.
        findings: What was odd, and pages left out.
        boxes: Name → what the model found where; of pages that have any.
    """

    target: str
    title: str
    folder: Path | None
    items: Sequence[NewItem]
    pages: Mapping[str, Page]
    findings: Sequence[Finding]
    boxes: Mapping[str, Sequence[TextBox]]


def gather_items(target: str, reference: str | None = None) -> Gathered:
    """What there is to review, sorted by likely error.

    First come answers that ran away or were cut off; then by CER against the reference, or without one by how unsure the
    model was (`mean_logprob` in its row); then by the length of the text, beside others on images of that shape.

    Args:
        target: A run folder: what its best checkpoint, or without one its latest, read on held-out pages. A file of
            predictions. Or any source that `read_pages` takes, whose texts are corrected.
        reference: The source of the predicted pages, for their images and, if it has them, texts. Without it a row's
            `image` is a path from the folder of the predictions.

    Raises:
        ReviewError: There is nothing to review, or a reference is named where it does not belong.
        OcrtuneError: Something cannot be read.
    """
    path = Path(target)
    if path.is_dir() and (path / "config.yaml").is_file():
        _refuse_reference(reference, "a run, which knows its held-out pages")
        return _gather_run(path)
    if path.is_file() and (reference is not None or _is_predictions(path)):
        return _gather_predictions(path, reference)
    _refuse_reference(reference, "a source, whose own texts are reviewed")
    return _gather_source(target)


def _refuse_reference(reference: str | None, what: str) -> None:
    if reference is not None:
        raise ReviewError(
            f"there is a reference {reference!r}, and what is reviewed is {what}",
            hint="leave --reference out",
        )


def _is_predictions(path: Path) -> bool:
    """Whether the first line that says anything is a prediction."""
    if path.suffix.lower() not in {".jsonl", ".ndjson"}:
        return False
    try:
        first = next(iter(read_lines(path)), None)
        return first is not None and not PREDICTION_KEYS.isdisjoint(parse_line(first.content))
    except BrokenLine:
        return False


def _gather_run(run: Path) -> Gathered:
    config = read_config(run / "config.yaml")
    source = held_out_source(config)
    answers = _read_answers(_chosen_predictions(run))
    return _gathered(
        target=str(run.resolve()),
        title=f"{run.resolve().name}: held-out pages of {config.data.title}",
        folder=run,
        source=source,
        answers=answers,
        rule=config.evaluation.normalization,
    )


def _chosen_predictions(run: Path) -> Path:
    """The predictions of the best checkpoint; of the latest step while a run has no best one yet."""
    best = run / "best.json"
    if best.is_file():
        step = _best_step(best)
        chosen = run / "predictions" / f"step-{step:06d}.jsonl"
        if chosen.is_file():
            return chosen
    steps = sorted((run / "predictions").glob("step-*.jsonl"))
    if not steps:
        raise ReviewError(
            "the run has read no held-out pages yet",
            where=str(run),
            hint="give a file of predictions, or a source of pages, whose texts can be corrected",
        )
    return steps[-1]


def _best_step(path: Path) -> int:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReviewError(f"it does not say which step is the best: {error!r}", where=str(path)) from error


def _gather_predictions(path: Path, reference: str | None) -> Gathered:
    answers = _read_answers(path)
    # Without a reference the rows themselves name the images, as a manifest does; their texts are no references.
    source = read_source(reference or str(path))
    if reference is None:
        pages = [replace(page, text=None) for page in source.pages]
        source = SourcePages(pages=pages, findings=source.findings)
    return _gathered(
        target=str(path.resolve()), title=_title(path), folder=path.parent, source=source, answers=answers
    )


def _gather_source(uri: str) -> Gathered:
    path = Path(uri)
    source = read_source(uri)
    is_path = path.exists()
    return _gathered(
        target=str(path.resolve()) if is_path else uri,
        title=_title(path) if is_path else uri,
        folder=(path if path.is_dir() else path.parent) if is_path else None,
        source=source,
        answers=None,
    )


def _title(path: Path) -> str:
    """A file or folder with the folder it is in: most are called `predictions.jsonl` or `manifest.jsonl`."""
    return f"{path.resolve().parent.name}/{path.name}"


def _gathered(
    *,
    target: str,
    title: str,
    folder: Path | None,
    source: SourcePages,
    answers: Mapping[str, Answer] | None,
    rule: Normalization | None = None,
) -> Gathered:
    """Pages and answers as items; of predictions only the pages that were predicted are reviewed."""
    pages = [page for page in source.pages if answers is None or page.name in answers]
    if not pages:
        raise ReviewError(
            f"none of {len(answers or ())} predictions belongs to any of {len(source.pages)} pages",
            where=target,
            hint="predictions and pages are matched by `image`, letter by letter; --reference names the source they were predicted from",
        )
    return Gathered(
        # Names of files need not be UTF-8; what SQLite keeps has to be.
        target=target.encode("utf-8", "backslashreplace").decode("utf-8"),
        title=title,
        folder=folder,
        items=_sorted_items(pages, answers or {}, rule or Normalization()),
        pages={page.name: page for page in pages},
        findings=[*source.findings, *_strays(answers or {}, {page.name for page in pages})],
        boxes={
            name: answer.prediction.boxes
            for name, answer in (answers or {}).items()
            if answer.prediction.boxes
        },
    )


def _sorted_items(pages: Sequence[Page], answers: Mapping[str, Answer], rule: Normalization) -> list[NewItem]:
    doubts = [doubt_text(page.text, answers.get(page.name), rule) for page in pages]
    shown = [_shown_text(page, answers.get(page.name)) for page in pages]
    sizes = [_size(page) for page in track(pages, "looking at images")]
    doubts = doubt_lengths(doubts, shown, sizes)
    order = sorted(range(len(pages)), key=lambda place: (_descending(doubts[place]), place))
    return [_item(place, pages[place], answers.get(pages[place].name), doubts[place]) for place in order]


def _descending(doubt: Doubt) -> tuple[float, ...]:
    return tuple(-float(value) for value in doubt.key)


def _shown_text(page: Page, answer: Answer | None) -> str:
    """The text whose length tells something: the model's, if it read the page."""
    return answer.prediction.text if answer else page.text or ""


def _item(place: int, page: Page, answer: Answer | None, doubt: Doubt) -> NewItem:
    return NewItem(
        name=page.name,
        place=place,
        reference=page.text,
        prediction=answer.prediction.text if answer else None,
        reason=doubt.reason,
    )


def _size(page: Page) -> tuple[int, int] | None:
    try:
        return image_size(page.images[0]) if page.images else None
    except ImageError:
        return None  # the page says so when it is shown


def _strays(answers: Mapping[str, Answer], known: set[str]) -> Iterator[Finding]:
    strays = [name for name in answers if name not in known]
    if strays:
        yield Finding(
            code="page-missing",
            severity="warning",
            message=f"the source has no page of a prediction, such as {strays[0]!r}; it is left out",
            hint="--reference names the source they were predicted from",
            count=len(strays),
        )


def _read_answers(path: Path) -> dict[str, Answer]:
    """Image → answer."""
    predictions = read_predictions(path)  # first, for it tells what is wrong with lines
    rows = map(parse_line, (line.content for line in read_lines(path)))
    return {
        prediction.image: _answer(prediction, row) for prediction, row in zip(predictions, rows, strict=True)
    }


def _answer(prediction: Prediction, row: Mapping[str, Any]) -> Answer:
    value = row.get("mean_logprob")
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return Answer(
        prediction=prediction,
        mean_logprob=float(value) if is_number and value is not None else None,
        runaway=prediction.stop == "repetition" or any(row.get(key) is True for key in RUNAWAY_KEYS),
    )
