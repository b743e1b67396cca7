import numpy as np
import pytest

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.alto import VERSIONS, read_alto

BOX = 'HPOS="10" VPOS="20" WIDTH="100" HEIGHT="30"'


def block(identifier, *inside, kind="TextBlock", **attributes):
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<{kind} ID="{identifier}" {BOX}{written}>{"".join(inside)}</{kind}>'


def line(identifier, *inside, attributes=BOX):
    return f'<TextLine ID="{identifier}" {attributes}>{"".join(inside)}</TextLine>'


def string(content, **attributes):
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<String CONTENT="{content}"{written}/>'


def texts(layout):
    return [found.text for found in layout.lines()]


def test_a_line_is_its_strings_and_spaces_with_box_and_confidence(alto):
    (layout,) = read_alto(
        alto(block("b", line("l", string("one", WC="0.5"), "<SP/>", string("two", WC="1"))))
    )
    (found,) = layout.lines()
    assert (found.text, found.confidence) == ("one two", 0.75)
    np.testing.assert_array_equal(found.polygon, [(10, 20), (110, 20), (110, 50), (10, 50)])
    assert (layout.image, layout.size, layout.unit, layout.id) == ("scan.png", (400, 300), "pixel", "p1")


@pytest.mark.parametrize("namespace", VERSIONS)
def test_every_version_is_read(alto, namespace):
    (layout,) = read_alto(alto(block("b", line("l", string("x"))), namespace=namespace))
    assert (texts(layout), layout.version) == (["x"], VERSIONS[namespace])


def test_an_unknown_namespace_is_named(alto):
    with pytest.raises(TranscriptError, match=r"'http://www\.loc\.gov/standards/alto/ns-v9#'"):
        read_alto(alto("", namespace="http://www.loc.gov/standards/alto/ns-v9#"))


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ((string("fore", SUBS_TYPE="HypPart1", SUBS_CONTENT="forehead"), '<HYP CONTENT="-"/>'), "fore-"),
        ((string("fore"), '<HYP CONTENT="&#xAD;"/>'), "fore-"),
        ((string("fore-"), '<HYP CONTENT="-"/>'), "fore-"),
        ((string("fore"), '<HYP CONTENT="⸗"/>'), "fore⸗"),
        ((string("fore"), '<HYP CONTENT="¬"/>'), "fore-"),
        ((string("fore¬"), '<HYP CONTENT="¬"/>'), "fore-"),
        ((string("and"), "<SP/>", string("fore"), "<HYP/>"), "and fore-"),
        ((string("and"), string("fore"), "<HYP/>"), "and fore-"),
        ((string("com&#xAD;pu&#xAD;"),), "compu-"),
        ((string("你好"), "<SP/>", string("世界")), "你好世界"),
        ((string("一 二"),), "一 二"),
        ((string("head", SUBS_TYPE="HypPart2", SUBS_CONTENT="forehead"),), "head"),
        ((string("one"), string("two")), "one two"),
        ((string("on"), string("e"), "<SP/>", string("two")), "one two"),
        (("<SP/>", string("a"), "<SP/>"), "a"),
        ((), None),
    ],
)
def test_the_text_is_what_is_printed(alto, pieces, wanted):
    (layout,) = read_alto(alto(block("b", line("l", *pieces))))
    assert texts(layout) == [wanted]


@pytest.mark.parametrize("points", ["10,20 60,15 110,20 110,50", "10 20 60 15 110 20 110 50"])
def test_an_outline_goes_before_the_box(alto, points):
    shape = f'<Shape><Polygon POINTS="{points}"/></Shape>'
    (layout,) = read_alto(alto(block("b", line("l", shape, string("x")))))
    np.testing.assert_array_equal(next(layout.lines()).polygon, [(10, 20), (60, 15), (110, 20), (110, 50)])


@pytest.mark.parametrize(
    ("written", "wanted"), [("44", [(10, 44), (110, 44)]), ("10,44 60,45 110,47", [(10, 44), (60, 45), (110, 47)])]
)  # fmt: skip
def test_a_baseline_is_a_height_or_a_list_of_points(alto, written, wanted):
    (layout,) = read_alto(alto(block("b", line("l", string("x"), attributes=f'{BOX} BASELINE="{written}"'))))
    np.testing.assert_array_equal(next(layout.lines()).baseline, wanted)


