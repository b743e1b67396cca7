"""YAML and overrides → `Config`, with every problem reported at once."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ocrtune.config.tree import Config
from ocrtune.errors import ConfigError

PRESETS = ("lora-gundam", "lora-t4", "full", "tiny-demo")
"""Names of the shipped recipes."""


def read_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The recipe in a YAML file, or a shipped preset by name, with `a.b=value` overrides applied in order.

    Raises:
        ConfigError: With every unknown key, wrong value and missing key.
    """
    text, where = _source_text(source)
    try:
        tree = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError([f"not YAML: {' '.join(str(error).split())}"], where=where) from error
    if not isinstance(tree, dict):
        raise ConfigError([f"a recipe is a mapping of sections, not {type(tree).__name__}"], where=where)
    return parse_config(apply_overrides(tree, overrides), where=where)


def parse_config(tree: Mapping[str, Any], *, where: str = "") -> Config:
    """The recipe in a plain tree of dictionaries.

    Raises:
        ConfigError: With every unknown key, wrong value and missing key.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(list(_problems(error)), where=where) from error


def apply_overrides(tree: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `tree` with each `a.b=value` set; values are read as YAML.

    Raises:
        ConfigError: An override has no `=`, an empty key, or a value that is not YAML.
    """
    result = _copy(tree)
    problems: list[str] = []
    for override in overrides:
        key, equals, raw = override.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or not all(path):
            problems.append(f"override {override!r} is not of the form section.key=value")
            continue
        try:
            value = yaml.safe_load(raw)
        except yaml.YAMLError:
            problems.append(f"the value of override {override!r} is not YAML")
            continue
        _set(result, path, value)
    if problems:
        raise ConfigError(problems, hint="example: --set training.batch_size=4")
    return result


def write_config(config: Config, path: Path) -> None:
    """Write the resolved recipe as YAML, atomically; `read_config` gives an equal one back."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)


def preset_text(name: str) -> str:
    """The YAML of a shipped recipe."""
    return (resources.files("ocrtune.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def _source_text(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.is_file():
        return path.read_text(encoding="utf-8"), str(path)
    name = path.name.removesuffix(".yaml")
    if str(source) in {name, f"{name}.yaml"} and name in PRESETS:
        return preset_text(name), f"preset {name}"
    close = get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean the preset {close[0]!r}?" if close else f"presets: {', '.join(PRESETS)}"
    raise ConfigError([f"no recipe file {str(source)!r}"], hint=hint)


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _set(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _problems(error: ValidationError) -> Iterable[str]:
    for detail in error.errors(include_url=False):
        location = [str(part) for part in detail["loc"] if not _is_union_branch(part)]
        key = ".".join(location)
        if detail["type"] == "extra_forbidden":
            yield f"{key}: unknown key{_nearest_key(detail['loc'])}"
        elif detail["type"] == "missing":
            yield f"{key}: missing"
        else:
            message = detail["msg"].removeprefix("Value error, ")
            found = detail["input"]
            shown = "" if isinstance(found, Mapping | BaseModel) else f", found {found!r}"
            yield f"{key}: {message[0].lower()}{message[1:]}{shown}"


def _is_union_branch(part: str | int) -> bool:
    """Pydantic names the branches of `str | ModeSection`; users never wrote those names."""
    return part in {"str", "ModeSection"}


def _nearest_key(location: tuple[str | int, ...]) -> str:
    model: type[BaseModel] | None = Config
    for part in location[:-1]:
        if model is None or _is_union_branch(part):
            continue
        model = _section_of(model, str(part))
    if model is None:
        return ""
    close = get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f", did you mean {close[0]!r}?" if close else f", known: {', '.join(model.model_fields)}"


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    candidates = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
