"""SAM computed our way beside transformers' own classes, and what it never allocates."""

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ocrtune.config.tree import LoraSection, TuningSection
from ocrtune.models import relative_attention, sam
from ocrtune.models.relative_attention import (
    attend_in_blocks,
    attend_widened,
    attend_with_bias,
    choose_attention,
)
from ocrtune.models.sam import checkpoint_vision, restore_sam, speed_up_sam
from ocrtune.models.tuning import apply_tuning

TOLERANCE = 1e-5

# With windows of 7 patches and of 14; a view of 112 or 224 px is whole windows, the others need padding.
SIDES = [
    *((family, side) for family in ("deepseek_ocr", "unlimited_ocr") for side in (112, 128, 192, 224, 256)),
    ("deepseek_ocr2", 768),
    ("deepseek_ocr2", 1024),
]


def views_of(side, number=2, seed=0):
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(seed))


def tower_of(model, ours):
    """The vision encoder, with relative positions that matter, computed our way or transformers'."""
    tower = deepcopy(model.model.vision_tower)
    for name, parameter in tower.named_parameters():
        if "rel_pos" in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(len(name)))
    (speed_up_sam if ours else restore_sam)(tower)
    return tower


def compute(tower, views, autocast=False):
    """Features, and the gradients of all parameters that learn."""
    with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
        features = tower(views).last_hidden_state
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(9))
    (features.float() * weights).sum().backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in tower.named_parameters()
        if parameter.grad is not None
    }
    return features.detach(), gradients


