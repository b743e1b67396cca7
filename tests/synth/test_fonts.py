import random
import string

import pytest
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from ocrtune.errors import SynthError
from ocrtune.synth.config import FontsSection
from ocrtune.synth.fonts import DEFAULT_WITHOUT, Fonts

LATIN = string.ascii_letters + string.digits + ".,-"
ARABIC = "ابتثجحخ"
JOINED = "languagesystem {script} dflt; feature init {{ script {script}; sub {glyph} by {glyph}; }} init;"


def make_font(path, characters=LATIN, *, family="Made Up", style="Regular", script=None, notdef="", blank=""):
    glyphs = {ord(character): f"g{ord(character)}" for character in characters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *glyphs.values()])
    builder.setupCharacterMap({**glyphs, **{ord(character): ".notdef" for character in notdef}})
    drawn = {glyphs[ord(character)] for character in set(characters) - set(blank)}
    builder.setupGlyf({name: triangle_if(name in drawn) for name in (".notdef", *glyphs.values())})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *glyphs.values()), (500, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": style})
    builder.setupOS2()
    builder.setupPost()
    if script:
        glyph = next(iter(glyphs.values()))
        addOpenTypeFeaturesFromString(builder.font, JOINED.format(script=script, glyph=glyph))
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


def triangle_if(drawn):
    pen = TTGlyphPen(None)
    if drawn:
        pen.moveTo((0, 0))
        pen.lineTo((0, 500))
        pen.lineTo((500, 0))
        pen.closePath()
    return pen.glyph()


def find(*paths, **section):
    return Fonts.find(FontsSection(paths=tuple(map(str, paths)), **section))


def names(fonts):
    return [face.path.name for face in fonts.faces]


def test_a_folder_is_searched_and_faces_stand_by_file_name(tmp_path):
    make_font(tmp_path / "a" / "Zeta.ttf")
    make_font(tmp_path / "b" / "deep" / "Alpha.otf", family="Alpha", style="Bold Italic")
    (tmp_path / "readme.txt").write_text("no font")
    fonts = find(tmp_path)
    assert names(fonts) == ["Alpha.otf", "Zeta.ttf"]
    alpha = fonts.faces[0]
    assert (alpha.family, alpha.style, alpha.index) == ("Alpha", "Bold Italic", 0)
    assert alpha.characters == set(map(ord, LATIN))


def test_a_font_that_lacks_a_glyph_is_left_out_and_counted(tmp_path):
    make_font(tmp_path / "lacking.ttf", "abc", family="Lacking")
    make_font(tmp_path / "whole.ttf", "abcd")
    fonts, rng = find(tmp_path), random.Random(0)
    drawn = {fonts.draw(rng, "a bad\u00a0cab").path.name for _ in range(100)}
    assert drawn == {"whole.ttf"}
    assert set(fonts.lacking) == {"Lacking Regular"}
    assert 60 < fonts.lacking["Lacking Regular"] < 160


def test_a_character_drawn_as_a_box_counts_as_lacking(tmp_path):
    fonts = find(make_font(tmp_path / "box.ttf", "abc", notdef="\U00010330"))
    assert fonts.draw(random.Random(0), "abc")
    assert fonts.draw(random.Random(0), "abc\U00010330") is None


def test_a_letter_without_an_outline_counts_as_lacking(tmp_path):
    fonts = find(make_font(tmp_path / "blank.ttf", LATIN, blank="q"))
    assert fonts.faces[0].can_set("abc")
    assert not fonts.faces[0].can_set("abcq")


def test_a_text_that_no_face_has_gets_none(tmp_path):
    fonts = find(make_font(tmp_path / "a.ttf", "abc"))
    assert fonts.draw(random.Random(0), "xyz") is None
    assert fonts.lacking.total() > 0


def test_the_one_face_among_hundreds_that_can_is_found(tmp_path):
    others = [make_font(tmp_path / f"{number:03}.ttf", "abc") for number in range(150)]
    fonts = find(*others, make_font(tmp_path / "x.ttf", "xyz"))
    assert {fonts.draw(random.Random(seed), "zyx").path.name for seed in range(30)} == {"x.ttf"}


def test_spaces_and_invisible_characters_need_no_glyph(tmp_path):
    fonts = find(make_font(tmp_path / "a.ttf", "abc"))
    assert fonts.draw(random.Random(0), "a b\u00a0c\u00ad\u200d\n\u202f\u200f") is not None


@pytest.mark.parametrize(
    ("text", "script"), [(ARABIC, "arab"), ("कखग", "deva"), ("कखग", "dev2"), ("কখগ", "bng2"), ("กข", None)]
)
def test_scripts_that_need_shaping_get_a_face_with_its_rules(tmp_path, text, script):
    bare = find(make_font(tmp_path / "bare.ttf", text))
    shaping = find(make_font(tmp_path / "shaping.ttf", text, script=script))
    assert (bare.draw(random.Random(0), text) is None) == (script is not None)
    assert shaping.draw(random.Random(0), text)


def test_rules_for_another_script_do_not_help(tmp_path):
    fonts = find(make_font(tmp_path / "a.ttf", ARABIC + "क", script="deva"))
    assert fonts.draw(random.Random(0), "क")
    assert fonts.draw(random.Random(0), ARABIC) is None
    assert fonts.draw(random.Random(0), "क" + ARABIC) is None


def test_broken_files_and_fonts_of_symbols_are_counted(tmp_path):
    whole = make_font(tmp_path / "whole.ttf")
    (tmp_path / "cut.ttf").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "empty.ttf").write_bytes(b"")
    make_font(tmp_path / "none.ttf", "")
    fonts = find(tmp_path)
    assert names(fonts) == ["whole.ttf"]
    assert fonts.unreadable == 3


