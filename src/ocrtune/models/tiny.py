"""A small checkpoint of the real architecture: for the demo, for tests, for trying things out.

Family deepseek_ocr in published layout, four million parameters, letters for tokens. Its weights read lines of English and
Russian print: they learned from rendered lines alone, by `ocrtune train` (`pretraining/` in the repository).
"""

import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from ocrtune.families import Mode, get_family
from ocrtune.inputs import CARD_FILE, InputsRecipe
from ocrtune.inputs.tokenizer import TOKENIZER_FILE
from ocrtune.models.checkpoint import CheckpointCard
from ocrtune.sources import make_readable, write_text_atomically

FAMILY = get_family("deepseek_ocr")
WEIGHTS = resources.files("ocrtune.models") / "tiny_weights.safetensors"
"""By published name, in float16: half the size, and nothing the model reads by."""

LETTERS = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯІѢѲѴабвгдеёжзийклмнопрстуфхцчшщъыьэюяіѣѳѵ№«»—–“”„’…§°£½é"
"""Letters and signs beyond ASCII that are one token each; all others are their bytes."""

LETTER_WEIGHT = 20

_PATCH_PX = 16
_CLIP_PATCH_PX = 14
_FEATURE_PX = 64
_MLP_FACTOR = 3

RESIDUAL_GAIN = 0.5

Array = NDArray[np.float32]
Tensors = dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyShape:
    """Sizes of the small model.

    Attributes:
        view_px: Side of the views its position tables have a row for each patch of.
        sam_width: Width of the SAM encoder.
        sam_layers: Layers of it, each with attention in windows.
        sam_window: Patches along a window's side.
        neck_width: Channels of the neck, the first of two steps that halve the sides.
        middle_width: Channels between those two.
        encoder_width: Channels after them, and width of the CLIP-like encoder.
        encoder_layers: Layers of it.
        decoder_width: Width of the decoder.
        decoder_layers: Layers of it; the first is dense, the others have experts.
        heads: Attention heads of each of the three.
        dense_width: Inner width of the dense layer.
        expert_width: Inner width of an expert.
        experts: Routed experts of a layer.
        experts_per_token: How many of them a token goes through.
        shared_experts: Experts every token goes through.
        max_positions: Longest sequence.
    """

    view_px: int = 64
    sam_width: int = 128
    sam_layers: int = 3
    sam_window: int = 4
    neck_width: int = 64
    middle_width: int = 128
    encoder_width: int = 192
    encoder_layers: int = 2
    decoder_width: int = 192
    decoder_layers: int = 4
    heads: int = 4
    dense_width: int = 576
    expert_width: int = 160
    experts: int = 4
    experts_per_token: int = 2
    shared_experts: int = 1
    max_positions: int = 1024

    @property
    def features_per_side(self) -> int:
        """Vision features along a view's side."""
        return self.view_px // _FEATURE_PX


TINY = TinyShape()
"""The shape of the small model, with the weights of the package or random ones."""

RECIPE = InputsRecipe(
    family=FAMILY,
    # Tiles in a row keep the aspect of a line, so that a letter has one width in lines of any length.
    mode=Mode(name="lines", global_px=64, tile_px=64, max_tiles=24),
    prompt=FAMILY.prompts[FAMILY.default_prompt],
    max_tokens=256,
)
"""How the small model is shown lines of print."""


