import pytest

from ocrtune.data.scripts import are_look_alikes, main_script


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", "Common"),
        ("12 : 34 –", "Common"),
        ("plain", "Latin"),
        ("Слово, word и дело", "Cyrillic"),
        ("漢字 and kana", "Latin"),
        ("भारत 12", "Devanagari"),
        ("שלום a", "Hebrew"),
    ],
)
def test_the_main_script_is_that_of_most_letters(text, script):
    assert main_script(text) == script


def test_letters_of_two_scripts_that_look_the_same_are_known_both_ways():
    latin, cyrillic = "a", "\N{CYRILLIC SMALL LETTER A}"
    assert are_look_alikes(latin, cyrillic)
    assert are_look_alikes(cyrillic, latin)
    assert not are_look_alikes(latin, "\N{CYRILLIC SMALL LETTER ZHE}")
    assert not are_look_alikes(latin, latin)
