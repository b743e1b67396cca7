from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from transformers import GenerationConfig

from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError
from ocrtune.families import FAMILIES
from ocrtune.inputs import encode
from ocrtune.models import load_model
from ocrtune.prediction import answer, loops
from ocrtune.prediction.answering import batches_of_like_length, room_to_answer, settle_decoding
from ocrtune.records import Example

# More than the window of 4 that the golden Unlimited-OCR checkpoint decodes with.
NEW_TOKENS = 12
SIZES = [(200, 60), (90, 100), (300, 250), (60, 200), (128, 128), (250, 300)]
PROMPTS = ["<image>\nFree OCR.", "<image>Parse", "Say it: <image>\nFree OCR. Now."]


def examples(tiny, sizes):
    from PIL import Image

    for index, size in enumerate(sizes):
        pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), np.uint8)
        yield Example(
            name=f"page {index}", images=(Image.fromarray(pixels),), prompt=PROMPTS[index % len(PROMPTS)]
        )


@pytest.fixture(scope="module")
def model(tiny):
    return load_model(tiny.folder)


@pytest.fixture(scope="module")
def inputs(tiny):
    # A view of DeepSeek-OCR-2 has 768 px and more, so it gets fewer pages, one of them with two tiles.
    sizes = [(600, 300), (1200, 600), (300, 700)] if tiny.family.view_sides_px else SIZES
    return [encode(example, tiny.recipe, tiny.tokenizer) for example in examples(tiny, sizes)]


@pytest.fixture(scope="module")
def one_by_one(tiny, model, inputs):
    decoding = DecodingSection(max_new_tokens=NEW_TOKENS, batch_size=1)
    return answer(model, tiny.family, tiny.tokenizer, inputs, decoding)


@pytest.fixture(scope="module")
def v1(tiny_v1):
    return load_model(tiny_v1.folder)


@pytest.fixture(scope="module")
def v1_inputs(tiny_v1):
    return [encode(example, tiny_v1.recipe, tiny_v1.tokenizer) for example in examples(tiny_v1, SIZES[:2])]


def test_prompts_differ_in_length(inputs):
    assert len({len(row) for row in inputs}) > 1


@pytest.mark.parametrize("batch_size", [2, 5])
def test_a_batch_reads_what_its_pages_read_alone(tiny, model, inputs, one_by_one, batch_size):
    decoding = DecodingSection(max_new_tokens=NEW_TOKENS, batch_size=batch_size)
    assert answer(model, tiny.family, tiny.tokenizer, inputs, decoding) == one_by_one


def test_a_row_that_ends_early_leaves_those_of_its_length_alone(tiny, model, monkeypatch):
    monkeypatch.setattr(loops, "FEWEST_TOKENS", 24)
    monkeypatch.setattr(loops, "LOOK_EVERY_TOKENS", 4)
    decoding = DecodingSection(max_new_tokens=56, no_repeat_ngram_tokens=0)
    rows = [
        replace(encode(example, tiny.recipe, tiny.tokenizer), name=example.name)
        for example in examples(tiny, [(120, 100)] * 9)
        if example.prompt == PROMPTS[0]
    ]

    def read(size):
        options = decoding.model_copy(update={"batch_size": size})
        return answer(model, tiny.family, tiny.tokenizer, rows, options, stops_loops=True)

    assert len({len(row) for row in rows}) == 1, "they come in one batch of every family"
    found = read(3)
    assert found == read(1)
    assert len({row.stop for row in found}) > 1, "one ends before the others"


def test_answers_are_longer_than_the_reference_window(one_by_one):
    assert max(found.num_tokens for found in one_by_one) == NEW_TOKENS
    assert len({found.tokens for found in one_by_one}) > 1


def test_an_answer_is_the_argmax_of_full_forwards_without_a_cache(tiny_v1, v1, v1_inputs):
    decoding = DecodingSection(max_new_tokens=5, no_repeat_ngram_tokens=0)
    (found, *_) = answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    from ocrtune.inputs.collate import collate

    row, wanted = v1_inputs[0], []
    for _ in range(5):
        batch = collate([row], tiny_v1.family, pad_id=2).native()
        batch.pop("labels")
        with torch.no_grad():
            token = int(v1(**batch, use_cache=False).logits[0, -1].argmax())
        wanted.append(token)
        row = replace(
            row,
            input_ids=np.append(row.input_ids, token),
            labels=np.append(row.labels, -100),
            image_mask=np.append(row.image_mask, False),
        )
    assert list(found.tokens) == wanted


