"""The loss of the head by chunks: that of whole logits, in the loss and in gradients."""

import pytest
import torch

from ocrtune.models import head_loss as module
from ocrtune.models.head_loss import chunk_rows, head_loss

WIDTH, VOCABULARY, ROWS = 24, 301, 17


@pytest.fixture
def given():
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn((ROWS, WIDTH), generator=draw).requires_grad_()
    weight = torch.randn((VOCABULARY, WIDTH), generator=draw).requires_grad_()
    return hidden, weight, torch.randint(0, VOCABULARY, (ROWS,), generator=draw)


def plain(hidden, weight, targets, num_items):
    losses = torch.nn.functional.cross_entropy((hidden @ weight.T).float(), targets, reduction="sum")
    return losses / num_items


@pytest.mark.parametrize("rows", [1, 5, ROWS, 100])
@pytest.mark.parametrize("num_items", [ROWS, 40, torch.tensor(40)])
@pytest.mark.parametrize("upstream", [1.0, 1024.0])
def test_chunks_are_the_whole_in_the_loss_and_in_gradients(given, monkeypatch, rows, num_items, upstream):
    monkeypatch.setattr(module, "CHUNK_BYTES", rows * VOCABULARY * 4)
    hidden, weight, _ = given
    wanted = plain(*given, num_items)
    found = head_loss(*given, num_items)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    pairs = zip(
        torch.autograd.grad(found * upstream, (hidden, weight)),
        torch.autograd.grad(wanted * upstream, (hidden, weight)),
        strict=True,
    )
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-6 * upstream) for one, other in pairs)


@pytest.mark.parametrize("learns", ["hidden", "weight", "both", "nothing"])
def test_what_does_not_learn_gets_no_gradient(given, learns):
    hidden, weight, targets = given
    hidden.requires_grad_(learns in {"hidden", "both"})
    weight.requires_grad_(learns in {"weight", "both"})
    loss = head_loss(hidden, weight, targets, ROWS)
    assert loss.requires_grad == (learns != "nothing")
    if loss.requires_grad:
        loss.backward()
    wanted = plain(*given, ROWS)
    if learns in {"weight", "both"}:
        (gradient,) = torch.autograd.grad(wanted, weight)
        assert torch.allclose(weight.grad, gradient, atol=1e-6)
    assert (hidden.grad is not None) == (learns in {"hidden", "both"})
    assert (weight.grad is not None) == (learns in {"weight", "both"})


def test_no_gradient_is_computed_where_none_is_wanted(given, monkeypatch):
    wanted = head_loss(*given, ROWS).detach()
    monkeypatch.setattr(module, "_add_product", lambda *_, **__: pytest.fail("a gradient of the head"))
    monkeypatch.setattr(torch.Tensor, "scatter_add_", lambda *_: pytest.fail("a gradient of logits"))
    with torch.no_grad():
        assert torch.equal(head_loss(*given, ROWS), wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_head_of_fewer_bits_gives_a_loss_in_fp32(given, dtype):
    hidden, weight, targets = given
    wanted = plain(hidden, weight, targets, ROWS)
    with torch.autocast("cpu", dtype=dtype):
        found = head_loss(hidden, weight, targets, ROWS)
    found.backward()
    gradients = torch.autograd.grad(wanted, (hidden, weight))
    assert found.dtype == hidden.grad.dtype == weight.grad.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=0.02)
    for one, other in zip((hidden.grad, weight.grad), gradients, strict=True):
        assert float((one - other).norm() / other.norm()) < 0.02


def test_no_logits_of_all_positions_are_kept(given, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * VOCABULARY * 4)
    hidden, weight, targets = given
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        head_loss(hidden, weight.requires_grad_(requires_grad=False), targets, ROWS)
    assert [tensor.shape for tensor in kept] == [hidden.shape]


def test_nothing_supervised_is_a_loss_of_zero_with_gradients_of_zero(given):
    hidden, weight, targets = given
    loss = head_loss(hidden[:0], weight, targets[:0], 5)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not weight.grad.any()


@pytest.mark.parametrize(
    ("rows", "vocabulary", "chunk"),
    [
        (100, 129_280, 100),
        (129, 129_280, 129),
        (130, 129_280, 65),
        (300, 129_280, 100),
        (8000, 129_280, 127),
        (5000, 512, 5000),
        (0, 129_280, 1),
        (3, 10**9, 1),
    ],
)
def test_chunks_are_even_and_none_is_over_the_limit(rows, vocabulary, chunk):
    assert chunk_rows(rows, vocabulary) == chunk
    assert chunk == 1 or chunk * vocabulary * 4 <= module.CHUNK_BYTES
