import pytest
import torch

from guidance import (
    GUIDED_LAYERS,
    LetterHeads,
    Watch,
    attention_term,
    garble,
    letter_terms,
    tile_features,
    wanted_looks,
)
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.tiny import FAMILY

LETTERS = torch.tensor([300, 301, 302])


@pytest.fixture(scope="module")
def lines(source):
    return source.make(0, 16)


def batch_of(lines, tokenizer):
    return collate([line.inputs for line in lines], FAMILY, pad_id=tokenizer.pad_id)


@pytest.fixture(scope="module")
def seen(start, tokenizer, lines):
    model = load_model(start)
    watch = Watch.of(model)
    batch = batch_of(lines, tokenizer)
    supervised_loss(model, batch.native())
    return model, watch, batch


def test_garbling_touches_the_answers_alone_and_leaves_the_labels(lines, tokenizer):
    clean = batch_of(lines, tokenizer)
    answers, num_changed = clean.labels != -100, []
    for seed in range(20):
        spoiled = batch_of(lines, tokenizer)
        garble(spoiled, LETTERS, torch.Generator().manual_seed(seed), most=0.5)
        changed = clean.input_ids != spoiled.input_ids
        assert not changed[~answers].any()
        assert set(spoiled.input_ids[changed].tolist()) <= set(LETTERS.tolist())
        torch.testing.assert_close(spoiled.labels, clean.labels)
        num_changed.append(int(changed.sum()))
    # A share between none and half of them, a quarter on average.
    assert 0.15 < sum(num_changed) / (20 * int(answers.sum())) < 0.35
    assert len(set(num_changed)) > 5


def test_garbling_nothing_changes_nothing(lines, tokenizer):
    clean, spoiled = batch_of(lines, tokenizer), batch_of(lines, tokenizer)
    garble(spoiled, LETTERS, torch.Generator().manual_seed(0), most=0.0)
    torch.testing.assert_close(spoiled.input_ids, clean.input_ids)


def test_looks_go_from_the_position_before_a_letter_to_the_tile_of_the_letter(lines, tokenizer):
    batch = batch_of(lines, tokenizer)
    looks = wanted_looks(batch, lines)
    assert len(looks.rows) == int((batch.labels != -100).sum())
    # Every supervised position once: what is said at a query is the label behind it.
    assert (batch.labels[looks.rows, looks.queries + 1] != -100).all()
    assert batch.image_mask[looks.rows, looks.keys].all()
    assert (looks.keys < looks.queries).all()
    for row, line in enumerate(lines):
        keys = looks.keys[looks.rows == row]
        first = int(batch.image_mask[row].int().argmax())
        assert (keys - first).tolist() == line.tiles.tolist()


def test_the_terms_are_finite_and_reach_heads_vision_and_decoder(seen, lines):
    model, watch, batch = seen
    heads = LetterHeads(model.config.text_config.hidden_size)
    vision, decoder = letter_terms(heads, watch, batch, lines)
    attention = attention_term(model, watch, wanted_looks(batch, lines))
    model.zero_grad()
    torch.autograd.backward(vision.loss + decoder.loss + attention.loss)
    for term in (vision, decoder, attention):
        assert torch.isfinite(term.loss)
        assert 0 <= term.accuracy <= 1
    layers = model.model.language_model.layers
    learning = [heads.vision.linear, heads.decoder.linear, model.model.multi_modal_projector]
    learning += [layers[index].self_attn.q_proj for index in GUIDED_LAYERS]
    for module in learning:
        assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())


def test_tile_features_are_what_the_decoder_is_given_for_the_tiles(start, tokenizer, lines):
    model = load_model(start)
    watch, batch, given = Watch.of(model), batch_of(lines, tokenizer), []
    model.model.language_model.layers[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    supervised_loss(model, batch.native())
    firsts = batch.image_mask.int().argmax(dim=1).tolist()
    wanted = [
        given[0][row, first : first + count]
        for row, (first, count) in enumerate(zip(firsts, batch.num_local_patches, strict=True))
    ]
    torch.testing.assert_close(tile_features(watch, batch), torch.cat(wanted))
    assert batch.num_local_patches == [len(line.slots) for line in lines]


def test_guided_scores_are_those_the_attention_has(seen, lines):
    """The weights of an eager attention, which hands them out, are the softmax of the guided scores."""
    model, watch, batch = seen
    model.set_attn_implementation("eager")
    try:
        arguments = {name: value for name, value in batch.native().items() if name != "labels"}
        weights = model(**arguments, output_attentions=True).attentions
    finally:
        model.set_attn_implementation("sdpa")
    looks = wanted_looks(batch, lines)
    wanted = [
        -weights[index][looks.rows, head, looks.queries, looks.keys].log().mean()
        for index in GUIDED_LAYERS
        for head in (0, 1)
    ]
    torch.testing.assert_close(
        attention_term(model, watch, looks).loss, torch.stack(wanted).mean(), atol=1e-4, rtol=1e-4
    )
