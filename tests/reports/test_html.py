import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ocrtune.errors import ImageError
from ocrtune.evaluation import score_page
from ocrtune.records import Prediction
from ocrtune.reports import Curve, CurvePoint, ReportLine, render_report, write_report
from ocrtune.text import Normalization

VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Tags with their attributes, and the text in each kind of tag; tags that do not match are an error."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open:
            self.texts.append((self._open[-1], data))

    def texts_of(self, tag):
        return [text for found, text in self.texts if found == tag]

    def attributes(self, tag):
        return [attrs for found, attrs in self.tags if found == tag]


def read_line(html, number):
    """The diff of the last reading of a line, as (kind, text)."""
    item = re.findall(r'<li class="line".*?</li>', html, re.DOTALL)[number]
    reading = re.findall(r'<dd class="text">(.*?)</dd>', item, re.DOTALL)[-1]
    return re.findall(r"<(ins|del)>(.*?)</\1>", reading)


def of_line(reference, text):
    return ReportLine(
        image=None, after=score_page(reference, Prediction(image="x", text=text), Normalization())
    )


def test_the_page_is_well_formed_and_needs_nothing_beside_it(report):
    html = render_report(report)
    page = Page(html)
    assert [tag for tag, _ in page.tags if tag in {"link", "iframe", "object", "base"}] == []
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "data"):
            assert attrs.get(name, "data:").startswith("data:")
    assert "http" not in html.replace("http-equiv", "")
    assert "@import" not in html
    assert "url(" not in html


def test_a_prediction_with_markup_is_shown_and_not_run(report):
    page = Page(render_report(report))
    assert len(page.attributes("script")) == 1
    assert "alert" not in "".join(page.texts_of("script"))
    assert "b" not in {tag for tag, _ in page.tags}
    assert "a <b>bold</b> day" in "".join(text for _, text in page.texts)


def test_title_and_summary_are_escaped(report):
    html = render_report(report)
    assert "<title>A model &amp; its lines</title>" in html
    assert "Learned from &lt;many&gt; lines." in html


def test_the_numbers_at_the_top_are_the_micro_cer_before_and_after(report):
    page = Page(render_report(report))
    before, after = (
        f"{card.cer.micro * 100:.1f}\N{NO-BREAK SPACE}%" for card in (report.before, report.after)
    )
    assert [text for text in page.texts_of("dd") if text.strip()][:2] == [before, after]


def test_the_normalisation_and_the_number_of_pages_are_stated(report):
    html = render_report(report)
    assert "unicode NFC, whitespace trim, case keep" in html
    assert "3 held-out pages" in html


def test_every_score_of_the_card_is_in_the_table(report):
    html = render_report(report)
    for card in (report.before, report.after):
        for rates in (card.cer, card.wer, card.ned):
            for rate in (rates.micro, rates.macro, rates.median, rates.clipped):
                assert f"{rate * 100:.1f}\N{NO-BREAK SPACE}%" in html


def test_a_wrong_letter_is_struck_out_and_the_one_read_underlined(report):
    assert read_line(render_report(report), 1) == [("del", "r"), ("ins", "n")]


def test_an_exact_reading_has_no_marks(report):
    assert read_line(render_report(report), 0) == []


def test_a_reading_that_is_mostly_wrong_is_underlined_as_a_whole(bare):
    html = render_report(replace(bare, lines=(of_line("abcdef", "xbxxxx"), of_line("abcdef", "xbcdxx"))))
    assert read_line(html, 0) == [("ins", "xbxxxx")]
    assert read_line(html, 1) == [("del", "a"), ("ins", "x"), ("del", "ef"), ("ins", "xx")]


def test_an_empty_reading_is_said_to_be_nothing(bare):
    html = render_report(replace(bare, lines=(of_line("abc", ""),)))
    assert "(nothing)" in html
    assert ">read<" in html


def test_lines_stand_in_page_order_with_the_keys_to_sort_them_by(report):
    lines = [attrs for attrs in Page(render_report(report)).attributes("li") if attrs.get("class") == "line"]
    assert [attrs["data-page"] for attrs in lines] == ["0", "1", "2"]
    assert [float(attrs["data-after"]) for attrs in lines][:2] == [0.0, 1 / 12]
    assert float(lines[1]["data-gain"]) == pytest.approx(1 - 1 / 12)


def test_the_buttons_are_hidden_until_the_script_shows_them(report):
    controls = next(
        attrs for attrs in Page(render_report(report)).attributes("div") if attrs.get("class") == "controls"
    )
    assert "hidden" in controls


def test_tables_tell_precision_with_its_reason_and_what_learns(report):
    html = render_report(report)
    assert "nothing narrower is faster" in html
    assert "1,234,567" in html
    assert re.search(r"vision</th><td>frozen", html)


def test_findings_tell_where_and_how_often(report):
    html = render_report(report)
    assert "2 texts are empty (2 times)" in html
    assert "m.jsonl:3" in html


def test_a_report_of_nothing_but_a_title_is_well_formed(bare):
    html = render_report(bare)
    Page(html)
    assert "<h2" not in html
    assert "CER" not in html


def test_points_that_are_not_finite_are_left_out_of_a_chart(bare):
    points = (CurvePoint(step=1, value=float("nan")), CurvePoint(step=2, value=2.0))
    html = render_report(replace(bare, losses=(Curve(name="training loss", points=points),)))
    assert html.count("<circle") == 1
    nothing = (Curve(name="training loss", points=points[:1]),)
    assert "<svg" not in render_report(replace(bare, losses=nothing))


def test_the_file_is_written_whole(report, tmp_path):
    path = tmp_path / "new" / "report.html"
    write_report(report, path)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_a_picture_that_is_missing_is_an_error(report, tmp_path):
    lines = (replace(report.lines[0], image=tmp_path / "gone.png"),)
    with pytest.raises(ImageError, match="does not exist"):
        render_report(replace(report, lines=lines))
