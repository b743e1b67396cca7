"""Packed rows: each example computes what it computes alone, and nothing of its neighbours reaches it."""

from functools import cache

import numpy as np
import pytest
import torch
from golden_batches import PAD_ID, read_golden

from ocrtune.config import LoraSection, TuningSection
from ocrtune.errors import InputsError
from ocrtune.families import FAMILIES
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.segments import (
    SEGMENTED,
    attend_by_segments,
    choose_kernel,
    make_segments,
    segmented_attention_forward,
)
from ocrtune.models.tuning import apply_tuning, prepare_checkpointing
from ocrtune.records import ModelInputs
from ocrtune.training.packed import collate_packs
from ocrtune.training.packing_counts import PACKED

TOLERANCE = 1e-5
WINDOW = 4


def text_example(length, prompt, seed):
    draw = np.random.default_rng(seed)
    ids = draw.integers(3, 400, length).astype(np.int64)
    ids[0] = 0
    labels = np.where(np.arange(length) < prompt, -100, ids)
    return ModelInputs(
        input_ids=ids,
        labels=labels,
        image_mask=np.zeros(length, np.bool_),
        views=(),
        num_prompt_tokens=prompt,
    )


@cache
def examples(family):
    """Golden pages with and without tiles, and texts between them, one with an answer longer than the window."""
    golden = read_golden(family).inputs
    texts = [text_example(9, 3, 1), text_example(40, 5, 2), text_example(2, 1, 3)]
    return [texts[0], *golden[:1], texts[1], *golden[1:], texts[2]]


def load(family, *, segmented):
    model = load_model(read_golden(family).folder)
    if segmented:
        attend_by_segments(model)
    return model


def padded(family, inputs):
    return collate(inputs, FAMILIES[family], pad_id=PAD_ID).native()


def packed(family, *packs):
    batch = collate_packs(packs, FAMILIES[family], pack_tokens=64, pad_id=PAD_ID)
    del batch[PACKED]
    return batch


def learn(model, *batches, router_loss=0.0):
    """Loss and gradients of an optimizer step of these batches."""
    model.zero_grad()
    num_items = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    losses = [
        supervised_loss(model, batch, num_items=num_items, router_loss=router_loss).loss for batch in batches
    ]
    for loss in losses:
        loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return float(sum(loss.detach() for loss in losses)), gradients


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module", params=FAMILIES)
def wanted(request):
    family = request.param
    model = load(family, segmented=False)
    model.trims_last_layer = False
    batch = padded(family, examples(family))
    return family, {weight: learn(model, batch, router_loss=weight) for weight in (0.0, 0.3)}


class TestPackedEqualsPadded:
    @pytest.mark.parametrize("router_loss", [0.0, 0.3])
    def test_in_loss_and_every_gradient(self, wanted, router_loss):
        family, of_padded = wanted
        loss, gradients = of_padded[router_loss]
        model = load(family, segmented=True)
        inputs = examples(family)
        for packs in (packed(family, inputs), packed(family, inputs[:2], inputs[2:])):
            found, found_gradients = learn(model, packs, router_loss=router_loss)
            assert found == pytest.approx(loss, abs=TOLERANCE)
            assert largest_difference(found_gradients, gradients) < TOLERANCE

    def test_also_in_several_forwards_of_a_step(self, wanted):
        family, of_padded = wanted
        inputs = examples(family)
        parts = packed(family, inputs[:2]), packed(family, inputs[2:])
        found, gradients = learn(load(family, segmented=True), *parts, router_loss=0.3)
        assert found == pytest.approx(of_padded[0.3][0], abs=TOLERANCE)
        assert largest_difference(gradients, of_padded[0.3][1]) < TOLERANCE

    def test_also_with_checkpointed_activations(self, wanted):
        family, of_padded = wanted
        model = load(family, segmented=True).train()
        prepare_checkpointing(model)
        found, gradients = learn(model, packed(family, examples(family)))
        assert found == pytest.approx(of_padded[0.0][0], abs=TOLERANCE)
        assert largest_difference(gradients, of_padded[0.0][1]) < TOLERANCE

    def test_also_with_adapters_on_experts_a_router_loss_and_checkpointed_activations(
        self, wanted, fp32_policy
    ):
        family, _ = wanted
        plain, segmented = (load(family, segmented=segmented).train() for segmented in (False, True))
        for model in (plain, segmented):
            apply_tuning(model, TuningSection(lora=LoraSection(preset="experts", rank=4)), fp32_policy)
            draw = torch.Generator().manual_seed(7)
            for name, parameter in model.named_parameters():
                if ".lora_B." in name:
                    torch.nn.init.normal_(parameter, std=0.05, generator=draw)
        prepare_checkpointing(segmented)
        loss, gradients = learn(plain, padded(family, examples(family)), router_loss=0.3)
        found, found_gradients = learn(segmented, packed(family, examples(family)), router_loss=0.3)
        assert found == pytest.approx(loss, abs=TOLERANCE)
        assert sum(".mlp.experts." in name for name in gradients) == 8
        assert largest_difference(found_gradients, gradients) < TOLERANCE


