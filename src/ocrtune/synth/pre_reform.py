# ruff: noqa: RUF001, RUF002  # Cyrillic letters look like Latin ones
"""Russian as it was spelled before 1918: for the eye, no orthography.

Rules, each as simple as it can be:

1. A word that ends in a consonant gets ъ: `дом` → `домъ`, `из-за` → `изъ-за`. A single letter gets it where it is a
   preposition or particle; a word before a full stop does not where it is one of `ABBREVIATIONS`.
2. и becomes і before a vowel and й: `линия` → `линія`, `синий` → `синій`.
3. е becomes ѣ in the stems of `STEMS`, after up to two of the usual prefixes, and in the words of `WORDS`.
4. е becomes ѣ at the end of the word after в, во, на, о, об, при, but not in -ее, -ие and -ое: `в доме` → `въ домѣ`.
   That errs where the preposition tells a direction.
5. ф becomes ѳ, and и ѵ, in a few words from the Greek: `миф` → `миѳъ`, `синод` → `сѵнодъ`.

Other differences, such as -аго for -ого, are left out. Letters that these rules bring too rarely are learned from
invented words.
"""

import re
from functools import lru_cache

WORDS_KEPT = 100_000
"""Words whose spelling is kept in memory."""

CONSONANTS = "бвгджзклмнпрстфхцчшщ"
LETTERS_WITH_HARD_SIGN = "бвжкс"
"""Those that are words by themselves."""

STEMS = (
    *("бѣг", "бѣж", "бѣд(?!р)", "бѣл", "бѣшен", "болѣ(?=[езлтн])", "видѣ(?=[тлнв])", "владѣ(?=[тлею])"),
    *("внѣшн", "вѣд(?=ат|ом)", "вѣжлив", "вѣк(?!с)", "вѣн(?=ец|к|ч)", "вѣр(?=[аоуыинюя]|ен|е$|ь$)"),
    *("вѣс(?=$|а|у|о[мв]|ы)", "вѣст(?=[ьноауы]|и[еяюй])", "вѣтв", "вѣтер", "вѣтр", "вѣчн", "глядѣ(?=[тл])"),
    *(
        "горѣ(?=[тл])",
        "грѣх",
        "грѣш",
        "дѣв(?=[аоуьи])(?!из)",
        "дѣд(?!ук)",
        "дѣй",
        "дѣл(?=[аоуияь]|$|е$)(?!ик)",
    ),
    *("дѣт(?=и|ей|ям|ск|ств)", "дѣя", "ѣзд", "ѣзж", "ѣха", "желѣз", "жалѣ(?=[тл])", "звѣзд", "звѣр"),
    *(
        "имѣ(?=[тлюея]|ни)",
        "колѣн",
        "крѣп",
        "лѣв(?=[аоуы])",
        "лѣз(?!н)",
        "лѣкар",
        "лѣн(?=[ьи])",
        "лѣс(?=$|[аоуенк])",
    ),
    *("лѣстниц", "лѣтѣ(?=[тл])", "лѣт", "лѣч", "мѣдн", "мѣл(?=к|ь$|ом)", "мѣн(?=ят|ял|яю|яе|ит|ил|ен|а$|ы$)"),
    *("мѣр(?=$|[аоуын]|ен|и[тл])", "мѣст(?=[оауен])", "мѣсяц", "мѣт(?=к|и[тл])", "мѣш(?=а|к)", "мѣщан"),
    *(
        "недѣл",
        "понедѣл",
        "нѣж",
        "нѣм(?=ой|ая|ец|ц)",
        "обѣд",
        "обѣщ",
        "орѣх",
        "плѣн(?!к|у|о)",
        "пѣв(?=е|ц|ч)",
    ),
    *("пѣс(?=н|ен)", "рѣдк", "рѣз(?=а[тлю]|к|ь|ч|$)", "рѣк(?=а$|и$|у$|е$|ой|ам|ах)", "рѣч", "рѣш"),
    *("свѣдѣн", "свѣж", "свѣт", "свѣч", "сѣвер", "сѣд(?=$|о|ы|и|е|у|а$)", "сѣмя", "сѣно", "сѣр(?=[оыан])"),
    *(
        "сѣт(?=[ьик])",
        "сѣя",
        "сидѣ(?=[тл])",
        "слѣд",
        "слѣп",
        "смѣл",
        "смѣн",
        "смѣх",
        "смѣш",
        "смотрѣ(?=[тлв])",
    ),
    *(
        "снѣг",
        "снѣж",
        "спѣх",
        "спѣш",
        "стрѣл",
        "стѣн",
        "телѣг",
        "терпѣ(?=[тлн])",
        "тѣл(?=$|[аоу])",
        "тѣн(?=[ьи])",
    ),
    *(
        "тѣсн",
        "тѣсто",
        "умѣ(?=[тлюея]|ни)",
        "утѣш",
        "хлѣб",
        "хотѣ(?=[тлв])",
        "цвѣт",
        "цѣл",
        "цѣн(?![тз])",
        "цѣп(?=[ьин])",
    ),
    *("человѣк", "человѣч"),
)
"""Stems with their ѣ; what stands in brackets follows, or does not, without being part of them."""

