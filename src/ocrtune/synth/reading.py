"""YAML and overrides → `SynthConfig`, with every problem reported at once."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ocrtune.config import apply_overrides
from ocrtune.config.problems import nearest_key, section_in, tell_problems
from ocrtune.config.reading import parse_yaml, read_source, yaml_text
from ocrtune.config.tree import Section
from ocrtune.errors import ConfigError
from ocrtune.synth.config import DegradationSection, SynthConfig

RECIPES = ("lines-en", "lines-ru", "lines-ar", "lines-hi", "pages-en", "tables", "receipts")
"""Names of the shipped recipes."""


class _NamedDegradations(Section):
    degradations: str


class _ListedDegradations(Section):
    degradations: tuple[DegradationSection, ...]


def read_synth_config(source: str | Path, overrides: Sequence[str] = ()) -> SynthConfig:
    """The recipe in a YAML file, or a shipped one by name, with `a.b=value` overrides applied in order.

    Paths of a recipe are taken from where the program runs, as in recipes of runs.

    Raises:
        ConfigError: With every unknown key and wrong value.
    """
    text, where = read_source(source, RECIPES, recipe_text, kind="recipe")
    return parse_synth_config(apply_overrides(parse_yaml(text, where), overrides), where=where)


def parse_synth_config(tree: Mapping[str, Any], *, where: str = "") -> SynthConfig:
    """The recipe in a plain tree of dictionaries.

    Raises:
        ConfigError: With every unknown key and wrong value.
    """
    known, problems = _without_unknown(tree, SynthConfig)
    degradations = {key: known.pop(key) for key in ("degradations",) if key in known}
    if degradations:
        # Validated by themselves: pydantic would tell what is wrong in terms of both forms.
        is_list = isinstance(degradations["degradations"], list | tuple)
        problems += _problems(_ListedDegradations if is_list else _NamedDegradations, degradations)
    problems += _problems(SynthConfig, known)
    if problems:
        raise ConfigError(problems, where=where)
    return SynthConfig.model_validate({**known, **degradations})


def synth_config_text(config: SynthConfig) -> str:
    """The whole recipe as YAML; `read_synth_config` gives an equal one back."""
    return yaml_text(config)


def recipe_text(name: str) -> str:
    """The YAML of a shipped recipe."""
    return (resources.files("ocrtune.synth") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def _problems(section: type[BaseModel], tree: Mapping[str, Any]) -> list[str]:
    try:
        section.model_validate(tree)
    except ValidationError as error:
        return tell_problems(error)
    return []


def _without_unknown(
    tree: Mapping[str, Any], section: type[BaseModel], prefix: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """A copy of `tree` without keys that `section` and those below it do not know, and what is to be said of them."""
    known: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in tree.items():
        if key not in section.model_fields:
            problems.append(f"{prefix}{key}: unknown key{nearest_key(str(key), section, SynthConfig)}")
            continue
        below = section_in(section.model_fields[key].annotation)
        known[key], found = (value, []) if below is None else _clean(value, below, f"{prefix}{key}.")
        problems += found
    return known, problems


def _clean(value: Any, section: type[BaseModel], prefix: str) -> tuple[Any, list[str]]:
    """A section, or a list of them, as `_without_unknown` gives it; anything else as it is."""
    if isinstance(value, Mapping):
        return _without_unknown(value, section, prefix)
    if not isinstance(value, list | tuple):
        return value, []
    cleaned = [_clean(part, section, f"{prefix}{index}.") for index, part in enumerate(value)]
    return [part for part, _ in cleaned], [problem for _, found in cleaned for problem in found]
