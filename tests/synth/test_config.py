import pytest

from ocrtune.errors import ConfigError
from ocrtune.synth import parse_synth_config


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"letters": {"shortest": 9, "longest": 3, "grows_over": 10}}, "more than longest"),
        ({"paper": {"font_px": [40, 24]}}, r"font_px is \[least, most\]"),
        ({"degradations": [{"name": "blur", "strength": [0.9, 0.1]}]}, r"strength is \[least, most\]"),
    ],
)
def test_bounds_in_the_wrong_order_are_refused_when_the_recipe_is_read(tree, told):
    with pytest.raises(ConfigError, match=told):
        parse_synth_config(tree)


@pytest.mark.parametrize(("key", "value"), [("texts", []), ("layouts", {})])
def test_nothing_to_make_is_told_when_the_recipe_is_read(key, value):
    with pytest.raises(ConfigError, match=f"{key}: must be not empty"):
        parse_synth_config({key: value})
