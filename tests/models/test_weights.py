"""What is loaded is what transformers loads; each tensor is read once, and nothing lies in memory twice."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ocrtune.config import LoraSection, TuningSection
from ocrtune.families import FAMILIES
from ocrtune.models import MODEL_CLASSES, load_model, merge, read_config, read_family, save_published, weights
from ocrtune.models.load import restore_weights
from ocrtune.models.precision import TORCH_DTYPES
from ocrtune.models.tensors import published_tensors, weight_files
from ocrtune.models.tuning import apply_tuning

NAMES = tuple(FAMILIES)


@pytest.fixture
def folder_of(golden, tmp_path):
    """A golden checkpoint in a layout and a dtype."""

    def make(name, layout, dtype="float32"):
        kind, *shards = layout.split()
        model = load_model(golden / name, dtype=dtype)
        size = "200KB" if shards else "5GB"
        model.save_pretrained(tmp_path, max_shard_size=size, save_original_format=kind == "published")
        assert len(weight_files(tmp_path)) == 1 or shards
        return tmp_path

    return make


def load_as_transformers_does(folder, dtype):
    family = read_family(folder)
    return MODEL_CLASSES[family.native_class].from_pretrained(
        folder, config=read_config(folder, family), dtype=TORCH_DTYPES[dtype]
    )


@pytest.mark.parametrize("name", NAMES)
class TestSameAsTransformers:
    @pytest.mark.parametrize(
        ("layout", "stored", "dtype"),
        [
            ("published", "float32", "float32"),
            ("published shards", "bfloat16", "bfloat16"),
            ("published shards", "bfloat16", "float32"),
            ("native", "bfloat16", "bfloat16"),
            ("native shards", "float32", "float16"),
        ],
    )
    def test_every_tensor_and_buffer(self, name, layout, stored, dtype, folder_of):
        folder = folder_of(name, layout, stored)
        ours, theirs = load_model(folder, dtype=dtype), load_as_transformers_does(folder, dtype)
        for kind in ("named_parameters", "named_buffers"):
            found, wanted = dict(getattr(ours, kind)()), dict(getattr(theirs, kind)())
            assert found.keys() == wanted.keys()
            for key, tensor in wanted.items():
                assert found[key].dtype == tensor.dtype, key
                assert found[key].requires_grad == tensor.requires_grad, key
                assert torch.equal(found[key], tensor), key

    @pytest.mark.parametrize("layout", ["published", "native"])
    def test_what_it_says_about_itself(self, name, layout, folder_of):
        folder = folder_of(name, layout)
        if layout == "native":
            (folder / "generation_config.json").write_text('{"max_new_tokens": 7}', encoding="utf-8")
        ours, theirs = load_model(folder), load_as_transformers_does(folder, "float32")
        assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()
        assert ours.config.to_dict() == theirs.config.to_dict()
        assert ours.name_or_path == str(theirs.name_or_path)


@pytest.fixture
def reads(monkeypatch):
    """Names of the tensors that are read, in order."""
    seen = []

    class Counted:
        def __init__(self, path, **options):
            self._handle = safe_open(path, **options)

        def __enter__(self):
            self._handle.__enter__()
            return self

        def __exit__(self, *raised):
            return self._handle.__exit__(*raised)

        def __getattr__(self, name):
            return getattr(self._handle, name)

        def get_tensor(self, name):
            seen.append(name)
            return self._handle.get_tensor(name)

    monkeypatch.setattr(weights, "safe_open", Counted)
    return seen


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
class TestMemory:
    def test_each_tensor_is_read_once(self, name, dtype, golden, reads):
        load_model(golden / name, dtype=dtype)
        stored = load_file(golden / name / "model.safetensors")
        assert sorted(reads) == sorted(stored.keys() - set(FAMILIES[name].unused_tensors))

    def test_new_memory_is_what_had_to_be_cast_or_stacked(self, name, dtype, golden, monkeypatch):
        made = []

        def empty(*sizes, **options):
            made.append(real(*sizes, **options))
            return made[-1]

        real = torch.empty
        monkeypatch.setattr(weights.torch, "empty", empty)
        model = load_model(golden / name, dtype=dtype)
        owned = {tensor.data_ptr() for tensor in made}
        copied = {key for key, tensor in model.named_parameters() if tensor.data_ptr() in owned}
        stacked = {key for key, tensor in model.named_parameters() if ".experts." in key}
        assert copied == (stacked if dtype == "float32" else dict(model.named_parameters()).keys())

    def test_published_tensors_are_the_model_s_own_memory(self, name, dtype, golden):
        model = load_model(golden / name, dtype=dtype)
        spans = [
            (tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes) for tensor in model.state_dict().values()
        ]
        copied = {
            key
            for key, tensor in published_tensors(model).items()
            if not any(start <= tensor.data_ptr() < stop for start, stop in spans)
        }
        assert {key.split(".")[-2] for key in copied} <= {"qkv_proj"}
        assert all(tensor.is_contiguous() for tensor in published_tensors(model).values())


@pytest.mark.parametrize("name", NAMES)
def test_portions_change_nothing(name, golden, monkeypatch):
    whole = load_model(golden / name, dtype="bfloat16").state_dict()
    monkeypatch.setattr(weights, "PORTION_BYTES", 1)
    cut = load_model(golden / name, dtype="bfloat16").state_dict()
    assert all(torch.equal(cut[key], tensor) for key, tensor in whole.items())


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_restored_in_place_and_cast(name, golden):
    model = load_model(golden / name)
    stored = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    places = {key: tensor.data_ptr() for key, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    restore_weights(model, golden / name)
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in stored.items())
    assert {key: tensor.data_ptr() for key, tensor in model.state_dict().items()} == places
    half = load_model(golden / name, dtype="bfloat16")
    restore_weights(half, golden / name)
    assert all(torch.equal(half.state_dict()[key], tensor.bfloat16()) for key, tensor in stored.items())


class TestMappedFile:
    def test_what_is_learned_stays_out_of_it(self, folder_of):
        folder = folder_of("deepseek_ocr", "published")
        before = (folder / "model.safetensors").read_bytes()
        model = load_model(folder)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1)
        assert (folder / "model.safetensors").read_bytes() == before

    def test_nor_do_merged_adapters_restored_and_cast_weights_reach_it(self, folder_of, fp32_policy):
        folder = folder_of("deepseek_ocr", "native")
        before = (folder / "model.safetensors").read_bytes()
        model = load_model(folder)
        apply_tuning(model, TuningSection(lora=LoraSection(preset="experts", rank=4)), fp32_policy)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.add_(0.1 * (".lora_" in name))
        merged = merge(model).lm_head.weight, model.model.language_model.layers[-1].mlp.experts.down_proj
        restore_weights(model, folder)
        assert all(bool(tensor.isfinite().all()) for tensor in merged)
        model.half()
        assert (folder / "model.safetensors").read_bytes() == before

    def test_may_be_replaced_by_the_model_itself(self, folder_of):
        folder = folder_of("deepseek_ocr", "published")
        model = load_model(folder)
        with torch.no_grad():
            model.model.language_model.norm.weight.add_(1)
        wanted = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        save_published(model, folder)
        again = load_model(folder).state_dict()
        for key, tensor in wanted.items():
            assert torch.equal(model.state_dict()[key], tensor)
            assert torch.equal(again[key], tensor)

    def test_may_be_deleted(self, folder_of):
        folder = folder_of("deepseek_ocr", "published")
        model, wanted = load_model(folder), load_file(folder / "model.safetensors")["lm_head.weight"].clone()
        (folder / "model.safetensors").unlink()
        assert torch.equal(model.lm_head.weight, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_a_native_folder_is_published_under_published_names(name, golden, folder_of, tmp_path):
    save_published(load_model(folder_of(name, "native")), tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    stored = load_file(golden / name / "model.safetensors")
    assert written.keys() == stored.keys() - set(FAMILIES[name].unused_tensors)
    assert all(torch.equal(tensor, stored[key]) for key, tensor in written.items())
