# ruff: noqa: RUF001  # alphabets hold letters that look like others
"""Facts about languages: their letters, marks and numbers. Data only.

Marks and letters of English and Russian are those that the small model has a token for each.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

ACUTE = "\u0301"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What texts of a language are made of.

    Attributes:
        code: Such as `en`; empty for a language nothing is known of.
        script: Its letters as they stand between the brackets of a regular expression; empty for any letters.
        plain: Marks that are common in prose, written likewise.
        units: What most invented words are made of: letters, or syllables, the common ones several times.
        starts: Units that stand at the start of a word only; where there are some, units are syllables.
        finals: What letters become at the end of a word.
        finals_chance: How often they do.
        letters: All letters, upper case too where there is one.
        only_small: Letters whose capitals are no letters of the language here.
        has_case: Whether there are capitals.
        hyphenates: Whether words are broken at the end of a line with a hyphen.
        ends: Marks that end a sentence.
        inner: Marks within it.
        comma: The comma.
        pairs: Forms of two words `{a}` and `{b}` with marks.
        numbers: Forms of numbers; `wording.FIELDS` says what may stand between braces.
        also: Forms of what stands among numbers: words, single letters.
        months: Names as they stand in a date.
        digits: The ten digits that most numbers are written with.
    """

    code: str = ""
    script: str = ""
    plain: str = r" .,;:'"
    units: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    finals: Mapping[str, str] = field(default_factory=dict)
    finals_chance: float = 1.0
    letters: str = ""
    only_small: str = ""
    has_case: bool = True
    hyphenates: bool = True
    ends: str = ".?!."
    inner: str = ";:"
    comma: str = ","
    pairs: tuple[str, ...] = ("“{a}”", "({a})", "{a} – {b}", "{a}/{b}", "“{a} {b}”")
    numbers: tuple[str, ...] = (
        "{n}",
        "{n}",
        "{n}.",
        "({n})",
        "{n}%",
        "{float}",
        "{year}-{mm}-{dd}",
        "{n}–{n}",
    )
    also: tuple[str, ...] = ("{word}",)
    months: tuple[str, ...] = ()
    digits: str = "0123456789"

    def upper(self, text: str) -> str:
        """In capitals, of which Greek ones bear no accents; as it is where a letter has none."""
        if not self.has_case or not set(self.only_small).isdisjoint(text):
            return text
        if self.code == "el":
            text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).replace(ACUTE, ""))
        return text.upper()


def with_capital(text: str) -> str:
    """Its first letter a capital, where it has one."""
    return text[:1].upper() + text[1:]


_EN = Language(
    code="en",
    script="A-Za-z",
    units=tuple("etaoinshrdlcumwfgypbvkjxqz" * 3 + "etaoinshrdlu" * 3),
    letters="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2 + "é",
    only_small="é",
    pairs=(
        *('"{a}"', "({a})", "'{a}'", "{a}—{b}", "{a}'s", "*{a}", "{a}.—", '"{a} {b}"', "({a} {b})"),
        *("[{a}]", "{a} & {b}", "{a}…", "{a}/{b}"),
    ),
    numbers=(
        *("{n}", "{n}", "{n}.", "({n})", "{nth}", "${n}", "No. {n}", "{n},000", "{n}%"),
        *("{day} {month} {year}", "{month} {day}, {year}", "{year}", "{comma}", "${comma}.{two}", "£{n}"),
        *("{float}", "{hour}:{two}", "{small}½", "{small}°", "§ {small}", "{n}-{n}", "{roman}.", "p. {n}"),
    ),
    also=("{letter}.", "{word}"),
    months=(
        *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
        *("October", "November", "December"),
    ),
)

_RU_LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_RU = Language(
    code="ru",
    script="А-Яа-яЁёІіѢѣѲѳѴѵ",
    plain=r" .,;:«»—–\-",
    units=tuple("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё" * 2 + "оеаинтсрвлкмдпу" * 3),
    letters=_RU_LETTERS + _RU_LETTERS.upper(),
    pairs=(
        *("«{a}»", "«{a} {b}»", "«{a}»", "({a})", "({a} {b})", "{a} — {b}", "{a} — {b}", "{a}—{b}"),
        *("„{a}“", "„{a} {b}“", "“{a}”", '"{a}"', "{a}…", "{a}.—", "*{a}", "[{a}]", "{a}/{b}", "{a}’{b}"),
    ),
    numbers=(
        *("{n}", "{n}", "{n}.", "({n})", "{small}-й", "{small}-го", "№ {n}", "{space} руб.", "{n}%", "{n} %"),
        *("{day} {month} {year} г.", "{day} {month} {year} года", "{dd}.{mm}.{year}", "{year}", "{space}"),
        *("{n} р. {small} к.", "{decimal}", "{hour}:{two}", "{small}½", "{small}°", "§ {small}"),
        *(
            "{n}–{n}",
            "{n}—{n}",
            "{roman} в.",
            "гл. {roman}",
            "стр. {n}",
            "{n} коп.",
            "т. {roman}",
            "{year} г.",
        ),
    ),
    also=("{letter}.", "{word}", "{letter}. {letter}.", "{word}"),
    months=(
        *("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября"),
        *("октября", "ноября", "декабря"),
    ),
)

