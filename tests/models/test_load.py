"""Loading by both layouts, and everything that is refused before a weight is read."""

import json
import shutil

import pytest
import torch
from golden_batches import read_golden
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from ocrtune.errors import CheckpointError, TensorMismatch
from ocrtune.families import FAMILIES
from ocrtune.models import MODEL_CLASSES, load_model, save_published

NAMES = tuple(FAMILIES)


@pytest.fixture
def copy_of(golden, tmp_path):
    """A copy of a golden folder that may be broken."""

    def copy(name):
        return shutil.copytree(golden / name, tmp_path / name)

    return copy


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def states_equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", NAMES)
class TestEveryFamily:
    def test_is_found_in_the_folder_and_has_its_class(self, name, golden):
        model = load_model(golden / name)
        assert model.family is FAMILIES[name]
        assert type(model) is MODEL_CLASSES[FAMILIES[name].native_class]
        assert not model.training

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    def test_is_cast_to_the_dtype_asked_for(self, name, dtype, golden):
        model = load_model(golden / name, dtype=dtype)
        assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}

    def test_loads_from_the_native_layout_too(self, name, golden, tmp_path):
        model = load_model(golden / name)
        model.save_pretrained(tmp_path, save_original_format=False)
        assert "model.language_model.norm.weight" in load_file(tmp_path / "model.safetensors")
        assert states_equal(load_model(tmp_path), model)

    def test_loads_from_shards_with_an_index(self, name, golden, tmp_path):
        model = load_model(golden / name)
        model.save_pretrained(tmp_path, max_shard_size="200KB")
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        assert states_equal(load_model(tmp_path), model)

    def test_every_weight_of_the_file_is_in_the_model(self, name, golden):
        total = sum(tensor.numel() for tensor in load_file(golden / name / "model.safetensors").values())
        unused = load_file(golden / name / "model.safetensors")
        unread = sum(unused[tensor].numel() for tensor in FAMILIES[name].unused_tensors if tensor in unused)
        model = load_model(golden / name)
        assert sum(parameter.numel() for parameter in model.parameters()) == total - unread

    def test_experts_are_computed_in_groups_unless_asked_otherwise(self, name, golden):
        for experts in ("grouped_mm", "eager"):
            text_config = load_model(golden / name, experts=experts).model.language_model.config
            assert text_config._experts_implementation == experts

    def test_all_wrong_tensors_are_in_one_error(self, name, copy_of):
        folder = copy_of(name)

        def spoil(tensors):
            del tensors["model.norm.weight"], tensors["model.layers.1.mlp.experts.3.up_proj.weight"]
            tensors["model.stray.weight"] = torch.zeros(3)
            tensors["lm_head.weight"] = tensors["lm_head.weight"][:, :-1].contiguous()

        rewrite(folder, spoil)
        with pytest.raises(TensorMismatch) as raised:
            load_model(folder)
        message = raised.value.message
        assert "2 missing, 1 unexpected, 1 mis-shaped" in message
        for line in (
            "missing: model.norm.weight",
            "missing: model.layers.1.mlp.experts.3.up_proj.weight",
            "unexpected: model.stray.weight",
            "mis-shaped: lm_head.weight: [512, 31] in the file, [512, 32] wanted",
        ):
            assert line in message
        assert str(folder) in raised.value.where


class TestDeepseekOcrInTransformers:
    def test_its_model_type_is_known(self, golden):
        assert AutoConfig.from_pretrained(golden / "deepseek_ocr").model_type == "deepseek_ocr"

    def test_the_auto_class_loads_it(self, golden):
        loaded = AutoModelForImageTextToText.from_pretrained(golden / "deepseek_ocr", dtype=torch.float32)
        assert states_equal(loaded, load_model(golden / "deepseek_ocr"))


def test_grouped_experts_compute_what_single_ones_do():
    golden = read_golden("deepseek_ocr")
    logits = [
        load_model(golden.folder, experts=experts)(**golden.batch.native()).logits[golden.unpadded]
        for experts in ("grouped_mm", "eager")
    ]
    assert torch.allclose(*logits, atol=1e-5)


