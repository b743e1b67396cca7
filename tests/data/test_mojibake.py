import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.data.mojibake import find_mojibake, repair_mojibake

CODECS = ("cp1252", "latin-1", "cp1251", "koi8-r", "mac-roman", "cp866", "cp1250")
ALPHABETS = {
    "Russian": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "French": "abcdefghilmnopqrstuvéèêàçùôîûœ",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώς",
    "Polish": "aąbcćdeęfghijklłmnńoóprsśtuwyzźż",
}
LETTERS = {letter for letters in ALPHABETS.values() for letter in letters}


def words(alphabet):
    return st.text(alphabet, min_size=3, max_size=10).flatmap(
        lambda word: st.sampled_from([word, word.capitalize(), word.upper()])
    )


def mangle(text: str, codec: str) -> str:
    """UTF-8 read in a codec; bytes it does not know become control characters."""

    def read(byte: int) -> str:
        try:
            return bytes([byte]).decode(codec)
        except UnicodeDecodeError:
            return chr(byte)

    return "".join(map(read, text.encode("utf-8")))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("language", ALPHABETS)
def test_words_read_in_the_wrong_encoding_are_found_and_mended(language, codec):
    @given(st.lists(words(ALPHABETS[language]), min_size=3, max_size=8))
    def holds(drawn):
        # A word without signs shows nothing, and one letter alone may be chance: a known word makes it certain.
        text = " ".join(
            [
                *drawn,
                {"French": "été", "Polish": "zażółć"}.get(
                    language, "αβγδ" if language == "Greek" else "привет"
                ),
            ]
        )
        assert find_mojibake(mangle(text, codec)) is not None
        assert repair_mojibake(mangle(text, codec)) == text

    holds()


@pytest.mark.parametrize("language", ALPHABETS)
def test_plain_words_are_never_found(language):
    @given(st.lists(words(ALPHABETS[language]), min_size=1, max_size=8))
    def holds(drawn):
        assert find_mojibake(" ".join(drawn)) is None

    holds()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("cafÃ©", "café"),
        ("Wait вЂ” no", "Wait — no"),
        ("it doesnâ€™t", "it doesn’t"),
        ("√©t√©", "été"),
        ("–ü—Ä–∏", "При"),
        ("25 Â°C", "25 °C"),
        ("Tiáº¿ng Viá»‡t, ngÆ°á»\x9di", "Tiếng Việt, người"),
        (mangle(mangle("été", "cp1252"), "cp1252"), "été"),
        (mangle(mangle("привет", "cp1251"), "cp1251"), "привет"),
    ],
)
def test_known_damage_is_undone(text, meant):
    assert repair_mojibake(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "Рёв её ещё моё: «её» — её…",
        "енергії, дії, Юрії; росії",
        "MAÇÃ» MANHÃ» VOILÀ… „Ä“ été…»",
        "MANHÃ… amanhã, MANHÃ— e «CASĂ…» MÂNĂ— ŢARĂ»",
        "ŘÍZENÍ „Ä‚“ ĎÁBEL ÁÉÍÓÖŐÚÜŰ„ŐŰ”, NAÏVETÉ… LÀ…",  # noqa: RUF001
        "таблица──────┬──── ░▒▓ шаг уже",
        "СІРІ ПОЈ МОЈ Њ",  # noqa: RUF001
        "naïve façade Ångström Ñandú",
        "10 ± 2 °C, § 5, © 1885",
    ],
)
def test_writing_that_looks_like_damage_is_left_alone(text):
    assert find_mojibake(text) is None
    assert repair_mojibake(text) is None
