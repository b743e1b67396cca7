import json
import shutil
from copy import deepcopy
from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file

from ocrtune import __version__
from ocrtune.config import LoraSection, TuningSection
from ocrtune.errors import CheckpointError, TensorMismatch, TuningError
from ocrtune.families import FAMILIES, get_family
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.models import load_model
from ocrtune.models.checkpoint import (
    FORMAT,
    LEARNED_FILE,
    CheckpointCard,
    adapter_state_published,
    find_checkpoint,
    load_checkpoint,
    merge,
    read_card,
    restore_learned,
    save_checkpoint,
)
from ocrtune.models.tensors import published_tensors
from ocrtune.models.tuning import apply_tuning, has_adapters, learning_names

TUNINGS = {
    "full": TuningSection(method="full", parts=("decoder", "projector", "vision")),
    "full-decoder": TuningSection(method="full", parts=("decoder",)),
    "lora": TuningSection(parts=("decoder",), lora=LoraSection(rank=4)),
    "lora-experts": TuningSection(parts=("decoder",), lora=LoraSection(preset="experts", rank=4)),
    "lora-all": TuningSection(
        parts=("decoder", "projector", "vision"), lora=LoraSection(preset="experts", rank=4)
    ),
    "lora-projector": TuningSection(parts=("projector",)),
    "qlora": TuningSection(method="qlora", parts=("decoder",), lora=LoraSection(rank=4)),
}


def make_card(family, tuning, base, **values):
    return CheckpointCard(
        inputs=InputsRecipe.default(get_family(family)), tuning=tuning, base=str(base), **values
    )


def make_optimizer(model):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)


def take_steps(model, optimizer, batches):
    model.train()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        model(**batch, use_cache=False).loss.backward()
        optimizer.step()


def logits(model, batch):
    with torch.no_grad():
        return model.eval()(**{key: value for key, value in batch.items() if key != "labels"}).logits