def test_a_line_without_a_box_has_that_of_its_strings(alto):
    pieces = (
        string("x", HPOS="5", VPOS="6", WIDTH="10", HEIGHT="4"), string("y", HPOS="20", VPOS="4", WIDTH="5", HEIGHT="4"),
    )  # fmt: skip
    (layout,) = read_alto(alto(block("b", line("l", *pieces, attributes=""))))
    np.testing.assert_array_equal(next(layout.lines()).polygon, [(5, 4), (25, 4), (25, 10), (5, 10)])


def test_tags_and_types_tell_kinds(alto):
    tags = (
        '<Tags><OtherTag ID="BT1" LABEL="Title"/><LayoutTag ID="BT2" LABEL="MarginTextZone:note"/>'
        '<OtherTag ID="BT3" LABEL="Marriage"/></Tags>'
    )
    inside = (
        block("a", TAGREFS="LT9 BT1") + block("b", TAGREFS="BT2") + block("c", TAGREFS="BT3") + block("d")
        + block("e", kind="Illustration") + block("f", block("g", line("l", string("x"))), kind="ComposedBlock", TYPE="table")
        + block("h", block("i"), kind="ComposedBlock")
    )  # fmt: skip
    (layout,) = read_alto(alto(inside, before=tags))
    assert {found.id: found.kind for found in layout.regions} == {
        "a": "heading", "b": "marginalia", "c": "marriage", "d": "paragraph", "e": "figure", "f": "table", "i": "paragraph",
    }  # fmt: skip
    assert texts(layout) == ["x"]


def test_margins_are_read_around_the_print_space(write):
    def space(name):
        return f"<{name}>{block(name, line(f'l{name}', string(name)))}</{name}>"

    names = ("TopMargin", "LeftMargin", "RightMargin", "BottomMargin", "PrintSpace")
    path = write(
        '<alto xmlns="http://www.loc.gov/standards/alto/ns-v2#"><Layout><Page>'
        f"{''.join(map(space, names))}</Page></Layout></alto>"
    )
    (layout,) = read_alto(path)
    assert texts(layout) == ["TopMargin", "LeftMargin", "PrintSpace", "RightMargin", "BottomMargin"]
    assert [found.kind for found in layout.regions] == [
        "header",
        "marginalia",
        "paragraph",
        "marginalia",
        "footer",
    ]


@pytest.mark.parametrize("refs", [("b", "a"), ("lb1", "lb0", "la")])
def test_the_reading_order_of_version_4_orders_blocks_and_lines(alto, refs):
    elements = "".join(f'<ElementRef ID="o{name}" REF="{name}"/>' for name in refs)
    order = f'<ReadingOrder><OrderedGroup ID="g"><OrderedGroup ID="h">{elements}</OrderedGroup></OrderedGroup></ReadingOrder>'
    inside = block("a", line("la", string("a"))) + block(
        "b", line("lb0", string("0")), line("lb1", string("1"))
    )
    (layout,) = read_alto(alto(inside, before=order))
    assert texts(layout) == (["0", "1", "a"] if refs == ("b", "a") else ["1", "0", "a"])
    assert layout.findings == ()


def test_without_a_reading_order_that_is_told(alto, codes):
    (layout,) = read_alto(alto(block("a", line("l", string("x"))) + block("b", line("m", string("y")))))
    assert codes(layout.findings) == ["reading-order-missing"]


def test_an_unknown_unit_is_an_error(alto):
    with pytest.raises(TranscriptError, match="'furlong'") as caught:
        read_alto(alto("", unit="furlong"))
    assert "inch1200" in caught.value.hint


def test_lines_in_no_block_are_told(alto, codes):
    inside = (
        block("b", line("l", string("x"))) + line("m", string("y")) + f"<Odd>{line('n', string('z'))}</Odd>"
    )
    (layout,) = read_alto(alto(inside))
    assert texts(layout) == ["x"]
    (told,) = layout.findings
    assert (told.code, told.message[-3:]) == ("lines-unplaced", ": 2")


def test_units_may_be_written_in_capitals(alto):
    (layout,) = read_alto(alto("", unit="MM10"))
    assert layout.unit == "mm10"
