import random

import numpy as np
import pytest

from lines import render_line

TEXT = "Minim, vox 42!"
SEEDS = range(30)


def darkness(picture):
    """(H, W), how much darker than its paper each pixel is, in shares of the darkest one."""
    grey = np.asarray(picture.convert("L"), np.float64)
    dark = np.percentile(grey, 90) - grey
    return dark / dark.max()


def test_the_same_seed_gives_the_same_bytes(font):
    first, second = (render_line(TEXT, font, random.Random(5)) for _ in range(2))
    assert first.image.size == second.image.size
    assert first.image.tobytes() == second.image.tobytes()
    np.testing.assert_array_equal(first.centres, second.centres)


def test_seeds_give_different_pictures(font):
    pictures = {render_line(TEXT, font, random.Random(seed)).image.tobytes() for seed in SEEDS}
    assert len(pictures) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_letters_stand_in_the_picture_in_the_order_of_the_text(font, seed):
    line = render_line(TEXT, font, random.Random(seed))
    assert len(line.centres) == len(TEXT)
    assert (np.diff(line.centres) > 0).all()
    assert line.centres[0] > 0
    assert line.centres[-1] < 1


@pytest.mark.parametrize("seed", SEEDS)
def test_ink_stands_at_the_centre_of_a_letter_and_not_of_a_space(font, seed):
    text = "I   I"  # strokes with nothing beside them
    line = render_line(text, font, random.Random(seed))
    # Rows in the middle, where no neighbouring line reaches.
    dark = darkness(line.image)
    rows = dark[dark.shape[0] * 2 // 5 : dark.shape[0] * 3 // 5]
    ink = rows.mean(axis=0)
    at = np.clip((line.centres * len(ink)).astype(int), 0, len(ink) - 1)
    letters, space = ink[at[[0, 4]]], ink[at[2]]
    assert letters.min() > 0.3
    assert space < 0.3


def test_a_line_of_spaces_is_drawn_all_the_same(font, rng):
    line = render_line("  ", font, rng)
    assert len(line.centres) == 2


def test_a_line_longer_than_the_paper_is_drawn_whole(font, rng):
    line = render_line("word " * 60, font, rng)
    assert line.image.width > 2000
    assert line.centres[-2] < 1