def test_vision_runs_in_the_prefill_alone(tiny, model, inputs):
    calls = Counter()
    tower = model.model.vision_tower
    hook = tower.register_forward_hook(lambda *_: calls.update(["vision"]))
    prefix = model.model.language_model.register_forward_hook(lambda *_: calls.update(["decoder"]))
    try:
        decoding = DecodingSection(max_new_tokens=4, batch_size=1, no_repeat_ngram_tokens=0)
        tiled = max(inputs, key=lambda row: len(row.views[0].tiles))
        (found,) = answer(model, tiny.family, tiny.tokenizer, [tiled], decoding)
    finally:
        hook.remove()
        prefix.remove()
    # One forward for the global view and one for the tiles, whatever the answer's length.
    assert calls == {"vision": 2, "decoder": found.num_tokens}


def test_eos_ends_an_answer_and_a_limit_truncates_it(tiny_v1, v1, v1_inputs):
    decoding = DecodingSection(max_new_tokens=4)
    free = answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    assert [found.truncated for found in free] == [True, True]
    assert [found.num_tokens for found in free] == [4, 4]
    third = free[0].tokens[2]
    ending = _Ending(tiny_v1.tokenizer, eos_id=third)
    (ended, _) = answer(v1, tiny_v1.family, ending, v1_inputs, decoding)
    assert (ended.tokens, ended.num_tokens, ended.truncated) == (free[0].tokens[:2], 3, False)


class _Ending:
    """A tokenizer for which another id ends an answer."""

    def __init__(self, tokenizer, eos_id):
        self.eos_id = eos_id
        self.bos_id, self.pad_id, self.image_id = tokenizer.bos_id, tokenizer.pad_id, tokenizer.image_id
        self.unguarded_ids, self.kept_ids = tokenizer.unguarded_ids, tokenizer.kept_ids
        self.decode = tokenizer.decode


def test_the_guard_forbids_what_the_model_would_repeat(tiny_v1, v1, v1_inputs):
    def read(ngram):
        decoding = DecodingSection(max_new_tokens=40, no_repeat_ngram_tokens=ngram, window_tokens=200)
        return answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)

    def pairs(found):
        return Counter(zip(found.tokens, found.tokens[1:], strict=False))

    assert any(max(pairs(found).values()) > 1 for found in read(0))
    assert all(max(pairs(found).values()) == 1 for found in read(2))


def test_a_published_guard_of_the_model_itself_does_not_come_on_top(tiny_v1, v1, v1_inputs):
    decoding = DecodingSection(max_new_tokens=20, no_repeat_ngram_tokens=0)
    wanted = answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    before = v1.generation_config
    own = GenerationConfig(no_repeat_ngram_size=1, repetition_penalty=3.0, max_new_tokens=1)
    v1.generation_config = own
    try:
        assert answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding) == wanted
        assert v1.generation_config is own
    finally:
        v1.generation_config = before


def test_an_answer_in_the_inputs_is_left_out(tiny_v1, v1, v1_inputs):
    decoding = DecodingSection(max_new_tokens=3)
    trained = [
        replace(
            row,
            input_ids=np.append(row.input_ids, [7, 8, 1]),
            labels=np.append(row.labels, [7, 8, 1]),
            image_mask=np.append(row.image_mask, [False] * 3),
        )
        for row in v1_inputs
    ]
    assert answer(v1, tiny_v1.family, tiny_v1.tokenizer, trained, decoding) == answer(
        v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding
    )


def test_a_model_in_training_comes_back_as_it_was(tiny_v1, v1_inputs):
    model = load_model(tiny_v1.folder)
    decoding = DecodingSection(max_new_tokens=6)
    wanted = answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.config.use_cache = False
    model.train()
    model.model.vision_tower.eval()
    modes = [module.training for module in model.modules()]
    lengths = []
    hook = model.model.language_model.register_forward_hook(
        lambda _module, _args, output: lengths.append(output.last_hidden_state.shape[1])
    )
    found = answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    hook.remove()
    assert found == wanted
    assert lengths[1:] == [1] * (len(lengths) - 1), (
        "each step after the prefill is of one token: the cache is on"
    )
    assert [module.training for module in model.modules()] == modes
    assert model.config.use_cache is False
    assert model.model.language_model.layers[0].gradient_checkpointing


