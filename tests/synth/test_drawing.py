# ruff: noqa: RUF001  # Arabic letters look like Latin ones
import numpy as np
import pytest
from PIL import ImageFont

from ocrtune.synth.config import FontsSection
from ocrtune.synth.drawing import Canvas, Pen, bounds_of, needs_shaping, outline_of
from ocrtune.synth.fonts import Fonts


@pytest.fixture(scope="module")
def pen(tmp_path_factory):
    """Writes in the font that Pillow carries, so that a machine without fonts will do."""
    path = tmp_path_factory.mktemp("font") / "aileron.ttf"
    path.write_bytes(ImageFont.load_default(size=20).path.getvalue())
    (face,) = Fonts.find(FontsSection(paths=(str(path),))).faces
    return Pen(face, 60, "en")


def pen_of(language: str, text: str) -> Pen:
    """Writes in the first of the system's fonts that can set `text`."""
    face = next((face for face in Fonts.find(FontsSection()).faces if face.can_set(text)), None)
    if face is None:
        pytest.skip(f"no font of this machine has the letters of {language}")
    return Pen(face, 60, language)


def ink_bounds(grey):
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("letter", "xjÅ.")
def test_a_glyph_lies_where_the_canvas_says(pen, letter):
    canvas = Canvas(200, 200)
    assert canvas.put(pen.letter(letter), 80.4, 120) == ink_bounds(canvas.grey)


def test_small_letters_stand_on_the_baseline_and_reach_the_height_of_an_x(pen):
    canvas = Canvas(200, 200)
    _, top, _, bottom = canvas.put(pen.letter("x"), 50, 120)
    assert bottom == 120
    assert top == 120 - pen.x_height_px


def test_what_lies_beyond_the_canvas_is_cut_off(pen):
    glyph = pen.letter("H")
    whole, cut = Canvas(200, 200), Canvas(200, 100)
    left, top, right, _ = whole.put(glyph, 50, 120)
    assert cut.put(glyph, 50, 120) == (left, top, right, 100)
    np.testing.assert_array_equal(cut.grey, whole.grey[:100])
    assert cut.put(glyph, 300, 120) is None
    assert cut.put(glyph, -300, 120) is None


def test_a_space_moves_the_pen_and_leaves_no_ink(pen):
    assert pen.space_px > 0
    assert Canvas(100, 100).put(pen.letter(" "), 50, 50) is None


def test_where_two_glyphs_meet_the_darker_one_counts(pen):
    canvas = Canvas(200, 200)
    canvas.put(pen.letter("H"), 50, 120)
    before = canvas.grey.copy()
    canvas.put(pen.letter("i"), 60, 120)
    assert (canvas.grey >= before).all()
    assert canvas.ink.max() == 1
    assert canvas.ink.dtype == np.float32


def test_a_rule_with_a_period_is_half_bare():
    dots, line = Canvas(100, 10), Canvas(100, 10)
    dots.rule((10, 4, 90, 6), period_px=8)
    line.rule((10, 4, 90, 6))
    assert line.grey.astype(bool).sum() == 160
    assert dots.grey.astype(bool).sum() == 80


def test_a_frame_has_ink_on_its_sides_only():
    canvas = Canvas(50, 40)
    canvas.frame((5, 5, 45, 35), thickness_px=2)
    assert ink_bounds(canvas.grey) == (5, 5, 45, 35)
    assert not canvas.grey[7:33, 7:43].any()


def test_an_outline_has_points_along_its_sides():
    outline = outline_of((10, 20, 100, 200))
    assert outline.shape == (36, 2)
    assert (*outline.min(axis=0), *outline.max(axis=0)) == (10, 20, 100, 200)
    steps = np.abs(np.diff(np.concatenate([outline, outline[:1]]), axis=0))
    np.testing.assert_allclose(steps.max(axis=1), [10] * 9 + [20] * 9 + [10] * 9 + [20] * 9)
    assert (steps.min(axis=1) == 0).all()


def test_bounds_are_around_all_boxes():
    assert bounds_of([(1, 5, 3, 6), None, (2, 2, 9, 4)]) == (1, 2, 9, 6)
    assert bounds_of([None]) is None


@pytest.mark.parametrize("text", ["كتاب", "किताब", "שלום", "е\u0301", "ভাষা", "မြန်မာ", "ខ្មែរ"])
def test_letters_that_join_or_stack_need_shaping(text):
    assert needs_shaping(f"x {text}")


@pytest.mark.parametrize("text", ["fi ffi “x” — 5%", "Ѣдучи, ёж", "Ἀθήνα, μέρα·", "é ½ № …"])
def test_letters_that_stand_alone_need_no_shaping(text):
    assert not needs_shaping(text)


def test_arabic_letters_join():
    word = pen_of("ar", "سمعتب").word("سمع")
    assert word.ink.any(axis=0).all()


def test_arabic_runs_from_right_to_left():
    pen = pen_of("ar", "سمعتبا")
    long_first, long_last = pen.word("س ا").ink, pen.word("ا س").ink
    height = len(long_first) // 4
    # The alif is the only upright one of the two, so the upper quarter has no other ink.
    columns = [
        np.flatnonzero(ink[:height].any(axis=0)).mean() / ink.shape[1] for ink in (long_first, long_last)
    ]
    assert columns[0] < 0.5 < columns[1]


def test_digits_within_arabic_run_from_left_to_right():
    arabic = pen_of("ar", "سمعتبا1890")
    latin = Pen(arabic.face, arabic.size_px, "en")
    np.testing.assert_array_equal(arabic.word("1890").ink, latin.word("1890").ink)


def test_the_short_i_of_devanagari_stands_before_its_consonant():
    pen = pen_of("hi", "किमत")
    consonant, syllable = pen.word("त").ink.astype(float), pen.word("ति").ink.astype(float)
    height = min(len(consonant), len(syllable))
    places = [
        (consonant[-height:] * syllable[-height:, x : x + consonant.shape[1]]).sum()
        for x in range(syllable.shape[1] - consonant.shape[1] + 1)
    ]
    assert np.argmax(places) > 0.6 * (len(places) - 1)


def test_devanagari_consonants_stack():
    pen = pen_of("hi", "क्त")
    assert pen.word("क्त").advance < 0.95 * (pen.word("क").advance + pen.word("त").advance)
