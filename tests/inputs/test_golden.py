"""Page → encode → collate equals what was recorded from the published code, to the bit."""

import hashlib
import json

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from safetensors.torch import load_file

from ocrtune.families import FAMILIES, Mode
from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.inputs.collate import collate
from ocrtune.records import Example


@pytest.fixture(scope="module")
def number_tokenizer(tmp_path_factory):
    """Text `w17` has id 17; special tokens have the ids of the recorded models."""
    vocabulary = VOCABULARY
    special = {vocabulary.bos: 0, vocabulary.eos: 1, vocabulary.pad: 2, vocabulary.image: 500}
    special |= {text: 501 + number for number, text in enumerate(vocabulary.kept)}
    words = {f"w{number}": number for number in range(3, 500)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words | special, unk_token=None))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([tokenizers.AddedToken(text, normalized=False) for text in special])
    folder = tmp_path_factory.mktemp("number-tokenizer")
    tokenizer.save(str(folder / "tokenizer.json"))
    return Tokenizer.read(folder)


@pytest.fixture(scope="module", params=FAMILIES)
def recorded(request, golden, number_tokenizer):
    """(batch, tensors, samples) of one family."""
    family = FAMILIES[request.param]
    folder = golden / family.name
    samples = json.loads((folder / "samples.json").read_text())
    mode = Mode(
        name="recorded",
        global_px=samples["base_px"],
        tile_px=samples["tile_px"],
        max_tiles=samples["max_tiles"],
    )
    recipe = InputsRecipe(family=family, mode=mode, prompt="")
    inputs = [encode(make_example(row), recipe, number_tokenizer) for row in samples["samples"]]
    batch = collate(inputs, family, pad_id=number_tokenizer.pad_id)
    return batch, load_file(folder / "io.safetensors"), samples


def make_example(row):
    pixels = np.random.default_rng(row["seed"]).integers(
        0, 256, (row["height"], row["width"], 3), dtype=np.uint8
    )
    return Example(
        name="recorded",
        images=(Image.fromarray(pixels),),
        prompt=f"{as_text(row['pre'])}<image>{as_text(row['post'])}",
        target=as_text(row["answer"]),
    )


def as_text(ids):
    return " ".join(f"w{number}" for number in ids)


def test_ids_masks_labels_and_grids_are_the_recorded_ones(recorded):
    batch, tensors, _ = recorded
    published = batch.published()
    for name in ("input_ids", "attention_mask", "labels", "images_spatial_crop"):
        assert torch.equal(published[name], tensors[f"input/{name}"]), name
    assert torch.equal(published["images_seq_mask"], tensors["input/images_seq_mask"].bool())


def test_normalised_views_hash_as_recorded(recorded):
    batch, _, samples = recorded
    found = [{"tiles": sha256(tiles), "global": sha256(view)} for tiles, view in batch.published()["images"]]
    assert found == samples["sha256_float32"]


def test_prompts_end_where_recorded(recorded):
    batch, tensors, _ = recorded
    first_learned = (tensors["input/labels"] != -100).int().argmax(dim=1)
    assert torch.equal(batch.num_prompt_tokens, first_learned)


def sha256(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
