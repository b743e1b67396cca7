import numpy as np
import pytest
import torch
from PIL import Image

from ocrtune.config import GuidanceSection
from ocrtune.errors import ConfigError, TrainingError
from ocrtune.families import Mode
from ocrtune.inputs import Tokenizer, encode
from ocrtune.inputs.collate import collate
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.tiny import FAMILY, RECIPE, build_tiny_checkpoint
from ocrtune.records import Example
from ocrtune.training.guidance import (
    SLOTS,
    Guidance,
    check_guidable,
    guidance_targets,
    places_in_sequence,
    slot_tokens,
)

EMPTY = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer.read(folder)


def line(text, tokenizer, *, size=(256, 32), letters=None):
    """A row of tiles whose letters stand at even distances, unless told where."""
    places = [((index + 0.5) / len(text), 0.5) for index in range(len(text))]
    example = Example(
        name=text,
        images=(Image.new("L", size, 200),),
        prompt=RECIPE.prompt,
        target=text,
        letters=np.array(places if letters is None else letters),
    )
    return encode(example, RECIPE, tokenizer)


def test_a_letter_fills_the_slot_that_holds_its_middle():
    slots = slot_tokens(np.array([[0.01, 0.5], [0.99, 0.5]]), np.array([7, 9]), (4, 1), EMPTY)
    assert slots.shape == (4, SLOTS)
    assert (slots[0, 0], slots[3, SLOTS - 1]) == (7, 9)
    assert (slots == EMPTY).sum() == slots.size - 2