WORDS = (
    *("вездѣ", "внѣ", "возлѣ", "всѣ", "всѣм", "всѣми", "всѣх", "вмѣстѣ", "гдѣ", "двѣ", "двѣсти", "здѣсь"),
    *("зачѣм", "затѣм", "кромѣ", "мнѣ", "нигдѣ", "нынѣ", "нѣкогда", "нѣкоторые", "нѣкоторых", "нѣсколько"),
    *("нѣт", "обѣ", "обѣих", "подлѣ", "послѣ", "развѣ", "себѣ", "сѣл", "совсѣм", "тебѣ", "тѣ", "тѣм", "тѣми"),
    *(
        "тѣх",
        "чѣм",
        "рѣже",
        "алексѣй",
        "андрѣй",
        "апрѣль",
        "апрѣля",
        "матвѣй",
        "сергѣй",
        "пѣть",
        "пѣл",
        "пѣла",
    ),
    *("умер", "замер"),
)
"""Words with their ѣ, and some that look like a stem and keep their е."""

FROM_GREEK = (
    *("ѳома", "ѳедор", "ѳёдор", "аѳин", "марѳа", "миѳ", "риѳм", "орѳограф", "ариѳмет", "логариѳм", "каѳедр"),
    *("эѳир", "тимоѳе", "анаѳем", "скиѳ", "голгоѳ", "сѵнод", "сѵмвол", "ѵпостас"),
)
"""Beginnings of words with ѳ and ѵ."""

ABBREVIATIONS = frozenset(
    (
        *("гл", "гр", "губ", "изд", "кн", "коп", "мин", "напр", "отд", "пер", "пол", "пр", "прим", "проф"),
        *("рис", "род", "руб", "сб", "св", "см", "соч", "ст", "стр", "таб", "табл", "тыс", "ул", "экз"),
    )
)
"""Words cut short, which have no ъ before their full stop."""

_PREFIXES = (
    *(
        "без",
        "бес",
        "вз",
        "вс",
        "воз",
        "вос",
        "во",
        "в",
        "вы",
        "до",
        "за",
        "из",
        "ис",
        "на",
        "не",
        "низ",
        "об",
    ),
    *("о", "от", "пере", "под", "по", "пред", "при", "про", "рас", "раз", "со", "с", "у"),
)


def _literal(stem: str) -> str:
    return stem.partition("(")[0]


def _modern(letters: str) -> str:
    return letters.translate(str.maketrans("ѣѳѵ", "ефи"))


_STEM = re.compile(
    f"(?:{'|'.join(_PREFIXES)}){{0,2}}({'|'.join(_modern(stem) for stem in STEMS)})"  # the modern е is what is met
)
_OLD_STEMS = {_modern(_literal(stem)): _literal(stem) for stem in STEMS}
_OLD_WORDS = {_modern(word): word for word in WORDS}
_GREEK = re.compile("|".join(_modern(beginning) for beginning in FROM_GREEK))
_OLD_GREEK = {_modern(beginning): beginning for beginning in FROM_GREEK}

_WORD = re.compile(r"([А-Яа-яЁёѢѣ]+)(\.?)")
_LOCATIVE = re.compile(r"\b((?:в|во|на|о|об|при) [а-яё]*[бвгджзклмнпрстфхцчшщь])е\b", re.IGNORECASE)
_I_BEFORE_VOWEL = re.compile("и(?=[аеёиоуыэюяйѣ])")


def spell_before_1918(text: str) -> str:
    """Modern Russian in the spelling before 1918; letters of other scripts stay as they are."""
    return _WORD.sub(_spell_match, _LOCATIVE.sub(r"\1ѣ", text))


def _spell_match(match: re.Match[str]) -> str:
    word, stop = match.groups()
    if stop and (len(word) == 1 or word.lower() in ABBREVIATIONS):
        return match[0]
    return _spell(word) + stop


@lru_cache(maxsize=WORDS_KEPT)
def _spell(word: str) -> str:
    small = word.lower()
    old = _I_BEFORE_VOWEL.sub("і", _with_greek(_with_yat(small)))
    ends = small[-1] in CONSONANTS and (len(small) > 1 or small in LETTERS_WITH_HARD_SIGN)
    in_case = "".join(new.upper() if was.isupper() else new for was, new in zip(word, old, strict=True))
    hard_sign = "Ъ" if len(word) > 1 and word.isupper() else "ъ"
    return in_case + hard_sign if ends else in_case


def _with_yat(word: str) -> str:
    # The last letter may be ѣ already, by the preposition before.
    old = _with_yat_in_stem(_modern(word))
    return old[:-1] + word[-1] if word[-1] == "ѣ" else old


def _with_yat_in_stem(word: str) -> str:
    if word in _OLD_WORDS:
        return _OLD_WORDS[word]
    found = _STEM.match(word)
    if not found:
        return word
    return word[: found.start(1)] + _OLD_STEMS[found[1]] + word[found.end(1) :]


def _with_greek(word: str) -> str:
    found = _GREEK.match(word)
    return _OLD_GREEK[found[0]] + word[found.end() :] if found else word
