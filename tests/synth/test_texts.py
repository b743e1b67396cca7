# ruff: noqa: RUF001  # letters of other scripts look like Latin ones
import gzip
import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import SynthError
from ocrtune.models.tiny import LETTERS
from ocrtune.synth.config import TextsSection
from ocrtune.synth.languages import LANGUAGES
from ocrtune.synth.pre_reform import spell_before_1918
from ocrtune.synth.texts import Texts, TextSource, is_right_to_left, part_of

CODES = sorted(LANGUAGES)
PROSE = "The printer's apprentice carried the forms down to the river and washed them there, every evening"


def read(**section):
    return TextSource.read(TextsSection(**section))


def only(kind, **section):
    kinds = {"prose": 0, "listed": 0, "invented": 0, "numbers": 0, kind: 1}
    return read(**kinds, **section)


def lines(source, count, letters=60, seed=0):
    rng = random.Random(seed)
    return [source.line(rng, letters).text for _ in range(count)]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return str(path)


@pytest.mark.parametrize("code", CODES)
def test_lines_of_every_language_are_as_long_as_asked_and_in_one_form(code):
    source = read(language=code)
    rng = random.Random(0)
    for _ in range(1000):
        letters = rng.randint(1, 70)
        text = source.line(rng, letters)
        assert text.language == code
        assert 1 <= len(text.text) <= letters
        assert text.text == " ".join(text.text.split())
        assert unicodedata.is_normalized("NFC", text.text)


@pytest.mark.parametrize("code", CODES)
def test_paragraphs_are_about_as_long_as_asked(code):
    source, rng = read(language=code), random.Random(0)
    for letters in (60, 200, 600) * 30:
        assert letters / 2 < len(source.paragraph(rng, letters).text) <= 1.15 * letters + 1


@given(seed=st.integers(0, 2**32), code=st.sampled_from(CODES))
def test_the_same_seed_gives_the_same_texts(seed, code):
    source = read(language=code, pre_reform=0.5 if code == "ru" else 0)

    def draw(rng):
        return source.line(rng, 40), source.paragraph(rng, 90), source.words(rng, 3), source.number(rng)

    assert draw(random.Random(seed)) == draw(random.Random(seed))


def test_a_line_ends_with_a_whole_word_or_a_hyphen(tmp_path):
    source = only("prose", files=(write(tmp_path / "a.txt", PROSE),), samples=False)
    words = {*PROSE.split(), *PROSE.upper().split()}
    ends = [line.split()[-1] for line in lines(source, 400, letters=30)]
    assert {end for end in ends if not end.endswith("-")} <= words
    assert 0.1 < sum(end.endswith("-") for end in ends) / len(ends) < 0.2


def test_a_paragraph_of_prose_ends_with_a_sentence():
    source, rng = only("prose", language="ru"), random.Random(0)
    texts = [source.paragraph(rng, 400).text for _ in range(100)]
    assert sum(text[-1] in ".?!»”…“" for text in texts) > 90


@pytest.mark.parametrize("code", CODES)
def test_a_paragraph_of_words_ends_with_one_mark(code):
    source, rng = only("invented", language=code), random.Random(0)
    texts = [source.paragraph(rng, 80).text for _ in range(200)]
    assert {text[-1] for text in texts} <= set(LANGUAGES[code].ends)
    assert not any(text[-2] in LANGUAGES[code].ends + LANGUAGES[code].comma for text in texts)


@pytest.mark.parametrize("code", ["en", "ru"])
def test_every_letter_is_a_token_of_the_small_model_and_each_is_drawn(code):
    source = read(language=code, pre_reform=0.3 if code == "ru" else 0)
    drawn = set("".join(lines(source, 6000)))
    tokens = {*LETTERS, *map(chr, range(32, 127))}
    assert drawn <= tokens
    letters = "йЙъЪёЁіІѣѢѳѲѵѴ№«»„“—§°½" if code == "ru" else "qQzZxXé£§°½—$%&\"'"
    assert set(letters) <= drawn


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kind", ["prose", "listed", "invented"])
def test_the_parts_share_nothing(code, kind):
    train, held_out = (only(kind, language=code, part=part) for part in ("train", "held-out"))
    if kind == "invented":
        drawn = [set(source.words(random.Random(0), 2000)) for source in (train, held_out)]
        assert {part_of(word) for word in drawn[0]} == {"train"}
        assert {part_of(word) for word in drawn[1]} == {"held-out"}
    field = "prose" if kind == "prose" else "listed"
    parts = {text for source in (train, held_out) for text in getattr(source, field)}
    assert not set(getattr(train, field)) & set(getattr(held_out, field))
    assert parts == set(getattr(only(kind, language=code), field))


