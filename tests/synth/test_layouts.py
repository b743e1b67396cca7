import html
import itertools
import random
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from PIL import ImageFont

from ocrtune.synth.config import FontsSection, PaperSection, SynthConfig
from ocrtune.synth.drawing import Canvas, Pen
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.layouts import make_sheet
from ocrtune.synth.layouts.galley import ARABIC_LETTER_MARK, Habit, pieces_of, put_line, set_galley, words_of
from ocrtune.synth.layouts.table import write_table
from ocrtune.synth.sheet import Text
from ocrtune.synth.targets import write_target

LAYOUTS = ("line", "paragraph", "columns", "table", "form", "receipt")
SEEDS = range(12)
WORDS = {
    "en": [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "a",
        "lazy",
        "dog",
        "and",
        "back",
        "again",
        "before",
        "day",
        "is",
        "done",
    ],
    "ar": ["الحبر", "ممنوع", "في", "القاعة", "والكتاب", "على", "الطاولة", "قبل", "نهاية", "المساء"],
    "hi": ["किताब", "कक्ष", "से", "बाहर", "नहीं", "जाएगी", "और", "स्याही", "वर्जित", "है"],
}
PAPER = PaperSection(width_px=700, height_px=900, font_px=(18, 30))
CONFIG = SynthConfig(paper=PAPER)


@dataclass(frozen=True)
class Source:
    """Texts of a few words; what it offers is what `TextSource` offers."""

    language: str = "en"
    only: str = ""

    def line(self, rng, letters):
        return Text(text=self.only or self._string(rng, letters), language=self.language)

    def paragraph(self, rng, letters):
        return Text(text=self.only or self._string(rng, letters), language=self.language)

    def words(self, rng, count):
        return self.only.split() or rng.choices(WORDS[self.language], k=count)

    def number(self, rng):
        return str(rng.randrange(10_000))

    def _string(self, rng, letters):
        text = " ".join(rng.choices(WORDS[self.language], k=letters))
        return text[:letters].strip()


@pytest.fixture(scope="module")
def fonts(tmp_path_factory):
    """The one that Pillow carries, so that a machine without fonts will do."""
    path = tmp_path_factory.mktemp("font") / "aileron.ttf"
    path.write_bytes(ImageFont.load_default(size=20).path.getvalue())
    return Fonts.find(FontsSection(paths=(str(path),)))


@cache
def fonts_of(language: str) -> Fonts | None:
    """Those of the system that can set the language's words and digits."""
    text = " ".join(WORDS[language]) + "0123456789.,:/٠١٢٣٤٥٦٧٨٩"[: 14 if language != "ar" else None]
    faces = tuple(face for face in Fonts.find(FontsSection()).faces if face.can_set(text))
    return Fonts(faces=faces, weights=(1.0,) * len(faces)) if faces else None


def need_fonts(language: str) -> Fonts:
    found = fonts_of(language)
    if found is None:
        pytest.skip(f"no font of this machine has the letters of {language}")
    return found


def make(layout, fonts, seed=0, *, source=None, longest=40, config=CONFIG):
    sheet = None
    rng = random.Random(seed)
    for _ in range(5):
        sheet = sheet or make_sheet(layout, source or Source(), fonts, config, rng, longest=longest)
    assert sheet is not None
    return sheet


def box(block):
    return (*block.outline.min(axis=0).astype(int), *block.outline.max(axis=0).astype(int))


