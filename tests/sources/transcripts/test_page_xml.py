import numpy as np
import pytest

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.page_xml import VERSIONS, read_page_xml


def region(identifier, *inside, kind="TextRegion", coords="0,0 100,0 100,50 0,50", **attributes):
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<{kind} id="{identifier}"{written}><Coords points="{coords}"/>{"".join(inside)}</{kind}>'


def order(*inside, kind="OrderedGroup"):
    return f"<ReadingOrder><{kind} id='g'>{''.join(inside)}</{kind}></ReadingOrder>"


def ref(identifier, index):
    return f'<RegionRefIndexed regionRef="{identifier}" index="{index}"/>'


def ids(layout):
    return [region.id for region in layout.regions]


def test_a_line_has_its_text_outline_baseline_and_confidence(page_xml):
    line = (
        '<TextLine id="l"><Coords points="1,2 30,2 30,9.5 1,9"/><Baseline points="1,8 30,8"/>'
        '<TextEquiv conf="0.75"><Unicode> one &amp; two </Unicode></TextEquiv></TextLine>'
    )
    (layout,) = read_page_xml(page_xml(region("r", line)))
    (found,) = layout.lines()
    assert (found.text, found.confidence) == ("one & two", 0.75)
    np.testing.assert_array_equal(found.polygon, [(1, 2), (30, 2), (30, 9.5), (1, 9)])
    np.testing.assert_array_equal(found.baseline, [(1, 8), (30, 8)])
    assert (layout.image, layout.size, layout.version) == ("scan.png", (400, 300), "2019-07-15")
    assert layout.findings == ()


@pytest.mark.parametrize("namespace", VERSIONS)
def test_every_version_is_read(page_xml, text_line, namespace):
    (layout,) = read_page_xml(page_xml(region("r", text_line("l", "x")), namespace=namespace))
    assert [line.text for line in layout.lines()] == ["x"]
    assert namespace.endswith(layout.version)


def test_an_unknown_namespace_is_named_with_the_known_versions(page_xml):
    path = page_xml("", namespace="http://example.org/PAGE/2031")
    with pytest.raises(TranscriptError, match=r"unknown namespace 'http://example\.org/PAGE/2031'") as caught:
        read_page_xml(path)
    assert "2019-07-15" in caught.value.hint


def test_regions_come_in_the_order_of_nested_groups_and_their_indices(page_xml, text_line):
    regions = "".join(region(name, text_line(f"l{name}", name)) for name in "abcde")
    groups = order(
        ref("e", 2),
        '<UnorderedGroupIndexed id="u" index="0"><RegionRef regionRef="c"/><RegionRef regionRef="a"/>'
        "</UnorderedGroupIndexed>",
        f'<OrderedGroupIndexed id="o" index="1">{ref("b", 1)}{ref("d", 0)}</OrderedGroupIndexed>',
    )
    (layout,) = read_page_xml(page_xml(groups + regions))
    assert ids(layout) == ["c", "a", "d", "b", "e"]
    assert layout.findings == ()


def test_regions_that_the_order_leaves_out_come_last_and_are_told(page_xml, text_line, codes):
    regions = "".join(region(name, text_line(f"l{name}", name)) for name in "abc")
    (layout,) = read_page_xml(page_xml(order(ref("c", 0)) + regions))
    assert ids(layout) == ["c", "a", "b"]
    assert codes(layout.findings) == ["reading-order-partial"]


def test_a_region_in_a_region_follows_it_unless_the_order_says_otherwise(page_xml, text_line):
    inner = region("in", text_line("li", "inner"))
    regions = region("a", text_line("la", "a")) + region("b", text_line("lb", "b"), inner)
    (layout,) = read_page_xml(page_xml(order(ref("b", 0), ref("a", 1)) + regions))
    assert ids(layout) == ["b", "in", "a"]
    (layout,) = read_page_xml(page_xml(order(ref("in", 0), ref("a", 1), ref("b", 2)) + regions))
    assert ids(layout) == ["in", "a", "b"]


def test_without_an_order_that_of_the_custom_attributes_counts_for_regions_and_lines(page_xml, text_line):
    def at(place):
        return f"readingOrder {{index:{place};}} structure {{type:heading;}}"

    lines = text_line("l2", "second", custom=at(1)) + text_line("l1", "first", custom=at(0))
    regions = region("a", text_line("la", "x"), custom=at(1)) + region("b", lines, custom=at(0))
    (layout,) = read_page_xml(page_xml(regions))
    assert ids(layout) == ["b", "a"]
    assert [line.text for line in layout.regions[0].lines] == ["first", "second"]
    assert layout.regions[0].kind == "heading"
    assert layout.findings == ()


