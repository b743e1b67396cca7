"""What helps a small model to learn to read from nothing: it is told where each letter stands.

Three things use that, none of which is there when the model reads: letter heads ask vision features and the decoder's
image positions which letters stand in their width; guided attention asks some heads to look at the tile of the next
letter; garbling spoils some of the answer that the model continues, so that it goes by what it sees and keeps its place
after a mistake.

Shapes: B rows, L positions, H the decoder's hidden size, T tiles of a batch, N whatever was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

from ocrtune.config import GuidanceSection
from ocrtune.errors import ConfigError, TrainingError
from ocrtune.families import Mode
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models import OcrModel
from ocrtune.records import ModelInputs, Places

HEADS_FILE = "guidance.safetensors"
"""The letter heads of a checkpoint: what a run goes on from, and nobody else reads."""

SLOTS = 8
"""Stretches of a tile's width, each with room for the middle of one letter."""

EMPTY_WEIGHT = 0.25
"""Most slots are empty; they would drown the letters."""

ONE_FEATURE_PX = 64
"""Side of a tile that becomes one vision feature."""

Tensors = dict[str, Tensor]


def check_guidable(mode: Mode) -> None:
    """Guidance knows one vision feature a tile, and views that go through the encoder together.

    Raises:
        ConfigError: The mode has others.
    """
    if (mode.global_px, mode.tile_px) != (ONE_FEATURE_PX, ONE_FEATURE_PX):
        raise ConfigError(
            [f"training.guidance: mode {mode.name!r} has not one vision feature a tile"],
            hint=f"take a mode with global_px and tile_px {ONE_FEATURE_PX}, or leave guidance out",
        )


def guidance_targets(inputs: Sequence[ModelInputs], *, empty_id: int) -> Tensors:
    """What the rows of a batch are to see where.

    Args:
        inputs: The rows; one without places of its letters, or without tiles, asks for nothing. Nor does one with
            a token of several letters in it, such as `<td>`: a text in a million has one by chance.
        empty_id: The token that stands for a slot without a letter.

    Returns:
        `tiles` (n,) int64, tiles of the batch that are asked, and `tile_slots` (n, SLOTS), a token each;
        `rows`, `positions` (m,), image positions that are asked, and `slots` (m, SLOTS);
        `look_rows`, `queries`, `keys` (k,): the position that is to say a token and the one of the tile that shows it.

    Raises:
        TrainingError: In no row letters are one token each: the tokenizer is of another kind.
    """
    _require_letters_as_tokens(inputs)
    pieces, first_tile = [], 0
    for row, given in enumerate(inputs):
        if given.opened and given.opened[0].grid != (1, 1) and _are_letters_tokens(given):
            pieces.append(_targets_of_row(row, given, first_tile, empty_id))
        first_tile += sum(len(view.tiles) for view in given.opened)
    names = ("tiles", "tile_slots", "rows", "positions", "slots", "look_rows", "queries", "keys")
    nothing = {name: np.empty((0, SLOTS) if "slots" in name else 0, np.int64) for name in names}
    return {
        name: torch.from_numpy(np.concatenate([piece[name] for piece in [nothing, *pieces]]))
        for name in names
    }


def _targets_of_row(
    row: int, given: ModelInputs, first_tile: int, empty_id: int
) -> dict[str, NDArray[np.int64]]:
    columns, rows = given.opened[0].grid
    tokens, letters = _answer(given), _places(given)
    first = int(given.image_mask.argmax())
    positions = first + np.arange(rows * (columns + 1))
    queries = given.num_prompt_tokens - 1 + np.arange(len(tokens) + 1)
    return {
        "tiles": first_tile + np.arange(columns * rows),
        "tile_slots": slot_tokens(letters, tokens, (columns, rows), empty_id),
        "rows": np.full(len(positions), row),
        "positions": positions,
        "slots": slot_tokens(letters, tokens, (columns, rows), empty_id, shift=0.5),
        "look_rows": np.full(len(queries), row),
        "queries": queries,
        "keys": first + places_in_sequence(letters, (columns, rows)),
    }


def _answer(given: ModelInputs) -> NDArray[np.int64]:
    return given.input_ids[given.num_prompt_tokens : -1]


def _places(given: ModelInputs) -> Places:
    return np.empty((0, 2)) if given.letters is None else given.letters


def _are_letters_tokens(given: ModelInputs) -> bool:
    return given.letters is not None and len(given.letters) == len(_answer(given))


def _require_letters_as_tokens(inputs: Sequence[ModelInputs]) -> None:
    """One row may hold such a token by chance; if every row does, the tokenizer is of another kind."""
    placed = [given for given in inputs if given.letters is not None]
    if placed and not any(_are_letters_tokens(given) for given in placed):
        given = placed[0]
        raise TrainingError(
            f"{len(_places(given))} letters are {len(_answer(given))} tokens: guidance needs one token for each letter",
            where=given.where or given.name,
            hint="take texts of letters that the tokenizer knows, or leave training.guidance out",
        )