def build_tiny_checkpoint(folder: Path, *, seed: int | None = None) -> Path:
    """Write the small checkpoint: `config.json`, `model.safetensors`, `tokenizer.json`, `ocrtune.json`.

    The same bytes on every machine.

    Args:
        folder: Made if it does not exist; files of the same names are replaced.
        seed: Of random weights; without it the ones that learned to read.

    Returns:
        `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tiny_tokenizer()
    size = tokenizer.get_vocab_size()
    tensors = trained_tensors() if seed is None else tiny_tensors(size, seed=seed)
    write_text_atomically(folder / TOKENIZER_FILE, tokenizer.to_str(pretty=True))
    write_text_atomically(folder / "config.json", json.dumps(tiny_config(tokenizer), indent=2) + "\n")
    temporary = folder / "model.safetensors.tmp"
    save_file(tensors, temporary, metadata={"format": "pt"})
    make_readable(temporary)
    temporary.replace(folder / "model.safetensors")
    card = CheckpointCard(inputs=RECIPE).as_dict()
    write_text_atomically(folder / CARD_FILE, json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    return folder


def trained_tensors() -> Tensors:
    """The weights that come with the package, by published name, float32."""
    with resources.as_file(WEIGHTS) as path:
        return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}


def tiny_config(tokenizer: tokenizers.Tokenizer, shape: TinyShape = TINY) -> dict[str, Any]:
    """The small model's `config.json`, in the native schema."""
    return {
        "architectures": [FAMILY.native_class],
        "model_type": FAMILY.name,
        "image_token_id": tokenizer.token_to_id(FAMILY.vocabulary.image),
        "vision_config": {"sam_config": _sam_config(shape), "encoder_config": _encoder_config(shape)},
        "text_config": _decoder_config(shape, tokenizer),
        "tie_word_embeddings": False,
    }


def _sam_config(shape: TinyShape) -> dict[str, Any]:
    return {
        "hidden_size": shape.sam_width,
        "output_channels": shape.neck_width,
        "num_hidden_layers": shape.sam_layers,
        "num_attention_heads": shape.heads,
        "image_size": shape.view_px,
        "patch_size": _PATCH_PX,
        "window_size": shape.sam_window,
        "global_attn_indexes": [],
        "mlp_dim": _MLP_FACTOR * shape.sam_width,
        "downsample_channels": [shape.middle_width, shape.encoder_width],
        # The library's default makes weights of 0 for whoever starts a layer anew.
        "initializer_range": 0.02,
    }


def _encoder_config(shape: TinyShape) -> dict[str, Any]:
    return {
        "hidden_size": shape.encoder_width,
        "intermediate_size": _MLP_FACTOR * shape.encoder_width,
        "num_hidden_layers": shape.encoder_layers,
        "num_attention_heads": shape.heads,
        "image_size": shape.features_per_side * _CLIP_PATCH_PX,
        "patch_size": _CLIP_PATCH_PX,
    }


def _decoder_config(shape: TinyShape, tokenizer: tokenizers.Tokenizer) -> dict[str, Any]:
    vocabulary = FAMILY.vocabulary
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": shape.decoder_width,
        "intermediate_size": shape.dense_width,
        "moe_intermediate_size": shape.expert_width,
        "num_hidden_layers": shape.decoder_layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "n_shared_experts": shape.shared_experts,
        "n_routed_experts": shape.experts,
        "num_experts_per_tok": shape.experts_per_token,
        "n_group": 1,
        "topk_group": 1,
        "max_position_embeddings": shape.max_positions,
        "mlp_layer_types": ["dense"] + ["sparse"] * (shape.decoder_layers - 1),
        "layer_types": ["full_attention"] * shape.decoder_layers,
        "bos_token_id": tokenizer.token_to_id(vocabulary.bos),
        "eos_token_id": tokenizer.token_to_id(vocabulary.eos),
        "pad_token_id": tokenizer.token_to_id(vocabulary.pad),
    }


def train_tiny_tokenizer() -> tokenizers.Tokenizer:
    """A byte-level BPE in which a letter is a token; every string round-trips.

    A letter, not a syllable: a token then is what a small model sees at one place of a line. BOS is 0, EOS 1 and
    padding 2, as in the published tokenizer; the other special tokens follow.
    """
    vocabulary = FAMILY.vocabulary
    special = (vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.image, *vocabulary.kept)
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # One at a time: beside each other, two letters would become a token of their own.
    tokenizer.train_from_iterator(list(LETTERS) * LETTER_WEIGHT, trainer)
    return tokenizer


