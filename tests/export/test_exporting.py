import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_models import random_page

from ocrtune.config import DecodingSection
from ocrtune.errors import CheckpointError, ExportError
from ocrtune.export import comparing, export, exporting
from ocrtune.models.checkpoint import load_checkpoint, merge, read_card
from ocrtune.prediction import predict

CLIP_TENSOR = "model.vision_model.embeddings.patch_embedding.weight"


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """A merged export of a LoRA checkpoint, made once."""
    return export(checkpoint("lora everywhere"), tmp_path_factory.mktemp("out") / "model")


def names_in(folder):
    with safe_open(folder / "model.safetensors", framework="pt") as handle:
        return set(handle.keys())


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("full", "deepseek_ocr"),
        ("lora", "deepseek_ocr"),
        ("experts", "deepseek_ocr"),
        ("lora everywhere", "unlimited_ocr"),
        ("experts", "deepseek_ocr2"),
    ],
)
def test_an_export_computes_what_its_checkpoint_computes(checkpoint, tmp_path, kind, family):
    source = checkpoint(kind, family)
    result = export(source, tmp_path / "out")
    assert result.max_difference < comparing.RELOAD_TOLERANCE
    before, after = (load_checkpoint(folder, device="cpu") for folder in (source, tmp_path / "out"))
    assert after.recipe == before.recipe
    logits = [
        comparing.page_logits(loaded.model, loaded.recipe, loaded.tokenizer) for loaded in (before, after)
    ]
    assert comparing.difference(logits[1], logits[0]).largest < comparing.RELOAD_TOLERANCE


def test_an_export_reads_pages_as_its_checkpoint_does(checkpoint, exported, tmp_path):
    pages = [random_page(f"{number}", (90 + 60 * number, 100), number) for number in range(3)]
    decoding = DecodingSection(max_new_tokens=8)
    found = predict(exported.folder, pages, decoding=decoding, device="cpu")
    assert found == predict(checkpoint("lora everywhere"), pages, decoding=decoding, device="cpu")


def test_weights_bear_the_published_names_the_unused_tensor_among_them(exported, golden):
    assert names_in(exported.folder) == names_in(golden / "deepseek_ocr")
    base = load_file(golden / "deepseek_ocr" / "model.safetensors")
    assert torch.equal(load_file(exported.folder / "model.safetensors")[CLIP_TENSOR], base[CLIP_TENSOR])


def test_the_card_says_what_the_export_is_and_nothing_of_how_it_was_made(exported, checkpoint):
    card, source = read_card(exported.folder), read_card(checkpoint("lora everywhere"))
    assert card.inputs == source.inputs
    assert (card.step, card.scores) == (7, {"cer": 0.5})
    assert (card.tuning, card.base) == (None, None)