def slot_tokens(
    letters: Places, tokens: NDArray[np.int64], grid: tuple[int, int], empty_id: int, *, shift: float = 0.0
) -> NDArray[np.int64]:
    """Which token has its middle in each slot; of two in one slot the later.

    Args:
        letters: Where the tokens stand.
        tokens: (letters,).
        grid: (columns, rows).
        empty_id: Stands where there is none.
        shift: How far the windows lie to the left of the tiles, in tiles; with any there is one window more, so that
            the windows of a row are the positions of its tiles and of the row break.

    Returns:
        int64 (windows, SLOTS), row by row.
    """
    columns, rows = grid
    width = (columns + (shift > 0)) * SLOTS
    slots = np.full((rows, width), empty_id, np.int64)
    across = np.floor((letters[:, 0] * columns + shift) * SLOTS).astype(np.int64)
    down = _index(letters[:, 1], rows)
    inside = (across >= 0) & (across < width)
    slots[down[inside], across[inside]] = tokens[inside]
    return slots.reshape(-1, SLOTS)


def places_in_sequence(letters: Places, grid: tuple[int, int]) -> NDArray[np.int64]:
    """The tile of each letter as a position behind the first image token, and the last row break for EOS."""
    columns, rows = grid
    tiles = _index(letters[:, 1], rows) * (columns + 1) + _index(letters[:, 0], columns)
    return np.append(tiles, rows * (columns + 1) - 1)


def _index(shares: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.floor(shares * count).astype(np.int64).clip(0, count - 1)


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
    """Which token has its middle in each slot of a feature's width."""

    def __init__(self, width: int, num_tokens: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, SLOTS * num_tokens)

    def forward(self, features: Tensor) -> Tensor:
        """(N, width) → (N, SLOTS, tokens)."""
        logits: Tensor = self.linear(self.norm(features.float()))
        return logits.view(len(features), SLOTS, -1)

    def term(self, features: Tensor, wanted: Tensor, empty_id: int) -> Term:
        """How well (N, width) features tell the tokens of their slots, (N, SLOTS)."""
        logits = self(features)
        weights = torch.ones(logits.shape[-1], device=logits.device)
        weights[empty_id] = EMPTY_WEIGHT
        loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), weight=weights)
        letters = wanted != empty_id
        return Term(loss, float((logits.argmax(-1) == wanted)[letters].float().mean()))