def test_without_any_order_regions_come_as_in_the_file_and_that_is_told(page_xml, text_line, codes):
    (layout,) = read_page_xml(page_xml(region("b", text_line("1", "x")) + region("a", text_line("2", "y"))))
    assert ids(layout) == ["b", "a"]
    assert codes(layout.findings) == ["reading-order-missing"]


def test_of_several_texts_the_one_with_the_lowest_index_counts(page_xml):
    texts = "".join(
        f'<TextEquiv index="{index}"><Unicode>{text}</Unicode></TextEquiv>'
        for index, text in ((2, "worst"), (0, "best"), (1, "second"))
    )
    line = f'<TextLine id="l"><Coords points="0,0 9,0 9,9"/>{texts}</TextLine>'
    (layout,) = read_page_xml(page_xml(region("r", line)))
    assert [line.text for line in layout.lines()] == ["best"]


def test_a_line_without_text_of_its_own_has_that_of_its_words(page_xml):
    word = "<Word id='w{0}'><TextEquiv><Unicode>{0}</Unicode></TextEquiv></Word>"
    glyphs = "".join(f"<Glyph><TextEquiv><Unicode>{letter}</Unicode></TextEquiv></Glyph>" for letter in "two")
    line = (
        f'<TextLine id="l"><Coords points="0,0 9,0 9,9"/>{word.format("one")}<Word id="w">{glyphs}</Word>'
        "<TextEquiv><Unicode/></TextEquiv></TextLine>"
    )
    (layout,) = read_page_xml(page_xml(region("r", line)))
    assert [line.text for line in layout.lines()] == ["one two"]


def test_the_text_of_a_region_is_parted_into_its_lines_if_there_are_as_many(page_xml, text_line):
    lines = text_line("a", None) + text_line("b", None)
    text = "<TextEquiv><Unicode>first\nsecond{}</Unicode></TextEquiv>"
    (layout,) = read_page_xml(page_xml(region("r", lines, text.format(""))))
    assert [line.text for line in layout.lines()] == ["first", "second"]
    (layout,) = read_page_xml(page_xml(region("r", lines, text.format("\nthird"))))
    assert [line.text for line in layout.lines()] == [None, None]
    assert layout.regions[0].text == "first\nsecond\nthird"


def test_points_of_old_schemas_are_elements(page_xml):
    points = "".join(f'<Point x="{x}" y="{y}"/>' for x, y in ((0, 0), (9, 0), (9, 5)))
    line = f"<TextLine id='l'><Coords>{points}</Coords><TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine>"
    (layout,) = read_page_xml(page_xml(region("r", line)))
    np.testing.assert_array_equal(next(layout.lines()).polygon, [(0, 0), (9, 0), (9, 5)])


@pytest.mark.parametrize("points", ["1,2 3", "1,2 3,4 x,5", "1,2 3,4 nan,5", "1,2 3,4", "1 2 inf 4 5 6"])
def test_points_that_are_none_become_a_finding(page_xml, text_line, codes, points):
    (layout,) = read_page_xml(page_xml(region("r", text_line("l", "x", points))))
    assert codes(layout.findings) == ["points-unreadable", "line-without-coordinates"]
    assert "scan.xml#l" in layout.findings[0].where
    assert next(layout.lines()).text == "x"


def test_empty_lines_missing_coordinates_and_ids_used_twice_are_told(page_xml, text_line, codes):
    bare = "<TextLine id='l2'><TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine>"
    flat = text_line("l3", "x", "5,5 5,5 5,5")
    (layout,) = read_page_xml(page_xml(region("r", text_line("l1", None), bare, flat, text_line("l1", "y"))))
    assert sorted(codes(layout.findings)) == [
        "id-repeated", "line-empty", "line-without-coordinates", "line-without-coordinates",
    ]  # fmt: skip


CELLS = {
    "transkribus": (
        '<TableCell id="{id}" row="{row}" col="{column}" rowSpan="1" colSpan="{span}">'
        '<Coords points="0,0 9,0 9,9"/>{line}</TableCell>'
    ),
    "2019": (
        '<TextRegion id="{id}"><Coords points="0,0 9,0 9,9"/><Roles><TableCellRole rowIndex="{row}" '
        'columnIndex="{column}" rowSpan="1" colSpan="{span}"/></Roles>{line}</TextRegion>'
    ),
}


