import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.data import JsonTarget, build_example
from ocrtune.errors import ConfigError, NotJson
from ocrtune.families import get_family
from ocrtune.records import Page
from ocrtune.sources import read_source
from ocrtune.text import Normalization

INVOICE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "number": {"type": "string", "pattern": "^A-[0-9]+$"},
        "currency": {"enum": ["EUR", "USD"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "note": {"anyOf": [{"$ref": "#/$defs/Note"}, {"type": "null"}]},
    },
    "required": ["number"],
    "additionalProperties": False,
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
            "required": ["price"],
        },
        "Note": {"type": "object", "properties": {"by": {"type": "string"}, "text": {"type": "string"}}},
    },
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture
def target():
    return JsonTarget(INVOICE)


def told(target, value):
    text = value if isinstance(value, str) else json.dumps(value)
    return [(found.code, found.message, found.where, found.count) for found in target.check(text, "p.png")]


def test_keys_come_in_the_order_of_the_schema_at_every_depth(target):
    written = '{"note": {"text": "t", "by": "b"},\n "lines": [{"price": 1.50, "tax": 7, "name": "Öl"}], "number": "A-1"}'
    assert target.canonical(written) == (
        '{"number":"A-1","lines":[{"name":"Öl","price":1.5,"tax":7}],"note":{"by":"b","text":"t"}}'
    )


def test_keys_that_no_schema_names_stay_in_the_order_of_the_file():
    assert JsonTarget({}).canonical('{"b": 1, "a": {"d": 2, "c": 3}}') == '{"b":1,"a":{"d":2,"c":3}}'


def test_order_is_found_through_all_of_alternatives_tuples_and_maps():
    pair = {"properties": {"x": {}, "y": {}}}
    schema = {
        "allOf": [
            {"properties": {"first": {}}},
            {"properties": {"second": {"oneOf": [{"type": "null"}, pair]}}},
        ],
        "properties": {"pairs": {"prefixItems": [pair], "items": {"properties": {"n": {}, "m": {}}}}},
        "additionalProperties": pair,
    }
    written = '{"map":{"y":1,"x":2},"pairs":[{"y":1,"x":2},{"m":1,"n":2}],"second":{"y":1,"x":2},"first":0}'
    assert JsonTarget(schema).canonical(written) == (
        '{"pairs":[{"x":2,"y":1},{"n":2,"m":1}],"first":0,"second":{"x":2,"y":1},"map":{"x":2,"y":1}}'
    )


@given(VALUES)
def test_any_value_survives_and_its_form_is_stable(value):
    target = JsonTarget(INVOICE)
    once = target.canonical(json.dumps(value))
    assert json.loads(once) == value
    assert target.canonical(once) == once
    assert "\n" not in once


def test_a_right_target_has_no_findings(target):
    assert told(target, {"number": "A-7", "lines": [{"price": 1}], "note": None}) == []


@pytest.mark.parametrize(
    ("value", "message", "where"),
    [
        ({}, "$ lacks a key: 'number' is a required property", "p.png at $: {}"),
        ({"number": 7}, '$.number is not of type "string"', "p.png at $.number: 7"),
        ({"number": "7"}, '$.number does not match the pattern "^A-[0-9]+$"', 'p.png at $.number: "7"'),
        (
            {"number": "A-1", "currency": "£"},
            '$.currency is none of ["EUR", "USD"]',
            'p.png at $.currency: "£"',
        ),
        (
            {"number": "A-1", "a b": 1},
            "$ has other keys: Additional properties are not allowed ('a b' was unexpected)",
            'p.png at $: {"number": "A-1", "a b": 1}',
        ),
        (
            {"number": "A-1", "note": {"by": 5}},
            '$.note.by is not of type "string"',
            "p.png at $.note.by: 5",
        ),
    ],
)
def test_what_breaks_the_schema_is_told_with_path_and_value(value, message, where, target):
    assert told(target, value) == [("target-schema", message, where, 1)]


