import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_pages import block_of, page, reading_of

from ocrtune.records import Finding
from ocrtune.reports import Curve, CurvePoint, Fact, read_report, render_report, write_report
from ocrtune.reports.scores import Confusion, Slice, Value

VOID = {"meta", "img", "br", "input"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`\u2028\x00\x1b[31m\ud800\u202e"


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


def policy_of(html):
    return next(attrs["content"] for attrs in Page(html).attributes("meta") if "http-equiv" in attrs)


def percent(rate):
    return f"{rate * 100:.1f}\N{NO-BREAK SPACE}%"


def test_the_page_is_well_formed_and_needs_nothing_beside_it(report):
    html = render_report(report)
    tags = Page(html).tags
    assert [tag for tag, _ in tags if tag in {"link", "iframe", "object", "base"}] == []
    for tag, attrs in tags:
        assert attrs.get("href", "#").startswith("#")
        for name in ("src", "srcset", "data", "action"):
            assert name not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")]
    assert "http" not in html.replace("http-equiv", "")
    assert "@import" not in html
    assert "url(" not in html


def test_a_browser_may_fetch_nothing_and_run_only_the_script_of_the_package(report):
    policy = policy_of(render_report(report))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy


def test_hostile_texts_and_names_end_no_element_and_stay_what_they_are(report):
    hostile = replace(
        report,
        title=HOSTILE,
        summary=HOSTILE,
        sides=(HOSTILE, f"{HOSTILE}2"),
        normalization=HOSTILE,
        facts=(Fact(name=HOSTILE, value=HOSTILE, reason=HOSTILE),),
        findings=(Finding(code="x", severity="note", message=HOSTILE, where=HOSTILE, hint=HOSTILE),),
        slices=(Slice(column=HOSTILE, value=HOSTILE, pages=1, cers=(Value(value=0.1), Value(value=0.2))),),
        confusions=(Confusion(reference="<", prediction="\x00", counts=(1, 2)),),
        versions={HOSTILE: HOSTILE},
        command=HOSTILE,
        notes=(HOSTILE,),
        pages=(
            replace(
                page(None, HOSTILE, HOSTILE, "", name=HOSTILE), groups={HOSTILE: "a"}, findings=(HOSTILE,)
            ),
            replace(page(None, "x", "x", "x"), groups={HOSTILE: HOSTILE}),
        ),
    )
    html = render_report(hostile)
    found = Page(html)
    assert len(found.attributes("script")) == 3
    assert not [tag for tag, attrs in found.tags if tag == "img" or "onerror" in attrs]
    assert "alert" not in "".join(
        text
        for attrs, text in zip(found.attributes("script"), found.texts_of("script"), strict=True)
        if not attrs
    )
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff]", html)
    html.encode()
    columns = block_of(html, "page-data")
    shown = HOSTILE.replace("\x00", "␀").replace("\x1b", "␛").replace("\ud800", "\ufffd")
    assert columns["names"][0] == shown
    assert columns["refs"][0] == shown.replace("\u2028", "\n")


def test_the_numbers_at_the_top_are_the_micro_cer_of_each_side(report):
    shown = [text.strip() for text in Page(render_report(report)).texts_of("dd") if text.strip()]
    assert shown[:2] == [percent(card.cer.micro.value) for card in report.cards]


def test_every_number_of_a_comparison_is_in_its_page(comparison):
    html = render_report(read_report(comparison))
    result = json.loads((comparison / "comparison.json").read_text())
    text = " ".join(found for _, found in Page(html).texts)
    for side in result["sides"]:
        for measure in ("cer", "wer", "ned"):
            for value in side[measure].values():
                assert percent(value) in text
        assert (
            f"{100 * side['cer']['micro'] - 1.11:.1f}–{100 * side['cer']['micro'] + 2.22:.1f}\N{NO-BREAK SPACE}%"
            in text
        )
        assert percent(side["structures"]["teds"]["mean"]) in text
    assert "tuned is better than base by 7.8 points of micro CER (95 % interval 5.0 to 10.0)" in text
    assert f"probability of {percent(0.987)}" in text
    columns = block_of(html, "page-data")
    assert columns["sides"] == ["base", "tuned"]
    assert columns["cer"] == [[0.2, 0.0], [0.0, 0.142857]]
    assert columns["groups"] == {"script": ["Latin", "Greek"]}
    assert columns["boxes"] == [{}, {"0": [[1.0, 2.0, 30.0, 19.0, "title"]]}]
    assert columns["facts"][1]["1"] == ["never ended; 9 tokens"]
    assert [reading_of(columns, number, side) for side in (0, 1) for number in (0, 1)] == [
        "a dey",
        "the end",
        "a day",
        "the cnd",
    ]


def test_every_score_of_the_cards_is_in_the_table(report):
    html = render_report(report)
    for card in report.cards:
        for line in card.rates.values():
            for value in (line.micro, line.macro, line.median, line.clipped):
                assert percent(value.value) in html


def test_tables_tell_precision_with_its_reason_what_learns_and_what_was_left_out(report):
    html = render_report(report)
    for told in (
        "nothing narrower is faster",
        "1,234,567",
        "1,602",
        "an image is broken (3 times)",
        "m.jsonl:3",
        "numpy 2.4",
    ):
        assert told in html
    assert re.search(r"vision</th><td>frozen", html)
    assert "ocrtune train runs/letters/config.yaml" in html


def test_a_report_of_nothing_but_a_title_is_well_formed(bare):
    html = render_report(bare)
    found = Page(html)
    assert "<h2" not in html
    assert "CER" not in html
    assert found.attributes("script") == []


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


def test_a_picture_that_is_missing_is_told_and_the_page_is_shown(one_side, tmp_path):
    html = render_report(one_side(page(tmp_path / "gone.png", "a day", "a day")))
    assert "1 picture could not be read." in html
    assert block_of(html, "page-data")["names"] == ["a day.png"]


def test_a_link_to_a_picture_that_is_gone_is_told(one_side, tmp_path):
    path = tmp_path / "report.html"
    write_report(one_side(page(tmp_path / "gone.png", "a day", "a day")), path, images="link")
    html = path.read_text()
    assert "1 picture could not be read." in html
    assert block_of(html, "picture-data")["sources"] == [""]


@pytest.mark.parametrize("name", ["a day.png", "<i>.png"])
def test_links_point_to_the_files_from_where_the_report_lies(one_side, tmp_path, name):
    from PIL import Image

    Image.new("L", (30, 20)).save(tmp_path / name)
    path = tmp_path / "out" / "report.html"
    write_report(one_side(page(tmp_path / name, "x", "x")), path, images="link")
    html = path.read_text()
    assert block_of(html, "picture-data")["sources"] == [
        "../" + name.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
    ]
    assert "img-src data: 'self' file:;" in policy_of(html)