def test_shifted_windows_begin_half_a_tile_earlier():
    letters, tokens = np.array([[0.25 + 1 / 64, 0.5], [0.99, 0.5]]), np.array([7, 9])
    flat = slot_tokens(letters, tokens, (4, 1), EMPTY).flatten()
    moved = slot_tokens(letters, tokens, (4, 1), EMPTY, shift=0.5)
    assert moved.shape == (5, SLOTS)
    np.testing.assert_array_equal(moved.flatten()[SLOTS // 2 : SLOTS // 2 + len(flat)], flat)


@pytest.mark.parametrize("grid", [(2, 1), (7, 1), (24, 1), (5, 3)])
def test_each_letter_is_read_from_the_tile_that_holds_it(grid):
    columns, rows = grid
    letters = np.random.default_rng(0).random((50, 2))
    found = places_in_sequence(letters, grid)
    for position, (x, y) in zip(found, letters, strict=False):
        row, column = divmod(position, columns + 1)
        assert column / columns <= x < (column + 1) / columns
        assert row / rows <= y < (row + 1) / rows
    assert found[-1] == rows * (columns + 1) - 1


def test_queries_are_where_the_loss_asks_for_the_token_and_keys_are_image_tokens(tokenizer):
    inputs = [line("ab", tokenizer), line("Слово и дело", tokenizer)]
    batch = collate(inputs, FAMILY, pad_id=tokenizer.pad_id)
    targets = guidance_targets(inputs, empty_id=tokenizer.pad_id)
    rows, queries, keys = (targets[name] for name in ("look_rows", "queries", "keys"))
    asked = batch.labels[rows, queries + 1]
    assert (asked != IGNORED_LABEL).all()
    assert len(asked) == int((batch.labels != IGNORED_LABEL).sum())
    assert batch.image_mask[rows, keys].all()
    assert batch.image_mask[targets["rows"], targets["positions"]].all()


def test_the_tiles_asked_are_those_of_the_batch_in_its_order(tokenizer):
    without = encode(
        Example(name="x", images=(Image.new("L", (256, 32), 0),), prompt=RECIPE.prompt, target="x"),
        RECIPE,
        tokenizer,
    )
    guided = line("abc", tokenizer)
    targets = guidance_targets([without, guided], empty_id=tokenizer.pad_id)
    first = len(without.views[0].tiles)
    assert targets["tiles"].tolist() == list(range(first, first + len(guided.views[0].tiles)))
    assert set(targets["look_rows"].tolist()) == {1}


def test_a_batch_nobody_knows_the_letters_of_asks_for_nothing(tokenizer):
    example = Example(name="x", images=(Image.new("L", (256, 32), 0),), prompt=RECIPE.prompt, target="x")
    targets = guidance_targets([encode(example, RECIPE, tokenizer)], empty_id=tokenizer.pad_id)
    assert all(len(tensor) == 0 for tensor in targets.values())


def test_a_row_with_a_token_of_several_letters_asks_for_nothing_and_stops_nobody(tokenizer):
    alone = guidance_targets([line("abc", tokenizer)], empty_id=tokenizer.pad_id)
    inputs = [line("C<tr> command.", tokenizer), line("abc", tokenizer)]
    targets = guidance_targets(inputs, empty_id=tokenizer.pad_id)
    first = len(inputs[0].views[0].tiles)
    assert (targets["tiles"] - first).tolist() == alone["tiles"].tolist()
    assert set(targets["look_rows"].tolist()) == {1}


def test_a_batch_in_which_no_letter_is_one_token_is_an_error(tokenizer):
    with pytest.raises(TrainingError, match="one token for each letter"):
        guidance_targets([line("漢字", tokenizer), line("字", tokenizer)], empty_id=tokenizer.pad_id)


def guided(folder, tokenizer, inputs, section=None):
    model = load_model(folder).train()
    guidance = Guidance(model, section or GuidanceSection(), empty_id=tokenizer.pad_id, seed=1)
    batch = collate(inputs, FAMILY, pad_id=tokenizer.pad_id)
    supervised_loss(model, batch.native())
    return (
        model,
        guidance,
        guidance.terms(guidance_targets(inputs, empty_id=tokenizer.pad_id), num_images=len(inputs)),
    )


def test_the_term_of_attention_is_that_of_the_models_own_attention(folder, tokenizer):
    inputs = [line("some letters", tokenizer), line("more", tokenizer)]
    section = GuidanceSection(attention_layers=(2,), attention_heads=1)
    model, _, terms = guided(folder, tokenizer, inputs, section)
    model.set_attn_implementation("eager")
    batch = collate(inputs, FAMILY, pad_id=tokenizer.pad_id)
    weights = model(**batch.native(), output_attentions=True).attentions[2][:, 0]
    targets = guidance_targets(inputs, empty_id=tokenizer.pad_id)
    looked = weights[targets["look_rows"], targets["queries"], targets["keys"]]
    assert terms["attention"].loss.item() == pytest.approx(-looked.log().mean().item(), rel=1e-4)


def test_guidance_reaches_vision_projector_and_decoder(folder, tokenizer):
    model, guidance, terms = guided(folder, tokenizer, [line("some letters", tokenizer)])
    model.zero_grad()
    guidance.weigh(terms).backward()
    touched = {name for name, value in model.named_parameters() if value.grad is not None}
    for part in (
        "sam_encoder.patch_embed",
        "multi_modal_projector",
        "layers.1.mlp",
        "layers.3.self_attn.q_proj",
    ):
        assert any(part in name for name in touched), part
    assert not any("layers.3.mlp" in name for name in touched)


def test_garbling_replaces_letters_of_answers_only_and_is_the_same_for_a_step(folder, tokenizer):
    inputs = [line("letters " * 8, tokenizer, size=(900, 32)) for _ in range(4)]
    model = load_model(folder)
    guidance = Guidance(model, GuidanceSection(garbled=1.0), empty_id=tokenizer.pad_id, seed=1)
    batch = collate(inputs, FAMILY, pad_id=tokenizer.pad_id).native()
    once, again, other = (guidance.garble(batch, step) for step in (3, 3, 4))
    answers = batch["labels"] != IGNORED_LABEL
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(once[~answers], batch["input_ids"][~answers])
    assert set(once[answers].tolist()) <= set(batch["labels"][answers].tolist())


def test_letter_heads_come_back_bit_by_bit_and_none_of_another_shape(folder, tokenizer, tmp_path):
    model = load_model(folder)
    first, second = (
        Guidance(model, GuidanceSection(), empty_id=tokenizer.pad_id, seed=seed) for seed in (1, 2)
    )
    first.save(tmp_path)
    assert second.restore(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not second.restore(tmp_path / "elsewhere")


def test_the_model_has_no_parameter_of_the_heads(folder, tokenizer):
    model = load_model(folder)
    before = {name for name, _ in model.named_parameters()}
    Guidance(model, GuidanceSection(), empty_id=tokenizer.pad_id, seed=1)
    assert {name for name, _ in model.named_parameters()} == before


def test_modes_of_several_features_a_tile_are_refused():
    check_guidable(RECIPE.mode)
    with pytest.raises(ConfigError, match="one vision feature a tile"):
        check_guidable(Mode(name="mine", global_px=256, tile_px=128, max_tiles=9))


def test_layers_that_are_not_there_are_refused(folder, tokenizer):
    with pytest.raises(ConfigError, match="4 layers of 4 heads"):
        Guidance(load_model(folder), GuidanceSection(attention_layers=(4,)), empty_id=2, seed=1)