def require_close(found, wanted, tolerance=TOLERANCE):
    """Differences in shares of the largest number; gradients that are 0 but for rounding may differ by it."""
    features, gradients = found
    assert (features - wanted[0]).abs().max() <= tolerance * wanted[0].abs().max()
    assert gradients.keys() == wanted[1].keys()
    for name, gradient in wanted[1].items():
        assert (gradients[name] - gradient).abs().max() <= tolerance * gradient.abs().max() + 1e-6, name


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks and bands so small that even tiny models need several."""
    monkeypatch.setattr(relative_attention, "BLOCK_SCORES", 3000)
    monkeypatch.setattr(sam, "BAND_BYTES", 2**12)


@pytest.mark.parametrize(("family", "side"), SIDES)
def test_features_and_gradients_are_those_of_transformers(load_golden, small_blocks, family, side):
    model = load_golden(family)
    ours, theirs = tower_of(model, True), tower_of(model, False)
    views = views_of(side, number=1 if side > 256 else 2)
    wanted = compute(theirs, views)
    require_close(compute(ours, views), wanted)
    with torch.no_grad():
        # Now in bands.
        frozen = ours(views).last_hidden_state
    assert (frozen - wanted[0]).abs().max() <= TOLERANCE * wanted[0].abs().max()


def test_blocks_and_bands_as_large_as_they_are_change_nothing(load_golden):
    model = load_golden("deepseek_ocr2")
    require_close(
        compute(tower_of(model, True), views_of(768, 1)), compute(tower_of(model, False), views_of(768, 1))
    )


@pytest.mark.parametrize("family", ["deepseek_ocr", "deepseek_ocr2"])
def test_adapters_in_vision_work_as_with_transformers(load_golden, fp32_policy, small_blocks, family):
    model = load_golden(family)
    section = TuningSection(method="lora", parts=("vision",), lora=LoraSection(dropout=0))
    apply_tuning(model, section, fp32_policy, seed=0)
    draw = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=draw)
    views = views_of(768 if family == "deepseek_ocr2" else 128, 1)
    ours, theirs = (compute(tower_of(model, way), views) for way in (True, False))
    assert any("attn.qkv.lora_B" in name for name in ours[1])
    require_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_give_features_of_16_bits_as_near_to_exact_ones(load_golden, dtype):
    model = load_golden("deepseek_ocr")
    exact = tower_of(model, False)(views_of(192)).last_hidden_state.detach()
    errors = {}
    for ours in (True, False):
        found = tower_of(model, ours).to(dtype)(views_of(192).to(dtype)).last_hidden_state
        assert found.dtype == dtype
        errors[ours] = float((found.detach() - exact).abs().max() / exact.abs().max())
    assert errors[True] <= 1.5 * errors[False] < 0.1


def test_autocast_gives_gradients_as_near_to_exact_ones(load_golden, small_blocks):
    model = load_golden("deepseek_ocr")
    exact = compute(tower_of(model, False), views_of(192))
    errors = {}
    for ours in (True, False):
        features, gradients = compute(tower_of(model, ours), views_of(192), autocast=True)
        assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
        pairs = [(features, exact[0]), *((gradients[name], wanted) for name, wanted in exact[1].items())]
        # A bias of keys has a gradient of 0 but for rounding.
        errors[ours] = max(float((a - b).norm() / b.norm()) for a, b in pairs if b.norm() > 1e-3)
    assert errors[True] <= 1.2 * errors[False] < 0.5


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor with memory of its own holds."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


@pytest.mark.parametrize("learning", [False, True])
def test_no_tensor_is_as_large_as_the_scores(load_golden, small_blocks, learning):
    model = load_golden("deepseek_ocr")
    scores = 2 * (256 // 16) ** 4
    seen = {}
    for ours in (True, False):
        tower, views = tower_of(model, ours), views_of(256, 1)
        with LargestTensor() as largest, torch.set_grad_enabled(learning):
            features = tower(views).last_hidden_state
            if learning:
                features.sum().backward()
        # Not counted: pixels and weights, which are made before.
        seen[ours] = largest.numbers
    assert 4 * seen[True] < scores <= seen[False]


def kept_bytes(tower, views):
    """What a forward keeps for the backward pass, besides weights and pixels."""
    given = {tensor.untyped_storage().data_ptr() for tensor in (views, *tower.parameters())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        tower(views)
    return sum(kept.values())


@pytest.mark.parametrize("family", ["deepseek_ocr", "deepseek_ocr2"])
def test_checkpointed_vision_gives_the_same_gradients_and_keeps_less(load_golden, family):
    views = views_of(768 if family == "deepseek_ocr2" else 256, 1)
    plain, saving = (tower_of(load_golden(family), True) for _ in range(2))
    checkpoint_vision(saving)
    assert kept_bytes(saving, views) < 0.5 * kept_bytes(plain, views)
    require_close(compute(saving, views), compute(plain, views), tolerance=1e-6)


def test_only_vision_is_checkpointed(load_golden):
    model = load_golden("deepseek_ocr")
    checkpoint_vision(model.model.vision_tower)
    recomputed = {
        name.split(".")[1]
        for name, module in model.named_modules()
        if getattr(module, "gradient_checkpointing", False)
    }
    assert recomputed == {"vision_tower"}


@pytest.mark.parametrize("family", ["deepseek_ocr", "deepseek_ocr2", "unlimited_ocr"])
def test_loaded_models_are_computed_our_way_with_names_and_tensors_as_they_were(load_golden, family):
    model = load_golden(family)
    ours = {name: type(module) for name, module in model.named_modules() if "sam_encoder" in name}
    before = model.state_dict()
    restore_sam(model)
    theirs = {name: type(module) for name, module in model.named_modules() if "sam_encoder" in name}
    changed = [name for name in ours if ours[name] is not theirs[name]]
    layers = len(model.model.vision_tower.sam_encoder.layers)
    assert len(changed) == 2 * layers + 1
    assert all(issubclass(ours[name], theirs[name]) for name in changed)
    assert [ours[name].__name__ for name in ours] == [theirs[name].__name__ for name in ours]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_with_eager_attention_stays_that_of_transformers(load_golden):
    model = load_golden("deepseek_ocr")
    config = deepcopy(model.config)
    config._attn_implementation = "eager"
    eager = type(model)(config)
    assert not any(type(module).__module__ == sam.__name__ for module in eager.modules())


def test_frozen_vision_keeps_nothing_for_a_backward_pass(load_golden):
    tower = tower_of(load_golden("deepseek_ocr"), True).requires_grad_(False)
    assert kept_bytes(tower, views_of(128)) == 0
    assert not tower(views_of(128)).last_hidden_state.requires_grad


@pytest.mark.parametrize(("window_size", "rows"), [(14, 14), (7, 35), (0, 37)])
def test_bands_are_whole_windows_of_bounded_size(monkeypatch, window_size, rows):
    monkeypatch.setattr(sam, "BAND_BYTES", 37 * 2 * 40 * 8 * 4 * sam.MLP_FACTOR if window_size < 14 else 1)
    views = torch.zeros(2, 40, 40, 8)
    assert sam.band_rows(views, window_size) == 40
    with torch.no_grad():
        assert sam.band_rows(views, window_size) == rows


def attention_inputs(heads, queries, window, dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    rows, columns = window
    shapes = [(queries, 4), (rows * columns, 4), (rows * columns, 4), (queries, rows), (queries, columns)]
    return [torch.randn(heads, *shape, generator=draw, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("block_scores", [1, 7, 40, 1000])
def test_derivatives_of_blocks_of_any_size_are_exact(monkeypatch, block_scores):
    monkeypatch.setattr(relative_attention, "BLOCK_SCORES", block_scores)
    given = attention_inputs(3, 5, (2, 3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *tensors: attend_in_blocks(*tensors, scale=0.7), given)


@pytest.mark.parametrize("widens_values", [False, True])
@pytest.mark.parametrize(("queries", "window"), [(9, (3, 3)), (30, (5, 6))])
def test_widened_queries_attend_as_with_the_whole_bias(widens_values, queries, window):
    given = attention_inputs(2, queries, window)
    ways = (
        attend_with_bias(*given, scale=0.5),
        attend_widened(*given, scale=0.5, widens_values=widens_values),
        attend_in_blocks(*given, scale=0.5),
    )
    wanted, *others = ([attended, *torch.autograd.grad(attended.square().sum(), given)] for attended in ways)
    for other in others:
        for found, tensor in zip(other, wanted, strict=True):
            assert torch.allclose(found, tensor, atol=TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_with_16_bits_both_ways_are_nearer_to_exact_attention_than_a_bias(dtype):
    given = attention_inputs(4, 49, (7, 7), dtype=torch.float64)
    exact = attend_with_bias(*given, scale=0.5)
    rounded = [tensor.detach().to(dtype) for tensor in given]
    with_bias, widened, blocks = (
        float((attended.double() - exact).norm().detach())
        for attended in (
            attend_with_bias(*rounded, scale=0.5),
            attend_widened(*rounded, scale=0.5, widens_values=True),
            attend_in_blocks(*rounded, scale=0.5),
        )
    )
    assert max(widened, blocks) < 0.9 * with_bias


@pytest.mark.parametrize(
    ("kind", "capability", "dtype", "way", "widens_values"),
    [
        ("cpu", None, torch.float32, "blocks", False),
        ("cpu", None, torch.bfloat16, "blocks", False),
        ("cuda", (7, 5), torch.float16, "widened", False),
        ("cuda", (7, 5), torch.float32, "widened", False),
        ("cuda", (8, 0), torch.float32, "widened", False),
        ("cuda", (8, 0), torch.bfloat16, "widened", True),
        ("cuda", (9, 0), torch.float16, "widened", True),
        ("mps", None, torch.float32, "bias", False),
    ],
)
def test_the_way_follows_from_the_device(kind, capability, dtype, way, widens_values):
    chosen = choose_attention(kind, capability, dtype)
    assert (chosen.way, chosen.widens_values) == (way, widens_values)
    assert chosen.reason
