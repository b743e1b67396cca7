import re
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from ocrtune.config import (
    PRESETS,
    Config,
    DataSection,
    ModeSection,
    TuningSection,
    read_config,
    write_config,
)
from ocrtune.errors import ConfigError
from ocrtune.families import Mode, check_mode, family_of, get_family, get_mode
from ocrtune.text import Normalization

MINIMAL = {"model": "builtin", "data": {"uri": "builtin"}}


def sections(kind: type = Config) -> Iterator[type[BaseModel]]:
    """The section and all below it."""
    yield kind
    for field in kind.model_fields.values():
        yield from (found for part in models_in(field.annotation) for found in sections(part))


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def test_the_tree_has_every_section():
    assert len(set(sections())) == 15
    assert Normalization in set(sections())


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda kind: kind.__name__))
def test_every_key_is_documented_and_nothing_else(section):
    documented = re.findall(r"^ {8}(\w+): \S", section.__doc__ or "", re.MULTILINE)
    assert documented == list(section.model_fields)


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda kind: kind.__name__))
def test_every_section_is_frozen_and_refuses_unknown_keys(section):
    assert section.model_config["frozen"]
    assert section.model_config["extra"] == "forbid"


def test_a_recipe_cannot_be_changed():
    config = Config.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.training.batch_size = 3


def test_model_and_pages_are_all_that_must_be_given():
    config = Config.model_validate(MINIMAL)
    assert config.inputs.mode is None
    assert config.tuning.method == "lora"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_its_mode_is_one_the_family_sees(name):
    config = read_config(name)
    mode = config.inputs.mode
    family = get_family(config.family or "deepseek_ocr")
    if isinstance(mode, str):
        assert check_mode(family, get_mode(family, mode)).name == mode
    elif isinstance(mode, ModeSection):
        check_mode(family, Mode(name="own", **mode.model_dump()))


@pytest.mark.parametrize(
    ("given", "parts"),
    [("true", ("decoder", "vision")), ("false", ()), ("[vision]", ("vision",)), ("[]", ())],
)
def test_checkpointing_is_all_parts_none_or_some(given, parts, tmp_path):
    config = read_config("full", [f"training.gradient_checkpointing={given}"])
    assert config.training.gradient_checkpointing == parts
    write_config(config, tmp_path / "written.yaml")
    assert read_config(str(tmp_path / "written.yaml")) == config


def test_a_part_without_layers_to_checkpoint_is_told_with_those_that_have_some():
    with pytest.raises(ConfigError, match=r"gradient_checkpointing\.0: must be 'decoder' or 'vision'"):
        read_config("full", ["training.gradient_checkpointing=[projector]"])


def test_presets_say_what_they_are_for():
    configs = {name: read_config(name) for name in PRESETS}
    assert configs["lora-t4"].training.gradient_checkpointing
    assert {name for name, config in configs.items() if config.tuning.method == "full"} == {
        "full",
        "tiny-demo",
    }
    assert configs["lora-gundam"].inputs.mode == "gundam"
    assert configs["full"].tuning.parts == ("decoder", "projector", "vision")
    assert configs["tiny-demo"].data.test_documents == ("6",)


def test_a_published_config_names_the_presets_model():
    published = {"model_type": "deepseek_vl_v2", "vision_config": {"model_name": "deeplip_b_l"}}
    assert family_of(published).name == "deepseek_ocr"


def test_the_experts_preset_takes_no_dropout():
    with pytest.raises(ValidationError, match=r"must be 0 with preset 'experts', not 0\.1"):
        TuningSection(lora={"preset": "experts", "dropout": 0.1})


def test_something_must_learn():
    with pytest.raises(ValidationError, match="at least one part"):
        TuningSection(parts=())


def test_held_out_pages_come_from_one_place():
    with pytest.raises(ValidationError, match="not both"):
        DataSection(uri="x", validation_uri="y", validation_documents=("a",))


def test_a_document_is_held_out_for_one_purpose():
    with pytest.raises(ValidationError, match="documents a, c are in"):
        DataSection(uri="x", validation_documents=("c", "a", "b"), test_documents=("a", "c"))