def assert_same_bits(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.fixture(scope="module")
def trained(load_golden, native_batch, fp32_policy):
    """A model of a tuning after two steps, and the caller's own: each is trained once and copied."""

    @cache
    def train(name, family):
        model = load_golden(family)
        apply_tuning(model, TUNINGS[name], fp32_policy)
        take_steps(model, make_optimizer(model), [native_batch(family, seed=seed) for seed in (1, 2)])
        model.zero_grad(set_to_none=True)
        return model

    return lambda name, family="deepseek_ocr": deepcopy(train(name, family))


@pytest.fixture(scope="module")
def save(golden, word_tokenizer):
    """Writes a model of a tuning as a checkpoint, and returns the card."""

    def write(model, folder, name, **values):
        family = model.family.name
        card = make_card(family, TUNINGS[name], golden / family, **values)
        save_checkpoint(model, folder, card=card, tokenizer=word_tokenizer)
        return card

    return write


@pytest.fixture(scope="module")
def lora_checkpoint(trained, save, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    save(trained("lora-all"), folder, "lora-all", step=2)
    return folder


@pytest.fixture
def copied(lora_checkpoint, tmp_path):
    return shutil.copytree(lora_checkpoint, tmp_path / "copied")


@pytest.mark.parametrize("name", TUNINGS)
def test_a_checkpoint_gives_back_the_same_bits(trained, save, native_batch, tmp_path, name):
    model = trained(name)
    card = save(model, tmp_path, name, step=2, scores={"cer": 0.25})
    loaded = load_checkpoint(tmp_path, device="cpu")
    assert_same_bits(loaded.model, model)
    assert torch.equal(logits(loaded.model, native_batch()), logits(model, native_batch()))
    assert loaded.card == card
    assert loaded.recipe == card.inputs
    assert not loaded.model.training
    assert learning_names(loaded.model) == []
    assert loaded.tokenizer.folder == tmp_path
    assert (tmp_path / LEARNED_FILE).exists() == card.needs_base


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["full", "lora-all"])
def test_every_family_is_restored(trained, save, tmp_path, family, name):
    model = trained(name, family)
    save(model, tmp_path, name)
    loaded = load_checkpoint(tmp_path, device="cpu")
    assert_same_bits(loaded.model, model)
    assert loaded.model.family.name == family


@pytest.fixture(scope="module")
def set_up(load_golden, fp32_policy):
    """A model of a tuning before its first step, and its optimizer."""

    def make(name):
        model = load_golden()
        apply_tuning(model, TUNINGS[name], fp32_policy, seed=1)
        return model, make_optimizer(model)

    return make


@pytest.mark.parametrize("name", ["full", "full-decoder", "lora", "lora-experts", "lora-all"])
def test_resumed_equals_uninterrupted(set_up, native_batch, save, tmp_path, name):
    batches = [native_batch(seed=seed) for seed in range(4)]
    straight, optimizer = set_up(name)
    take_steps(straight, optimizer, batches)

    interrupted, optimizer = set_up(name)
    take_steps(interrupted, optimizer, batches[:2])
    save(interrupted, tmp_path, name)
    saved_optimizer = optimizer.state_dict()

    resumed, optimizer = set_up(name)
    restore_learned(resumed, tmp_path)
    optimizer.load_state_dict(saved_optimizer)
    take_steps(resumed, optimizer, batches[2:])
    assert_same_bits(resumed, straight)


def test_only_what_learned_is_written_beside_a_base(trained, lora_checkpoint):
    learned = load_file(lora_checkpoint / LEARNED_FILE)
    assert sorted(learned) == sorted(learning_names(trained("lora-all")))
    assert {tensor.dtype for tensor in learned.values()} == {torch.float32}
    assert not (lora_checkpoint / "model.safetensors").exists()


def test_files_of_others_stay_in_the_folder(trained, save, tmp_path):
    (tmp_path / "optimizer.pt").write_bytes(b"state")
    save(trained("lora"), tmp_path, "lora")
    assert (tmp_path / "optimizer.pt").read_bytes() == b"state"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_the_card_is_written_last(trained, save, tmp_path, monkeypatch):
    model = trained("lora")
    save(model, tmp_path, "lora")

    def fail(self, folder):
        raise OSError("disk full")

    monkeypatch.setattr(Tokenizer, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        save(model, tmp_path, "lora")
    with pytest.raises(CheckpointError, match=r"no ocrtune\.json") as caught:
        load_checkpoint(tmp_path, device="cpu")
    assert "interrupted" in caught.value.hint


def test_a_plain_model_folder_is_a_checkpoint_with_the_familys_defaults(golden, word_tokenizer, tmp_path):
    shutil.copytree(golden / "deepseek_ocr2", tmp_path, dirs_exist_ok=True)
    word_tokenizer.write(tmp_path)
    loaded = load_checkpoint(tmp_path, device="cpu")
    assert loaded.recipe == InputsRecipe.default(get_family("deepseek_ocr2"))
    assert loaded.card.tuning is None
    assert_same_bits(loaded.model, load_model(golden / "deepseek_ocr2"))


def test_a_checkpoint_is_loaded_in_the_dtype_asked_for(lora_checkpoint):
    model = load_checkpoint(lora_checkpoint, device="cpu", dtype="bfloat16").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_card_says_what_the_readme_promises(lora_checkpoint):
    values = json.loads((lora_checkpoint / "ocrtune.json").read_text(encoding="utf-8"))
    assert set(values) == {"format", "version", "inputs", "tuning", "base", "step", "scores"}
    assert values["format"] == FORMAT
    assert values["version"] == __version__
    assert values["inputs"]["family"] == "deepseek_ocr"
    assert values["tuning"]["lora"]["preset"] == "experts"


@pytest.mark.parametrize("tuning", [None, *TUNINGS.values()])
def test_a_card_is_read_back_equal(tuning):
    card = CheckpointCard(
        inputs=InputsRecipe.default(get_family("unlimited_ocr")),
        tuning=tuning,
        base="b",
        step=7,
        scores={"cer": 0.5},
    )
    assert CheckpointCard.from_dict(json.loads(json.dumps(card.as_dict()))) == card


def edit_card(folder, **values):
    path = folder / "ocrtune.json"
    card = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(card), encoding="utf-8")


def test_a_later_format_is_refused_with_the_version_that_wrote_it(copied):
    edit_card(copied, format=FORMAT + 1, version="9.1.0")
    with pytest.raises(CheckpointError, match="format 2, this ocrtune reads up to 1") as caught:
        load_checkpoint(copied, device="cpu")
    assert "9.1.0" in caught.value.hint
    assert caught.value.where.endswith("ocrtune.json")


def test_a_card_that_is_no_json_is_refused(copied):
    (copied / "ocrtune.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not JSON"):
        read_card(copied)
    (copied / "ocrtune.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CheckpointError, match="a JSON object is wanted, not list"):
        read_card(copied)


def test_an_unknown_tuning_key_is_refused(copied):
    edit_card(copied, tuning={"method": "dora"})
    with pytest.raises(CheckpointError, match="what learned cannot be read"):
        load_checkpoint(copied, device="cpu")


def test_a_base_that_moved_is_asked_for(copied, golden):
    edit_card(copied, base="gone")
    with pytest.raises(CheckpointError, match="base model 'gone' is not there") as caught:
        load_checkpoint(copied, device="cpu")
    assert "--base" in caught.value.hint
    load_checkpoint(copied, device="cpu", base=golden / "deepseek_ocr")


def test_a_base_of_another_family_is_refused_even_if_its_tensors_fit(copied, golden):
    with pytest.raises(
        CheckpointError, match="the adapter is of DeepSeek-OCR, the base model of Unlimited-OCR"
    ):
        load_checkpoint(copied, device="cpu", base=golden / "unlimited_ocr")


def test_restoring_into_another_family_is_refused(copied, load_golden, fp32_policy):
    model = load_golden("unlimited_ocr")
    apply_tuning(model, TUNINGS["lora-all"], fp32_policy)
    with pytest.raises(CheckpointError, match="does not fit"):
        restore_learned(model, copied)


def test_tensors_that_do_not_fit_are_all_in_one_error(copied):
    path = copied / LEARNED_FILE
    tensors = load_file(path)
    names = sorted(tensors)
    tensors["model.unknown"] = tensors.pop(names[0])
    tensors[names[1]] = torch.zeros(3)
    save_file(tensors, path)
    with pytest.raises(TensorMismatch) as caught:
        load_checkpoint(copied, device="cpu")
    for expected in (
        f"1 missing: {names[0]}",
        "1 unexpected: model.unknown",
        f"1 mis-shaped: {names[1]} (3,), wanted",
    ):
        assert expected in caught.value.message


def test_an_adapter_of_another_recipe_is_not_restored(lora_checkpoint, load_golden, fp32_policy):
    model = load_golden()
    apply_tuning(model, TUNINGS["lora"], fp32_policy)
    with pytest.raises(TensorMismatch, match="unexpected"):
        restore_learned(model, lora_checkpoint)


def test_missing_and_broken_files_are_named(copied):
    (copied / LEARNED_FILE).write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(copied, device="cpu")
    (copied / LEARNED_FILE).unlink()
    with pytest.raises(CheckpointError, match=f"no {LEARNED_FILE}"):
        load_checkpoint(copied, device="cpu")


def test_a_folder_without_a_card_cannot_be_resumed_from(load_golden, tmp_path):
    with pytest.raises(CheckpointError, match=r"no ocrtune\.json"):
        restore_learned(load_golden(), tmp_path)


def test_a_card_that_contradicts_the_model_is_refused(trained, golden, word_tokenizer, tmp_path):
    card = make_card("deepseek_ocr", TUNINGS["full"], golden / "deepseek_ocr")
    with pytest.raises(CheckpointError, match="the card says full, the model has adapters"):
        save_checkpoint(trained("lora"), tmp_path, card=card, tokenizer=word_tokenizer)
    baseless = CheckpointCard(inputs=card.inputs, tuning=TUNINGS["lora"])
    with pytest.raises(CheckpointError, match="names no base"):
        save_checkpoint(trained("lora"), tmp_path, card=baseless, tokenizer=word_tokenizer)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("lora", "deepseek_ocr"),
        ("lora-experts", "deepseek_ocr"),
        *(("lora-all", family) for family in FAMILIES),
    ],
)
def test_merged_equals_unmerged(trained, load_golden, native_batch, family, name):
    model, batch = trained(name, family), native_batch(family, seed=9)
    unmerged = logits(model, batch)
    merged = merge(model)
    assert merged is model
    assert not has_adapters(merged)
    assert merged.state_dict().keys() == load_golden(family).state_dict().keys()
    assert (logits(merged, batch) - unmerged).abs().max() < 1e-5
    assert (unmerged - logits(load_golden(family), batch)).abs().max() > 1e-3


