import json
import re

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from ocrtune.errors import ExportError, TuningError
from ocrtune.export import adapter, export
from ocrtune.export.comparing import RELOAD_TOLERANCE, difference, page_logits
from ocrtune.models import load_model
from ocrtune.models.checkpoint import load_checkpoint, read_card


@pytest.mark.parametrize("family", ["deepseek_ocr", "deepseek_ocr2", "unlimited_ocr"])
def test_peft_itself_loads_the_adapter_and_computes_what_the_checkpoint_computes(
    checkpoint, tiny_model, tmp_path, family
):
    result = export(checkpoint("lora", family), tmp_path / "adapter", adapter=True)
    loaded = load_checkpoint(checkpoint("lora", family), device="cpu")
    wanted = page_logits(loaded.model, loaded.recipe, loaded.tokenizer)
    base = load_model(tiny_model(family).folder)
    plain = page_logits(base, loaded.recipe, loaded.tokenizer)
    found = page_logits(PeftModel.from_pretrained(base, result.folder), loaded.recipe, loaded.tokenizer)
    assert difference(found, wanted).largest < RELOAD_TOLERANCE
    assert difference(plain, wanted).largest > 100 * RELOAD_TOLERANCE


@pytest.mark.parametrize("kind", ["lora", "experts"])
def test_base_and_adapter_make_the_weights_of_the_checkpoint(checkpoint, tmp_path, kind):
    result = export(checkpoint(kind), tmp_path / "adapter", adapter=True)
    assert result.max_difference < adapter.MERGE_TOLERANCE
    assert result.dtype == "float32"


def test_the_folder_names_its_base_and_keeps_the_recipe(checkpoint, tiny_model, tmp_path):
    folder = export(checkpoint("lora"), tmp_path / "adapter", adapter=True).folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "ocrtune.json",
        "tokenizer.json",
    ]
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(tiny_model("deepseek_ocr").folder)
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    assert read_card(folder).inputs == read_card(checkpoint("lora")).inputs


def test_tensors_bear_published_names(checkpoint, tmp_path):
    folder = export(checkpoint("experts"), tmp_path / "adapter", adapter=True).folder
    names = load_file(folder / "adapter_model.safetensors")
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names
    assert "base_model.model.model.layers.1.mlp.experts.7.down_proj.lora_B.weight" in names
    assert not [name for name in names if "language_model" in name]


@pytest.mark.parametrize("kind", ["lora", "experts"])
def test_the_pattern_of_modules_matches_whole_paths_in_both_layouts(checkpoint, tmp_path, kind):
    folder = export(checkpoint(kind), tmp_path / "adapter", adapter=True).folder
    pattern = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["target_modules"]
    paths = {
        name.removeprefix("base_model.model.").split(".lora_")[0]
        for name in load_file(folder / "adapter_model.safetensors")
    }
    for path in paths:
        assert re.fullmatch(pattern, path)
        assert re.fullmatch(pattern, path.replace("model.", "model.language_model.", 1))
    modules = dict(load_checkpoint(checkpoint(kind), device="cpu").model.named_modules())
    vision = [name for name in modules if "vision_tower" in name]
    assert vision
    assert not [name for name in vision if re.fullmatch(pattern, name)]
    assert not re.fullmatch(pattern, "model.layers.0.mlp.shared_experts.down_proj")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_adapter_may_be_written_in_a_shorter_dtype(checkpoint, tmp_path, dtype):
    result = export(checkpoint("lora"), tmp_path / "adapter", adapter=True, dtype=dtype)
    kinds = {tensor.dtype for tensor in load_file(result.folder / "adapter_model.safetensors").values()}
    assert kinds == {getattr(torch, dtype)}


def test_what_learned_beside_the_decoder_is_not_left_out_in_silence(checkpoint, tmp_path):
    with pytest.raises(ExportError, match="projector and vision learned too") as caught:
        export(checkpoint("lora everywhere"), tmp_path / "adapter", adapter=True)
    assert "--adapter" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_an_adapter_has_none_to_export(tiny_model, tmp_path):
    with pytest.raises(TuningError, match="the decoder has no adapters"):
        export(tiny_model("deepseek_ocr").folder, tmp_path / "adapter", adapter=True)


@pytest.mark.parametrize("fault", ["doubled", "lost", "not finite"])
def test_an_adapter_that_was_written_wrongly_is_caught(checkpoint, tmp_path, monkeypatch, fault):
    def wrong_save(tensors, path, **options):
        name = next(name for name in tensors if "lora_B" in name)
        if fault == "lost":
            tensors = {
                other: tensor for other, tensor in tensors.items() if other.split(".lora")[0] not in name
            }
        else:
            tensors = {**tensors, name: tensors[name] * (2 if fault == "doubled" else float("nan"))}
        save_file(tensors, path, **options)

    monkeypatch.setattr(adapter, "save_file", wrong_save)
    with pytest.raises(ExportError, match="does not make the checkpoint's"):
        export(checkpoint("lora"), tmp_path / "adapter", adapter=True)
    assert list(tmp_path.iterdir()) == []
