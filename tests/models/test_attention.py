"""The training mask of a reference window, against its definition and against single rows."""

import pytest
import torch
from golden_batches import IMAGE_ID, read_golden
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrtune.models import load_model
from ocrtune.models.attention import prompt_lengths, reference_window_masks
from ocrtune.models.configs import REFERENCE_WINDOW

WINDOW = 4
UNLIMITED = read_golden("unlimited_ocr")


@pytest.fixture(scope="module")
def model():
    return load_model(UNLIMITED.folder)


def allowed(length, prompt, unpadded, window):
    """The definition, position by position."""
    mask = torch.zeros((length, length), dtype=torch.bool)
    for i in range(length):
        for j in range(length):
            mask[i, j] = j <= i and (j < prompt or i - j < window) and bool(unpadded[j])
    return mask


@settings(max_examples=40)
@given(data=st.data())
def test_the_mask_is_its_definition(model, data):
    length = data.draw(st.integers(1, 14))
    rows = data.draw(st.integers(1, 3))
    prompts = data.draw(st.lists(st.integers(0, length), min_size=rows, max_size=rows))
    lengths = data.draw(st.lists(st.integers(1, length), min_size=rows, max_size=rows))
    unpadded = torch.arange(length)[None] < torch.tensor(lengths)[:, None]
    masks = reference_window_masks(
        model.config.text_config,
        shape=(rows, length),
        attention_mask=unpadded.long(),
        prompt_tokens=torch.tensor(prompts),
        dtype=torch.float32,
    )
    found = masks[REFERENCE_WINDOW]
    for row in range(rows):
        # A padded query sees what it likes: nothing reads its output.
        queries = slice(0, lengths[row])
        wanted = allowed(length, prompts[row], unpadded[row], WINDOW)
        assert torch.equal(found[row, 0][queries], wanted[queries])


def test_without_padding_no_attention_mask_is_needed(model):
    given = {
        "text_config": model.config.text_config,
        "shape": (1, 9),
        "prompt_tokens": torch.tensor([3]),
        "dtype": torch.float32,
    }
    masks = [reference_window_masks(**given, attention_mask=mask) for mask in (None, torch.ones((1, 9)))]
    assert torch.equal(*(mask[REFERENCE_WINDOW] for mask in masks))


def test_the_prompt_ends_before_the_first_supervised_label():
    labels = torch.tensor([[-100, -100, 5, -100, 6], [-100] * 5, [7, -100, -100, -100, -100]])
    assert prompt_lengths(labels).tolist() == [2, 5, 0]


def rows_of_different_prompts():
    """Two rows of text whose answers are longer than the window and begin at different places."""
    draw = torch.Generator().manual_seed(0)
    rows, prompts = [], (3, 9)
    for prompt, length in zip(prompts, (12, 17), strict=True):
        ids = torch.randint(3, IMAGE_ID, (length,), generator=draw)
        rows.append((ids, torch.where(torch.arange(length) < prompt, -100, ids)))
    return rows


def padded(rows):
    def pad(values, fill):
        return torch.nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=fill)

    return {
        "input_ids": pad([ids for ids, _ in rows], 2),
        "labels": pad([labels for _, labels in rows], -100),
        "attention_mask": pad([torch.ones_like(ids) for ids, _ in rows], 0),
    }


def test_each_padded_row_has_the_logits_it_has_alone(model):
    rows = rows_of_different_prompts()
    with torch.no_grad():
        together = model(**padded(rows)).logits
        for row, (ids, labels) in enumerate(rows):
            alone = model(input_ids=ids[None], labels=labels[None]).logits[0]
            assert torch.allclose(together[row, : len(ids)], alone, atol=1e-5)


def test_a_given_prompt_goes_before_the_one_of_the_labels(model):
    batch = padded(rows_of_different_prompts())
    with torch.no_grad():
        from_labels = model(**batch).logits
        given = model(**batch, prompt_tokens=torch.tensor([3, 9])).logits
        other = model(**batch, prompt_tokens=torch.tensor([9, 9])).logits
    assert torch.equal(from_labels, given)
    assert not torch.allclose(given[0], other[0], atol=1e-4)


def test_without_labels_a_row_is_a_prompt(model):
    golden = UNLIMITED
    batch = golden.batch.native()
    del batch["labels"]
    with torch.no_grad():
        logits = model(**batch).logits
    assert torch.allclose(logits, golden.recorded["output/logits"], atol=1e-5)


def test_eager_attention_computes_the_same(model):
    batch = padded(rows_of_different_prompts())
    eager = load_model(UNLIMITED.folder)
    eager.set_attn_implementation("eager")
    kept = batch["attention_mask"].bool()
    with torch.no_grad():
        assert torch.allclose(eager(**batch).logits[kept], model(**batch).logits[kept], atol=1e-5)


def test_gradient_checkpointing_changes_no_gradient(model):
    gradients = []
    for checkpointing in (False, True):
        trained = load_model(UNLIMITED.folder).train()
        if checkpointing:
            trained.gradient_checkpointing_enable({"use_reentrant": False})
        trained(**UNLIMITED.batch.native()).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in trained.named_parameters()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-7) for name in gradients[0])


def test_a_family_without_a_window_is_not_touched():
    golden = read_golden("deepseek_ocr")
    model = load_model(golden.folder)
    batch = golden.batch.native()
    with torch.no_grad():
        logits = [model(**batch, prompt_tokens=tokens).logits for tokens in (None, torch.tensor([1, 1, 1]))]
    assert torch.equal(*logits)