def test_about_one_of_twenty_is_held_out_in_either_case():
    words = [f"word{number}" for number in range(20_000)]
    held_out = [word for word in words if part_of(word) == "held-out"]
    assert 900 < len(held_out) < 1100
    assert all(part_of(word.upper()) == "held-out" for word in held_out)


def test_the_part_of_a_text_never_changes():
    # Whoever changes the hash moves what older models were asked into what newer ones learn.
    words = ("ship", "river", "lamp", "Lamp", "stone", "снег", "дом", "поле", "река")
    assert [word for word in words if part_of(word) == "held-out"] == ["lamp", "Lamp", "поле"]


def test_files_are_found_in_folders_below_and_unpacked(tmp_path):
    write(tmp_path / "deep" / "er" / "a.txt.gz", f"{PROSE}.\n\n{PROSE}!")
    write(tmp_path / "b.txt", f"{PROSE.replace(' ', chr(10))} twice")
    source = read(files=(str(tmp_path / "**" / "*.txt*"),), samples=False)
    assert set(source.prose) == {f"{PROSE}.", f"{PROSE}!", f"{PROSE} twice"}


def test_only_prose_of_the_language_is_kept(tmp_path):
    kept = f"{PROSE}, and so on."
    others = ("too short", f"{PROSE} | {PROSE}", "0123 4567 " * 12, "Это по-русски, а не по-английски. " * 4)
    source = read(files=(write(tmp_path / "a.txt", "\n\n".join((kept, *others))),), samples=False)
    assert source.prose == (kept,)


def test_a_man_page_loses_its_markup(tmp_path):
    page = (
        '.TH LS 1\n.SH "NAME"\n.PP\nThe \\fBlist\\fR of well\\-known files isn\\(aqt\n.\\" comment\n'
        f"long.\n{PROSE}.\n.PP\nnext"
    )
    source = read(files=(write(tmp_path / "ls.1.gz", page),), samples=False)
    assert source.prose == (f"The list of well-known files isn't long. {PROSE}.",)


def test_word_lists_are_plain_or_of_hunspell(tmp_path):
    plain = write(tmp_path / "words", "alpha\nbeta\nпривет\nx2\nnaïve\n")
    hunspell = write(tmp_path / "en.dic", "3\ngamma/SM\ndelta\tpo:noun\nwell-known/Y\n")
    assert set(read(words=(plain, hunspell)).listed) == {"alpha", "beta", "gamma", "delta", "well-known"}


def test_files_that_are_not_utf_8_are_counted(tmp_path):
    write(tmp_path / "good.txt", PROSE)
    (tmp_path / "bad.txt").write_bytes("привет".encode("koi8-r"))
    (tmp_path / "broken.txt.gz").write_bytes(b"\x1f\x8b no archive")
    source = read(files=(str(tmp_path / "*"),), samples=False)
    assert source.unreadable == 2
    assert source.prose == (PROSE,)


def test_a_language_nothing_is_known_of_takes_its_letters_from_its_texts(tmp_path):
    paragraph = "Szczęśliwi ludzie mieszkali nad rzeką, łowili ryby i opowiadali sobie długie historie zimą."
    source = only("invented", language="pl", files=(write(tmp_path / "a.txt", paragraph),))
    drawn = set("".join(source.words(random.Random(0), 2000)))
    letters = {letter for letter in paragraph.lower() if letter.isalpha()}
    assert {"ę", "ł", "Ł"} <= drawn <= letters | {letter.upper() for letter in letters}


def test_words_have_no_marks_and_as_many_are_drawn_as_asked():
    for code in CODES:
        words = read(language=code).words(random.Random(0), 300)
        assert len(words) == 300
        assert not any(letter.isdecimal() for word in words for letter in word)
        assert not any(set(word) & set(' .,;:?!()«»"،؛؟।') for word in words)


def test_numbers_are_written_as_the_language_does():
    drawn = {
        code: {read(language=code).number(random.Random(seed)) for seed in range(3000)} for code in CODES
    }
    assert any(number.startswith("№ ") for number in drawn["ru"])
    assert any(number.endswith("-й") for number in drawn["ru"])
    assert any(re.fullmatch(r"\d{1,3} \d{3} руб\.", number) for number in drawn["ru"])
    assert {"1st", "2nd", "3rd"} & drawn["en"]
    assert not {"1th", "11st", "12nd"} & drawn["en"]
    assert any(set(number) & set("٠١٢٣٤٥٦٧٨٩") for number in drawn["ar"])
    assert any(set(number) & set("०१२३४५६७८९") for number in drawn["hi"])