def test_the_same_mistake_in_many_items_is_one_finding(target):
    lines = [{"price": 1}, {"price": "2"}, {"price": "3"}]
    assert told(target, {"number": "A-1", "lines": lines}) == [
        ("target-schema", '$.lines[*].price is not of type "number"', 'p.png at $.lines[1].price: "2"', 2)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: expecting value"),
        ('{"number": }', "not JSON: expecting value"),
        ('{"number": "A-1"} and more', "not JSON: extra data"),
        ('{"number": "A-1", "number": "A-2"}', "the key 'number' is there twice"),
        ('{"total": NaN}', "NaN is no number"),
        ('{"total": 1e999}', "more digits than can be kept"),
        ('{"total": 3.14159265358979323846}', "more digits than can be kept"),
        ('{"number": "\\ud800"}', r"\ud800 is half of a surrogate pair"),
        ("[" * 100_000, "nested too deep"),
        ("1" * 5000, "Exceeds the limit"),
    ],
)
def test_what_is_no_json_or_would_lose_something_is_an_error(text, message, target):
    (finding,) = target.check(text, "p.png")
    assert (finding.code, finding.severity) == ("target-not-json", "error")
    assert message in finding.message
    assert "p.png" in finding.where
    with pytest.raises(NotJson):
        target.canonical(text)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strnig"}, r"no JSON Schema: \$\.type: 'strnig'"),
        ({"properties": {"a": {"pattern": "("}}}, r"\$\.properties\.a\.pattern"),
        ([], "neither an object"),
        ({"$ref": "#/$defs/Gone"}, "refers to '#/\\$defs/Gone', which is not in it"),
        ({"items": {"$ref": "https://example.org/other.json"}}, "refers to 'https://example.org/other.json'"),
    ],
)
def test_a_schema_that_is_none_is_refused_before_any_page(schema, message, tmp_path):
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(ConfigError, match=message) as caught:
        JsonTarget.read(tmp_path / "schema.json")
    assert caught.value.where == str(tmp_path / "schema.json")


def test_a_schema_file_that_is_missing_or_no_json_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        JsonTarget.read(tmp_path / "gone.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON") as caught:
        JsonTarget.read(tmp_path / "broken.json")
    assert "line 1, column 2" in caught.value.where


def test_a_schema_that_runs_in_circles_ends():
    target = JsonTarget({"properties": {"a": {"$ref": "#/properties/a"}}})
    assert [finding.code for finding in target.check('{"a": {}}')] == ["target-not-json"]
    with pytest.raises(NotJson, match="runs in circles"):
        target.canonical('{"a": {}}')


def test_older_drafts_are_read_by_their_own_rules():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"properties": {"x": {}, "y": {}}}],
    }
    assert JsonTarget(schema).canonical('[{"y":1,"x":2}]') == '[{"x":2,"y":1}]'


def test_examples_learn_the_one_form_and_normalisation_cannot_break_it(target):
    page = Page(name="p", images=(), text='{"lines": [], "number": "\uff02A  1\uff02 "}', prompt="Read.")
    family = get_family("deepseek_ocr")
    example = build_example(
        page, family, prompt=None, normalization=Normalization(unicode="NFKC"), json_target=target
    )
    assert example.target == '{"number":"\\"A 1\\"","lines":[]}'
    with pytest.raises(NotJson):
        build_example(
            replace(page, text="words"),
            family,
            prompt=None,
            normalization=Normalization(),
            json_target=target,
        )


def test_a_manifest_and_a_table_may_hold_targets_as_they_are(tmp_path):
    rows = [
        {"image": "a.png", "text": {"total": 1.0, "names": ["Ö"]}},
        {"image": "b.png", "text": []},
        {"image": "c.png", "text": '{"a": 1}'},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for uri in (str(path), f"jsonl:{path}"):
        texts = [page.text for page in read_source(uri).pages]
        assert texts == ['{"total":1.0,"names":["Ö"]}', "[]", '{"a": 1}']
