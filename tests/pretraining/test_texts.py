import random

import pytest

from batches import CLASSES
from ocrtune.errors import SourceError
from texts import find_fonts, font_weight, invent_word, read_prose, read_words

PARAGRAPH = (
    "It is a truth that documentation is written in long sentences, and that they go on until the end."
)


@pytest.mark.parametrize("length", [1, 2, 8, 30, 66])
def test_a_line_has_about_the_length_asked_for_and_no_spaces_around_it(texts, length):
    rng = random.Random(length)
    for _ in range(200):
        text = texts.draw(rng, length)
        assert 1 <= len(text) <= length + 1  # a hyphen at the end
        assert text == text.strip()


def test_every_letter_that_is_drawn_has_a_class(texts, rng):
    drawn = {letter for _ in range(500) for letter in texts.draw(rng, 60)}
    assert drawn <= set(CLASSES)
    assert "—" in drawn


def test_the_same_seed_draws_the_same_texts(texts):
    first, second = ([texts.draw(rng, 40) for _ in range(50)] for rng in (random.Random(2), random.Random(2)))
    assert first == second


def test_words_are_invented_from_letters(rng):
    assert all(invent_word(rng).isalpha() for _ in range(100))


def test_prose_is_english_paragraphs_each_in_a_line(tmp_path):
    (tmp_path / "a.txt").write_text(
        f"{PARAGRAPH[:40]}\n{PARAGRAPH[40:]}\n\nshort\n\n{'x = {1: 2}; ' * 20}", encoding="utf-8"
    )
    assert read_prose([str(tmp_path / "**" / "*.txt")]) == [
        f"{PARAGRAPH[:40]} {PARAGRAPH[40:]}".replace("  ", " ")
    ]


def test_no_prose_is_an_error_that_says_what_to_install(tmp_path):
    with pytest.raises(SourceError, match="no paragraph of English") as caught:
        read_prose([str(tmp_path / "*.txt")])
    assert "--texts" in caught.value.hint


def test_few_words_with_an_apostrophe_are_kept(tmp_path):
    path = tmp_path / "words"
    path.write_text("\n".join([f"plain{n}" for n in range(100)] + [f"word{n}'s" for n in range(100)] + ["é"]))
    words = read_words(path)
    assert sum("'" not in word for word in words) == 100
    assert 1 <= sum("'" in word for word in words) <= 25


def test_no_list_of_words_is_an_error_that_says_what_to_install(tmp_path):
    with pytest.raises(SourceError) as caught:
        read_words(tmp_path / "missing")
    assert "wamerican" in caught.value.hint


def test_named_fonts_are_held_out_and_those_not_for_text_left_out(tmp_path):
    for name in ("Plain.ttf", "Bold.otf", "OldStandard-Regular.ttf", "SomeMono.ttf", "read.me"):
        (tmp_path / name).touch()
    fonts = find_fonts([tmp_path])
    assert [path.name for path in fonts.training] == ["Bold.otf", "Plain.ttf"]
    assert [path.name for path in fonts.held_out] == ["OldStandard-Regular.ttf"]
    assert fonts.weights == (font_weight("Bold.otf"), 1.0)


def test_without_a_named_font_the_last_one_is_held_out(tmp_path):
    for name in ("A.ttf", "B.ttf", "C.ttf"):
        (tmp_path / name).touch()
    assert [path.name for path in find_fonts([tmp_path]).held_out] == ["C.ttf"]


@pytest.mark.parametrize("names", [[], ["Only.ttf"]])
def test_too_few_fonts_are_an_error_that_says_what_to_do(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=f"{len(names)} fonts") as caught:
        find_fonts([tmp_path])
    assert "--fonts" in caught.value.hint


def test_upright_roman_comes_oftener_than_bold_italic_or_sans():
    assert font_weight("Any-Regular.ttf") == 1
    assert font_weight("GFSDidot.otf") > 1
    assert max(font_weight(name) for name in ("A-Bold.ttf", "A-Italic.ttf", "A-Sans.ttf")) < 1
    assert font_weight("Sans-BoldItalic.ttf") < font_weight("Sans.ttf")
