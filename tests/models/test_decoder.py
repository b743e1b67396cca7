"""A last layer at supervised positions alone gives the losses and gradients of one at all positions."""

import pytest
import torch
from golden_batches import IMAGE_ID, read_golden

from ocrtune.families import FAMILIES
from ocrtune.models import experts, load_model, supervised_loss
from ocrtune.models.audit import require_gradients
from ocrtune.models.decoder import can_trim, mend_decoder
from ocrtune.models.segments import SEGMENTED, attend_by_segments


def learn(model, batch, **options):
    model.zero_grad()
    loss = supervised_loss(model, batch, **options).loss
    loss.backward()
    return float(loss.detach()), {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def attend(model, attention):
    if attention == SEGMENTED:
        attend_by_segments(model)
    else:
        model.set_attn_implementation(attention)


def rows_of_text():
    """Padded rows with answers of different lengths, in one of them in two pieces, in one of them none."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(3, IMAGE_ID, (4, 16), generator=draw)
    labels = ids.clone()
    for row, (prompt, length) in enumerate([(3, 16), (2, 9), (7, 12), (16, 11)]):
        ids[row, length:], labels[row, length:], labels[row, :prompt] = 2, -100, -100
    labels[0, 8:11] = -100
    return {"input_ids": ids, "labels": labels, "attention_mask": (ids != 2).long()}


@pytest.mark.parametrize("attention", ["sdpa", "eager", SEGMENTED])
@pytest.mark.parametrize("batch", ["pages", "text", "unpadded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_those_of_whole_rows(family, batch, attention):
    golden = read_golden(family)
    model = load_model(golden.folder)
    attend(model, attention)
    given = golden.batch.native() if batch == "pages" else rows_of_text()
    if batch == "unpadded":
        given = {key: value[:1] for key, value in given.items() if key != "attention_mask"}
    found_loss, found = learn(model, given)
    model.trims_last_layer = False
    wanted_loss, wanted = learn(model, given)
    assert found_loss == pytest.approx(wanted_loss, rel=1e-6)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=2e-6), name


def pad_on_the_left(batch):
    rows = [
        (ids[mask.bool()], labels[mask.bool()])
        for ids, labels, mask in zip(
            batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
        )
    ]
    width = batch["input_ids"].shape[1]
    fill = torch.nn.functional.pad
    return {
        "input_ids": torch.stack([fill(ids, (width - len(ids), 0), value=2) for ids, _ in rows]),
        "labels": torch.stack([fill(labels, (width - len(labels), 0), value=-100) for _, labels in rows]),
        "attention_mask": torch.stack([fill(torch.ones_like(ids), (width - len(ids), 0)) for ids, _ in rows]),
    }


@pytest.mark.parametrize("attention", ["sdpa", "eager", SEGMENTED])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_padded_on_the_left_give_the_losses_of_whole_rows(family, attention):
    model = load_model(read_golden(family).folder)
    attend(model, attention)
    given = pad_on_the_left(rows_of_text())
    found_loss, found = learn(model, given)
    model.trims_last_layer = False
    wanted_loss, wanted = learn(model, given)
    assert found_loss == pytest.approx(wanted_loss, rel=1e-6)
    for name, gradient in wanted.items():
        assert bool(gradient.isfinite().all())
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=2e-6), name


@pytest.mark.parametrize("family", FAMILIES)
def test_one_kept_position_gives_the_loss_of_whole_rows(family):
    model = load_model(read_golden(family).folder)
    given = rows_of_text()
    given["labels"] = torch.full_like(given["labels"], -100)
    given["labels"][2, 9] = 5
    found_loss, found = learn(model, given, num_items=3)
    model.trims_last_layer = False
    wanted_loss, wanted = learn(model, given, num_items=3)
    assert found_loss == pytest.approx(wanted_loss, rel=1e-6)
    assert all(torch.allclose(found[name], wanted[name], rtol=1e-5, atol=2e-6) for name in wanted)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("product", ["loop", "grouped"])
def test_a_batch_without_supervised_positions_has_gradients_of_zeros_everywhere(family, product, monkeypatch):
    monkeypatch.setattr(experts, "choose_product", lambda *_: product)
    golden = read_golden(family)
    model = load_model(golden.folder)
    batch = golden.batch.native()
    loss, found = learn(model, {**batch, "labels": torch.full_like(batch["labels"], -100)}, num_items=7)
    assert loss == 0
    assert not any(gradient.any() for gradient in found.values())
    model.train()
    assert all(finding.code == "gradient-zero" for finding in require_gradients(model, batch))


@pytest.fixture
def lengths(monkeypatch):
    """Positions that go through the last layer's MLP."""
    model = load_model(read_golden("deepseek_ocr").folder)
    seen = []
    last = model.model.language_model.layers[-1]
    last.mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[0] * given[0].shape[1]))
    return model, seen


