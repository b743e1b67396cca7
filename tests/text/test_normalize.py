import sys
import unicodedata
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ocrtune.text import Normalization, normalize

ALL = [
    Normalization(unicode=form, whitespace=whitespace, case=case)
    for form, whitespace, case in product(
        ["none", "NFC", "NFD", "NFKC", "NFKD"], ["keep", "trim", "collapse"], ["keep", "fold"]
    )
]
combining = [chr(point) for point in range(0x300, 0x370)]
awkward = st.text(
    st.sampled_from([*combining, *"ßİ\u0131\u017fΣςAa\n\r\x85\u2028 \t\u3000\u00a8ﬁｱ゛Å\u212bㄱ가각"])
)


@pytest.mark.parametrize("normalization", ALL, ids=str)
@given(text=st.text() | awkward)
def test_normalising_twice_changes_nothing_more(normalization, text):
    once = normalize(text, normalization)
    assert normalize(once, normalization) == once


@pytest.mark.parametrize("normalization", ALL[::7], ids=str)
def test_every_character_is_normalised_once_and_for_all(normalization):
    # One text of all characters, each on its own line and away from the ends, is as good as a text for each.
    points = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assigned = [chr(point) for point in points if unicodedata.category(chr(point)) not in {"Cn", "Co"}]
    once = normalize("|\n|".join(assigned), normalization)
    assert normalize(once, normalization) == once


@given(st.text() | awkward)
def test_keeping_everything_changes_nothing(text):
    assert normalize(text, Normalization(unicode="none", whitespace="keep")) == text


@given(st.text() | awkward)
def test_trimmed_text_has_no_stray_spaces(text):
    trimmed = normalize(text, Normalization())
    assert trimmed == trimmed.strip()
    for line in trimmed.split("\n"):
        assert line == line.strip()
        assert "  " not in line
        assert line.splitlines() in ([line], [])


@given(st.text() | awkward)
def test_collapsed_text_is_its_words_and_single_spaces(text):
    collapsed = normalize(text, Normalization(unicode="none", whitespace="collapse"))
    assert collapsed == " ".join(text.split())


@given(st.text() | awkward)
def test_trimming_keeps_the_words(text):
    trimmed = normalize(text, Normalization(unicode="none"))
    assert trimmed.split() == text.split()


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=st.text() | awkward)
def test_unicode_forms_are_those_of_the_standard(form, text):
    assert normalize(text, Normalization(unicode=form, whitespace="keep")) == unicodedata.normalize(
        form, text
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a \t b  ", "a b"),
        ("\n\na\n\n b\n\n", "a\n\nb"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\u2028b\x0cc", "a\nb\nc"),
        ("a\u00a0\u3000b", "a b"),
        ("e\u0301", "é"),
        ("", ""),
        (" \n \t\n", ""),
    ],
)
def test_the_default_trims_and_composes(text, expected):
    assert normalize(text, Normalization()) == expected


def test_folding_compares_without_case():
    fold = Normalization(case="fold")
    assert normalize("STRASSE", fold) == normalize("straße", fold)
    assert normalize("ΣΊΣΥΦΟΣ", fold) == normalize("σίσυφος", fold)
    assert normalize("Å", fold) == normalize("\u212b", fold) == "å"


def test_the_words_of_a_normalisation_name_all_of_it():
    assert str(Normalization()) == "unicode NFC, whitespace trim, case keep"


@pytest.mark.parametrize("keys", [{"unicode": "nfc"}, {"whitespace": "strip"}, {"cases": "fold"}])
def test_unknown_choices_and_keys_are_refused(keys):
    with pytest.raises(ValidationError):
        Normalization(**keys)
