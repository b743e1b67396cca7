import json
import re

import pytest
import torch
from torch import nn

from ocrtune.config import LoraSection, OptimizerSection, TuningSection
from ocrtune.errors import MissingDependency, TuningError
from ocrtune.models.configs import CONFIG_CLASSES
from ocrtune.models.load import empty_model
from ocrtune.models.precision import DeviceFacts, choose_precision
from ocrtune.models.tuning import (
    LearningRow,
    LearningTable,
    apply_tuning,
    count_parameters,
    has_adapters,
    is_adapter,
    learning_names,
    part_of,
    prepare_checkpointing,
    print_table,
    quantization_config,
    quantization_settings,
)

FAMILIES = ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr")
ALL_PARTS = ("decoder", "projector", "vision")
ATTENTION = TuningSection(parts=("decoder",), lora=LoraSection(rank=4, alpha=8))
EXPERTS = TuningSection(parts=("decoder",), lora=LoraSection(preset="experts", rank=4, alpha=8))
EVERYTHING = TuningSection(parts=ALL_PARTS, lora=LoraSection(preset="experts", rank=4, alpha=8))
FULL = TuningSection(method="full", parts=ALL_PARTS)

REAL_DECODER = {
    "vocab_size": 129280,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "moe_intermediate_size": 896,
    "num_hidden_layers": 12,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
    "n_shared_experts": 2,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
    "mlp_layer_types": ["dense"] + ["sparse"] * 11,
    "max_position_embeddings": 8192,
}
REAL_VISION = {
    "sam_config": {"hidden_size": 768, "num_hidden_layers": 12, "mlp_dim": 3072},
    "encoder_config": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096},
}


def real_model():
    """DeepSeek-OCR in its real size, names and shapes only."""
    config = CONFIG_CLASSES["deepseek_ocr"](text_config=REAL_DECODER, vision_config=REAL_VISION)
    return empty_model(config)


def logits(model, batch):
    with torch.no_grad():
        return model.eval()(**{key: value for key, value in batch.items() if key != "labels"}).logits


def gradients(model, batch):
    model.zero_grad(set_to_none=True)
    model.train()(**batch, use_cache=False).loss.backward()
    return {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }


def shake_adapters(model, std=0.02):
    """As after some steps: the second matrices are no longer zero."""
    torch.manual_seed(7)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=std)


def by_part(table):
    return {(row.part, row.learns): row for row in table.rows}


def test_adapters_on_the_real_model_have_4_million_parameters_at_rank_16(fp32_policy):
    table = apply_tuning(real_model(), TuningSection(), fp32_policy).table
    rows = by_part(table)
    assert table.num_learning == 3_978_240
    assert rows["decoder attention adapters", True].parameters == 1_966_080
    assert rows["decoder dense mlp adapters", True].parameters == 390_144
    assert rows["decoder shared experts adapters", True].parameters == 1_622_016
    # The published model without the one patch embedding that no code reads.
    assert table.num_parameters - table.num_learning == 3_336_106_240 - 1024 * 3 * 14 * 14
    assert rows["decoder routed experts", False].parameters == 2_422_210_560


def test_adapters_on_routed_experts_of_the_real_model_are_counted_too(fp32_policy):
    tuning = TuningSection(parts=ALL_PARTS, lora=LoraSection(preset="experts"))
    rows = by_part(apply_tuning(real_model(), tuning, fp32_policy).table)
    assert rows["decoder routed experts adapters", True].parameters == 59_113_472
    assert rows["vision sam adapters", True].parameters == 2_359_296
    assert rows["vision encoder adapters", True].parameters == 7_077_888
    assert rows["projector", True].parameters == 2048 * 1280 + 1280


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_adapts_the_decoder_alone(load_golden, fp32_policy, family):
    model = load_golden(family)
    apply_tuning(model, ATTENTION, fp32_policy)
    adapted = {name.split(".lora_")[0] for name in learning_names(model)}
    layer = "model.language_model.layers"
    attention = {f"{layer}.{n}.self_attn.{p}_proj" for n in range(3) for p in "qkvo"}
    dense = {f"{layer}.0.mlp.{p}_proj" for p in ("gate", "up", "down")}
    shared = {f"{layer}.{n}.mlp.shared_experts.{p}_proj" for n in (1, 2) for p in ("gate", "up", "down")}
    assert adapted == attention | dense | shared
    assert all(is_adapter(name) for name in learning_names(model))


