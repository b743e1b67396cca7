import shutil

import pytest
import torch
from tiny_models import make_tiny_model

from ocrtune.config import LoraSection, TuningSection
from ocrtune.models import load_model
from ocrtune.models.checkpoint import CheckpointCard, save_checkpoint
from ocrtune.models.precision import PrecisionPolicy
from ocrtune.models.tuning import apply_tuning

TUNINGS = {
    "full": TuningSection(method="full", parts=("decoder", "projector", "vision")),
    "lora": TuningSection(method="lora", parts=("decoder",), lora=LoraSection(rank=4, alpha=8)),
    "lora everywhere": TuningSection(
        method="lora", parts=("decoder", "projector", "vision"), lora=LoraSection(rank=4, alpha=8)
    ),
    "experts": TuningSection(
        method="lora", parts=("decoder",), lora=LoraSection(preset="experts", rank=4, alpha=8)
    ),
}


@pytest.fixture(scope="session")
def tiny_model(golden, tmp_path_factory):
    """A golden model of a family as a folder of its own, made once."""
    made = {}

    def of(family):
        if family not in made:
            made[family] = make_tiny_model(golden, tmp_path_factory.mktemp(family) / "base", family)
        return made[family]

    return of


@pytest.fixture(scope="session")
def checkpoint(tiny_model, tmp_path_factory):
    """A checkpoint in which everything that learns has moved, made once for each kind."""
    made = {}

    def of(kind, family="deepseek_ocr"):
        if (kind, family) not in made:
            folder = tmp_path_factory.mktemp("checkpoint") / kind.replace(" ", "-")
            made[kind, family] = write_checkpoint(tiny_model(family), TUNINGS[kind], folder)
        return made[kind, family]

    return of


def write_checkpoint(tiny, tuning, folder):
    policy = PrecisionPolicy(device_kind="cpu", base_dtype="float32", reason="a test")
    model = apply_tuning(load_model(tiny.folder), tuning, policy).model
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.05)
    card = CheckpointCard(
        inputs=tiny.recipe, tuning=tuning, base=str(tiny.folder), step=7, scores={"cer": 0.5}
    )
    save_checkpoint(model, folder, card=card, tokenizer=tiny.tokenizer)
    return folder


@pytest.fixture
def published_base(tiny_model, tmp_path):
    """A base whose files bear what a published folder holds beside its weights."""
    folder = tmp_path / "published"
    shutil.copytree(tiny_model("deepseek_ocr").folder, folder)
    (folder / "modeling_deepseekocr.py").write_text("# code\n", encoding="utf-8")
    (folder / "processor_config.json").write_text("{}\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text("{}\n", encoding="utf-8")
    (folder / "README.md").write_text("# not copied\n", encoding="utf-8")
    return folder
