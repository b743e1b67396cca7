import pytest
import yaml

from ocrtune.errors import ConfigError
from ocrtune.synth.config import SynthConfig
from ocrtune.synth.degradations import resolve
from ocrtune.synth.reading import (
    RECIPES,
    parse_synth_config,
    read_synth_config,
    recipe_text,
    synth_config_text,
)


def problems(tree):
    with pytest.raises(ConfigError) as caught:
        parse_synth_config(tree)
    return list(caught.value.problems)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_is_read_by_name_and_says_what_it_is(name):
    config = read_synth_config(name)
    assert recipe_text(name).startswith("# ")
    assert resolve(config.degradations)
    assert config == read_synth_config(f"{name}.yaml")


def test_a_written_recipe_is_whole_and_reads_back_equal(tmp_path):
    tree = {"texts": [{"language": "ru", "files": ["книги/*.txt"]}], "degradations": [{"name": "blur"}]}
    config = parse_synth_config(tree)
    (tmp_path / "synth.yaml").write_text(synth_config_text(config), encoding="utf-8")
    assert read_synth_config(tmp_path / "synth.yaml") == config
    assert set(yaml.safe_load((tmp_path / "synth.yaml").read_text("utf-8"))) == set(SynthConfig.model_fields)


def test_overrides_are_applied_in_order_and_read_as_yaml():
    config = read_synth_config(
        "lines-en", ["letters.longest=9", "letters.longest=12", "texts=[{language: el}]"]
    )
    assert config.letters.longest == 12
    assert [section.language for section in config.texts] == ["el"]


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"layout": {"line": 1}}, "layout: unknown key, did you mean 'layouts'?"),
        ({"letters": {"longst": 3}}, "letters.longst: unknown key, did you mean 'longest'?"),
        ({"texts": [{}, {"langage": "en"}]}, "texts.1.langage: unknown key, did you mean 'language'?"),
        ({"width_px": 3}, "width_px: unknown key, did you mean 'paper.width_px'?"),
        ({"degradations": [{"nam": "blur"}]}, "degradations.0.nam: unknown key, did you mean 'name'?"),
        ({"layouts": {"lin": 1}}, "did you mean 'line'?"),
        ({"layouts": {"line": 0}}, "layouts.line: must be more than 0, found 0"),
        (
            {"degradations": [{"name": "blur", "chance": 2}]},
            "degradations.0.chance: must be at most 1, found 2",
        ),
        ({"degradations": 3}, "degradations: must be a text, found 3"),
        ({"texts": [{"prose": 0, "listed": 0, "invented": 0, "numbers": 0}]}, "there is nothing to draw"),
        ({"letters": 3}, "letters: must be a mapping of keys, found 3"),
        ({"target": "ground"}, "did you mean 'grounded'?"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_meant(tree, said):
    assert any(said in problem for problem in problems(tree)), problems(tree)


def test_all_mistakes_are_told_at_once_and_each_once():
    tree = {
        "seeds": 1,
        "count": 0,
        "texts": [{"weights": 1}],
        "degradations": [{"name": "blur", "chance": 2}],
    }
    assert len(problems(tree)) == 4, problems(tree)


def test_a_recipe_that_is_not_there_is_compared_with_those_that_are():
    with pytest.raises(ConfigError) as caught:
        read_synth_config("line-en")
    assert caught.value.hint == "did you mean the recipe 'lines-en'?"


def test_a_key_given_twice_is_refused(tmp_path):
    (tmp_path / "twice.yaml").write_text("count: 3\ncount: 4\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="count: given twice, on lines 1 and 2"):
        read_synth_config(tmp_path / "twice.yaml")