def test_fonts_no_book_is_set_in_are_left_out_of_folders_but_not_when_named(tmp_path):
    mono = make_font(tmp_path / "FreeMono.ttf")
    make_font(tmp_path / "FreeSerif.ttf")
    assert names(find(tmp_path)) == ["FreeSerif.ttf"]
    assert names(find(mono)) == ["FreeMono.ttf"]
    assert names(find(tmp_path, without=("*Serif*",))) == ["FreeMono.ttf"]
    assert "*[Mm]ono*" in DEFAULT_WITHOUT


def test_held_out_fonts_are_only_of_the_part_held_out(tmp_path):
    for name in ("a", "b", "schola-regular"):
        make_font(tmp_path / f"{name}.ttf")
    parts = {
        part: names(find(tmp_path, held_out=("schola*",), part=part)) for part in ("train", "held-out", "all")
    }
    assert parts["train"] == ["a.ttf", "b.ttf"]
    assert parts["held-out"] == ["schola-regular.ttf"]
    assert parts["all"] == sorted(parts["train"] + parts["held-out"])


def test_weights_of_all_patterns_that_fit_count(tmp_path):
    for name in ("Roman", "SansBold", "Sans"):
        make_font(tmp_path / f"{name}.ttf")
    fonts = find(tmp_path, weights={"*Sans*": 0.5, "*Bold": 0.2})
    assert dict(zip(names(fonts), fonts.weights, strict=True)) == pytest.approx(
        {"Roman.ttf": 1.0, "Sans.ttf": 0.5, "SansBold.ttf": 0.1}
    )
    rng = random.Random(0)
    drawn = [fonts.draw(rng, "a").path.stem for _ in range(4000)]
    assert drawn.count("Roman") / 4000 == pytest.approx(1 / 1.6, abs=0.03)
    assert drawn.count("SansBold") / 4000 == pytest.approx(0.1 / 1.6, abs=0.02)


def test_the_same_seed_draws_the_same_faces(tmp_path):
    for number in range(9):
        make_font(tmp_path / f"{number}.ttf")
    drawn = [[find(tmp_path).draw(random.Random(seed), "abc") for seed in range(50)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 9


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"paths": ("nowhere.ttf",)}, "no such font file or folder\n  where: nowhere.ttf\n  hint: "),
        ({"without": ("*",)}, "no font of part 'all'.*\n(.*\n)?  hint: install fonts"),
        ({"part": "held-out"}, r"no font of part 'held-out'.*\n(.*\n)?  hint: fonts\.held_out is \[\]"),
    ],
)
def test_no_fonts_are_an_error_that_says_what_to_do(section, message):
    with pytest.raises(SynthError, match=message):
        Fonts.find(FontsSection(**section))


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SynthError, match=rf"where: {tmp_path}"):
        find(tmp_path)


def test_a_digest_is_of_the_files_and_not_of_where_they_lie(synth_font, tmp_path):
    moved = tmp_path / "elsewhere" / synth_font.name
    moved.parent.mkdir()
    moved.write_bytes(synth_font.read_bytes())
    renamed = tmp_path / "other.ttf"
    renamed.write_bytes(synth_font.read_bytes())
    here, there, other = (
        Fonts.find(FontsSection(paths=(str(path),))).digest() for path in (synth_font, moved, renamed)
    )
    assert here == there != other