def tiny_tensors(vocabulary_size: int, shape: TinyShape = TINY, *, seed: int = 0) -> dict[str, Array]:
    """The small model's weights by published name, float32.

    Matrices keep the scale of what goes through them, those that add to a residual stream half of it; norms are
    1, biases 0.
    """
    draw = _Draw(np.random.default_rng(seed))
    return {
        **_sam_tensors(shape, draw),
        **_encoder_tensors(shape, draw),
        **_bridge_tensors(shape, draw),
        **_decoder_tensors(shape, draw, vocabulary_size),
    }


class _Draw:
    """Draws tensors one after another from one stream of random numbers."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def normal(self, *sizes: int, std: float = 0.02) -> Array:
        return (self._generator.standard_normal(sizes) * std).astype(np.float32)

    def matrix(self, *sizes: int, gain: float = 1.0) -> Array:
        """(outputs, inputs, …); the outputs have the scale of the inputs, times `gain`."""
        return self.normal(*sizes, std=gain * math.prod(sizes[1:]) ** -0.5)

    def linear(self, name: str, outputs: int, inputs: int, gain: float = 1.0) -> Tensors:
        return {
            f"{name}.weight": self.matrix(outputs, inputs, gain=gain),
            f"{name}.bias": _zeros(outputs),
        }


def _zeros(*sizes: int) -> Array:
    return np.zeros(sizes, np.float32)


def _norm(name: str, width: int) -> Tensors:
    return {f"{name}.weight": np.ones(width, np.float32), f"{name}.bias": _zeros(width)}


def _sam_tensors(shape: TinyShape, draw: _Draw) -> Tensors:
    root, width, neck = "model.sam_model", shape.sam_width, shape.neck_width
    side = shape.view_px // _PATCH_PX
    tensors = {
        f"{root}.pos_embed": draw.normal(1, side, side, width),
        f"{root}.patch_embed.proj.weight": _smooth_filters(width),
        f"{root}.patch_embed.proj.bias": _zeros(width),
    }
    for layer in range(shape.sam_layers):
        tensors |= _sam_layer(f"{root}.blocks.{layer}", shape, draw)
    return tensors | {
        f"{root}.neck.0.weight": draw.matrix(neck, width, 1, 1),
        **_norm(f"{root}.neck.1", neck),
        f"{root}.neck.2.weight": draw.matrix(neck, neck, 3, 3),
        **_norm(f"{root}.neck.3", neck),
        f"{root}.net_2.weight": draw.matrix(shape.middle_width, neck, 3, 3),
        f"{root}.net_3.weight": draw.matrix(shape.encoder_width, shape.middle_width, 3, 3),
    }


def _sam_layer(root: str, shape: TinyShape, draw: _Draw) -> Tensors:
    width, inner = shape.sam_width, _MLP_FACTOR * shape.sam_width
    offsets = (2 * shape.sam_window - 1, width // shape.heads)
    return {
        **_norm(f"{root}.norm1", width),
        f"{root}.attn.rel_pos_h": _zeros(*offsets),
        f"{root}.attn.rel_pos_w": _zeros(*offsets),
        **draw.linear(f"{root}.attn.qkv", 3 * width, width),
        **draw.linear(f"{root}.attn.proj", width, width, RESIDUAL_GAIN),
        **_norm(f"{root}.norm2", width),
        **draw.linear(f"{root}.mlp.lin1", inner, width),
        **draw.linear(f"{root}.mlp.lin2", width, inner, RESIDUAL_GAIN),
    }


def _smooth_filters(width: int) -> Array:
    """(width, 3, 16, 16): the smoothest cosine patterns of a patch, the constant one left out.

    White paper is the same everywhere and says nothing: filters without a mean start blind to it and keen on
    strokes.
    """
    at = (np.arange(_PATCH_PX) + 0.5) / _PATCH_PX
    waves = np.cos(np.pi * np.outer(np.arange(_PATCH_PX), at))
    pairs = sorted(np.ndindex(_PATCH_PX, _PATCH_PX), key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))
    patterns = np.stack([np.outer(waves[row], waves[column]) for row, column in pairs[1 : width + 1]])
    patterns /= np.linalg.norm(patterns, axis=(1, 2), keepdims=True)
    return np.repeat(patterns[:, None] / 2, 3, axis=1).astype(np.float32)


def _encoder_tensors(shape: TinyShape, draw: _Draw) -> Tensors:
    root, width = "model.vision_model", shape.encoder_width
    tensors = {
        f"{root}.embeddings.class_embedding": draw.normal(width),
        # No code reads it; the published checkpoints carry it, and servers ask for it.
        f"{root}.embeddings.patch_embedding.weight": draw.normal(width, 3, _CLIP_PATCH_PX, _CLIP_PATCH_PX),
        f"{root}.embeddings.position_embedding.weight": draw.normal(shape.features_per_side**2 + 1, width),
        **_norm(f"{root}.pre_layrnorm", width),
    }
    for layer in range(shape.encoder_layers):
        tensors |= _encoder_layer(f"{root}.transformer.layers.{layer}", width, draw)
    return tensors


def _encoder_layer(root: str, width: int, draw: _Draw) -> Tensors:
    inner = _MLP_FACTOR * width
    return {
        **_norm(f"{root}.layer_norm1", width),
        **draw.linear(f"{root}.self_attn.qkv_proj", 3 * width, width),
        **draw.linear(f"{root}.self_attn.out_proj", width, width, RESIDUAL_GAIN),
        **_norm(f"{root}.layer_norm2", width),
        **draw.linear(f"{root}.mlp.fc1", inner, width),
        **draw.linear(f"{root}.mlp.fc2", width, inner, RESIDUAL_GAIN),
    }


def _bridge_tensors(shape: TinyShape, draw: _Draw) -> Tensors:
    """Projector, row break and separator."""
    return {
        **draw.linear("model.projector.layers", shape.decoder_width, 2 * shape.encoder_width),
        "model.image_newline": draw.normal(shape.decoder_width),
        "model.view_seperator": draw.normal(shape.decoder_width),
    }


def _decoder_tensors(shape: TinyShape, draw: _Draw, vocabulary_size: int) -> Tensors:
    width = shape.decoder_width
    tensors = {"model.embed_tokens.weight": draw.normal(vocabulary_size, width)}
    for layer in range(shape.decoder_layers):
        tensors |= _decoder_layer(f"model.layers.{layer}", shape, draw, dense=layer == 0)
    return tensors | {
        "model.norm.weight": np.ones(width, np.float32),
        "lm_head.weight": draw.normal(vocabulary_size, width),
    }


def _decoder_layer(root: str, shape: TinyShape, draw: _Draw, *, dense: bool) -> Tensors:
    width = shape.decoder_width
    tensors = {
        f"{root}.input_layernorm.weight": np.ones(width, np.float32),
        f"{root}.post_attention_layernorm.weight": np.ones(width, np.float32),
        **{f"{root}.self_attn.{part}_proj.weight": draw.matrix(width, width) for part in "qkv"},
        f"{root}.self_attn.o_proj.weight": draw.matrix(width, width, gain=RESIDUAL_GAIN),
    }
    if dense:
        return tensors | _gated_mlp(f"{root}.mlp", width, shape.dense_width, draw)
    for expert in range(shape.experts):
        tensors |= _gated_mlp(f"{root}.mlp.experts.{expert}", width, shape.expert_width, draw)
    shared = _gated_mlp(f"{root}.mlp.shared_experts", width, shape.shared_experts * shape.expert_width, draw)
    return tensors | shared | {f"{root}.mlp.gate.weight": draw.normal(shape.experts, width)}


def _gated_mlp(root: str, width: int, inner: int, draw: _Draw) -> Tensors:
    return {
        f"{root}.gate_proj.weight": draw.matrix(inner, width),
        f"{root}.up_proj.weight": draw.matrix(inner, width),
        f"{root}.down_proj.weight": draw.matrix(width, inner, gain=RESIDUAL_GAIN),
    }
