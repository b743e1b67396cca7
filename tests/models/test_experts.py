"""Routed experts: equal to transformers' ones in outputs and gradients, in the dtype of autocast, small in memory."""

import pytest
import torch
from golden_batches import read_golden
from torch import nn

from ocrtune.families import FAMILIES
from ocrtune.models import experts, load_model, routing
from ocrtune.models.classes import ROUTER_CLASSES
from ocrtune.models.loss import supervised_loss

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture(params=["loop", "grouped"])
def product(request, monkeypatch):
    """Both ways, on any device."""
    monkeypatch.setattr(experts, "choose_product", lambda *_: request.param)
    return request.param


@pytest.fixture(scope="module", params=FAMILIES)
def plain(request):
    """A model of transformers' own classes with experts one after another: loss and gradients of a golden batch."""
    golden = read_golden(request.param)
    model = load_model(golden.folder, experts="eager")
    loss = model(**golden.batch.native()).loss
    return golden, loss, gradients(model, loss)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_losses_and_gradients_are_those_of_transformers_experts(plain, product):
    golden, wanted_loss, wanted = plain
    model = load_model(golden.folder)
    loss = model(**golden.batch.native()).loss
    found = gradients(model, loss)
    assert float(loss.detach()) == pytest.approx(float(wanted_loss.detach()), rel=1e-6)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-6), name


def some_experts(*, frozen=False, num_experts=6, dtype=FP32):
    model = load_model(read_golden("deepseek_ocr").folder, dtype="float32")
    layer = next(m for m in model.modules() if hasattr(m, "gate_up_proj"))
    assert layer.num_experts >= num_experts
    return layer.to(dtype).requires_grad_(not frozen)


def routed(layer, *, tokens=40, share=None):
    """Tokens, and two of the experts for each; `share` of all experts, so that others have no token."""
    draw = torch.Generator().manual_seed(3)
    hidden = torch.randn((tokens, layer.hidden_dim), generator=draw)
    scores = torch.rand((tokens, layer.num_experts), generator=draw)
    if share is not None:
        scores[:, int(share * layer.num_experts) :] = 0
    shares, chosen = scores.softmax(dim=-1).topk(2)
    return hidden, chosen, shares


def test_experts_without_a_token_have_a_gradient_of_zeros(product):
    layer = some_experts(num_experts=4)
    layer(*routed(layer, share=0.5)).sum().backward()
    half = layer.num_experts // 2
    assert not layer.gate_up_proj.grad[half:].any()
    assert not layer.down_proj.grad[half:].any()
    assert layer.down_proj.grad[:half].flatten(1).any(dim=1).all()


