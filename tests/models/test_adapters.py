"""Adapters on routed experts: PEFT's results without tensors of the weights' size."""

from copy import deepcopy

import pytest
import torch
from peft.tuners.lora.layer import ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ocrtune.config import LoraSection, TuningSection
from ocrtune.families import FAMILIES
from ocrtune.models import experts, merge, supervised_loss
from ocrtune.models.adapters import FactoredAdapter
from ocrtune.models.tuning import apply_tuning

EXPERTS = TuningSection(lora=LoraSection(preset="experts", rank=4, alpha=12))


@pytest.fixture(params=["loop", "grouped"])
def product(request, monkeypatch):
    monkeypatch.setattr(experts, "choose_product", lambda *_: request.param)


@pytest.fixture
def adapted(load_golden, fp32_policy):
    """A model of a family whose adapters have learned something."""

    def make(family="deepseek_ocr"):
        model = apply_tuning(load_golden(family), EXPERTS, fp32_policy).model
        torch.manual_seed(7)
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                nn.init.normal_(parameter, std=0.05)
        return model

    return make


def as_peft_has_it(model):
    """The same model with PEFT's own adapters."""
    own = deepcopy(model)
    for module in own.modules():
        if isinstance(module, FactoredAdapter):
            module.__class__ = ParamWrapper
    return own


def learn(model, batch):
    model.zero_grad()
    loss = supervised_loss(model, batch).loss
    loss.backward()
    return float(loss.detach()), {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_those_of_peft(adapted, native_batch, product, family):
    model, batch = adapted(family), native_batch(family)
    wanted_loss, wanted = learn(as_peft_has_it(model), batch)
    loss, found = learn(model, batch)
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    assert found.keys() == wanted.keys()
    assert sum(".mlp.experts." in name for name in found) == 8
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), name


def test_names_are_those_of_peft(adapted):
    model = adapted()
    assert list(model.state_dict()) == list(as_peft_has_it(model).state_dict())


def test_nothing_of_the_size_of_all_experts_is_made(adapted, native_batch):
    model, batch = adapted(), native_batch()
    layer = next(module for module in model.modules() if hasattr(module, "gate_up_proj"))
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    for name, expected in (("factored", False), ("peft", True)):
        made = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, made=made: made.append(tensor) or tensor, lambda tensor: tensor
        ):
            supervised_loss(model if name == "factored" else as_peft_has_it(model), batch)
        whole = [t for t in made if t.shape == layer.gate_up_proj.shape and t.data_ptr() not in weights]
        assert bool(whole) == expected, name


def logits(model, batch):
    with torch.no_grad():
        return model.eval()(**{key: value for key, value in batch.items() if key != "labels"}).logits


def test_merged_weights_give_the_same_logits(adapted, native_batch):
    model, batch = adapted(), native_batch()
    beside = logits(model, batch)
    assert torch.allclose(logits(merge(model), batch), beside, atol=1e-5)


def test_an_adapter_that_is_switched_off_adds_nothing(adapted, load_golden, native_batch):
    model, batch = adapted(), native_batch()
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.enable_adapters(enabled=False)
    assert torch.equal(logits(model, batch), logits(load_golden(), batch))


def test_experts_left_to_transformers_keep_their_adapters(adapted, native_batch):
    model, batch = adapted(), native_batch()
    for layer in (module for module in model.modules() if hasattr(module, "gate_up_proj")):
        layer.act_fn = nn.GELU()
    assert torch.allclose(logits(model, batch), logits(as_peft_has_it(model), batch), atol=1e-6)


def test_experts_are_left_without_adapter_after_each_forward(adapted, native_batch):
    model = adapted()
    supervised_loss(model, native_batch())
    layers = [module for module in model.modules() if hasattr(module, "gate_up_proj")]
    assert all(layer.adapter_factors == {} for layer in layers)


def test_checkpointing_keeps_their_gradients(adapted, native_batch):
    model, batch = adapted().train(), native_batch()
    wanted = learn(model, batch)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    found = learn(model, batch)
    assert found[0] == wanted[0]
    assert all(torch.allclose(found[1][name], wanted[1][name], rtol=1e-5, atol=1e-6) for name in wanted[1])
