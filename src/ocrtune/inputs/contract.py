"""The input contract of a batch, in the published form and in the native one, checked before a forward runs.

Most breaches raise nothing in the published code: it trains on, the loss falls, and the model has learned
something else. Each has a code here, a message with what was found and what is wanted, and a way to mend it.

What a batch cannot show is not found: a grid swapped together with its image tokens, tiles that were thrown away
before the tokens were counted, and for a family without row breaks any swapped grid, because its features are the
same for either.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ocrtune.errors import BatchError
from ocrtune.families import Family
from ocrtune.inputs.label_checks import check_labels
from ocrtune.inputs.native_checks import check_native
from ocrtune.inputs.published_checks import PUBLISHED_KEYS, check_published
from ocrtune.inputs.view_checks import described, error
from ocrtune.records import Finding

__all__ = ["ERROR_CLASSES", "PUBLISHED_KEYS", "check_batch", "require_batch"]

ERROR_CLASSES: Mapping[str, type[BatchError]] = {error.code: error for error in BatchError.__subclasses__()}
"""Code of a finding → the class that is raised for it."""

_SEQUENCE_DIMENSIONS = 2


def check_batch(
    batch: Mapping[str, Any],
    family: Family,
    *,
    image_id: int | None = None,
    bos_id: int | None = 0,
    eos_id: int | None = 1,
) -> list[Finding]:
    """Everything that is wrong with a batch, errors first; an empty list if it keeps the contract.

    Args:
        batch: Keyword arguments of a forward. With any of `images`, `images_seq_mask` and `images_spatial_crop` it
            is of the published form, else of the native one.
        family: Decides how many image tokens a view takes.
        image_id: Of `<image>`; the published tokenizer's without it.
        bos_id: Begin of sequence; None if the tokenizer has none.
        eos_id: End of sequence; None to leave the ends of answers alone.
    """
    if image_id is None:
        image_id = family.vocabulary.published_ids[family.vocabulary.image]
    unusable = list(_check_sequences(batch))
    if unusable:
        return unusable
    is_published = any(batch.get(key) is not None for key in PUBLISHED_KEYS)
    check_images = check_published if is_published else check_native
    findings = [
        *check_images(batch, family, image_id),
        *_check_starts(batch, bos_id),
        *check_labels(batch, family, image_id=image_id, bos_id=bos_id, eos_id=eos_id),
    ]
    return sorted(_gathered(findings), key=lambda finding: finding.severity != "error")


def require_batch(
    batch: Mapping[str, Any],
    family: Family,
    *,
    image_id: int | None = None,
    bos_id: int | None = 0,
    eos_id: int | None = 1,
) -> None:
    """Raise the first error that `check_batch` finds, as its own class; the others are named in its message.

    Raises:
        BatchError: One of its subclasses.
    """
    findings = check_batch(batch, family, image_id=image_id, bos_id=bos_id, eos_id=eos_id)
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first, *others = errors
    also = f"; also: {', '.join(finding.code for finding in others)}" if others else ""
    raise ERROR_CLASSES[first.code](first.message + also, where=first.where, hint=first.hint)


def _check_sequences(batch: Mapping[str, Any]) -> Iterator[Finding]:
    ids, mask = batch.get("input_ids"), batch.get("attention_mask")
    if not isinstance(ids, Tensor) or ids.ndim != _SEQUENCE_DIMENSIONS or not ids.shape[1]:
        yield error(
            "input-ids-shape",
            f"input_ids is {described(ids)}, wanted int64 (B, L)",
            hint="stack the padded rows of ids to one tensor",
        )
    elif mask is not None and (not isinstance(mask, Tensor) or mask.shape != ids.shape):
        yield error(
            "input-ids-shape",
            f"attention_mask is {described(mask)}, wanted {tuple(ids.shape)} as input_ids",
            hint="1 at every token, 0 at padding",
        )


def _check_starts(batch: Mapping[str, Any], bos_id: int | None) -> Iterator[Finding]:
    ids, mask = batch["input_ids"], batch.get("attention_mask")
    if bos_id is None:
        return
    is_bos = ids == bos_id
    doubled = is_bos[:, :-1] & is_bos[:, 1:]
    if mask is not None:
        doubled &= mask[:, :-1].bool()
    for row in doubled.any(dim=1).nonzero().flatten().tolist():
        yield error(
            "bos-doubled",
            f"id {bos_id} (BOS) stands twice in a row, wanted once at the start",
            where=f"row {row}",
            hint="the tokenizer adds BOS by itself: encode with add_special_tokens=False, or add none by hand",
        )


def _gathered(findings: list[Finding]) -> list[Finding]:
    """One finding for each code and severity: the first, with all places and their number."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.code, finding.severity), []).append(finding)
    return [
        replace(group[0], count=len(group), where=", ".join(dict.fromkeys(f.where for f in group if f.where)))
        for group in groups.values()
    ]
