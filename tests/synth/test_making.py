import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from ocrtune.errors import SynthError
from ocrtune.synth import making
from ocrtune.synth.config import LettersSection, SynthConfig
from ocrtune.synth.making import Maker, grown
from ocrtune.synth.reading import parse_synth_config

MIXED = {
    "seed": 5,
    "texts": [{"language": "en"}, {"language": "ru"}],
    "layouts": {"line": 3, "paragraph": 1, "table": 1, "receipt": 1},
    "paper": {"width_px": 500, "height_px": 600, "font_px": [18, 24]},
    "letters": {"longest": 30},
    "target": "grounded",
}
MIX = parse_synth_config(MIXED)
NUMBERS = range(10)


def digest(sample) -> str:
    parts = (
        sample.scan.image.mode.encode(),
        sample.scan.image.tobytes(),
        sample.text.encode(),
        repr(sample.facts).encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@pytest.fixture(scope="module")
def maker():
    return Maker(MIX)


@pytest.fixture(scope="module")
def digests(maker):
    return [digest(maker.sample(number)) for number in NUMBERS]


def test_the_order_in_which_samples_are_made_changes_no_byte(maker, digests):
    assert len(set(digests)) == len(digests)
    assert [digest(maker.sample(number)) for number in reversed(NUMBERS)] == digests[::-1]


def test_another_process_makes_the_same_bytes(digests):
    # Its hashes of strings are seeded otherwise: a set's order must not show.
    code = (
        "import sys; sys.path[:0] = sys.argv[1].split(':'); from test_making import MIX, digest, Maker\n"
        "maker = Maker(MIX)\n"
        "print(*[digest(maker.sample(number)) for number in (7, 2, 9)])"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, ":".join([__file__.rpartition("/")[0], *sys.path])],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"},
    )
    assert made.stdout.split() == [digests[7], digests[2], digests[9]]


def test_recipes_that_are_equal_make_the_same_whatever_the_order_of_their_keys(digests):
    turned = {**MIXED, "layouts": dict(reversed(MIXED["layouts"].items()))}
    other = Maker(parse_synth_config(turned))
    assert [digest(other.sample(number)) for number in range(4)] == digests[:4]


def test_a_maker_is_pickled_as_its_recipe(maker, digests):
    kept = pickle.dumps(maker)
    assert len(kept) < 10_000
    assert digest(pickle.loads(kept).sample(3)) == digests[3]


def test_another_seed_makes_other_pages(digests):
    other = Maker(MIX.model_copy(update={"seed": 6}))
    assert not {digest(other.sample(number)) for number in range(4)} & set(digests)


def test_a_sample_is_a_page_with_its_provenance(maker):
    sample = maker.sample(12)
    page = sample.page()
    assert (page.name, page.where) == ("0000012", "synth:12")
    assert page.images == (sample.scan.image,)
    assert (page.text, page.document) == (sample.text, sample.document)
    assert {"seed", "number", "layout", "language", "font", "degradations"} <= sample.facts.keys()
    assert (sample.facts["seed"], sample.facts["number"]) == (5, 12)


def test_pages_in_a_row_share_a_document(maker):
    documents = [maker.sample(number).document for number in (8, 9, 10)]
    assert documents[0] == documents[1] != documents[2]


def test_letters_of_a_line_have_their_places_in_reading_order():
    maker = Maker(parse_synth_config({"letters": {"longest": 20}, "degradations": "none"}))
    for number in range(5):
        page = maker.sample(number).page()
        assert page.letters is not None
        assert len(page.letters) == len(page.text)
        assert (np.diff(page.letters[:, 0]) > 0).all()
        assert ((page.letters > 0) & (page.letters < 1)).all()


def test_pages_say_nothing_about_letters():
    maker = Maker(parse_synth_config({"layouts": {"paragraph": 1}, "degradations": "none"}))
    assert maker.sample(0).page().letters is None


def test_every_layout_gives_pages_with_text():
    for layout in ("line", "paragraph", "columns", "table", "form", "receipt"):
        maker = Maker(parse_synth_config({**MIXED, "layouts": {layout: 1}, "target": "plain"}))
        sample = maker.sample(0)
        assert sample.facts["layout"] == layout
        assert sample.text.strip()
        assert "<|det|>" not in sample.text


# --- how long lines are ---


def test_lines_grow_by_the_same_factor_each_time():
    letters = LettersSection(shortest=10, longest=40, grows_after=100, grows_over=200)
    assert [grown(letters, number) for number in (0, 100, 200, 300, 9999)] == pytest.approx(
        [10, 10, 20, 40, 40]
    )


def test_without_growth_lines_have_their_full_length_from_the_start():
    assert grown(LettersSection(shortest=10, longest=40, grows_after=100), 0) == 40


def lengths(count, monkeypatch, **letters):
    """Letters asked for by each of the first samples."""
    asked = []

    def make_sheet(layout, source, fonts, config, rng, *, longest):
        asked.append(longest)
        return real(layout, source, fonts, config, rng, longest=3)

    real = making.make_sheet
    monkeypatch.setattr(making, "make_sheet", make_sheet)
    maker = Maker(parse_synth_config({"letters": letters, "degradations": "none"}))
    for number in range(count):
        maker.sample(number)
    return np.array(asked)


def test_lines_of_a_group_are_alike_and_a_quarter_of_the_groups_is_shorter(monkeypatch):
    asked = lengths(800, monkeypatch, longest=100, alike=8).reshape(-1, 8)
    least, most = asked.min(axis=1), asked.max(axis=1)
    assert asked.max() <= 100
    # Shares of the longest are rounded to whole letters.
    assert (least + 1 >= 0.7 * most).all()
    assert 0.12 < (most < 70).mean() < 0.35
    assert most.min() < 40


def test_lines_grow_with_their_number(monkeypatch):
    asked = lengths(120, monkeypatch, shortest=5, longest=80, grows_after=40, grows_over=60, alike=1)
    assert asked[:40].max() <= 5
    assert asked[100:].max() > 56
    assert asked[45:60].max() < asked[100:].max()


# --- texts that no font can set ---


def without_fonts(monkeypatch, share_per_language):
    """Fonts that lack letters of some languages at times."""
    real = making.make_sheet

    def make_sheet(layout, source, fonts, config, rng, *, longest):
        if rng.random() < share_per_language.get(source.language, 0):
            return None
        return real(layout, source, fonts, config, rng, longest=longest)

    monkeypatch.setattr(making, "make_sheet", make_sheet)


def test_a_text_that_no_font_can_set_is_counted_and_another_is_drawn(monkeypatch):
    without_fonts(monkeypatch, {"ru": 1.0})
    maker = Maker(MIX)
    samples = [maker.sample(number) for number in range(8)]
    assert {sample.facts["language"] for sample in samples} == {"en"}
    assert maker.misses["ru"] > 0
    assert maker.misses.total() == sum(sample.misses.total() for sample in samples) > 0


def test_when_no_text_can_be_set_it_is_said_which_languages_lack_fonts(monkeypatch):
    without_fonts(monkeypatch, {"ru": 1.0, "en": 1.0})
    with pytest.raises(
        SynthError, match="no font has the letters of 100 texts in a row, in en, ru"
    ) as caught:
        Maker(MIX).sample(3)
    assert caught.value.where == "sample 3"
    assert "fonts.paths" in caught.value.hint


def test_a_recipe_with_an_unknown_degradation_is_refused_at_once():
    with pytest.raises(SynthError, match="typcal"):
        Maker(SynthConfig(degradations="typcal"))