def test_what_a_kernel_leaves_for_experts_without_a_token_is_no_gradient(monkeypatch):
    # pytorch issue 172439: a grouped product does not write the matrices of groups without rows on some cards.
    monkeypatch.setattr(experts, "choose_product", lambda *_: "grouped")
    original = nn.functional.grouped_mm

    def leave_rubbish(a, b, *, offs):
        product = original(a, b, offs=offs)
        if b.dim() == 2:
            product[torch.diff(offs, prepend=offs.new_zeros(1)) == 0] = torch.nan
        return product

    monkeypatch.setattr(nn.functional, "grouped_mm", leave_rubbish)
    layer = some_experts(num_experts=4)
    layer(*routed(layer, share=0.5)).sum().backward()
    for gradient in (layer.gate_up_proj.grad, layer.down_proj.grad):
        assert bool(gradient.isfinite().all())
        assert not gradient[layer.num_experts // 2 :].any()


def test_no_token_at_all_is_a_sum_of_no_rows_and_gradients_of_zeros(product):
    layer = some_experts()
    hidden, chosen, shares = (tensor[:0] for tensor in routed(layer))
    summed = layer(hidden, chosen, shares)
    summed.sum().backward()
    assert summed.shape == hidden.shape
    assert not layer.gate_up_proj.grad.any()
    assert not layer.down_proj.grad.any()


def test_a_gradient_too_large_for_fp16_is_seen_by_the_scaler(product):
    layer = some_experts()
    hidden, chosen, shares = routed(layer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    before = layer.down_proj.detach().clone()
    with torch.autocast("cpu", dtype=FP16):
        loss = layer(hidden, chosen, shares).sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(layer.down_proj, before)
    assert scaler.get_scale() == 2.0**59


def test_nothing_is_kept_where_no_gradient_is_wanted(product, monkeypatch):
    layer = some_experts()
    saved = []
    forward = experts._RoutedExperts.forward

    def watched(ctx, *given):
        summed = forward(ctx, *given)
        saved.append(len(ctx.to_save))
        return summed

    monkeypatch.setattr(experts._RoutedExperts, "forward", staticmethod(watched))
    layer(*routed(layer))
    with torch.no_grad():
        layer(*routed(layer))
    learning, frozen = saved
    assert frozen == 8  # tokens, shares and six matrices or none
    assert learning > frozen


@pytest.mark.parametrize("dtype", [BF16, FP16])
def test_frozen_experts_of_the_computing_dtype_are_never_copied(product, dtype):
    layer = some_experts(frozen=True, dtype=dtype)
    hidden, chosen, shares = routed(layer)
    sizes = {layer.gate_up_proj.numel(), layer.down_proj.numel()}
    made = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            output = func(*args, **(kwargs or {}))
            if func in {torch.ops.aten._to_copy.default, torch.ops.aten.clone.default}:
                made.append(output.numel())
            return output

    with Watch(), torch.autocast("cpu", dtype=dtype):
        layer(hidden.requires_grad_(), chosen, shares).sum().backward()
    assert not sizes & set(made)


@pytest.mark.parametrize("dtype", [BF16, FP16])
def test_products_are_computed_in_the_dtype_of_autocast(product, dtype, monkeypatch):
    seen = set()
    for name in ("mm", "nn.functional.grouped_mm"):
        owner = torch.nn.functional if "." in name else torch
        original = getattr(owner, name.rpartition(".")[2])

        def watched(a, b, *rest, _original=original, **options):
            seen.update({a.dtype, b.dtype})
            return _original(a, b, *rest, **options)

        monkeypatch.setattr(owner, name.rpartition(".")[2], watched)
    layer = some_experts()
    hidden, chosen, shares = routed(layer)
    with torch.autocast("cpu", dtype=dtype):
        summed = layer(hidden.requires_grad_(), chosen, shares)
    summed.sum().backward()
    assert seen == {dtype}
    assert summed.dtype == hidden.grad.dtype == layer.gate_up_proj.grad.dtype == FP32


@pytest.mark.parametrize("dtype", [BF16, FP16])
def test_autocast_is_as_near_to_fp32_as_its_dtype(product, dtype):
    layer = some_experts()
    hidden, chosen, shares = routed(layer)
    wanted = layer(hidden, chosen, shares).detach()
    with torch.autocast("cpu", dtype=dtype):
        found = layer(hidden, chosen, shares).detach()
    error = float((found - wanted).norm() / wanted.norm())
    assert 0 < error < 2 * torch.finfo(dtype).eps


def test_a_row_keeps_one_product_and_no_copy_of_its_token(product):
    layer = some_experts(frozen=True)
    hidden, chosen, shares = routed(layer, tokens=200)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(hidden.requires_grad_(), chosen, shares)
    weights = {layer.gate_up_proj.data_ptr(), layer.down_proj.data_ptr()}
    numbers = sum(t.numel() for t in kept if t.data_ptr() not in weights)
    rows = chosen.numel()
    assert numbers == hidden.numel() + rows + rows * 2 * layer.intermediate_dim


def test_the_router_is_in_fp32_under_autocast():
    model = load_model(read_golden("deepseek_ocr2").folder)
    router = next(module for module in model.modules() if isinstance(module, ROUTER_CLASSES))
    hidden = torch.randn((5, router.hidden_dim), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=BF16):
        logits, shares, _ = router(hidden)
    assert logits.dtype == shares.dtype == FP32
    assert torch.equal(logits, nn.functional.linear(hidden, router.weight))


@pytest.mark.parametrize(
    ("kind", "capability", "dtype", "widths", "product"),
    [
        ("cuda", (8, 0), BF16, (1280, 896, 16), "grouped"),
        ("cuda", (9, 0), BF16, (1280, 896), "grouped"),
        ("cuda", (7, 5), FP16, (1280, 896), "loop"),
        ("cuda", (8, 9), FP16, (1280, 896), "loop"),
        ("cuda", (9, 0), FP32, (1280, 896), "loop"),
        ("cuda", (9, 0), BF16, (1280, 896, 4), "loop"),
        ("cpu", None, FP32, (1280, 896), "loop"),
        ("mps", None, FP32, (1280, 896), "loop"),
    ],
)
def test_experts_are_grouped_where_there_is_a_kernel_for_it(kind, capability, dtype, widths, product):
    assert routing.choose_product(kind, capability, dtype, widths) == product


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [BF16, FP16])
def test_a_card_computes_what_a_cpu_computes(dtype):
    layer = some_experts()
    hidden, chosen, shares = routed(layer)
    wanted = layer(hidden, chosen, shares).detach()
    card = layer.cuda()
    with torch.autocast("cuda", dtype=dtype):
        found = card(hidden.cuda().requires_grad_(), chosen.cuda(), shares.cuda())
    found.sum().backward()
    error = float((found.detach().cpu() - wanted).norm() / wanted.norm())
    assert error < 2 * torch.finfo(dtype).eps
    assert bool(card.gate_up_proj.grad.isfinite().all())


def test_another_activation_is_left_to_transformers():
    layer = some_experts()
    layer.act_fn = nn.GELU()
    given = routed(layer)
    found = layer(*given)
    layer.config._experts_implementation = "eager"
    assert torch.allclose(found, layer(*given), atol=1e-6)


def test_the_loss_of_a_batch_in_bf16_is_near_that_in_fp32():
    golden = read_golden("unlimited_ocr")
    model = load_model(golden.folder)
    wanted = supervised_loss(model, golden.batch.native()).loss
    with torch.autocast("cpu", dtype=BF16):
        found = supervised_loss(model, golden.batch.native()).loss
    assert found.dtype == FP32
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=0.02)
