import os
import stat

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ocrtune.config import (
    PRESETS,
    Config,
    ModeSection,
    apply_overrides,
    parse_config,
    preset_text,
    read_config,
    write_config,
)
from ocrtune.errors import ConfigError

MINIMAL = {"model": "m", "data": {"uri": "d"}}


def problems(tree: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config({**MINIMAL, **tree})
    return list(caught.value.problems)


@pytest.mark.parametrize("name", PRESETS)
def test_a_written_recipe_reads_back_equal(name, tmp_path):
    config = read_config(name, ["data.uri=данные.jsonl", "optimizer.learning_rates.vision=1e-6"])
    write_config(config, tmp_path / "run" / "config.yaml")
    assert read_config(tmp_path / "run" / "config.yaml") == config
    assert "данные" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")


recipes = st.fixed_dictionaries(
    {"model": st.text("ab:#'\n ", min_size=1), "data": st.fixed_dictionaries({"uri": st.text()})},
    optional={
        "inputs": st.fixed_dictionaries(
            {
                "mode": st.none()
                | st.text(min_size=1)
                | st.fixed_dictionaries(
                    {"global_px": st.integers(1, 9999)}, optional={"max_tiles": st.just(4)}
                )
            }
        ),
        "optimizer": st.fixed_dictionaries(
            {"learning_rate": st.floats(0, 1, exclude_min=True)},
            optional={
                "betas": st.tuples(st.floats(0, 1), st.floats(0, 1)),
                "learning_rates": st.just({"vision": 1}),
            },
        ),
        "tuning": st.sampled_from(
            [{"parts": ["vision"]}, {"method": "full"}, {"lora": {"preset": "experts"}}]
        ),
    },
)


@given(recipes)
@example({"model": "m", "data": {"uri": "a\x85b"}})
def test_any_recipe_reads_back_equal(tmp_path_factory, tree):
    config = parse_config(tree)
    path = tmp_path_factory.mktemp("recipe") / "config.yaml"
    write_config(config, path)
    assert read_config(path) == config


def test_a_written_recipe_is_whole_and_readable_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_config(parse_config(MINIMAL), tmp_path / "config.yaml")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "config.yaml").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert set(yaml.safe_load((tmp_path / "config.yaml").read_text())) == set(Config.model_fields)


@pytest.mark.parametrize("name", ["full", "full.yaml"])
def test_presets_are_read_by_name(name):
    assert read_config(name).tuning.method == "full"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_begin_with_what_they_are_for(name):
    assert preset_text(name).startswith("# ")


def test_a_file_goes_before_a_preset_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").write_text("model: mine\ndata: {uri: x}")
    assert read_config("full").model == "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lora-gundan", "did you mean the preset 'lora-gundam'?"), ("zzz", "presets: lora-gundam")],
)
def test_a_recipe_that_is_not_there_gets_a_hint(name, hint):
    with pytest.raises(ConfigError, match="no recipe file") as caught:
        read_config(name)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model: [", "not YAML: while parsing"),
        ("- model", "a recipe is a mapping of sections, not list"),
        ("model", "a recipe is a mapping of sections, not str"),
        ("", "model: missing"),
        ("# only a comment", "model: missing"),
        ("model: a\ndata: {uri: b}\nmodel: c", "model: given twice, on lines 1 and 3"),
        ("model: a\ndata:\n  uri: b\n  uri: c", "data.uri: given twice, on lines 3 and 4"),
    ],
)
def test_a_file_that_is_no_recipe_is_told(text, problem, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert caught.value.problems[0].startswith(problem)
    assert caught.value.where == str(path)


def test_a_file_that_is_not_utf8_is_told(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"model: caf\xe9")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 10"):
        read_config(tmp_path / "recipe.yaml")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"\xef\xbb\xbfmodel: m\ndata: {uri: d}")
    assert read_config(tmp_path / "recipe.yaml").model == "m"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.batch_size=4", 4),
        ("optimizer.learning_rate=2e-5", "2e-5"),
        ("tuning.parts=[vision, decoder]", ["vision", "decoder"]),
        ("inputs.mode={global_px: 512}", {"global_px": 512}),
        ("data.prompt=<image>a = b", "<image>a = b"),
        ("inputs.max_tokens=", None),
        ("inputs.max_tokens=null", None),
        (" run . folder =x", "x"),
    ],
)
def test_an_override_sets_one_key(override, value):
    tree = apply_overrides({}, [override])
    section, key = (part.strip() for part in override.partition("=")[0].split("."))
    assert tree == {section: {key: value}}


def test_an_override_leaves_its_neighbours_and_the_given_tree():
    before = {"training": {"batch_size": 1, "epochs": 2}}
    after = apply_overrides(before, ["training.batch_size=4", "training.batch_size=5", "model=x"])
    assert after == {"training": {"batch_size": 5, "epochs": 2}, "model": "x"}
    assert before == {"training": {"batch_size": 1, "epochs": 2}}