def test_files_of_the_base_that_loaders_read_are_copied(checkpoint, published_base, tmp_path):
    out = export(checkpoint("lora"), tmp_path / "out", base=published_base).folder
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "model.safetensors",
        "modeling_deepseekocr.py",
        "ocrtune.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_published_config_is_copied_as_it_stands(checkpoint, published_base, tmp_path, monkeypatch):
    # A published config of this size does not exist; the schema is told by its `language_config`.
    native = json.loads((published_base / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**native, "language_config": {}, "architectures": ["DeepseekOCRForCausalLM"]})
    (published_base / "config.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr("ocrtune.models.configs.native_schema", lambda raw, *_args, **_options: raw)
    result = export(checkpoint("lora"), tmp_path / "out", base=published_base)
    assert (result.folder / "config.json").read_text(encoding="utf-8") == text
    assert "config-native" not in {finding.code for finding in result.findings}


def test_a_native_config_names_the_published_architecture_and_is_a_finding(exported):
    config = json.loads((exported.folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"][0] == "DeepseekOCRForCausalLM"
    assert "config-native" in {finding.code for finding in exported.findings}


def test_a_base_without_the_unused_tensor_is_a_finding(checkpoint, published_base, tmp_path):
    tensors = load_file(published_base / "model.safetensors")
    del tensors[CLIP_TENSOR]
    (published_base / "model.safetensors").unlink()
    save_file(tensors, published_base / "model.safetensors")
    result = export(checkpoint("lora"), tmp_path / "out", base=published_base)
    assert "unused-tensor-missing" in {finding.code for finding in result.findings}
    assert CLIP_TENSOR not in names_in(result.folder)


def test_a_full_checkpoint_whose_base_is_gone_is_exported_with_a_finding(checkpoint, tmp_path):
    source = tmp_path / "moved"
    shutil.copytree(checkpoint("full"), source)
    card = json.loads((source / "ocrtune.json").read_text(encoding="utf-8"))
    card["base"] = str(tmp_path / "gone")
    (source / "ocrtune.json").write_text(json.dumps(card), encoding="utf-8")
    result = export(source, tmp_path / "out")
    assert {"base-missing", "config-native", "unused-tensor-missing"} <= {f.code for f in result.findings}
    with pytest.raises(CheckpointError):
        export(source, tmp_path / "other", base=tmp_path / "gone")


def test_an_adapter_whose_base_is_gone_is_an_error(checkpoint, tmp_path):
    source = tmp_path / "moved"
    shutil.copytree(checkpoint("lora"), source)
    card = json.loads((source / "ocrtune.json").read_text(encoding="utf-8"))
    card["base"] = str(tmp_path / "gone")
    (source / "ocrtune.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(CheckpointError):
        export(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plain_model_folder_is_exported_as_its_own_base(tiny_model, tmp_path):
    result = export(tiny_model("deepseek_ocr2").folder, tmp_path / "out")
    assert result.max_difference == 0.0


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_rounding_to_a_shorter_dtype_is_measured_and_allowed(checkpoint, tmp_path, dtype, stored):
    result = export(checkpoint("lora"), tmp_path / "out", dtype=dtype)
    assert {tensor.dtype for tensor in load_file(result.folder / "model.safetensors").values()} == {stored}
    assert result.dtype == dtype
    assert comparing.RELOAD_TOLERANCE < result.max_difference < 0.2


def test_the_dtype_is_the_base_s_without_another(checkpoint, published_base, tmp_path):
    tensors = load_file(published_base / "model.safetensors")
    (published_base / "model.safetensors").unlink()
    short = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    save_file(short, published_base / "model.safetensors")
    assert export(checkpoint("lora"), tmp_path / "out", base=published_base).dtype == "bfloat16"


@pytest.mark.parametrize("factor", [0.0, 2.0, float("nan")], ids=["dropped", "added twice", "not finite"])
def test_an_adapter_that_is_merged_wrongly_is_caught_and_leaves_nothing(
    checkpoint, tmp_path, monkeypatch, factor
):
    def wrong_merge(model):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(factor)
        return merge(model)

    monkeypatch.setattr(exporting, "merge", wrong_merge)
    with pytest.raises((ExportError, CheckpointError)):
        export(checkpoint("lora"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_files_that_hold_something_else_are_caught_and_leave_nothing(checkpoint, tmp_path, monkeypatch):
    def wrong_save(model, folder, **options):
        with torch.no_grad():
            model.lm_head.weight[5, 0] += 0.05
        save(model, folder, **options)
        with torch.no_grad():
            model.lm_head.weight[5, 0] -= 0.05

    save = exporting.save_published
    monkeypatch.setattr(exporting, "save_published", wrong_save)
    with pytest.raises(ExportError, match="read back differs from what was written"):
        export(checkpoint("lora"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_replaced_only_when_asked(checkpoint, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match="the folder has files in it") as caught:
        export(checkpoint("lora"), out)
    assert "--overwrite" in caught.value.hint
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    export(checkpoint("lora"), out, overwrite=True)
    assert not (out / "notes.txt").exists()
    assert (out / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_taken(checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    assert (export(checkpoint("lora"), tmp_path / "out").folder / "ocrtune.json").exists()


@pytest.mark.parametrize("above", [0, 1])
def test_a_checkpoint_is_never_replaced_by_its_export(checkpoint, tmp_path, above):
    source = tmp_path / "run" / "checkpoint"
    shutil.copytree(checkpoint("lora"), source)
    out = [source, source.parent][above]
    with pytest.raises(ExportError, match="which it is made of"):
        export(source, out, overwrite=True)
    assert (source / "learned.safetensors").exists()


def test_a_file_is_no_folder_to_export_to(checkpoint, tmp_path):
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(ExportError, match="this is a file"):
        export(checkpoint("lora"), tmp_path / "out", overwrite=True)
