from dataclasses import FrozenInstanceError, replace

import pytest

from ocrtune.errors import CheckpointError, ModeError
from ocrtune.families import (
    FAMILIES,
    VIEW_STEP_PX,
    Mode,
    check_mode,
    family_of,
    get_family,
    get_mode,
)

V1, V2, UNLIMITED = (get_family(name) for name in ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr"))
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)


def test_there_are_three_families_under_their_own_names():
    assert list(FAMILIES) == ["deepseek_ocr", "deepseek_ocr2", "unlimited_ocr"]
    assert all(get_family(name).name == name for name in FAMILIES)


@each_family
def test_a_family_is_data_that_cannot_be_changed(family):
    with pytest.raises(FrozenInstanceError):
        family.name = "other"
    with pytest.raises(TypeError):
        family.modes["x"] = Mode(name="x", global_px=64)
    with pytest.raises(TypeError):
        family.prompts["x"] = "x"


@each_family
def test_every_mode_is_one_the_family_sees(family):
    for name, mode in family.modes.items():
        assert mode.name == name
        assert check_mode(family, mode) is mode
        assert get_mode(family, name) is mode


@each_family
def test_the_defaults_are_there(family):
    assert family.default_mode in family.modes
    assert family.default_prompt in family.prompts
    assert set(family.decoding) == {"single", "pages", "evaluation"}
    assert all(guard.no_repeat_ngram_tokens < guard.window_tokens for guard in family.decoding.values())


@each_family
def test_every_prompt_asks_for_one_image_first(family):
    for prompt in family.prompts.values():
        assert prompt.startswith("<image>")
        assert prompt.count(family.vocabulary.image) == 1
        assert prompt == prompt.strip()


@each_family
def test_every_special_token_has_an_id_of_its_own(family):
    vocabulary = family.vocabulary
    named = {vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.image, *vocabulary.kept}
    assert named == set(vocabulary.published_ids)
    assert len(set(vocabulary.published_ids.values())) == len(named)
    assert max(vocabulary.published_ids.values()) < vocabulary.published_vocabulary_size
    assert set(vocabulary.unguarded) <= set(vocabulary.kept)


def test_the_ids_are_the_published_ones():
    ids = V1.vocabulary.published_ids
    assert [ids[V1.vocabulary.bos], ids[V1.vocabulary.eos], ids[V1.vocabulary.pad]] == [0, 1, 2]
    assert [ids["<image>"], ids["<|grounding|>"], ids["</tr>"]] == [128815, 128820, 128824]


@pytest.mark.parametrize(
    ("family", "modes"),
    [
        (V1, {"tiny": (512, None, 0, "stretch"), "small": (640, None, 0, "stretch"), "base": (1024, None, 0, "pad"),
              "large": (1280, None, 0, "pad"), "gundam": (1024, 640, 9, "pad"), "gundam-m": (1280, 1024, 9, "pad")}),
        (V2, {"small": (768, None, 0, "stretch"), "base": (1024, None, 0, "pad"), "gundam": (1024, 768, 6, "pad")}),
        (UNLIMITED, {"base": (1024, None, 0, "pad"), "gundam": (1024, 640, 32, "pad")}),
    ],
    ids=["v1", "v2", "unlimited"],
)  # fmt: skip
def test_modes_have_the_published_sizes(family, modes):
    found = {
        name: (mode.global_px, mode.tile_px, mode.max_tiles, mode.fit) for name, mode in family.modes.items()
    }
    assert found == modes


@pytest.mark.parametrize(
    ("family", "facts"),
    [
        (V1, (False, False, True, True, True, 8192, 9)),
        (V2, (False, False, True, False, False, 8192, 6)),
        (UNLIMITED, (True, True, False, True, True, 32768, 32)),
    ],
    ids=["v1", "v2", "unlimited"],
)
def test_families_differ_in_these_facts(family, facts):
    assert facts == (
        family.several_images,
        family.reference_window,
        family.decodes_padded,
        family.newline_after_row,
        family.grid_argument,
        family.max_new_tokens,
        max(mode.max_tiles for mode in family.modes.values()),
    )