class TestRefused:
    def test_pickled_weights(self, copy_of):
        folder = copy_of("deepseek_ocr")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match=r"pickled weights: pytorch_model\.bin") as raised:
            load_model(folder)
        assert "safetensors" in raised.value.hint

    def test_a_folder_without_weights(self, copy_of):
        folder = copy_of("deepseek_ocr")
        (folder / "model.safetensors").unlink()
        with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
            load_model(folder)

    def test_a_file_that_was_cut(self, copy_of):
        folder = copy_of("deepseek_ocr")
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            load_model(folder)

    def test_an_index_that_names_a_missing_file(self, copy_of):
        folder = copy_of("deepseek_ocr")
        index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors"):
            load_model(folder)

    def test_a_dtype_that_does_not_exist(self, golden):
        with pytest.raises(CheckpointError, match="float8"):
            load_model(golden / "deepseek_ocr", dtype="float8")

    def test_the_weights_of_another_family(self, golden):
        with pytest.raises(TensorMismatch, match=r"mis-shaped|missing"):
            load_model(golden / "deepseek_ocr2", family="deepseek_ocr")

    def test_a_code_file_in_the_folder_is_never_run(self, copy_of):
        folder = copy_of("deepseek_ocr")
        raw = json.loads((folder / "config.json").read_text())
        raw["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
        (folder / "config.json").write_text(json.dumps(raw))
        (folder / "evil.py").write_text("raise SystemExit('this ran')")
        assert load_model(folder).family.name == "deepseek_ocr"


@pytest.mark.parametrize("name", NAMES)
class TestPublish:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_saved_and_loaded_again_has_the_same_bits(self, name, dtype, golden, tmp_path):
        model = load_model(golden / name, dtype=dtype)
        save_published(model, tmp_path / "saved")
        assert states_equal(load_model(tmp_path / "saved", dtype=dtype), model)

    def test_tensors_have_the_names_and_values_of_the_base(self, name, golden, tmp_path):
        base = golden / name
        save_published(load_model(base), tmp_path / "saved", config_from=base)
        saved, wanted = (load_file(folder / "model.safetensors") for folder in (tmp_path / "saved", base))
        assert saved.keys() == wanted.keys()
        assert all(torch.equal(saved[tensor], wanted[tensor]) for tensor in wanted)

    def test_the_config_of_the_base_is_copied(self, name, golden, tmp_path):
        base = golden / name
        save_published(load_model(base), tmp_path, config_from=base)
        assert (tmp_path / "config.json").read_bytes() == (base / "config.json").read_bytes()

    def test_without_a_base_the_config_says_which_class_it_is(self, name, golden, tmp_path):
        save_published(load_model(golden / name), tmp_path)
        raw = json.loads((tmp_path / "config.json").read_text())
        assert raw["model_type"] == name
        assert raw["architectures"] == [FAMILIES[name].native_class]


class TestPublishFolder:
    def test_other_files_stay(self, golden, tmp_path):
        (tmp_path / "tokenizer.json").write_text("{}")
        save_published(load_model(golden / "deepseek_ocr"), tmp_path)
        assert (tmp_path / "tokenizer.json").read_text() == "{}"

    def test_shards_that_lay_there_do_not_hide_the_new_weights(self, golden, tmp_path):
        model = load_model(golden / "deepseek_ocr")
        model.save_pretrained(tmp_path, max_shard_size="200KB")
        with torch.no_grad():
            model.lm_head.weight.add_(1)
        save_published(model, tmp_path)
        assert states_equal(load_model(tmp_path), model)

    def test_an_interrupted_save_leaves_the_old_model(self, golden, tmp_path, monkeypatch):
        model = load_model(golden / "deepseek_ocr")
        save_published(model, tmp_path / "saved")

        def fail(*_, **__):
            raise OSError("disk full")

        monkeypatch.setattr("ocrtune.models.publish.save_file", fail)
        with pytest.raises(OSError, match="disk full"):
            save_published(model, tmp_path / "saved")
        assert states_equal(load_model(tmp_path / "saved"), model)
        assert [path.name for path in tmp_path.iterdir()] == ["saved"]