_EL_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
_EL = Language(
    code="el",
    script="Ͱ-Ͽἀ-῾",
    plain=r" .,;:·«»—–'’",
    units=tuple("αοιετσνηυρπκμλωδγχθφβξζψ" * 2 + "αοιετσνηυρπκμλ" * 3 + "άόίέήύώϊϋ"),
    finals={"σ": "ς"},
    letters=_EL_LETTERS + _EL_LETTERS.upper() + "άέήίόύώϊϋΐΰΆΈΉΊΌΎΏ",
    ends=".;!.",
    inner="··:",
    pairs=("«{a}»", "«{a} {b}»", "({a})", "{a} — {b}", "{a} – {b}", "{a}…", "[{a}]", "{a}/{b}", "“{a}”"),
    numbers=(
        *("{n}", "{n}", "{n}.", "({n})", "{small}ος", "{small}η", "αρ. {n}", "{dot} δρχ.", "{n}%", "{dot}"),
        *("{day} {month} {year}", "{dd}/{mm}/{year}", "{year}", "{decimal}", "{hour}:{two}", "σελ. {n}"),
        *("§ {small}", "{n}–{n}", "κεφ. {small}", "{small}°"),
    ),
    also=("{letter}.", "{word}"),
    months=(
        *("Ιανουαρίου", "Φεβρουαρίου", "Μαρτίου", "Απριλίου", "Μαΐου", "Ιουνίου", "Ιουλίου"),
        *("Αυγούστου", "Σεπτεμβρίου", "Οκτωβρίου", "Νοεμβρίου", "Δεκεμβρίου"),
    ),
)

_AR = Language(
    code="ar",
    script="\u0621-\u065f\u0670-\u06d3",
    plain=" .,،؛؟:«»٠-٩",
    units=tuple("ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأإؤئ" + "المنويرتبدعسفكقحهج" * 4),
    finals={"ت": "ة", "ي": "ى"},
    finals_chance=0.5,
    letters="ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأإؤئةى",
    has_case=False,
    hyphenates=False,
    ends=".؟!.",
    inner="؛:",
    comma="،",
    pairs=("«{a}»", "«{a} {b}»", "({a})", "({a} {b})", "{a} – {b}", "{a}…", "[{a}]"),
    numbers=(
        *("{n}", "{n}", "({n})", "رقم {n}", "{n} درهم", "{n} دينارا", "{day} {month} {year}", "سنة {year}"),
        *("{year} م", "{hour}:{two}", "ص {n}", "{small} أيام", "الفصل {small}", "عام {year}"),
    ),
    months=(
        *("يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر"),
        *("نوفمبر", "ديسمبر"),
    ),
    digits="٠١٢٣٤٥٦٧٨٩",
)

_HI_CONSONANTS = "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह"
_HI_COMMON = "कगचजटडतथदनपबमयरलवशसह"
_HI_VOWEL_SIGNS = ("", "", "", "", "ा", "ा", "ि", "ी", "ु", "ू", "े", "े", "ै", "ो", "ौ", "ं", "ां", "ें", "ों", "ृ")
_HI_CLUSTERS = (
    *("क्ष", "त्र", "ज्ञ", "श्र", "प्र", "क्र", "ग्र", "द्र", "स्त", "स्थ", "न्त", "न्द", "न्ह", "म्ब"),
    *("म्प", "क्त", "ल्ल", "त्त", "द्ध", "द्य", "व्य", "स्व", "श्व", "त्य", "र्म", "र्क", "र्त", "च्च"),
    *("ट्ट", "ड़", "ढ़", "ष्ट", "ह्म", "ण्ड", "ज़", "फ़"),
)
_HI = Language(
    code="hi",
    script="\u0900-\u0963\u0970-\u097f\u200c\u200d",
    plain=r" ।॥,;:?.०-९\-",
    units=tuple(
        unicodedata.normalize("NFC", letter + sign)
        for letter in (*_HI_CONSONANTS, *_HI_COMMON * 2, *_HI_CLUSTERS)
        for sign in _HI_VOWEL_SIGNS
    ),
    starts=tuple("अआइईउऊएऐओऔ"),
    letters=_HI_CONSONANTS + "अआइईउऊऋएऐओऔ",
    has_case=False,
    hyphenates=False,
    ends="।।।?!",
    pairs=("“{a}”", "“{a} {b}”", "‘{a}’", "({a})", "({a} {b})", "{a} – {b}", "{a}-{b}", "{a}…"),
    numbers=(
        *("{n}", "{n}", "{n}.", "({n})", "क्रमांक {n}", "{n} रु.", "{n}%", "{day} {month} {year}", "सन् {year}"),
        *("{float}", "{hour}:{two}", "पृष्ठ {n}", "{n}–{n}", "{year}", "अध्याय {small}", "{small} पैसे"),
    ),
    months=(
        *("जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर"),
        *("नवंबर", "दिसंबर"),
    ),
    digits="०१२३४५६७८९",
)

LANGUAGES: Mapping[str, Language] = {language.code: language for language in (_EN, _RU, _EL, _AR, _HI)}
"""Languages that are known, by code."""

OLD_RUSSIAN = replace(_RU, units=(*_RU.units, *"іѣ" * 4, *"ѳѵ" * 3), letters=_RU.letters + "ІіѢѣѲѳѴѵ" * 2)
"""Of the spelling before 1918; in invented words all its letters are ordinary ones."""

RIGHT_TO_LEFT = frozenset({"ar", "fa", "ur", "he", "yi", "ps", "sd", "ug", "ckb", "dv", "syr", "azb", "nqo"})


def get_language(code: str) -> Language:
    """Facts about `code`, of `en-GB` and `en_GB` those about `en`; a language without any for one not known."""
    return LANGUAGES.get(base_code(code), _UNKNOWN)


def base_code(code: str) -> str:
    """`pt` of `pt_BR`."""
    return re.split("[-_]", code)[0].lower()


_UNKNOWN = Language()