class TestPositions:
    def test_are_the_supervised_ones(self, lengths):
        model, seen = lengths
        batch = rows_of_text()
        supervised_loss(model, batch)
        assert seen == [int((batch["labels"][:, 1:] != -100).sum())]

    def test_are_all_where_the_router_is_asked(self, lengths):
        model, seen = lengths
        supervised_loss(model, rows_of_text(), router_loss=0.1)
        assert seen == [4 * 16]

    def test_are_all_where_it_is_off(self, lengths):
        model, seen = lengths
        model.trims_last_layer = False
        supervised_loss(model, rows_of_text())
        assert seen == [4 * 16]

    @pytest.mark.parametrize("packed", [True, False])
    def test_are_the_supervised_ones_too_of_a_model_for_packed_rows(self, lengths, packed):
        model, seen = lengths
        attend_by_segments(model)
        batch = {key: value[:1] for key, value in rows_of_text().items() if key != "attention_mask"}
        supervised_loss(model, {**batch, "segment_lengths": [8, 8]} if packed else batch)
        assert seen == [10]

    def test_are_all_under_attention_without_a_mask_of_rows(self, lengths):
        model, _ = lengths
        assert can_trim(model)
        model.model.language_model.config._attn_implementation_internal = "flex_attention"
        assert not can_trim(model)

    def test_are_all_where_the_last_layer_was_wrapped(self, lengths):
        model, seen = lengths
        last = model.model.language_model.layers[-1]
        last.forward = last.forward
        supervised_loss(model, rows_of_text())
        assert seen == [4 * 16]

    def test_are_all_in_a_forward_that_gives_logits(self, lengths):
        model, seen = lengths
        batch = rows_of_text()
        assert model(**batch).logits.shape[:2] == batch["input_ids"].shape
        assert seen == [4 * 16]


def test_checkpointing_keeps_the_gradients():
    model = load_model(read_golden("unlimited_ocr").folder).train()
    batch = rows_of_text()
    wanted = learn(model, batch)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    found = learn(model, batch)
    assert found[0] == wanted[0]
    assert all(torch.allclose(found[1][name], wanted[1][name], atol=1e-7) for name in wanted[1])


def test_a_checkpointed_last_layer_runs_twice_and_not_three_times():
    model = load_model(read_golden("deepseek_ocr").folder).train()
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    calls = []
    layers = model.model.language_model.layers
    for index in (0, -1):
        layers[index].mlp.register_forward_pre_hook(lambda *_, index=index: calls.append(index))
    for trims in (True, False):
        model.trims_last_layer = trims
        calls.clear()
        learn(model, rows_of_text())
        assert (calls.count(0), calls.count(-1)) == (2, 2)


def test_mending_changes_no_name_and_only_once_a_class():
    model = load_model(read_golden("deepseek_ocr2").folder)
    names, classes = list(model.state_dict()), [type(module) for module in model.modules()]
    mend_decoder(model)
    assert list(model.state_dict()) == names
    assert [type(module) for module in model.modules()] == classes
