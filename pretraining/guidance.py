"""What helps a small model to read in minutes: it is told where each letter stands.

The renderer knows, and three things use it, none of which is there when the model reads: letter heads ask vision
features and the decoder's image positions which letters stand in their width; guided attention asks two heads of some
decoder layers to look at the tile of the next letter; garbling spoils some of the answer it continues, so that it goes
by what it sees there and keeps its place after a mistake.

Shapes: B lines, L positions, H the decoder's hidden size, F features of all tiles of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

from batches import CLASSES, SLOTS, TaughtLine
from ocrtune.inputs.collate import Batch
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models import OcrModel

LETTERS_LAYER = 1
"""The decoder layer, counted from 0, whose outputs at image positions are asked for letters."""

GUIDED_LAYERS = (2, 3)
GUIDED_HEADS = (0, 1)
EMPTY_WEIGHT = 0.25
"""Most slots are empty; they would drown the letters."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the loss.

    Attributes:
        loss: Scalar to differentiate.
        accuracy: Share of letters, or of looks, that are right.
    """

    loss: Tensor
    accuracy: float


class LetterHead(nn.Module):
    """Which letter has its middle in each slot of a feature's width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, SLOTS * len(CLASSES))

    def forward(self, features: Tensor) -> Tensor:
        """(N, width) → (N, SLOTS, classes)."""
        logits: Tensor = self.linear(self.norm(features.float()))
        return logits.view(-1, SLOTS, len(CLASSES))

    def term(self, features: Tensor, slots: Sequence[np.ndarray[Any, Any]]) -> Term:
        """How well (N, width) features tell the classes of their slots, (N, SLOTS) in pieces."""
        logits, wanted = self(features), torch.from_numpy(np.concatenate(slots))
        letters = wanted > 0
        hits = (logits.argmax(-1) == wanted)[letters].float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), weight=_class_weights())
        return Term(loss, float(hits.mean()))


@cache
def _class_weights() -> Tensor:
    return torch.tensor([EMPTY_WEIGHT] + [1.0] * (len(CLASSES) - 1))


