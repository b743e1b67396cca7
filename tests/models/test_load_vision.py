"""The vision part by itself: its tensors alone are read, and its features and their key are those of the whole model."""

import importlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import golden_mode

from ocrtune.errors import TensorMismatch
from ocrtune.families import FAMILIES
from ocrtune.models import load_model, save_published
from ocrtune.models.feature_key import feature_key, vision_tensors
from ocrtune.models.features import ImageTensors
from ocrtune.models.load import load_vision
from ocrtune.models.tuning import part_of

NAMES = tuple(FAMILIES)


def image_of(family, dtype):
    draw = torch.Generator().manual_seed(5)
    mode = golden_mode(family)
    sides = ((1, mode.global_px), (2, mode.tile_px))
    views, tiles = (torch.randn(count, 3, side, side, generator=draw).to(dtype) for count, side in sides)
    return ImageTensors(global_view=views, tiles=tiles, grid=(2, 1))


def features_equal(one, other, dtype):
    with torch.no_grad():
        (first,), (second,) = (model.encode_images([image_of(one.family, dtype)]) for model in (one, other))
    return torch.equal(first, second)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_features_and_their_key_are_those_of_the_whole_model(name, dtype, golden):
    whole, vision = load_model(golden / name, dtype=dtype), load_vision(golden / name, dtype=dtype)
    keys = [
        feature_key(model, golden_mode(model.family), autocast_dtype=None).made_of
        for model in (whole, vision)
    ]
    assert keys[0] == keys[1]
    assert features_equal(whole, vision, getattr(torch, dtype))


@pytest.mark.parametrize("name", NAMES)
def test_no_tensor_of_the_decoder_is_read_or_takes_memory(name, golden, monkeypatch):
    weights = importlib.import_module("ocrtune.models.weights")
    read, named = [], weights._named

    def naming(handle, layout):
        read.extend(piece.name for tensor in named(handle, layout) for piece in layout[tensor])
        return named(handle, layout)

    monkeypatch.setattr(weights, "_named", naming)
    vision = load_vision(golden / name)
    assert set(read) == {tensor for tensor, _ in vision_tensors(vision)}
    rest = [parameter for tensor, parameter in vision.named_parameters() if part_of(tensor) == "decoder"]
    # A row of the embedding and of the head, and the last norm.
    assert sum(parameter.numel() for parameter in rest) == 3 * vision.config.text_config.hidden_size
    assert not any(parameter.requires_grad for parameter in vision.parameters())


def test_native_files_and_shards_are_read_too(golden, tmp_path):
    whole = load_model(golden / "deepseek_ocr")
    whole.save_pretrained(tmp_path / "native", save_original_format=False)
    whole.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    save_published(whole, tmp_path / "published")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    for folder in ("native", "shards", "published"):
        assert features_equal(whole, load_vision(tmp_path / folder), torch.float32)


def test_a_folder_whose_decoder_is_not_the_models_is_refused_as_by_the_whole_model(golden, tmp_path):
    shutil.copytree(golden / "deepseek_ocr", tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    for load in (load_model, load_vision):
        with pytest.raises(TensorMismatch, match=r"missing: model\.norm\.weight"):
            load(tmp_path / "base")
