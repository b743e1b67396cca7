"""The loss of a step: equal to the full computation, and however its rows are cut into batches."""

import pytest
import torch
from golden_batches import IMAGE_ID, read_golden

from ocrtune.errors import LabelsAllIgnored
from ocrtune.families import FAMILIES
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.loss import _imbalance

TOLERANCE = 5e-7
GRADIENT_TOLERANCE = 2e-6
"""Products of other shapes round otherwise; the largest gradients are about 1."""


def gradients_of(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module", params=FAMILIES)
def computed(request):
    """The full computation, and ours in both forms."""
    golden = read_golden(request.param)
    model = load_model(golden.folder)
    full = model(**golden.batch.native()).loss
    wanted = float(full.detach()), gradients_of(model, full)
    ours = []
    for form in (golden.batch.native(), golden.batch.published()):
        output = supervised_loss(model, form)
        ours.append((output, gradients_of(model, output.loss)))
    return golden, wanted, ours


class TestEqualsTheFullComputation:
    def test_in_its_loss(self, computed):
        _, (loss, _), ours = computed
        assert [float(output.loss.detach()) for output, _ in ours] == pytest.approx(
            [loss, loss], rel=TOLERANCE
        )

    def test_in_its_gradients(self, computed):
        _, (_, gradients), ours = computed
        for _, found in ours:
            assert largest_difference(found, gradients) < GRADIENT_TOLERANCE

    def test_counts_supervised_tokens(self, computed):
        golden, _, ours = computed
        assert {output.num_tokens for output, _ in ours} == {int((golden.batch.labels != -100).sum())}


@pytest.fixture(scope="module")
def model():
    return load_model(read_golden("deepseek_ocr").folder)


def text_rows(lengths=(9, 14, 6, 11), prompts=(3, 2, 4, 5)):
    """Padded rows of text with answers of different lengths."""
    draw = torch.Generator().manual_seed(1)
    longest = max(lengths)
    ids = torch.full((len(lengths), longest), 2)
    labels = torch.full_like(ids, -100)
    for row, (length, prompt) in enumerate(zip(lengths, prompts, strict=True)):
        ids[row, :length] = torch.randint(3, IMAGE_ID, (length,), generator=draw)
        labels[row, prompt:length] = ids[row, prompt:length]
    return {"input_ids": ids, "labels": labels, "attention_mask": (ids != 2).long()}


def cut(batch, rows):
    longest = int(batch["attention_mask"][rows].sum(dim=1).max())
    return {key: value[rows, :longest] for key, value in batch.items()}


@pytest.mark.parametrize("name", ["deepseek_ocr", "unlimited_ocr"])
@pytest.mark.parametrize("router_loss", [0.0, 0.5])
@pytest.mark.parametrize(
    "batches", [[[0, 1, 2, 3]], [[0, 1], [2, 3]], [[2], [0, 3], [1]], [[0], [1], [2], [3]]]
)
def test_batches_of_a_step_add_up_to_the_whole(name, router_loss, batches):
    model = load_model(read_golden(name).folder)
    rows = text_rows()
    num_items = int((rows["labels"] != -100).sum())
    whole = supervised_loss(model, rows, router_loss=router_loss)
    wanted = gradients_of(model, whole.loss)
    model.zero_grad()
    total = 0.0
    for batch in batches:
        output = supervised_loss(model, cut(rows, batch), num_items=num_items, router_loss=router_loss)
        output.loss.backward()
        total += float(output.loss.detach())
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert total == pytest.approx(float(whole.loss.detach()), rel=1e-6)
    assert largest_difference(found, wanted) < 1e-6


class TestRouterLoss:
    def test_is_off_by_default(self, model):
        assert float(supervised_loss(model, text_rows()).router_loss) == 0

    def test_is_in_the_loss_by_its_weight(self, model):
        with torch.no_grad():
            plain = supervised_loss(model, text_rows())
            weighted = supervised_loss(model, text_rows(), router_loss=0.25)
        assert float(weighted.loss - plain.loss) == pytest.approx(
            0.25 * float(weighted.router_loss), abs=1e-6
        )

    def test_ignores_padding(self, model):
        rows = text_rows()
        wider = {
            "input_ids": torch.nn.functional.pad(rows["input_ids"], (0, 40), value=2),
            "labels": torch.nn.functional.pad(rows["labels"], (0, 40), value=-100),
            "attention_mask": torch.nn.functional.pad(rows["attention_mask"], (0, 40)),
        }
        with torch.no_grad():
            losses = [supervised_loss(model, batch, router_loss=1.0).router_loss for batch in (rows, wider)]
        assert float(losses[0]) == pytest.approx(float(losses[1]), abs=1e-6)

    def test_is_one_where_tokens_are_spread_evenly(self):
        experts = 8
        logits = torch.full((experts, experts), -20.0).fill_diagonal_(20.0)
        even = _imbalance([logits], torch.ones((1, experts)), 1)
        assert even.tolist() == pytest.approx([1.0])

    def test_is_the_number_of_experts_where_one_gets_everything(self):
        logits = torch.zeros((4, 8))
        logits[:, 3] = 50.0
        two_rows = torch.eye(2).repeat_interleave(2, dim=1)
        assert _imbalance([logits, logits], two_rows, 1).tolist() == pytest.approx([8.0, 8.0])

    def test_reaches_the_router(self):
        model = load_model(read_golden("deepseek_ocr").folder)
        name = "model.language_model.layers.1.mlp.gate.weight"
        plain = gradients_of(model, supervised_loss(model, text_rows()).loss)[name]
        balanced = gradients_of(model, supervised_loss(model, text_rows(), router_loss=1.0).loss)[name]
        assert float((plain - balanced).abs().max()) > 1e-4

    @pytest.mark.parametrize("name", FAMILIES)
    def test_trains_towards_an_even_spread(self, name):
        torch.manual_seed(0)
        model = load_model(read_golden(name).folder).train()
        routers = [p for n, p in model.named_parameters() if n.endswith("mlp.gate.weight")]
        optimizer = torch.optim.Adam(routers, lr=0.02)
        spread = []
        for _ in range(12):
            output = supervised_loss(model, text_rows(), router_loss=10.0)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
            spread.append(float(output.router_loss))
        assert spread[-1] < spread[0]

    def test_holds_under_gradient_checkpointing(self):
        found = []
        for checkpointing in (False, True):
            model = load_model(read_golden("deepseek_ocr").folder).train()
            if checkpointing:
                model.gradient_checkpointing_enable({"use_reentrant": False})
            output = supervised_loss(model, text_rows(), router_loss=1.0)
            found.append(gradients_of(model, output.loss))
        assert largest_difference(*found) < 1e-6


class TestNothingSupervised:
    def test_is_an_error_where_the_mean_would_be_nan(self, model):
        batch = text_rows()
        batch["labels"][:] = -100
        with pytest.raises(LabelsAllIgnored):
            supervised_loss(model, batch)

    def test_adds_nothing_to_a_step_that_has_other_rows(self, model):
        batch = text_rows()
        batch["labels"][:] = -100
        output = supervised_loss(model, batch, num_items=5)
        assert float(output.loss.detach()) == 0
        assert output.num_tokens == 0


def test_the_batch_given_is_not_changed(model):
    batch = text_rows()
    before = {key: value.clone() for key, value in batch.items()}
    supervised_loss(model, batch, router_loss=1.0)
    assert batch.keys() == before.keys()
    assert all(torch.equal(batch[key], before[key]) for key in batch)