def ink_bounds(ink):
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def rows_of(target):
    assert re.fullmatch(r"<table>(<tr>(<td>[^<]*</td>)+</tr>)+</table>", target)
    return [
        [html.unescape(cell) for cell in re.findall(r"<td>([^<]*)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", target)
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_seed_gives_the_same_sheet(layout, fonts):
    first, second = (make(layout, fonts, seed=3) for _ in range(2))
    assert first.ink.tobytes() == second.ink.tobytes()
    assert [block.target for block in first.blocks] == [block.target for block in second.blocks]
    assert first.facts == second.facts
    assert len({make(layout, fonts, seed).ink.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_text_that_no_font_can_set_makes_no_sheet(layout, fonts):
    source = Source(only="ΑΒΓ ΔΕΖ")
    assert make_sheet(layout, source, fonts, CONFIG, random.Random(1), longest=40) is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_facts_say_how_a_sheet_was_set(layout, fonts):
    sheet = make(layout, fonts)
    assert {"layout", "language", "font", "style", "size_px", "spacing"} <= set(sheet.facts)
    assert sheet.facts["layout"] == layout
    assert sheet.facts["size_px"] == sheet.em_px


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_box_is_on_the_sheet_and_holds_ink(layout, seed, fonts):
    sheet = make(layout, fonts, seed)
    height, width = sheet.ink.shape
    for block in sheet.blocks:
        left, top, right, bottom = box(block)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert sheet.ink[top:bottom, left:right].max() > 0.5
        assert block.target
        assert block.target == block.target.strip()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layout", ["paragraph", "table", "form"])
def test_no_ink_lies_outside_the_boxes_and_each_box_is_close_to_its_ink(layout, seed, fonts):
    sheet = make(layout, fonts, seed)
    rest = sheet.ink.copy()
    for block in sheet.blocks:
        left, top, right, bottom = box(block)
        assert ink_bounds(sheet.ink[top:bottom, left:right]) == (0, 0, right - left, bottom - top)
        rest[top:bottom, left:right] = 0
    assert not rest.any()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_do_not_overlap(layout, seed, fonts):
    boxes = [box(block) for block in make(layout, fonts, seed).blocks]
    for one, other in itertools.combinations(boxes, 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3], (
            one,
            other,
        )


@pytest.mark.parametrize("language", ["ar", "hi"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_scripts_that_need_shaping_can_be_set_in_every_layout(layout, language):
    found = need_fonts(language)
    sheet = make(layout, found, source=Source(language))
    text = " ".join(block.target for block in sheet.blocks)
    assert any(word in text for word in WORDS[language])
    assert ARABIC_LETTER_MARK not in text
    assert len(sheet.letters) == 0


class TestLine:
    @pytest.mark.parametrize("seed", range(40))
    def test_every_letter_has_its_place(self, seed, fonts):
        sheet = make("line", fonts, seed, source=Source(only="xo xo x"))
        (block,) = sheet.blocks
        assert block.target == "xo xo x"
        assert sheet.letters.shape == (7, 2)
        left, top, right, bottom = box(block)
        line = sheet.ink[top:bottom, left:right]
        for (x, y), letter in zip(sheet.letters, block.target, strict=True):
            around = sheet.ink[:, int(x) - 2 : int(x) + 3]
            # An x has ink in its middle, an o has none, and a space has none anywhere in the line's rows.
            middle = around[int(y) - 2 : int(y) + 3].max()
            assert (middle > 0.5) == (letter == "x")
            assert abs(y - (top + bottom) / 2) <= 2
            if letter == " ":
                assert around[top:bottom].max() < 0.2
        assert line.max() == 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_wide_and_narrow_letters_stand_in_the_middle_of_their_ink(self, seed, fonts):
        sheet = make("line", fonts, seed, source=Source(only="I W o l M H"))
        left, top, right, bottom = box(sheet.blocks[0])
        inked = np.pad(sheet.ink[top:bottom, left:right].max(axis=0) > 0.2, 1)
        starts, ends = np.flatnonzero(np.diff(inked.astype(int))).reshape(-1, 2).T
        np.testing.assert_allclose((starts + ends) / 2 + left, sheet.letters[::2, 0], atol=2)

    @pytest.mark.parametrize("seed", range(40))
    def test_the_box_leaves_out_the_tips_of_a_neighbour(self, seed, fonts):
        sheet = make("line", fonts, seed, source=Source(only="HHHH"))
        left, top, right, bottom = box(sheet.blocks[0])
        # Stems of an H are as dark in every row: none of the neighbour's rows, none of the line's left out.
        stems = sheet.ink[top:bottom, left:right].sum(axis=1)
        assert stems.min() > 0.6 * np.median(stems)
        assert bottom - top > 0.5 * sheet.em_px

    def test_some_lines_have_a_neighbour_above_and_some_below(self, fonts):
        places = set()
        for seed in range(60):
            sheet = make("line", fonts, seed)
            _, top, _, bottom = box(sheet.blocks[0])
            places.add(
                (bool(sheet.ink[: top - 1].any()) if top else False, bool(sheet.ink[bottom + 1 :].any()))
            )
        assert {(True, False), (False, True), (False, False)} <= places

    def test_lines_are_as_long_as_is_asked_for(self, fonts):
        assert [len(make("line", fonts, 1, longest=longest).blocks[0].target) for longest in (5, 60)] == [
            5,
            60,
        ]


class TestGalley:
    @pytest.fixture
    def pen(self, fonts):
        return Pen(fonts.faces[0], 30, "en")

    @pytest.mark.parametrize("align", ["start", "end", "center", "justify"])
    def test_lines_stay_within_their_width_and_lose_no_word(self, pen, align):
        text = " ".join(WORDS["en"] * 5)
        galley = set_galley(pen, text, 300, Habit(align=align, indent_em=2))
        canvas = Canvas(500, round(galley.height_px) + 40)
        left, top, right, bottom = galley.put(canvas, 100, 20)
        assert galley.text == text
        assert (left, top, right, bottom) == ink_bounds(canvas.grey)
        assert left >= 99
        assert right <= 401
        assert top >= 20
        assert bottom <= 20 + galley.height_px

    def test_justified_lines_end_in_one_column_but_for_the_last(self, pen):
        galley = set_galley(pen, "mmm mmm mmm mm mmm mmm mmmm", 260, Habit(align="justify"))
        ends = []
        for number in range(len(galley.lines)):
            canvas = Canvas(400, 60)
            line = galley.split(number)[1].split(1)[0]
            ends.append(line.put(canvas, 50, 5)[2])
        assert len(ends) > 2
        assert max(ends[:-1]) - min(ends[:-1]) <= 1
        assert ends[-1] < min(ends[:-1]) - 10

    def test_words_wider_than_a_line_are_left_out_of_print_and_text(self, pen):
        assert set_galley(pen, "a mmmmmmmmmmmmmm b", 120, Habit()).text == "a b"
        assert set_galley(pen, "mmmmmmmmmmmmmm", 120, Habit()) is None

    def test_a_split_galley_reads_like_the_whole_one(self, pen):
        galley = set_galley(pen, " ".join(WORDS["en"] * 3), 300, Habit(indent_em=1))
        head, tail = galley.split(2)
        assert f"{head.text} {tail.text}" == galley.text
        assert not head.ends
        assert tail.habit.indent_em == 0

    def test_words_against_the_line_are_shaped_as_one_piece(self):
        words = words_of("في hello, world 5 الحبر (x) 7", right_to_left=True)
        assert pieces_of(words) == ["في", "hello, world 5", "الحبر", "(x) 7"]
        words = words_of("See: الحبر ممنوع - 5 pages", right_to_left=False)
        assert pieces_of(words) == [
            "See:",
            f"الحبر ممنوع {ARABIC_LETTER_MARK}- {ARABIC_LETTER_MARK}5",
            "pages",
        ]

    def test_a_number_behind_an_arabic_word_is_spelt_like_one_within_it(self):
        drawn = [word.drawn for word in words_of("5% الحبر 5%", right_to_left=True)]
        assert drawn == ["5%", "الحبر", f"{ARABIC_LETTER_MARK}5%"]

    @pytest.mark.parametrize(
        "text",
        [
            "الحبر ممنوع 12-05 في",
            "الحبر hello, world 7 في القاعة",
            "الحبر (ممنوع) 5% - 1890",
            "5 hello في 12 34",
            "الحبر «hello» في: القاعة!",
        ],
    )
    def test_a_line_of_words_looks_like_the_line_shaped_as_a_whole(self, text):
        fonts = need_fonts("ar")
        faces = [face for face in fonts.faces if face.can_set(text)]
        pen = Pen(next((face for face in faces if "Sans" in face.family), faces[0]), 30, "ar")
        whole, canvas = pen.word(text), Canvas(900, 120)
        words = words_of(text, right_to_left=True)
        put_line(canvas, pen, words, (100, 800), 70)
        expected = Canvas(900, 120)
        expected.put(whole, 800 - whole.advance, 70)
        # Words start at whole pixels, so strokes may stand a pixel off: compared in cells of 6 px.
        cells = [grey.grey.reshape(20, 6, 150, 6).mean(axis=(1, 3)) for grey in (canvas, expected)]
        assert np.corrcoef(cells[0].ravel(), cells[1].ravel())[0, 1] > 0.93


class TestColumns:
    def test_columns_are_read_one_after_the_other(self, fonts):
        sheets = [make("columns", fonts, seed) for seed in SEEDS]
        for sheet in sheets:
            texts = [box(block) for block in sheet.blocks if block.kind in ("text", "sub_title")]
            for before, after in itertools.pairwise(texts):
                assert after[1] >= before[3] or after[0] >= before[2]
        assert any(sheet.facts["spacing"]["columns"] > 1 for sheet in sheets)

    def test_columns_of_arabic_are_read_from_the_right(self):
        found = need_fonts("ar")
        turns = 0
        for seed in SEEDS:
            blocks = make("columns", found, seed, source=Source("ar")).blocks
            texts = [box(block) for block in blocks if block.kind in ("text", "sub_title")]
            for before, after in itertools.pairwise(texts):
                if after[1] < before[3]:
                    assert after[2] <= before[0]
                    turns += 1
        assert turns

    def test_pages_have_heads_titles_and_numbers_in_the_order_they_are_read(self, fonts):
        kinds = [[block.kind for block in make("columns", fonts, seed).blocks] for seed in range(30)]
        assert {"header", "title", "text", "sub_title", "page_number"} <= set(itertools.chain(*kinds))
        for page in kinds:
            if "title" in page:
                assert page.index("title") < page.index("text")
            if "header" in page:
                assert page.index("header") == 0

    def test_a_paragraph_is_one_line_of_text(self, fonts):
        sheet = make("columns", fonts)
        assert all("\n" not in block.target for block in sheet.blocks)


class TestTable:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_table_has_as_many_cells_in_each_row(self, seed, fonts):
        (table,) = (block for block in make("table", fonts, seed).blocks if block.kind == "table")
        rows = rows_of(table.target)
        assert len(rows) >= 2
        assert len({len(row) for row in rows}) == 1
        assert 2 <= len(rows[0]) <= 6

    def test_text_is_escaped_for_html(self):
        assert write_table([["a < b", "R&D"], ["", '"x"']]) == (
            '<table><tr><td>a &lt; b</td><td>R&amp;D</td></tr><tr><td></td><td>"x"</td></tr></table>'
        )

    def test_tables_are_ruled_in_every_way(self, fonts):
        rules = {make("table", fonts, seed).facts["spacing"]["rules"] for seed in range(40)}
        assert rules == {"grid", "rows", "head", "none"}

    def test_a_narrow_page_gets_a_smaller_table(self, fonts):
        config = SynthConfig(paper=PaperSection(width_px=400, height_px=900, font_px=(30, 30)))
        sheet = make("table", fonts, 3, config=config)
        assert sheet.ink.shape == (900, 400)
        assert any(block.kind == "table" for block in sheet.blocks)


class TestForm:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_form_has_a_label_and_a_value_in_each_line(self, seed, fonts):
        lines = make("form", fonts, seed).blocks[-1].target.split("\n")
        assert all(re.fullmatch(r"[A-Z][a-z ]*: [A-Za-z0-9 ]+", line) for line in lines)


class TestReceipt:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_total_is_the_sum_of_the_prices(self, seed, fonts):
        (block,) = make("receipt", fonts, seed).blocks
        prices = [
            round(100 * float(price)) for price in re.findall(r" (\d+\.\d\d)$", block.target, re.MULTILINE)
        ]
        assert len(prices) >= 3
        assert prices[-1] == sum(prices[:-1])

    def test_a_receipt_is_as_long_as_what_is_on_it(self, fonts):
        for seed in SEEDS:
            sheet = make("receipt", fonts, seed)
            assert box(sheet.blocks[0])[3] > sheet.ink.shape[0] - 4 * sheet.em_px


def test_a_plain_target_parts_blocks_with_an_empty_line(fonts):
    sheet = make("columns", fonts)
    text = write_target(sheet.blocks, (1, 1), target="plain", family=None)
    assert text.split("\n\n") == [block.target for block in sheet.blocks]


SMALL_PAPERS = [(400, (24, 40)), (200, (24, 40)), (200, (90, 90)), (60, (40, 40)), (500, (12, 15))]


@pytest.mark.parametrize(("side", "font_px"), SMALL_PAPERS)
@pytest.mark.parametrize("layout", ["paragraph", "columns", "table", "form", "receipt"])
def test_on_small_paper_no_letter_is_cut_off_and_no_sheet_is_empty(layout, side, font_px, fonts, monkeypatch):
    cut = []
    put = Canvas.put

    def watched(canvas, glyph, pen_x, baseline):
        bounds = put(canvas, glyph, pen_x, baseline)
        height, width = glyph.ink.shape
        if glyph.ink.any() and (
            bounds is None or (bounds[2] - bounds[0], bounds[3] - bounds[1]) != (width, height)
        ):
            cut.append(bounds)
        return bounds

    monkeypatch.setattr(Canvas, "put", watched)
    config = SynthConfig(paper=PaperSection(width_px=side, height_px=side, font_px=font_px))
    for seed in range(20):
        cut.clear()
        sheet = make_sheet(layout, Source(), fonts, config, random.Random(seed), longest=40)
        if sheet is not None:
            assert not cut
            assert sheet.blocks
            assert all(block.target for block in sheet.blocks)


def test_a_table_in_the_smallest_type_can_be_set(fonts):
    config = SynthConfig(paper=PaperSection(font_px=(12, 15)))
    assert make("table", fonts, config=config).blocks


@pytest.mark.parametrize("seed", range(40))
def test_a_title_that_fills_the_page_leaves_no_text_over_it(seed, fonts):
    config = SynthConfig(paper=PaperSection(width_px=400, height_px=300, font_px=(24, 40)))
    sheet = make_sheet("columns", Source(), fonts, config, random.Random(seed), longest=40)
    boxes = [] if sheet is None else [box(block) for block in sheet.blocks]
    for one, other in itertools.combinations(boxes, 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_a_first_word_as_wide_as_the_column_loses_its_indent(fonts):
    pen = Pen(fonts.faces[0], 30, "de")
    word = "Donaudampfschifffahrt"
    width = int(pen.word(word).advance) + 4
    galley = set_galley(pen, f"{word} und", width, Habit(align="justify", indent_em=2.5))
    canvas = Canvas(3 * width, 200)
    galley.put(canvas, 10, 10)
    assert np.flatnonzero(canvas.grey.any(axis=0)).max() < 10 + width