def test_an_override_may_go_into_a_mode_of_the_runs_own():
    own_mode = "inputs.mode={global_px: 256, tile_px: 128, max_tiles: 9}"
    own = read_config("tiny-demo", [own_mode]).inputs.mode
    changed = read_config("tiny-demo", [own_mode, "inputs.mode.max_tiles=4"]).inputs.mode
    assert isinstance(own, ModeSection)
    assert changed == own.model_copy(update={"max_tiles": 4})
    named = read_config("full", ["inputs.mode.global_px=640"])
    assert named.inputs.mode == ModeSection(global_px=640)


def test_all_broken_overrides_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        apply_overrides({}, ["batch_size", ".a=1", "a..b=1", "a.b=[", "fine=1"])
    assert len(caught.value.problems) == 4
    assert "not of the form section.key=value" in caught.value.problems[0]
    assert "not YAML" in caught.value.problems[3]


def test_an_override_that_does_not_fit_is_told_as_in_a_file():
    with pytest.raises(ConfigError, match=r"training\.batch_size: must be at least 1, found 0"):
        read_config("full", ["training.batch_size=0"])


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"trainin": {}}, "trainin: unknown key, did you mean 'training'?"),
        ({"training": {"batchsize": 1}}, "training.batchsize: unknown key, did you mean 'batch_size'?"),
        ({"data": {"uri": "d", "normalization": {"cased": 1}}}, "data.normalization.cased: unknown key, did you mean 'case'?"),
        ({"inputs": {"mode": {"global_px": 64, "tile": 3}}}, "inputs.mode.tile: unknown key, did you mean 'tile_px'?"),
        ({"max_steps": 1}, "max_steps: unknown key, did you mean 'training.max_steps'?"),
        ({"training": {"uri": "x"}}, "training.uri: unknown key, did you mean 'data.uri' or 'data.sources.uri'?"),
        ({"run": {"zzz": 1}}, "run.zzz: unknown key, known: folder, seed, resume"),
        ({"inputs": {"mode": 3}}, "inputs.mode: must be a mode's name, or a mapping with global_px, found 3"),
        ({"inputs": {"mode": ["gundam"]}}, "inputs.mode: must be a mode's name, or a mapping with global_px, found ['gundam']"),
        ({"inputs": {"mode": ""}}, "inputs.mode: must be a text that is not empty, found ''"),
        ({"inputs": {"mode": {}}}, "inputs.mode.global_px: missing"),
        ({"inputs": {"mode": {"global_px": "x"}}}, "inputs.mode.global_px: must be a whole number, found 'x'"),
        ({"training": None}, "training: must be a mapping of keys, found null"),
        ({"training": {"device": "gpu"}}, "training.device: must be 'auto', 'cpu', 'cuda' or 'mps', found 'gpu'; did you mean 'cpu'?"),
        ({"training": {"precision": 16}}, "training.precision: must be 'auto', 'fp32', 'bf16' or 'fp16', found 16"),
        ({"training": {"batch_size": 1.5}}, "training.batch_size: must be a whole number, found 1.5"),
        ({"training": {"epochs": 0}}, "training.epochs: must be more than 0, found 0"),
        ({"run": {"resume": "perhaps"}}, "run.resume: must be true or false, found 'perhaps'"),
        ({"run": {"folder": True}}, "run.folder: must be a text, found true"),
        ({"data": {"uri": "d", "validation_fraction": 2}}, "data.validation_fraction: must be at most 1, found 2"),
        ({"optimizer": {"betas": 0.9}}, "optimizer.betas: must be a list, found 0.9"),
        ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate: must be a number, found 'fast'"),
        ({"optimizer": {"learning_rates": {"vison": 1}}},
         "optimizer.learning_rates.vison: must be 'decoder', 'projector' or 'vision', found 'vison'; did you mean 'vision'?"),
        ({"tuning": {"parts": []}}, "tuning: name at least one part that learns: decoder, projector, vision"),
        ({"run": {"seed": {"a": 1}}}, "run.seed: must be a whole number, found a mapping"),
        ({1: 2}, "1: keys should be strings, found 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_in_words_of_yaml(tree, problem):
    assert problems(tree) == [problem]


def test_all_problems_are_told_at_once_and_missing_keys_first():
    with pytest.raises(ConfigError) as caught:
        parse_config({"runn": {}, "training": {"batch_size": 0, "epoch": 1}}, where="recipe.yaml")
    assert caught.value.problems == (
        "model: missing",
        "data: missing",
        "training.batch_size: must be at least 1, found 0",
        "training.epoch: unknown key, did you mean 'epochs'?",
        "runn: unknown key, did you mean 'run'?",
    )
    assert str(caught.value).startswith("the configuration has 5 problems\n  - model: missing")
    assert caught.value.where == "recipe.yaml"
