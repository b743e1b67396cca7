from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import batches
from batches import CLASSES, SLOTS, BatchFeed, slot_classes, teach, tiles_of_letters
from lines import RenderedLine, render_line
from ocrtune.errors import InputsError


def line_of(text, centres):
    return RenderedLine(Image.new("L", (640, 40), 255), text, np.array(centres, np.float32))


def same(first, second):
    return all(
        np.array_equal(one.inputs.input_ids, other.inputs.input_ids)
        and np.array_equal(one.inputs.views[0].tiles, other.inputs.views[0].tiles)
        and np.array_equal(one.slots, other.slots)
        for one, other in zip(first, second, strict=True)
    )


def test_a_letter_fills_the_slot_that_holds_its_centre():
    slots = slot_classes(line_of("aZ", [0.01, 0.99]), 4)
    assert slots.shape == (4, SLOTS)
    assert slots[0, 0] == CLASSES.index("a")
    assert slots[3, SLOTS - 1] == CLASSES.index("Z")
    assert np.count_nonzero(slots) == 2


def test_shifted_windows_begin_half_a_tile_earlier():
    line = line_of("ab", [0.25 + 1 / 64, 0.99])
    slots, shifted = slot_classes(line, 4), slot_classes(line, 4, shift=0.5)
    assert shifted.shape == (5, SLOTS)
    flat, moved = slots.flatten(), shifted.flatten()
    np.testing.assert_array_equal(moved[SLOTS // 2 : SLOTS // 2 + len(flat)], flat)


def test_letters_without_a_class_leave_their_slot_empty():
    assert not slot_classes(line_of("é", [0.5]), 2).any()


@pytest.mark.parametrize("columns", [2, 7, 24])
def test_each_letter_is_read_from_the_tile_that_holds_its_centre(font, rng, columns):
    line = render_line("Letters and their tiles", font, rng)
    tiles = tiles_of_letters(line, columns)
    for tile, centre in zip(tiles, line.centres, strict=False):
        assert tile / columns <= centre < (tile + 1) / columns
    assert tiles[-1] == columns


def test_a_taught_line_agrees_with_itself(font, rng, tokenizer):
    line = render_line("A line—with a dash.", font, rng)
    taught = teach(line, tokenizer)
    columns, rows = taught.inputs.views[0].grid
    assert rows == 1
    assert taught.slots.shape == (columns, SLOTS)
    assert taught.shifted_slots.shape == (columns + 1, SLOTS)
    assert len(taught.tiles) == len(line.text) + 1 == len(taught.inputs) - taught.inputs.num_prompt_tokens


@pytest.mark.parametrize("size", [(40, 40), (100, 5), (64, 300)])
def test_a_line_that_is_no_row_of_tiles_is_left_out(tokenizer, size):
    line = RenderedLine(Image.new("L", size, 255), "x", np.array([0.5], np.float32))
    assert teach(line, tokenizer) is None


def test_a_letter_that_is_not_one_token_is_an_error(tokenizer):
    with pytest.raises(InputsError, match="not one token each"):
        teach(line_of("漢", [0.5]), tokenizer)


def test_a_batch_depends_on_seed_step_and_length_alone(source):
    assert same(source.make(4, 20), source.make(4, 20))
    assert not same(source.make(4, 20), source.make(5, 20))


def test_held_out_lines_are_the_same_each_time(source):
    first, second = source.held_out(3, 20), source.held_out(3, 20)
    assert [line.text for line in first] == [line.text for line in second]
    assert [line.image.tobytes() for line in first] == [line.image.tobytes() for line in second]


def test_batches_come_in_order_with_the_lengths_of_when_they_were_ordered(source):
    feed = BatchFeed(source, step=10, ahead=2)
    assert same(feed.take(9), source.make(10, 9))
    assert feed.lengths == [9, 9]
    assert same(feed.take(15), source.make(11, 9))
    assert feed.lengths == [9, 15]


def test_a_feed_that_is_taken_up_again_gives_what_it_would_have_given(source):
    feed = BatchFeed(source, ahead=2)
    feed.take(9)
    again = BatchFeed(source, step=1, lengths=feed.lengths, ahead=2)
    for longest in (12, 15, 18):
        assert same(feed.take(longest), again.take(longest))


def test_batches_made_elsewhere_are_the_same(source, monkeypatch):
    monkeypatch.setattr(batches, "_kept", [source])
    with ThreadPoolExecutor(1) as executor:
        feed = BatchFeed(source, ahead=1, executor=executor)
        assert same(feed.take(12), source.make(0, 12))
        assert same(feed.take(12), source.make(1, 12))