def test_a_failure_puts_the_model_back_too(tiny_v1, v1_inputs):
    model = load_model(tiny_v1.folder).train()
    settings = model.generation_config
    hook = model.lm_head.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, DecodingSection(max_new_tokens=2))
    hook.remove()
    assert model.training
    assert model.generation_config is settings


@pytest.mark.parametrize("wrap", [False, True], ids=["injected", "wrapped"])
def test_adapters_take_part_in_decoding(tiny_v1, v1_inputs, wrap):
    model = load_model(tiny_v1.folder)
    decoding = DecodingSection(max_new_tokens=6)
    plain = answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=r"model\.language_model\..*\.q_proj")
    tuned = get_peft_model(model, lora) if wrap else inject_adapter_in_model(lora, model)
    untrained = answer(tuned, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=2.0)
    assert untrained == plain
    assert answer(tuned, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding) != plain


def test_autocast_is_on_while_decoding_and_leaves_nothing_behind(tiny_v1, v1, v1_inputs):
    dtypes = []
    hook = v1.lm_head.register_forward_hook(lambda _module, _args, output: dtypes.append(output.dtype))
    try:
        decoding = DecodingSection(max_new_tokens=2)
        answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding, autocast_dtype=torch.bfloat16)
        assert set(dtypes) == {torch.bfloat16}
        dtypes.clear()
        answer(v1, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, decoding)
        assert set(dtypes) == {torch.float32}
    finally:
        hook.remove()


def test_gradients_flow_after_decoding_under_an_outer_autocast(tiny_v1, v1_inputs):
    from ocrtune.inputs.collate import collate

    model = load_model(tiny_v1.folder)
    batch = collate(v1_inputs, tiny_v1.family, pad_id=2).native()
    batch["labels"] = batch["input_ids"].clone()
    batch["labels"][batch["labels"] == tiny_v1.tokenizer.image_id] = -100
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, DecodingSection(max_new_tokens=2))
        model(**batch).loss.backward()
    assert model.model.language_model.layers[0].self_attn.q_proj.weight.grad is not None


def test_a_model_in_bf16_reads_pages_without_a_cast_by_the_caller(tiny_v1, v1_inputs):
    model = load_model(tiny_v1.folder, dtype="bfloat16")
    found = answer(model, tiny_v1.family, tiny_v1.tokenizer, v1_inputs, DecodingSection(max_new_tokens=3))
    assert [row.num_tokens for row in found] == [3, 3]


def test_the_model_s_positions_limit_an_answer_row_by_row(tiny_v1, v1_inputs):
    model = load_model(tiny_v1.folder)
    short, long = sorted(v1_inputs, key=len)
    model.config.text_config.max_position_embeddings = len(long) + 2
    found = answer(
        model, tiny_v1.family, tiny_v1.tokenizer, [short, long], DecodingSection(max_new_tokens=50)
    )
    assert [row.num_tokens for row in found] == [min(50, len(long) + 2 - len(short)), 2]
    assert [row.truncated for row in found] == [True, True]


def test_a_prompt_without_room_for_an_answer_is_an_error(v1_inputs):
    (row, _) = v1_inputs
    assert room_to_answer(row, len(row) + 1) == 1
    with pytest.raises(PredictionError, match=f"the prompt has {len(row)} tokens and the model {len(row)}"):
        room_to_answer(row, len(row))


def test_no_inputs_give_no_answers(tiny_v1, v1):
    assert answer(v1, tiny_v1.family, tiny_v1.tokenizer, [], DecodingSection()) == []


def test_batches_hold_every_row_once_and_lengths_that_are_close():
    lengths = [5, 9, 5, 7, 9, 1]
    batches = list(batches_of_like_length(lengths, 2, padded=True))
    assert batches == [[1, 4], [3, 0], [2, 5]]
    equal = list(batches_of_like_length(lengths, 2, padded=False))
    assert equal == [[1, 4], [3], [0, 2], [5]]
    assert all(len({lengths[row] for row in rows}) == 1 for rows in equal)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_settings_are_the_published_ones_but_for_what_is_said(family):
    published = family.decoding["single"]
    assert settle_decoding(DecodingSection(use="single"), family) == published
    off = settle_decoding(DecodingSection(use="single", no_repeat_ngram_tokens=0), family)
    assert (off.no_repeat_ngram_tokens, off.window_tokens) == (0, published.window_tokens)
