"""What pydantic found wrong with a recipe, in the words of somebody who writes YAML."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ocrtune.config.tree import MODE_TAGS, Config

_WANTED = {
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "too_short": "not empty",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
}
"""By pydantic's type of an error; the names in braces are of its context."""

_KEY_MARK = "[key]"
"""Pydantic's mark for a key of a mapping that is itself wrong."""


def tell_problems(error: ValidationError) -> list[str]:
    """Each problem as `section.key: what is wrong`, in the order of the tree, missing keys first."""
    details = error.errors(include_url=False)
    return [_tell(detail) for detail in sorted(details, key=lambda detail: detail["type"] != "missing")]


def _tell(detail: ErrorDetails) -> str:
    parts = [str(part) for part in detail["loc"] if part not in MODE_TAGS and part != _KEY_MARK]
    key = ".".join(parts) or "recipe"
    kind = detail["type"]
    if kind == "missing":
        return f"{key}: missing"
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_nearest_key(parts)}"
    if kind == "value_error":
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}"
    if kind in _WANTED:
        context: Mapping[str, Any] = detail.get("ctx", {})
        wanted = _WANTED[kind].format(**{name: _number(value) for name, value in context.items()})
        return f"{key}: must be {wanted}, found {_shown(detail['input'])}{_nearest_choice(detail)}"
    return f"{key}: {detail['msg'][0].lower()}{detail['msg'][1:]}, found {_shown(detail['input'])}"


def _number(value: object) -> str:
    """A bound without the `.0` that pydantic gives to every float."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    """A value as YAML would say it."""
    if isinstance(value, Mapping | BaseModel):
        return "a mapping"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)


def _nearest_choice(detail: ErrorDetails) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    choices = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(detail["input"].lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def _nearest_key(parts: Sequence[str]) -> str:
    """`nearest_key` of a key of a run's recipe."""
    section: type[BaseModel] | None = Config
    for part in parts[:-1]:
        field = None if section is None else section.model_fields.get(part)
        section = None if field is None else section_in(field.annotation)
    return nearest_key(parts[-1], section, Config)


def nearest_key(name: str, section: type[BaseModel] | None, tree: type[BaseModel]) -> str:
    """What to add to `unknown key`: the key of `section`, or failing that of any section of `tree`, that was meant."""
    fields = [] if section is None else list(section.model_fields)
    close = get_close_matches(name, fields, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    elsewhere = [path for path in _key_paths(tree) if path.rpartition(".")[2] == name]
    if elsewhere:
        return f", did you mean {' or '.join(repr(path) for path in elsewhere)}?"
    return f", known: {', '.join(fields)}" if fields else ""


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section in the type of a key, such as the one in `str | ModeSection | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_in(part))), None)


def _key_paths(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        below = section_in(field.annotation)
        if below is not None:
            yield from _key_paths(below, f"{prefix}{name}.")