@pytest.mark.parametrize("form", CELLS)
def test_tables_have_cells_in_rows_however_they_are_written(page_xml, text_line, codes, form):
    # From the last to the first, as nobody promises any order.
    places = [("d", 1, 1, 1, "2"), ("c", 1, 0, 1, None), ("a", 0, 0, 2, "head")]
    cells = [
        CELLS[form].format(id=name, row=row, column=column, span=span, line=text_line(f"l{name}", text))
        for name, row, column, span, text in places
    ]
    (layout,) = read_page_xml(page_xml(region("t", *cells, kind="TableRegion")))
    (table,) = layout.regions
    assert table.kind == "table"
    assert [(cell.row, cell.column, cell.column_span, cell.text) for cell in table.cells] == [
        (0, 0, 2, "head"), (1, 0, 1, ""), (1, 1, 1, "2"),
    ]  # fmt: skip
    assert [line.id for line in table.lines] == ["la", "lc", "ld"]
    assert codes(layout.findings) == ["line-empty"]


def test_lines_of_a_table_outside_its_cells_are_told(page_xml, text_line, codes):
    cell = CELLS["2019"].format(id="c", row=0, column=0, span=1, line=text_line("l", "x"))
    (layout,) = read_page_xml(
        page_xml(region("t", cell, region("n", text_line("m", "y")), kind="TableRegion"))
    )
    assert codes(layout.findings) == ["table-lines"]
    nested = region("n", text_line("m", "y"), kind="ImageRegion")
    (layout,) = read_page_xml(page_xml(region("t", text_line("l", "x"), nested, kind="TableRegion")))
    assert codes(layout.findings) == ["table-lines"]


@pytest.mark.parametrize(
    ("kind", "attributes", "wanted"),
    [
        ("TextRegion", {}, "paragraph"),
        ("TextRegion", {"type": "heading"}, "heading"),
        ("TextRegion", {"type": "page-number"}, "page-number"),
        ("TextRegion", {"type": "TOC-entry"}, "toc-entry"),
        ("ImageRegion", {}, "figure"),
        ("MathsRegion", {}, "formula"),
        ("SeparatorRegion", {}, "separator"),
    ],
)
def test_regions_have_kinds(page_xml, kind, attributes, wanted):
    (layout,) = read_page_xml(page_xml(region("r", kind=kind, **attributes)))
    assert layout.regions[0].kind == wanted


def test_a_file_without_a_page_is_an_error(write):
    namespace = next(iter(VERSIONS))
    with pytest.raises(TranscriptError, match="no <Page>"):
        read_page_xml(write(f'<PcGts xmlns="{namespace}"/>'))


def test_lines_in_no_region_are_told(page_xml, text_line, codes):
    inside = (
        f'<TextRegion id="a">{text_line("l", "x")}<TextRegion id="b">{text_line("m", "y")}</TextRegion></TextRegion>'
        f"{text_line('n', 'lost')}<Odd>{text_line('o', 'too')}</Odd>"
    )
    (layout,) = read_page_xml(page_xml(inside))
    assert [found.text for found in layout.lines()] == ["x", "y"]
    told = [found for found in layout.findings if found.code == "lines-unplaced"]
    assert [found.message[-3:] for found in told] == [": 2"]


def test_a_text_goes_on_behind_a_comment(page_xml, text_line):
    inside = text_line("l", "one <!-- not this -->two<?nor this?> <![CDATA[<three>]]>")
    (layout,) = read_page_xml(page_xml(f'<TextRegion id="r">{inside}</TextRegion>'))
    assert [line.text for line in layout.lines()] == ["one two <three>"]


def test_an_index_of_thousands_of_digits_is_no_place(page_xml, text_line):
    custom = f"readingOrder {{index:{'9' * 5000};}}"
    inside = "".join(
        f'<TextRegion id="{name}" custom="{index}">{text_line(name + "l", name)}</TextRegion>'
        for name, index in (("a", custom), ("b", "readingOrder {index:0;}"))
    )
    (layout,) = read_page_xml(page_xml(inside))
    assert [region.id for region in layout.regions] == ["b", "a"]


def test_a_region_around_a_cell_is_no_cell(page_xml, text_line):
    role = '<Roles><TableCellRole rowIndex="0" columnIndex="0"/></Roles>'
    cell = f'<TextRegion id="c">{role}{text_line("l", "x")}</TextRegion>'
    (layout,) = read_page_xml(
        page_xml(f'<TableRegion id="t"><TextRegion id="r">{cell}</TextRegion></TableRegion>')
    )
    assert [cell.text for cell in layout.regions[0].cells] == ["x"]