def test_capitals_of_greek_bear_no_accents():
    assert LANGUAGES["el"].upper("ποτάμι, ρολόι, Μαΐου") == "ΠΟΤΑΜΙ, ΡΟΛΟΙ, ΜΑΪΟΥ"


@pytest.mark.parametrize(
    ("modern", "old"),
    [
        ("В доме, где все дети", "Въ домѣ, гдѣ всѣ дѣти"),
        ("хлеб, лес, тело, век, свет, человек", "хлѣбъ, лѣсъ, тѣло, вѣкъ, свѣтъ, человѣкъ"),
        ("СИНИЙ ЛЕС", "СИНІЙ ЛѢСЪ"),
        ("История России и линии", "Исторія Россіи и линіи"),
        ("из-за чего победа", "изъ-за чего побѣда"),
        ("стр. 5, 100 руб., т. е. 12-й", "стр. 5, 100 руб., т. е. 12-й"),
        ("Миф о Фёдоре, синод", "Миѳъ о Ѳёдорѣ, сѵнодъ"),
        ("меня, колесо, телефон, умер", "меня, колесо, телефонъ, умеръ"),
        ("file имен.txt", "file именъ.txt"),
    ],
)
def test_russian_is_spelled_as_before_1918(modern, old):
    assert spell_before_1918(modern) == old


def test_a_share_of_russian_texts_is_in_the_old_spelling():
    source = only("prose", language="ru", pre_reform=0.3)
    share = sum(bool(set(line.lower()) & set("іѣѳѵ")) or "ъ " in line for line in lines(source, 1000)) / 1000
    assert 0.25 < share < 0.35


def test_sources_are_drawn_by_weight():
    texts = Texts.read([TextsSection(language="en", weight=3), TextsSection(language="ru")])
    rng = random.Random(0)
    drawn = [texts.draw(rng).language for _ in range(2000)]
    assert 0.7 < drawn.count("en") / 2000 < 0.8


def test_direction_is_known_by_language():
    assert is_right_to_left("ar")
    assert is_right_to_left("ar-EG")
    assert is_right_to_left("he")
    assert not any(map(is_right_to_left, ("en", "ru", "el", "hi", "arn")))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"files": ("nowhere/*.txt",)}, r"no file fits texts\.files\n  where: nowhere"),
        ({"words": ("nowhere.dic",)}, r"no file fits texts\.words"),
        ({"samples": False}, "no paragraph for texts in 'en'\n.*\n  hint: give texts.files"),
        ({"language": "fr"}, "no paragraph for texts in 'fr'"),
        ({"language": "en", "pre_reform": 0.5}, "pre_reform is 0.5 for texts in 'en'"),
    ],
)
def test_what_is_missing_is_said(section, message):
    with pytest.raises(SynthError, match=message):
        read(**section)


def test_files_in_another_language_are_an_error(tmp_path):
    path = write(tmp_path / "a.txt", "Это по-русски, а не по-английски. " * 4)
    with pytest.raises(SynthError, match=r"no paragraph in 'en' in 1 files.*\n  where: .*a\.txt"):
        read(files=(path,))


def test_a_part_without_texts_is_an_error(tmp_path):
    assert part_of(PROSE) == "train"
    with pytest.raises(SynthError, match=r"no paragraph of part 'held-out'.*\n.*\n  hint: about 1 of 20"):
        read(files=(write(tmp_path / "a.txt", PROSE),), samples=False, part="held-out", listed=0)


def test_a_digest_is_of_paragraphs_and_words_and_not_of_files(tmp_path):
    texts = [
        Texts.read([TextsSection(files=(write(tmp_path / name, text),), samples=False)])
        for name, text in (("a.txt", PROSE), ("b.txt", PROSE), ("c.txt", f"{PROSE} And more."))
    ]
    first, same, other = (each.digest() for each in texts)
    assert first == same != other


def test_a_word_list_without_a_word_is_an_error_that_names_it(tmp_path):
    path = write(tmp_path / "words.txt", "")
    with pytest.raises(SynthError, match=r"no word in 'en' in 1 files.*\n  where: .*words\.txt"):
        read(words=(path,))
