"""YAML and overrides → `Config`, with every problem reported at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ocrtune.config.problems import tell_problems
from ocrtune.config.tree import Config, Section
from ocrtune.errors import ConfigError

PRESETS = ("lora-gundam", "lora-t4", "full", "tiny-demo")
"""Names of the shipped recipes."""


def read_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The recipe in a YAML file, or a shipped preset by name, with `a.b=value` overrides applied in order.

    Raises:
        ConfigError: With every unknown key, wrong value and missing key.
    """
    text, where = read_source(source, PRESETS, preset_text, kind="preset")
    tree = parse_yaml(text, where)
    return parse_config(apply_overrides(tree, overrides), where=where)


def parse_config(tree: Mapping[str, Any], *, where: str = "") -> Config:
    """The recipe in a plain tree of dictionaries.

    Raises:
        ConfigError: With every unknown key, wrong value and missing key.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(tell_problems(error), where=where) from error


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


def yaml_text(section: Section) -> str:
    """The whole of `section` as YAML, which gives an equal one back."""
    tree = section.model_dump(mode="json")
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    # PyYAML 6.0 folds U+0085 as a line break that it reads back as a space, unless it is escaped.
    return yaml.safe_dump(tree, sort_keys=False) if "\x85" in text else text


def write_config(config: Config, path: Path) -> None:
    """Write the resolved recipe as YAML, atomically; `read_config` gives an equal one back."""
    text = yaml_text(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def preset_text(name: str) -> str:
    """The YAML of a shipped recipe."""
    return (resources.files("ocrtune.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def read_source(
    source: str | Path, shipped: Sequence[str], text_of: Callable[[str], str], *, kind: str
) -> tuple[str, str]:
    """The text of a YAML file, or of something shipped by its name, and what to call it in messages.

    Args:
        source: A file, or one of the names, with `.yaml` or without.
        shipped: The names.
        text_of: The text behind a name.
        kind: What they are: `preset`, `recipe`.

    Raises:
        ConfigError: There is no such file and no such name, or the file is not UTF-8.
    """
    path = Path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig"), str(path)
        except UnicodeDecodeError as error:
            raise ConfigError([f"not UTF-8 at byte {error.start}"], where=str(path)) from error
    name = path.name.removesuffix(".yaml")
    if str(source) in {name, f"{name}.yaml"} and name in shipped:
        return text_of(name), f"{kind} {name}"
    close = get_close_matches(name, shipped, n=1)
    hint = f"did you mean the {kind} {close[0]!r}?" if close else f"{kind}s: {', '.join(shipped)}"
    raise ConfigError([f"no recipe file {str(source)!r}"], hint=hint)


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """The mapping in a YAML text.

    Raises:
        ConfigError: It is not YAML, no mapping, or has a key twice.
    """
    try:
        repeated = list(_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader)))
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"not YAML: {' '.join(str(error).split())}"], where=where) from error
    if repeated:
        raise ConfigError(repeated, where=where, hint="YAML would take the last one and say nothing")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError([f"a recipe is a mapping of sections, not {type(tree).__name__}"], where=where)
    return tree


def _repeated_keys(node: yaml.Node | None, prefix: str = "") -> Iterator[str]:
    """What is wrong where a mapping holds a key twice."""
    if not isinstance(node, yaml.MappingNode):
        return
    first_lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        first = first_lines.setdefault(str(key.value), line)
        if first != line:
            yield f"{prefix}{key.value}: given twice, on lines {first} and {line}"
        yield from _repeated_keys(value, f"{prefix}{key.value}.")


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _set(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value
