import pytest

from ocrtune.data.prompts import check_prompt
from ocrtune.data.repairs import repair_text
from ocrtune.data.scripts import find_mixed_words, repair_scripts
from ocrtune.data.texts import check_text
from ocrtune.families import FAMILIES, get_family

V1, UNLIMITED = get_family("deepseek_ocr"), get_family("unlimited_ocr")
REF = "<|ref|>text<|/ref|>"


@pytest.fixture
def found(make_page):
    def find(text, family=V1):
        return {finding.code: finding for finding in check_text(make_page(text=text), [family])}

    return find


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("cafÃ© noir", "mojibake", "'Ã©' means 'é'"),
        ("Mосква", "scripts-mixed", "'Mосква' holds Latin Capital Letter M"),
        ("cafe\u0301 été", "unicode-form-mixed", "1 such as"),
        ("cafe\u0301", "unicode-form-decomposed", "1 such as"),
        ("a \u951f\u65a4\u62f7 b", "replacement-character", "read as GBK"),
        ("Figure \ufffc 1", "control-character", "U+FFFC"),
        ("a\ufdd0b", "control-character", "U+FDD0"),
        ("2\u2062x", "invisible-character", "U+2062"),
        ("Ãëàâà âòîðàÿ", "encoding-other", "'Ãëàâà' is no word"),
        ("зМБЧБ ЧФПТБС рЕФТ", "encoding-other", "'зМБЧБ' is no word"),
        ("\u2f08\u5de5", "presentation-form", "U+2F08"),
        ("\ufe91\ufeb4\ufee2", "presentation-form", "U+FE91, U+FEB4, U+FEE2"),
        ("caf&eacute; th&#233;", "character-reference", "&eacute; for 'é', and 1 more"),
        ("left\u200eright", "invisible-character", "U+200E"),
        ("kni\u200dfe", "invisible-character", "U+200D"),
        ("write <td> here", "markup-in-text", "<td> stands alone"),
        ("say <|grounding|>", "prompt-token", "<|grounding|>"),
        ("<table><tr><td>1</tr></table>", "markup-unbalanced", "<td> in line 1 is not closed before </tr>"),
        ("a\n</table><table>", "markup-unbalanced", "</table> in line 2 closes nothing"),
        (f"{REF}<|det|>[[1, 2, 3]]<|/det|>", "box-unreadable", "'[[1, 2, 3]]'"),
        (f"{REF}<|det|>[[0.1, 2, 3, 4]]<|/det|>", "box-unreadable", "0.1"),
        (f"{REF}<|det|>[[1, 2, 3, 1000]]<|/det|>", "box-outside", "[1, 2, 3, 1000]"),
        (f"{REF}<|det|>[[1, 2, 3, 4], [-1, 2, 3, 4]]<|/det|>", "box-outside", "[-1, 2, 3, 4]"),
        (f"{REF}<|det|>[[9, 2, 3, 4]]<|/det|>", "box-inverted", "[9, 2, 3, 4]"),
        (f"{REF}<|det|>[[3, 2, 3, 4]]<|/det|>", "box-empty", "[3, 2, 3, 4]"),
        ("<|det|>text [1, 2, 3, 4]<|/det|>a", "box-form", "another family"),
    ],
)
def test_what_is_wrong_is_found_with_its_value(text, code, told, found):
    findings = found(text)
    assert list(findings) == [code]
    assert told in findings[code].message
    assert findings[code].where == "m.jsonl:a.png"
    assert findings[code].hint


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (f"{REF}<|det|>[[0, 0, 999, 999], [1, 2, 3, 4]]<|/det|>\na", V1),
        ("<|det|>text [0, 0, 999, 999]<|/det|>a", UNLIMITED),
        ('<table><tr><td colspan="2">1</td><th>2</th></tr></table>', V1),
        ("a < b > c <- d", V1),
        ("мкА 3D-принтер XIXв. DVDа iPhoneа мірЪ ѣ\nКока-Cola μm α-Fe", V1),  # noqa: RUF001
        ("\u05d0\u200e1 \u0915\u094d\u200d\u0937 \u06cc\u200c\u0647", V1),
        ("été Ångström Й", V1),
        ("éèêë is a list; &lt;b&gt; &amp; a; x = &y; R&D; Œuvre À", V1),
        ("\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a", V1),
        ("СССР МХАТ иФТТ аБВГ text and more words than these", V1),  # noqa: RUF001
        ("\ufdf2 \ufdfa \ufd3e1\ufd3f \ufb01nd", V1),
    ],
)
def test_what_is_right_is_not_found(text, family, found):
    assert found(text, family) == {}


def test_a_word_of_two_scripts_is_written_in_one():
    text = "Mосква, eсли и пaпа"
    assert [word.script for word in find_mixed_words(text)] == ["Cyrillic"] * 3
    assert repair_scripts(text) == "Москва, если и папа"
    assert repair_scripts("cоffee") == "coffee"


@pytest.mark.parametrize(
    ("written", "read", "told"),
    [
        ("cp1251", "cp1252", "Windows-1251, not as Windows-1252: the word is 'Глава' then"),
        ("koi8-r", "cp1252", "KOI8-R, not as Windows-1252: the word is 'Глава' then"),
        ("koi8-r", "cp1251", "KOI8-R, not as Windows-1251"),
        ("cp1251", "koi8-r", "Windows-1251, not as KOI8-R"),
    ],
)
def test_an_encoding_of_one_byte_is_told_with_the_word_it_gives(written, read, told, found):
    text = "Глава вторая, где Павел говорит Анне о войне и мире".encode(written).decode(read)
    assert told in found(text)["encoding-other"].hint


def test_greek_is_told_from_russian_by_its_accents(found):
    text = "Ελλάδα και Αθήνα, όμορφη χώρα".encode("cp1253").decode("cp1252")
    assert "'Ελλάδα'" in found(text)["encoding-other"].hint


def test_only_what_is_asked_for_and_safe_is_mended():
    text = "cafÃ©\u200b e\u0301 a\x07\x0cb\x08 Mосква co\u00adop co\u00ad\nop"
    codes = {"mojibake", "unicode-form-mixed", "invisible-character", "control-character", "scripts-mixed"}
    repaired, applied = repair_text(text, codes)
    assert repaired == "café é a\nb\x08 Mосква coop co\u00ad\nop"
    assert applied == ["mojibake", "control-character", "invisible-character", "unicode-form-mixed"]
    assert repair_text(text, set()) == (text, [])
    assert repair_text("plain", codes) == ("plain", [])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_the_prompts_of_a_family_are_known(family):
    for name, text in family.prompts.items():
        assert not list(check_prompt(name, family))
        assert not list(check_prompt(f" {text}\n", family))
        assert not list(check_prompt(text.replace("<image>", "<image><image>"), family))


def test_other_prompts_are_told_with_the_nearest():
    (finding,) = check_prompt("<image>\nFree OCR", V1)
    assert (finding.code, finding.severity) == ("prompt-unknown", "warning")
    assert repr("<image>\nFree OCR.") in finding.message
    locate = "<image>\nLocate <|ref|>the seal<|/ref|> in the image."
    assert not list(check_prompt(locate, V1))
    assert list(check_prompt(locate, UNLIMITED))
