"""Checks of `labels`: what the loss would teach, whichever form the images have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ocrtune.families import Family
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.inputs.view_checks import described, error
from ocrtune.records import Finding

TRAILING_SPACE_ID = 223
"""A lone space in the published tokenizer: what an unstripped prompt ends with."""


def check_labels(
    batch: Mapping[str, Any], family: Family, *, image_id: int, bos_id: int | None, eos_id: int | None
) -> Iterator[Finding]:
    """What is wrong with the labels of a batch whose `input_ids` are (B, L); nothing without labels.

    Args:
        batch: Keyword arguments of a forward in either form.
        family: Whose published ids tell an unstripped prompt.
        image_id: Of `<image>`.
        bos_id: Begin of sequence, or None.
        eos_id: End of sequence, or None to leave the ends of answers alone.
    """
    ids, labels = batch["input_ids"], batch.get("labels")
    if labels is None:
        return
    if not isinstance(labels, Tensor) or labels.shape != ids.shape:
        yield error(
            "labels-shape",
            f"labels is {described(labels)}, wanted int64 {tuple(ids.shape)} as input_ids",
            hint="labels = input_ids.clone(), then -100 at BOS, prompt, image tokens and padding",
        )
        return
    mask = batch.get("attention_mask")
    rows = _Rows(ids=ids, labels=labels, unpadded=torch.ones_like(ids) == 1 if mask is None else mask.bool())
    yield from _check_any(rows)
    yield from _check_prompt(rows, bos_id)
    yield from _check_image_tokens(rows, image_id)
    yield from _check_padding(rows)
    yield from _check_shift(rows)
    yield from _check_end(rows, eos_id)
    if image_id == family.vocabulary.published_ids[family.vocabulary.image]:
        yield from _check_stripped(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Ids, labels and padding of a batch, (B, L) each."""

    ids: Tensor
    labels: Tensor
    unpadded: Tensor

    @property
    def supervised(self) -> Tensor:
        return self.labels != IGNORED_LABEL

    @property
    def equals_next_id(self) -> Tensor:
        """Where the label is the id of the next position, bool (B, L)."""
        return self.labels == self.ids.roll(-1, dims=1)

    @property
    def shifted(self) -> Tensor:
        """Rows in which every label, but one at the very end, is the next position's id and not its own; bool (B,)."""
        supervised = self.supervised
        own = (self.labels == self.ids) | ~supervised
        following = self.equals_next_id | ~supervised
        following[:, -1] = True
        return supervised.any(dim=1) & following.all(dim=1) & ~own.all(dim=1)

    def last_labels(self) -> tuple[list[int], Tensor]:
        """The rows that have labels, and the last one of each."""
        supervised = self.supervised & self.unpadded
        rows = supervised.any(dim=1).nonzero().flatten()
        last = supervised.shape[1] - 1 - supervised.flip(1).int().argmax(dim=1)
        return rows.tolist(), self.labels[rows, last[rows]]


def _check_any(rows: _Rows) -> Iterator[Finding]:
    learned = rows.supervised.any(dim=1)
    if not bool(learned.any()):
        yield error(
            "labels-all-ignored",
            "every label is -100: there is nothing to learn, and the loss is NaN",
            hint="labels hold the answer and its EOS; was the answer cut by a length limit?",
        )
        return
    for row in (~learned).nonzero().flatten().tolist():
        yield Finding(
            code="labels-all-ignored",
            severity="warning",
            message="every label of a row is -100: nothing is learned from it",
            where=f"row {row}",
            hint="was its answer empty, or cut by a length limit?",
        )


def _check_prompt(rows: _Rows, bos_id: int | None) -> Iterator[Finding]:
    first = rows.unpadded.int().argmax(dim=1, keepdim=True)
    on_prompt = rows.supervised.gather(1, first).squeeze(1)
    if bos_id is not None:
        on_prompt = on_prompt | (rows.supervised & rows.unpadded & (rows.labels == bos_id)).any(dim=1)
    for row in on_prompt.nonzero().flatten().tolist():
        yield error(
            "labels-on-prompt",
            f"the row is a target from its start, {int(rows.supervised[row].sum())} positions in all",
            where=f"row {row}",
            hint="labels[:, :num_prompt_tokens] = -100; labels = input_ids teaches the prompt and its images",
        )


def _check_image_tokens(rows: _Rows, image_id: int) -> Iterator[Finding]:
    targets = rows.supervised & (rows.labels == image_id)
    for row, count in _counted(targets):
        yield error(
            "labels-on-image-tokens",
            f"{count} of {int(rows.supervised[row].sum())} labels are the image token {image_id}",
            where=f"row {row}",
            hint="labels[input_ids == image_token_id] = -100",
        )


def _check_padding(rows: _Rows) -> Iterator[Finding]:
    for row, count in _counted(rows.supervised & ~rows.unpadded):
        yield error(
            "labels-on-padding",
            f"{count} padded positions are targets",
            where=f"row {row}",
            hint="labels[attention_mask == 0] = -100",
        )


def _check_shift(rows: _Rows) -> Iterator[Finding]:
    shifted = rows.shifted
    for row in shifted.nonzero().flatten().tolist():
        yield error(
            "labels-shifted",
            "each label is the id of the next position: the model shifts once more and learns t+2",
            where=f"row {row}",
            hint="labels hold input_ids at the same positions",
        )
    differs = rows.supervised & rows.unpadded & (rows.labels != rows.ids) & ~shifted[:, None]
    for row, count in _counted(differs):
        yield Finding(
            code="labels-differ-from-ids",
            severity="warning",
            message=f"{count} of {int(rows.supervised[row].sum())} labels are not the id of their position",
            where=f"row {row}",
            hint="the model is asked for another token than it is then shown; are labels padded on another side?",
        )


def _check_end(rows: _Rows, eos_id: int | None) -> Iterator[Finding]:
    if eos_id is None:
        return
    indices, last = rows.last_labels()
    for row, label in zip(indices, last.tolist(), strict=True):
        if label != eos_id:
            yield error(
                "eos-missing",
                f"the last label is id {label}, wanted {eos_id} (EOS): the model never learns to stop",
                where=f"row {row}",
                hint="append EOS to the answer's ids, in input_ids and labels",
            )


def _check_stripped(rows: _Rows) -> Iterator[Finding]:
    starts = rows.supervised & ~rows.supervised.roll(1, dims=1)
    before = rows.ids.roll(1, dims=1) == TRAILING_SPACE_ID
    starts[:, 0] = False
    for row, _ in _counted(starts & before):
        yield Finding(
            code="prompt-not-stripped",
            severity="warning",
            message=f"the prompt ends with id {TRAILING_SPACE_ID}, a space that inference never sends",
            where=f"row {row}",
            hint="strip the prompt before it is encoded",
        )


def _counted(places: Tensor) -> Iterator[tuple[int, int]]:
    """Row and number of places, for the rows that have some."""
    for row, count in enumerate(places.sum(dim=1).tolist()):
        if count:
            yield row, count