@pytest.mark.parametrize(
    ("family", "guards"),
    [
        (V1, {"single": (30, 90), "pages": (20, 50), "evaluation": (40, 90)}),
        (V2, {"single": (30, 90), "pages": (20, 50), "evaluation": (20, 90)}),
        (UNLIMITED, {"single": (35, 128), "pages": (35, 1024), "evaluation": (35, 128)}),
    ],
    ids=["v1", "v2", "unlimited"],
)
def test_repetition_guards_are_the_published_ones(family, guards):
    found = {
        use: (guard.no_repeat_ngram_tokens, guard.window_tokens) for use, guard in family.decoding.items()
    }
    assert found == guards


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("deepseek-ocr", "deepseek_ocr"), ("unlimited", "unlimited_ocr"), ("deepseek_ocr3", "deepseek_ocr")],
)
def test_a_misspelt_family_gets_the_nearest(name, nearest):
    with pytest.raises(ModeError, match=f"no model family '{name}'") as caught:
        get_family(name)
    assert nearest in caught.value.hint


def test_a_mode_of_another_family_is_not_there():
    with pytest.raises(ModeError, match="deepseek_ocr2 has no mode 'gundam-m'") as caught:
        get_mode(V2, "gundam-m")
    assert caught.value.hint == "did you mean 'gundam'? known: small, base, gundam"
    with pytest.raises(ModeError) as caught:
        get_mode(V2, "zzz")
    assert caught.value.hint == "known: small, base, gundam"


@each_family
def test_only_multiples_of_64_px_are_sides(family):
    for side in range(-64, 1400):
        mode = Mode(name="own", global_px=side)
        fits = (
            side > 0
            and side % VIEW_STEP_PX == 0
            and (not family.view_sides_px or side in family.view_sides_px)
        )
        if fits:
            assert check_mode(family, mode) is mode
        else:
            with pytest.raises(ModeError):
                check_mode(family, mode)


def test_a_wrong_side_is_answered_with_the_nearest_right_one():
    with pytest.raises(ModeError, match="side 500 px of mode 'own' is not a multiple of 64") as caught:
        check_mode(V1, Mode(name="own", global_px=500))
    assert caught.value.hint == "take 512"


def test_a_family_with_fixed_queries_names_the_sides_it_sees():
    with pytest.raises(ModeError, match="sees only views of 768 and 1024 px; mode 'own' has 640"):
        check_mode(V2, Mode(name="own", global_px=1024, tile_px=640, max_tiles=6))


@pytest.mark.parametrize(("tile_px", "max_tiles"), [(None, 4), (640, 0), (640, 1), (640, -2)])
def test_tiles_need_a_side_and_at_least_two(tile_px, max_tiles):
    with pytest.raises(ModeError):
        check_mode(V1, Mode(name="own", global_px=1024, tile_px=tile_px, max_tiles=max_tiles))
    assert check_mode(V1, Mode(name="own", global_px=1024, tile_px=640, max_tiles=2))


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"model_type": "deepseek_vl_v2", "vision_config": {"model_name": "deeplip_b_l"}}, "deepseek_ocr"),
        ({"model_type": "deepseek_vl_v2", "vision_config": {"model_name": "deepencoderv2"}}, "deepseek_ocr2"),
        ({"model_type": "unlimited-ocr", "vision_config": {"model_name": "deeplip_b_l"}}, "unlimited_ocr"),
        ({"model_type": "deepseek_vl_v2", "architectures": ["DeepseekOCR2ForCausalLM"]}, "deepseek_ocr2"),
        ({"architectures": ["UnlimitedOcrForConditionalGeneration"]}, "unlimited_ocr"),
        ({"model_type": "deepseek_ocr2"}, "deepseek_ocr2"),
    ],
)
def test_a_family_is_known_by_its_config(config, name):
    assert family_of(config).name == name


@each_family
def test_every_architecture_and_native_type_is_of_one_family(family):
    assert family_of({"model_type": family.name}) is family
    for architecture in family.architectures:
        assert family_of({"architectures": [architecture]}) is family
    assert family.native_class in family.architectures


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "llama"},
        {"model_type": "deepseek_vl_v2"},
        {"architectures": None, "vision_config": None},
    ],
)
def test_a_config_of_no_family_is_an_error_that_lists_them(config):
    with pytest.raises(CheckpointError, match="of no known family") as caught:
        family_of(config)
    assert "deepseek_ocr, deepseek_ocr2, unlimited_ocr" in caught.value.hint


@each_family
def test_published_modules_are_named_once(family):
    published = list(family.published_modules.values())
    assert len(set(published)) == len(published)
    assert replace(family, title="x").title == "x"