class LetterHeads(nn.Module):
    """One head for the vision features of tiles, one for the decoder's positions of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vision = LetterHead(width)
        self.decoder = LetterHead(width)


@dataclass(slots=True)
class Watch:
    """What passes through a model's forward, caught by hooks; of the latest forward only.

    Attributes:
        features: Of the views, global ones first, (views, 1, H).
        hidden: The letters layer's output, (B, L, H).
        attention: What the guided layers are given: (B, L, H), and cosines and sines of the positions.
    """

    features: Tensor = field(default_factory=lambda: torch.empty(0))
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))
    attention: dict[int, tuple[Tensor, tuple[Tensor, Tensor]]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: OcrModel) -> "Watch":
        """Watches every forward of `model` from now on."""
        watch = cls()
        layers = model.model.language_model.layers

        def catch_features(_: nn.Module, __: Any, output: Tensor) -> None:
            watch.features = output

        def catch_hidden(_: nn.Module, __: Any, output: Tensor) -> None:
            watch.hidden = output

        model.model.multi_modal_projector.register_forward_hook(catch_features)
        layers[LETTERS_LAYER].register_forward_hook(catch_hidden)
        for index in GUIDED_LAYERS:
            layers[index].self_attn.register_forward_pre_hook(watch._catcher(index), with_kwargs=True)
        return watch

    def _catcher(self, index: int) -> Any:
        def catch(_: nn.Module, __: Any, arguments: dict[str, Any]) -> None:
            self.attention[index] = (arguments["hidden_states"], arguments["position_embeddings"])

        return catch


def letter_terms(
    heads: LetterHeads, watch: Watch, batch: Batch, lines: Sequence[TaughtLine]
) -> tuple[Term, Term]:
    """The terms of the two letter heads, vision and decoder, for the forward that `watch` saw last."""
    positions = torch.cat(
        [
            watch.hidden[row, first : first + len(line.shifted_slots)]
            for row, (first, line) in enumerate(zip(_first_image_positions(batch), lines, strict=True))
        ]
    )
    return (
        heads.vision.term(tile_features(watch, batch), [line.slots for line in lines]),
        heads.decoder.term(positions, [line.shifted_slots for line in lines]),
    )


def tile_features(watch: Watch, batch: Batch) -> Tensor:
    """(F, H), line after line, of the forward that `watch` saw last."""
    # All views are of one size, so they went through in one forward: global views, then tiles.
    return watch.features.flatten(0, -2)[len(batch.num_local_patches) :]


@dataclass(frozen=True, slots=True)
class Looks:
    """Where attention is to look: one entry for each token of an answer, EOS included.

    Attributes:
        rows: int64 (N,), the line.
        queries: int64 (N,), the position that is to say the token.
        keys: int64 (N,), the position of the tile that shows it.
    """

    rows: Tensor
    queries: Tensor
    keys: Tensor


def wanted_looks(batch: Batch, lines: Sequence[TaughtLine]) -> Looks:
    """The looks of a batch whose tokens are letters."""
    rows, queries, keys = [], [], []
    firsts = _first_image_positions(batch)
    for row, (first, line) in enumerate(zip(firsts, lines, strict=True)):
        count = len(line.tiles)
        rows.append(torch.full((count,), row))
        queries.append(line.inputs.num_prompt_tokens - 1 + torch.arange(count))
        keys.append(first + torch.from_numpy(line.tiles))
    return Looks(torch.cat(rows), torch.cat(queries), torch.cat(keys))


def attention_term(model: OcrModel, watch: Watch, looks: Looks) -> Term:
    """How far the guided heads look where they are to, for the forward that `watch` saw last."""
    terms = [
        _head_term(scores, looks)
        for index in GUIDED_LAYERS
        for scores in _guided_scores(
            model.model.language_model.layers[index].self_attn, watch.attention[index]
        )
    ]
    return Term(
        torch.stack([term.loss for term in terms]).mean(), sum(term.accuracy for term in terms) / len(terms)
    )


def _guided_scores(attention: Any, given: tuple[Tensor, tuple[Tensor, Tensor]]) -> list[Tensor]:
    """(B, L, L) of each guided head, before the mask; fused attention does not hand them out."""
    hidden, (cosines, sines) = given
    by_head = (*hidden.shape[:2], -1, attention.head_dim)
    queries, keys = (
        project(hidden).view(by_head).transpose(1, 2) for project in (attention.q_proj, attention.k_proj)
    )
    queries, keys = apply_rotary_pos_emb(queries, keys, cosines, sines)
    return [
        queries[:, head].float() @ keys[:, head].float().transpose(1, 2) * attention.scaling
        for head in GUIDED_HEADS
    ]


def _head_term(scores: Tensor, looks: Looks) -> Term:
    picked = scores[looks.rows, looks.queries]
    later = torch.arange(scores.shape[-1]) > looks.queries[:, None]
    picked = picked.masked_fill(later, float("-inf"))
    hits = (picked.argmax(-1) == looks.keys).float()
    return Term(nn.functional.cross_entropy(picked, looks.keys), float(hits.mean()))


def garble(batch: Batch, letters: Tensor, generator: torch.Generator, *, most: float) -> None:
    """Replace letters of the answers as the model is given them, in place; what it is to say stays.

    Args:
        batch: Its `input_ids` change where there are labels.
        letters: int64 (N,), ids to replace with.
        generator: What is drawn from.
        most: A share between 0 and this is replaced.
    """
    share = most * torch.rand((), generator=generator)
    spoiled = torch.rand(batch.labels.shape, generator=generator) < share
    spoiled &= batch.labels != IGNORED_LABEL
    drawn = torch.randint(len(letters), (int(spoiled.sum()),), generator=generator)
    batch.input_ids[spoiled] = letters[drawn]


def _first_image_positions(batch: Batch) -> list[int]:
    first: list[int] = batch.image_mask.int().argmax(dim=1).tolist()
    return first