def test_bare_names_would_have_hit_the_vision_encoder(load_golden, fp32_policy):
    model = load_golden("deepseek_ocr2")
    bare = [name for name, _ in model.named_modules() if re.search(r"\.(q_proj|gate_proj)$", name)]
    assert any("vision_encoder" in name for name in bare)
    apply_tuning(model, ATTENTION, fp32_policy)
    assert not any("vision" in name for name in learning_names(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_experts_adds_both_matrices_of_each_layer(load_golden, fp32_policy, family):
    model = load_golden(family)
    table = apply_tuning(model, EXPERTS, fp32_policy).table
    assert by_part(table)["decoder routed experts adapters", True].tensors == 2 * 2 * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_vision_adapts_every_linear_layer_of_both_encoders(load_golden, fp32_policy, family):
    model = load_golden(family)
    linear = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and "vision_tower" in name
    }
    apply_tuning(model, TuningSection(parts=("vision",)), fp32_policy)
    assert {name.split(".lora_")[0] for name in learning_names(model)} == linear


@pytest.mark.parametrize("family", FAMILIES)
def test_the_projector_part_learns_in_full_beside_adapters(load_golden, fp32_policy, family):
    model = load_golden(family)
    apply_tuning(model, TuningSection(parts=("projector",)), fp32_policy)
    assert not has_adapters(model)
    names = set(learning_names(model))
    assert {"model.multi_modal_projector.weight", "model.multi_modal_projector.bias"} < names
    assert names - {"model.image_newline"} == {
        "model.multi_modal_projector.weight",
        "model.multi_modal_projector.bias",
        "model.view_separator",
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "parts", [("decoder",), ("projector",), ("vision",), ("decoder", "vision"), ALL_PARTS]
)
def test_full_tuning_learns_its_parts_and_freezes_the_others(load_golden, fp32_policy, family, parts):
    model = load_golden(family)
    apply_tuning(model, TuningSection(method="full", parts=parts), fp32_policy)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (part_of(name) in parts), name
    learned = set(learning_names(model))
    assert ("lm_head.weight" in learned) == ("decoder" in parts)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_counted_once(load_golden, fp32_policy, family):
    model = load_golden(family)
    table = apply_tuning(model, EVERYTHING, fp32_policy).table
    assert table.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(row.tensors for row in table.rows) == len(list(model.parameters()))
    assert sum(row.tensors for row in table.rows if row.learns) == len(learning_names(model))


def test_packed_4_bit_weights_are_counted_by_what_they_stand_for():
    layer = nn.Linear(64, 32, bias=False)
    layer.weight = nn.Parameter(torch.zeros(32 * 64 // 2, 1, dtype=torch.uint8), requires_grad=False)
    model = nn.ModuleDict({"lm_head": layer})
    assert count_parameters(model).rows == (
        LearningRow(part="decoder head", tensors=1, parameters=2048, dtype="uint8", learns=False),
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tiles", [False, True])
def test_adapters_change_no_bit_at_the_first_step(load_golden, native_batch, fp32_policy, family, tiles):
    model, batch = load_golden(family), native_batch(family, tiles=tiles)
    before = logits(model, batch)
    apply_tuning(model, EVERYTHING, fp32_policy)
    assert torch.equal(logits(model, batch), before)
    shake_adapters(model)
    assert not torch.allclose(logits(model, batch), before)


def test_the_same_seed_draws_the_same_adapters_whatever_was_drawn_before(load_golden, fp32_policy):
    def drawn(seed, noise):
        model = load_golden()
        torch.manual_seed(noise)
        apply_tuning(model, EXPERTS, fp32_policy, seed=seed)
        return {name: parameter.detach() for name, parameter in model.named_parameters() if is_adapter(name)}

    first, again, other = drawn(3, noise=1), drawn(3, noise=2), drawn(4, noise=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_setting_up_adapters_leaves_the_global_generator_alone(load_golden, fp32_policy):
    model = load_golden()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    apply_tuning(model, ATTENTION, fp32_policy)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_learns_beside_a_base_of_fewer_bits_is_fp32(load_golden, dtype):
    capability = (7, 5) if dtype == "float16" else (8, 0)
    policy = choose_precision("auto", DeviceFacts(kind="cuda", capability=capability), "lora")
    assert policy.base_dtype == dtype
    model = load_golden(dtype=dtype)
    table = apply_tuning(model, EVERYTHING, policy).table
    assert {row.dtype for row in table.rows if row.learns} == {"float32"}
    assert {row.dtype for row in table.rows if not row.learns} == {dtype}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tuning", [ATTENTION, EVERYTHING, FULL], ids=["attention", "everything", "full"])
def test_checkpointing_gives_the_same_gradients(load_golden, native_batch, fp32_policy, family, tuning):
    model, batch = load_golden(family), native_batch(family)
    apply_tuning(model, tuning, fp32_policy)
    shake_adapters(model)
    kept = gradients(model, batch)
    prepare_checkpointing(model)
    # transformers makes the embeddings' output ask for a gradient; the gradients must not hang on that.
    model.disable_input_require_grads()
    recomputed = gradients(model, batch)
    assert kept.keys() == recomputed.keys() == set(learning_names(model))
    for name, gradient in kept.items():
        assert torch.allclose(gradient, recomputed[name], rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("parts", [(), ("decoder",), ("vision",), ("decoder", "vision")])
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_are_checkpointed_alone_with_the_same_gradients(
    load_golden, native_batch, fp32_policy, family, parts
):
    model, batch = load_golden(family), native_batch(family)
    apply_tuning(model, FULL, fp32_policy)
    kept = gradients(model, batch)
    prepare_checkpointing(model, parts)
    calls = {
        "decoder": count_calls(model.model.language_model.layers[0].self_attn),
        "vision": count_calls(model.model.vision_tower.sam_encoder.layers[0].attn),
    }
    once = {name: len(seen) for name, seen in calls.items()}
    recomputed = gradients(model, batch)
    again = {name: len(seen) - once[name] for name, seen in calls.items()}
    # Vision runs once for all global views and once for all tiles.
    assert again == {"decoder": 1 + ("decoder" in parts), "vision": 2 * (1 + ("vision" in parts))}
    for name, gradient in kept.items():
        assert torch.allclose(gradient, recomputed[name], rtol=1e-5, atol=1e-6), name


def count_calls(module):
    seen = []
    module.register_forward_pre_hook(lambda *_: seen.append(1))
    return seen


def test_a_second_set_of_adapters_is_refused(load_golden, fp32_policy):
    model = load_golden()
    apply_tuning(model, ATTENTION, fp32_policy)
    with pytest.raises(TuningError, match="has adapters already"):
        apply_tuning(model, ATTENTION, fp32_policy)


def test_qlora_on_weights_that_are_not_quantised_is_refused(load_golden):
    policy = choose_precision("auto", DeviceFacts(kind="cuda", capability=(8, 0)), "qlora")
    with pytest.raises(TuningError, match="wants 4-bit weights, the model is not quantised"):
        apply_tuning(load_golden(), TuningSection(method="qlora"), policy)


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((9, 0), torch.bfloat16)])
def test_4_bit_weights_compute_in_the_dtype_of_the_policy(capability, dtype):
    policy = choose_precision("auto", DeviceFacts(kind="cuda", capability=capability), "qlora")
    settings = quantization_settings(policy)
    assert settings["bnb_4bit_compute_dtype"] == dtype
    assert settings["bnb_4bit_quant_type"] == "nf4"
    assert {"lm_head", "vision_tower", "multi_modal_projector"} == set(settings["llm_int8_skip_modules"])


def test_quantising_needs_bitsandbytes_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    card = DeviceFacts(kind="cuda", capability=(9, 0))
    assert quantization_config(choose_precision("auto", card, "lora")) is None
    with pytest.raises(MissingDependency, match="bitsandbytes") as caught:
        quantization_config(choose_precision("auto", card, "qlora"))
    assert "ocrtune[qlora]" in caught.value.hint


def test_4_bits_would_save_little_because_experts_are_no_linear_layers():
    rows = by_part(count_parameters(real_model()))
    quantised = ("decoder attention", "decoder dense mlp", "decoder shared experts")
    learns = True
    in_4_bits = sum(rows[part, learns].parameters for part in quantised)
    assert in_4_bits == 180_633_600
    total = sum(row.parameters for row in rows.values())
    assert in_4_bits / total < 0.055


def test_a_name_of_no_part_is_refused():
    with pytest.raises(TuningError, match="belongs to no part"):
        part_of("module.model.language_model.norm.weight")


def test_the_table_is_saved_as_rows_with_the_rates_of_their_parts(load_golden, fp32_policy):
    table = apply_tuning(load_golden(), EVERYTHING, fp32_policy).table
    rows = table.with_rates(OptimizerSection(learning_rate=1e-4, learning_rates={"vision": 5e-6})).as_dicts()
    assert json.loads(json.dumps(rows)) == rows
    assert set(rows[0]) == {"part", "tensors", "parameters", "dtype", "learns", "learning_rate"}
    rates = {row["part"]: row["learning_rate"] for row in rows if row["learns"]}
    assert rates["vision sam adapters"] == rates["vision encoder adapters"] == 5e-6
    assert rates["projector"] == rates["decoder attention adapters"] == 1e-4
    assert all(row["learning_rate"] is None for row in rows if not row["learns"])


def test_the_table_is_told_on_stderr(capsys):
    row = LearningRow(
        part="projector", tensors=2, parameters=1500, dtype="float32", learns=True, learning_rate=2e-5
    )
    frozen = LearningRow(part="decoder head", tensors=1, parameters=1500, dtype="bfloat16", learns=False)
    print_table(LearningTable((row, frozen)))
    told = capsys.readouterr()
    assert told.out == ""
    assert "2e-05" in told.err
    assert "1,500 of 3,000 parameters learn (50.00%)" in told.err