@dataclass(slots=True)
class Watch:
    """What passes through a model's forward in training, caught by hooks; of the latest forward only.

    Attributes:
        features: Of the views, global ones first, (views, 1, H).
        hidden: The letters layer's output, (B, L, H).
        attention: What the guided layers are given: (B, L, H), and cosines and sines of the positions.
    """

    features: Tensor = field(default_factory=lambda: torch.empty(0))
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))
    attention: dict[int, tuple[Tensor, tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def over(self, model: OcrModel, section: GuidanceSection) -> None:
        """Watch every forward of `model` in training from now on."""
        layers = model.model.language_model.layers
        # The last layer may be one that is watched.
        model.trims_last_layer = False

        def catch_features(module: nn.Module, _: Any, output: Tensor) -> None:
            if module.training:
                self.features = output

        def catch_hidden(module: nn.Module, _: Any, output: Tensor) -> None:
            if module.training:
                self.hidden = output

        model.model.multi_modal_projector.register_forward_hook(catch_features)
        layers[section.letters_layer].register_forward_hook(catch_hidden)
        for index in section.attention_layers:
            layers[index].self_attn.register_forward_pre_hook(self._catcher(index), with_kwargs=True)

    def _catcher(self, index: int) -> Any:
        def catch(module: nn.Module, _: Any, arguments: dict[str, Any]) -> None:
            if module.training:
                self.attention[index] = (arguments["hidden_states"], arguments["position_embeddings"])

        return catch


class Guidance(nn.Module):
    """The letter heads, and what watches the model they belong to.

    Args:
        model: What is taught; hooks stay on it.
        section: Weights and layers.
        empty_id: The token that stands for a slot without a letter: padding.
        seed: Of the heads and of garbling.

    Raises:
        ConfigError: The decoder has no such layers.
    """

    def __init__(self, model: OcrModel, section: GuidanceSection, *, empty_id: int, seed: int) -> None:
        super().__init__()
        _check_layers(model, section)
        shape = model.config.text_config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.vision = LetterHead(shape.hidden_size, shape.vocab_size)
            self.decoder = LetterHead(shape.hidden_size, shape.vocab_size)
        self.to(model.device)
        self._section = section
        self._empty_id = empty_id
        self._seed = seed
        # In a tuple, so that the model is none of this module's own.
        self._layers = tuple(
            model.model.language_model.layers[index].self_attn for index in section.attention_layers
        )
        self._watch = Watch()
        self._watch.over(model, section)

    def garble(self, inputs: Mapping[str, Tensor], step: int) -> Tensor:
        """The batch's ids with some of the answers replaced by other tokens of its answers.

        Args:
            inputs: `input_ids` and `labels`, int64 (B, L).
            step: Number of the forward: with the seed it fixes what is replaced.
        """
        labels, input_ids = inputs["labels"], inputs["input_ids"].clone()
        draw = torch.Generator().manual_seed((self._seed << 32) + step)
        answers = labels != IGNORED_LABEL
        share = self._section.garbled * torch.rand((), generator=draw)
        spoiled = answers & (torch.rand(labels.shape, generator=draw) < share).to(labels.device)
        tokens = labels[answers]
        drawn = torch.randint(len(tokens), (int(spoiled.sum()),), generator=draw).to(labels.device)
        input_ids[spoiled] = tokens[drawn]
        return input_ids

    def terms(self, targets: Tensors, num_images: int) -> dict[str, Term]:
        """The terms of the forward that was watched last; none where nothing is asked.

        Args:
            targets: As `guidance_targets` gives them.
            num_images: Global views of the batch: their features come first.
        """
        if not len(targets["tiles"]):
            return {}
        features = self._watch.features.flatten(0, -2)[num_images:][targets["tiles"]]
        positions = self._watch.hidden[targets["rows"], targets["positions"]]
        return {
            "vision": self.vision.term(features, targets["tile_slots"], self._empty_id),
            "decoder": self.decoder.term(positions, targets["slots"], self._empty_id),
            "attention": self._attention_term(targets),
        }

    def weigh(self, terms: Mapping[str, Term]) -> Tensor | float:
        """The terms as one loss."""
        weights = {"attention": self._section.attention_weight}
        return sum(
            weights.get(name, self._section.letters_weight) * term.loss for name, term in terms.items()
        )

    def save(self, folder: Path) -> None:
        """Write the heads beside a checkpoint's weights."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        temporary = folder / f"{HEADS_FILE}.tmp"
        save_file(tensors, temporary)
        temporary.replace(folder / HEADS_FILE)

    def restore(self, folder: Path) -> bool:
        """Take the heads of a checkpoint, if it has any of this shape."""
        path = folder / HEADS_FILE
        saved = load_file(path) if path.is_file() else {}
        own = self.state_dict()
        fits = {name: tensor.shape for name, tensor in saved.items()} == {n: t.shape for n, t in own.items()}
        if fits:
            self.load_state_dict(saved)
        return fits

    def _attention_term(self, targets: Tensors) -> Term:
        """How far the guided heads look where they are to."""
        terms = [
            self._head_term(scores, targets)
            for index, layer in zip(self._section.attention_layers, self._layers, strict=True)
            for scores in self._guided_scores(layer, *self._watch.attention[index])
        ]
        return Term(
            torch.stack([term.loss for term in terms]).mean(),
            sum(term.accuracy for term in terms) / len(terms),
        )

    def _guided_scores(self, attention: Any, hidden: Tensor, rotation: tuple[Tensor, Tensor]) -> list[Tensor]:
        """(B, L, L) of each guided head, before the mask; fused attention does not hand them out."""
        by_head = (*hidden.shape[:2], -1, attention.head_dim)
        queries, keys = (
            project(hidden).view(by_head).transpose(1, 2) for project in (attention.q_proj, attention.k_proj)
        )
        queries, keys = apply_rotary_pos_emb(queries, keys, *rotation)
        return [
            queries[:, head].float() @ keys[:, head].float().transpose(1, 2) * attention.scaling
            for head in range(self._section.attention_heads)
        ]

    def _head_term(self, scores: Tensor, targets: Tensors) -> Term:
        queries, keys = targets["queries"], targets["keys"]
        picked = scores[targets["look_rows"], queries].float()
        later = torch.arange(picked.shape[-1], device=picked.device) > queries[:, None]
        picked = picked.masked_fill(later, float("-inf"))
        hits = (picked.argmax(-1) == keys).float()
        return Term(nn.functional.cross_entropy(picked, keys), float(hits.mean()))


def _check_layers(model: OcrModel, section: GuidanceSection) -> None:
    shape = model.config.text_config
    layers = [section.letters_layer, *section.attention_layers]
    wrong = [index for index in layers if index >= shape.num_hidden_layers]
    if wrong or section.attention_heads > shape.num_key_value_heads:
        raise ConfigError(
            [
                f"training.guidance: the decoder has {shape.num_hidden_layers} layers of {shape.num_key_value_heads} heads"
            ],
            hint="name layers that are there, counted from 0, and no more heads than that",
        )