def conversations(family):
    """The examples, and beside them one with two answers, a window apart, and one that teaches nothing."""
    two, none = text_example(40, 5, 5), text_example(7, 3, 6)
    two.labels[12:25], none.labels[:] = -100, -100
    return [none, *examples(family)[:3], two, *examples(family)[3:]]


@pytest.mark.parametrize("family", FAMILIES)
class TestLastLayerAtSupervisedPositions:
    def compare(self, model, family):
        """Loss and gradients of the last layer at supervised positions, and of one at all."""
        batch = packed(family, conversations(family))
        for model.trims_last_layer in (True, False):
            yield learn(model, batch)

    @pytest.mark.parametrize("checkpointed", [False, True])
    @pytest.mark.parametrize("adapted", [False, True])
    def test_gives_the_loss_and_gradients_of_all_positions(self, family, checkpointed, adapted, fp32_policy):
        model = load(family, segmented=True).train()
        if adapted:
            apply_tuning(model, TuningSection(lora=LoraSection(preset="experts", rank=4)), fp32_policy)
        if checkpointed:
            prepare_checkpointing(model)
        (found, gradients), (wanted, wanted_gradients) = self.compare(model, family)
        assert found == pytest.approx(wanted, rel=1e-6)
        assert largest_difference(gradients, wanted_gradients) < TOLERANCE

    def test_gives_those_of_padded_rows(self, family):
        padded_model, model = (load(family, segmented=segmented) for segmented in (False, True))
        padded_model.trims_last_layer = False
        wanted, wanted_gradients = learn(padded_model, padded(family, conversations(family)))
        found, gradients = learn(model, packed(family, conversations(family)))
        assert found == pytest.approx(wanted, abs=TOLERANCE)
        assert largest_difference(gradients, wanted_gradients) < TOLERANCE

    def test_computes_in_the_same_dtypes_under_autocast(self, family):
        model = load(family, segmented=True).train()
        last = model.model.language_model.layers[-1]
        seen = []
        for module in (last.self_attn.o_proj, last.mlp, last.mlp.experts, model.model.language_model.norm):
            module.register_forward_hook(lambda _, given, out: seen.append((given[0].dtype, out.dtype)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            (found, gradients), (wanted, wanted_gradients) = self.compare(model, family)
        assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
        assert found == pytest.approx(wanted, rel=0.01)
        for name, gradient in gradients.items():
            assert bool(gradient.isfinite().all())
            assert gradient.dtype == wanted_gradients[name].dtype

    def test_of_which_there_are_none_gives_gradients_of_zeros(self, family):
        model = load(family, segmented=True)
        batch = packed(family, examples(family))
        output = supervised_loss(
            model, {**batch, "labels": torch.full_like(batch["labels"], -100)}, num_items=7
        )
        output.loss.backward()
        assert float(output.loss.detach()) == 0
        assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_gradient_of_an_example_reaches_the_inputs_of_another(family):
    model = load(family, segmented=True)
    batch = packed(family, [text_example(9, 3, 1), text_example(40, 5, 2), text_example(30, 4, 4)])
    embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    logits = model(**{**batch, "input_ids": None}, inputs_embeds=embedded).logits
    (gradient,) = torch.autograd.grad(logits[:, 9:49].pow(2).sum(), embedded)
    assert not gradient[:, :9].any()
    assert not gradient[:, 49:].any()
    assert gradient[:, 9:49].any(dim=-1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_other_tokens_in_an_example_change_no_bit_of_what_others_attend_to(family):
    model = load(family, segmented=True)
    layer = model.model.language_model.layers[1].self_attn
    # The whole model moves by roundings: a product of experts is cut in other blocks for other numbers of tokens.
    segments = make_segments(
        model.config.text_config,
        (9, 40, 30),
        torch.zeros((1, 79), dtype=torch.int64),
        prompt_tokens=torch.tensor([3, 5, 4]),
        windowed=FAMILIES[family].reference_window,
    )
    draw = torch.Generator().manual_seed(0)
    states = [torch.randn(1, 4, 79, 16, generator=draw) for _ in range(3)]
    others = [state.clone() for state in states]
    for state in others:
        state[:, :, 9:49] = torch.randn(1, 4, 40, 16, generator=draw)
    attended, changed = (
        segmented_attention_forward(layer, *each, None, segments=segments, scaling=0.25)[0]
        for each in (states, others)
    )
    assert torch.equal(attended[:, :9], changed[:, :9])
    assert torch.equal(attended[:, 49:], changed[:, 49:])
    assert not torch.equal(attended[:, 9:49], changed[:, 9:49])


def test_each_example_of_unlimited_has_the_logits_of_the_published_mask():
    golden = read_golden("unlimited_ocr")
    model = load("unlimited_ocr", segmented=True)
    lengths = [len(example) for example in golden.inputs]
    with torch.no_grad():
        logits = model(**packed("unlimited_ocr", golden.inputs)).logits[0].split(lengths)
    for row, found in enumerate(logits):
        wanted = golden.recorded["output/rswa_logits"][row, : lengths[row]]
        assert torch.allclose(found, wanted, atol=TOLERANCE)


def test_positions_begin_anew_with_each_example():
    config = load("deepseek_ocr", segmented=True).config.text_config
    segments = make_segments(config, [3, 1, 2], torch.zeros((1, 6), dtype=torch.int64))
    # Rotary positions are relative: only rounding would tell of others, thousands of positions on.
    assert segments.position_ids.tolist() == [[0, 1, 2, 0, 0, 1]]
    assert segments.borders.tolist() == [0, 3, 4, 6]


def test_a_window_mask_is_its_definition_and_left_out_where_it_hides_nothing():
    config = load("unlimited_ocr", segmented=True).config.text_config
    lengths, prompts = (6, 9, 12), (2, 4, 12)
    tokens = torch.zeros((1, sum(lengths)), dtype=torch.int64)
    segments = make_segments(config, lengths, tokens, prompt_tokens=torch.tensor(prompts), windowed=True)
    assert [mask is None for mask in segments.window_masks] == [True, False, True]
    mask = segments.window_masks[1]
    for i in range(9):
        for j in range(9):
            assert mask[i, j] == (j <= i and (j < 4 or i - j < WINDOW))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_segments_it_is_sdpa_bit_for_bit(family):
    batch = read_golden(family).batch.native()
    models = [load(family, segmented=segmented).eval() for segmented in (False, True)]
    with torch.no_grad():
        assert torch.equal(*(model(**batch).logits for model in models))
        text = {"input_ids": torch.arange(3, 15)[None], "max_new_tokens": 8, "do_sample": False}
        assert torch.equal(*(model.generate(**text) for model in models))


def test_only_the_decoder_is_set_and_no_checkpoint_tells_of_it(tmp_path):
    model = load("deepseek_ocr", segmented=True)
    assert model.config.text_config._attn_implementation == SEGMENTED
    assert model.config.vision_config._attn_implementation != SEGMENTED
    model.config.save_pretrained(tmp_path)
    assert SEGMENTED not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"segment_lengths": [3, 3]}, "segments of 6 tokens for 1 row"),
        ({"segment_lengths": [9, 0]}, "segments of 9 tokens"),
        ({"attention_mask": torch.ones((1, 9))}, "with attention_mask"),
        ({"images_seq_mask": torch.zeros((1, 9), dtype=torch.bool)}, "with images_seq_mask"),
    ],
)
def test_segments_that_do_not_fit_are_an_error(change, told):
    batch = packed("deepseek_ocr", [text_example(9, 3, 1)])
    with pytest.raises(InputsError, match=told):
        load("deepseek_ocr", segmented=True)(**{**batch, **change})


def test_segments_for_a_model_that_does_not_know_them_are_an_error():
    with pytest.raises(InputsError, match="attend_by_segments"):
        load("deepseek_ocr2", segmented=False)(**packed("deepseek_ocr2", [text_example(9, 3, 1)]))


@pytest.mark.parametrize(
    ("facts", "kernel"),
    [
        ({}, "varlen"),
        ({"device": "cpu", "capability": None}, "each"),
        ({"capability": (7, 5)}, "each"),
        ({"dtype": torch.float32}, "each"),
        ({"masked": True}, "each"),
        ({"available": False}, "each"),
    ],
)
def test_one_call_attends_to_all_segments_where_the_device_can(facts, kernel):
    usual = {
        "device": "cuda",
        "capability": (8, 0),
        "dtype": torch.bfloat16,
        "masked": False,
        "available": True,
    }
    assert choose_kernel(**{**usual, **facts}) == kernel
