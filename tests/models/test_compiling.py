"""Compiled layers learn what plain ones learn, and nothing but learning is compiled."""

import pytest
import torch
from golden_batches import IMAGE_ID, read_golden

from ocrtune.config.tree import LoraSection, TuningSection
from ocrtune.errors import ConfigError, MissingDependency
from ocrtune.families import FAMILIES
from ocrtune.models import compiling, load_model, supervised_loss
from ocrtune.models.compiling import compile_layers, require_compiler
from ocrtune.models.segments import attend_by_segments
from ocrtune.models.tuning import apply_tuning, prepare_checkpointing

BACKENDS = {False: "eager", True: "aot_eager"}
"""By whether rows are packed: what was traced run as it stands, or with the backward pass traced too, which takes longer."""


def learn(model, batch):
    model.zero_grad()
    loss = supervised_loss(model, batch).loss
    loss.backward()
    return float(loss.detach()), {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def rows(length, *, packed):
    draw = torch.Generator().manual_seed(length)
    ids = torch.randint(3, IMAGE_ID, (1 if packed else 2, length), generator=draw)
    labels = ids.clone()
    labels[:, :5] = -100
    if packed:
        return {"input_ids": ids, "labels": labels, "segment_lengths": torch.tensor([12, length - 12])}
    ids[1, -4:], labels[1, -4:] = 2, -100
    return {"input_ids": ids, "labels": labels, "attention_mask": (ids != 2).long()}


def load(family, *, packed):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = load_model(read_golden(family).folder).train()
    if packed:
        attend_by_segments(model)
    return model


def require_equal(model, batches, backend):
    wanted = [learn(model, batch) for batch in batches]
    names = list(model.state_dict())
    compile_layers(model, backend=backend)
    assert list(model.state_dict()) == names
    for batch, (wanted_loss, gradients) in zip(batches, wanted, strict=True):
        found_loss, found = learn(model, batch)
        assert found_loss == pytest.approx(wanted_loss, rel=1e-5)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-5), name
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_plain_layers(family, packed):
    require_equal(load(family, packed=packed), [rows(n, packed=packed) for n in (20, 31)], BACKENDS[packed])


def test_adapters_and_recomputed_layers_are_compiled_too(fp32_policy):
    model = load("deepseek_ocr", packed=False)
    tuning = TuningSection(lora=LoraSection(preset="experts", rank=4))
    adapted = apply_tuning(model, tuning, fp32_policy).model
    prepare_checkpointing(model)
    require_equal(adapted.train(), [rows(20, packed=False)], "aot_eager")


def test_only_forwards_that_learn_are_compiled():
    model = load("deepseek_ocr", packed=False)
    calls = []

    def backend(graph, _):
        calls.append(graph)
        return graph.forward

    compile_layers(model, backend=backend)
    batch = rows(20, packed=False)
    with torch.no_grad():
        supervised_loss(model, batch)
    model.eval()
    supervised_loss(model, batch)
    assert not calls
    model.train()
    supervised_loss(model, batch)
    assert calls


@pytest.mark.parametrize(("device", "missing"), [("cpu", "C\\+\\+ compiler"), ("cuda", "triton")])
def test_what_is_missing_is_named(monkeypatch, device, missing):
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    monkeypatch.setattr(compiling, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=missing):
        require_compiler(device)


def test_other_devices_are_refused():
    with pytest.raises(ConfigError, match="mps"):
        require_compiler("mps")
