"""Targets in JSON: held against a schema, and written in one form, so that a model learns one."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ocrtune.errors import ConfigError, NotJson, TextError
from ocrtune.records import Finding
from ocrtune.sources.json_text import parse_json, write_json
from ocrtune.sources.side_texts import read_text_file
from ocrtune.text import Normalization, normalize, shorten

_TOO_DEEP = "the text is nested too deep for the schema, or the schema runs in circles"
_DATA_KEYWORDS = frozenset({"enum", "const", "default", "examples"})
"""What stands under these is no schema."""


class JsonTarget:
    """What targets in JSON must be, and how they are written.

    Args:
        schema: A JSON Schema; `{}` allows any JSON.
        where: Where it was read, for errors.

    Raises:
        ConfigError: It is no JSON Schema, or refers to what is not in it.
    """

    def __init__(self, schema: Any, where: str = "") -> None:
        if not isinstance(schema, dict | bool):
            raise ConfigError(["no JSON Schema: it is neither an object nor true or false"], where=where)
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            problem = f"{_path(error.absolute_path)}: {shorten(error.message)}"
            raise ConfigError([f"no JSON Schema: {problem}"], where=where) from error
        # The registry holds the drafts of JSON Schema itself; nothing is fetched from the net.
        self._validator: Validator = kind(schema, registry=REGISTRY)
        self._schema = schema
        self._resolver = REGISTRY.resolver_with_root(Resource.from_contents(schema, DRAFT202012))
        self._require_references(where)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The targets that a file with a JSON Schema describes.

        Raises:
            ConfigError: The file is missing, no JSON or no JSON Schema.
        """
        try:
            return cls(parse_json(read_text_file(path), str(path)), str(path))
        except TextError as error:
            raise ConfigError(
                [f"the JSON Schema cannot be used: {error.message}"], where=error.where
            ) from error

    def check(self, text: str, where: str = "") -> Iterator[Finding]:
        """What is wrong with a page's text as a target: one error for each kind, with the first place and the count.

        Args:
            text: The page's text.
            where: Where the page was read.
        """
        try:
            value = parse_json(text, where)
            places: dict[str, list[str]] = {}
            for error in self._validator.iter_errors(value):
                message, place = _tell(error)
                places.setdefault(message, []).append(f"{where} {place}".lstrip())
        except NotJson as error:
            yield _not_json(error.message, error.where)
        except RecursionError:
            yield _not_json(
                "the text is nested too deep for the schema, or the schema runs in circles", where
            )
        else:
            yield from (_breaks_schema(message, found) for message, found in places.items())

    def canonical(self, text: str, normalization: Normalization | None = None, where: str = "") -> str:
        """A target in the one form: keys in the schema's order, others after them in their own, no spaces between.

        Args:
            text: The page's text.
            normalization: What is made equal in strings; keys are left as they are.
            where: Where the page was read, for the error.

        Raises:
            NotJson: The text is no JSON. Whether it satisfies the schema is not looked at.
        """
        value = parse_json(text, where)
        try:
            return write_json(self._arrange(value, [self._schema], normalization))
        except RecursionError as error:
            raise NotJson(_TOO_DEEP, where=where) from error

    def _arrange(self, value: Any, schemas: Iterable[Any], normalization: Normalization | None) -> Any:
        """A value with its keys in the order of the schemas that describe it."""
        if isinstance(value, str):
            return value if normalization is None else normalize(value, normalization)
        if not isinstance(value, dict | list):
            return value
        described = [part for schema in schemas for part in self._parts(schema, value)]
        if isinstance(value, list):
            return [
                self._arrange(item, _item_schemas(described, place), normalization)
                for place, item in enumerate(value)
            ]
        order = dict.fromkeys(key for schema in described for key in schema.get("properties", {}))
        keys = [*(key for key in order if key in value), *(key for key in value if key not in order)]
        return {key: self._arrange(value[key], _key_schemas(described, key), normalization) for key in keys}

    def _parts(self, schema: Any, value: Any) -> Iterator[dict[str, Any]]:
        """A schema and all in it that speaks of the same value: references, `allOf`, the alternative that fits."""
        if not isinstance(schema, dict):
            return
        yield schema
        if "$ref" in schema:
            yield from self._parts(self._resolver.lookup(schema["$ref"]).contents, value)
        for part in schema.get("allOf", ()):
            yield from self._parts(part, value)
        for keyword in ("anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                if self._validator.evolve(schema=part).is_valid(value):
                    yield from self._parts(part, value)
                    break

    def _require_references(self, where: str) -> None:
        problems = []
        for reference in dict.fromkeys(_references(self._schema)):
            try:
                self._resolver.lookup(reference)
            except Unresolvable:
                problems.append(f"the schema refers to {shorten(reference)!r}, which is not in it")
        if problems:
            hint = "put it under $defs of the same file: nothing is fetched, and no other file is read"
            raise ConfigError(problems, where=where, hint=hint)


def _references(schema: Any) -> Iterator[str]:
    """Every `$ref` of a schema and the schemas in it."""
    waiting = [schema]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            if isinstance(found.get("$ref"), str):
                yield found["$ref"]
            waiting += [value for key, value in found.items() if key not in _DATA_KEYWORDS]


def _key_schemas(schemas: Iterable[dict[str, Any]], key: str) -> list[Any]:
    """What describes the value of a key."""
    return [
        schema["properties"][key]
        if key in schema.get("properties", {})
        else schema.get("additionalProperties")
        for schema in schemas
    ]


def _item_schemas(schemas: Iterable[dict[str, Any]], place: int) -> list[Any]:
    """What describes an item of a list."""
    found = []
    for schema in schemas:
        # Drafts before 2020 write a list of schemas as `items`.
        items = schema.get("items")
        first = items if isinstance(items, list) else schema.get("prefixItems", [])
        found.append(first[place] if place < len(first) else items)
    return found


def _tell(error: ValidationError) -> tuple[str, str]:
    """What is wrong, alike for all items of a list, and the place and value."""
    # Of alternatives the error that says most: that none of them fits helps nobody.
    error = best_match([error]) or error
    steps = list(error.absolute_path)
    wanted = shorten(_written(error.validator_value))
    messages = {
        "type": f"is not of type {wanted}",
        "enum": f"is none of {wanted}",
        "pattern": f"does not match the pattern {wanted}",
        "required": shorten(f"lacks a key: {error.message}"),
        "additionalProperties": shorten(f"has other keys: {error.message}"),
    }
    broken = messages.get(str(error.validator), f"breaks `{error.validator}`: {wanted}")
    general = _path("*" if isinstance(step, int) else step for step in steps)
    return f"{general} {broken}", f"at {_path(steps)}: {shorten(_written(error.instance))}"


def _path(steps: Iterable[str | int]) -> str:
    """A JSON path such as `$.lines[3].total`."""
    return "$" + "".join(_step(step) for step in steps)


def _step(step: str | int) -> str:
    if isinstance(step, int) or step == "*":
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{_written(step)}]"


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _not_json(message: str, where: str) -> Finding:
    return Finding(
        code=NotJson.code,
        severity="error",
        message=message,
        where=where,
        hint="with data.json_schema every text must be JSON",
    )


def _breaks_schema(message: str, places: Sequence[str]) -> Finding:
    return Finding(
        code="target-schema",
        severity="error",
        message=message,
        where=places[0],
        hint="mend the text or the schema",
        count=len(places),
    )