def test_merging_a_model_without_adapters_changes_no_bit(trained, load_golden):
    assert_same_bits(merge(load_golden()), load_golden())


def test_an_adapter_that_is_not_finite_is_not_merged(trained):
    model = trained("lora")
    model.get_parameter("model.language_model.layers.0.self_attn.q_proj.lora_B.default.weight").data.fill_(
        torch.nan
    )
    with pytest.raises(CheckpointError, match="not finite") as caught:
        merge(model)
    assert caught.value.where == "model.language_model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("name", ["lora", "lora-experts"])
def test_the_published_adapter_makes_the_published_weights_of_the_merged_model(trained, golden, name):
    model = trained(name)
    adapter = adapter_state_published(model)
    assert adapter.left_out == ()
    scale = adapter.config["lora_alpha"] / adapter.config["r"]
    base = load_file(golden / "deepseek_ocr" / "model.safetensors")
    merged = published_tensors(merge(model))
    paths = adapter.config["target_modules"]
    assert len(adapter.tensors) == 2 * len(paths)
    for path in paths:
        first = adapter.tensors[f"base_model.model.{path}.lora_A.weight"]
        second = adapter.tensors[f"base_model.model.{path}.lora_B.weight"]
        expected = base[f"{path}.weight"] + scale * second @ first
        assert torch.allclose(merged[f"{path}.weight"], expected, atol=1e-6), path
    changed = {name for name in merged if name in base and not torch.equal(merged[name], base[name])}
    assert changed <= {f"{path}.weight" for path in paths}


def test_what_servers_cannot_load_is_listed(trained):
    adapter = adapter_state_published(trained("lora-all"))
    assert all(name.startswith("base_model.model.model.layers.") for name in adapter.tensors)
    assert "model.image_newline" in adapter.left_out
    assert any("vision_tower" in name for name in adapter.left_out)
    with pytest.raises(TuningError, match="no adapters"):
        adapter_state_published(trained("full"))


def test_a_run_folder_means_its_best_checkpoint(tmp_path):
    (tmp_path / "config.yaml").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no best checkpoint yet"):
        find_checkpoint(tmp_path)
    (tmp_path / "best.json").write_text('{"checkpoint": "checkpoints/checkpoint-7"}', encoding="utf-8")
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-7"
    plain = tmp_path / "checkpoints" / "checkpoint-7"
    plain.mkdir(parents=True)
    assert find_checkpoint(plain) == plain


def test_a_place_that_is_no_folder_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(CheckpointError):
        find_checkpoint(tmp_path / "nowhere")
