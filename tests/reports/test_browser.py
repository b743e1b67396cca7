"""The page as people use it, in Debian's Chromium."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from report_pages import page

from ocrtune.reports import write_report
from ocrtune.reports.records import Box

CHROMIUM = Path("/usr/bin/chromium")

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")

PAGES = 300
HOSTILE = "</script><img src=x onerror='document.title=1'>"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield browser
        browser.close()


def readings_of(number):
    """Reference, and what was read before and after."""
    if number == 7:
        return (
            f"the siege {HOSTILE} 😀 of Vicksburg",
            f"the siege {HOSTILE} 😀 of",
            f"the siege {HOSTILE} 😀 of Vicksbung",
        )
    if number == 8:
        return "a day", "a day", "and so on " * 9
    if number == 9:
        return "שלום עולם", "שלום", "שלום עולס"
    return f"line number {number}", f"lime number {number}", f"line number {number}"


@pytest.fixture
def shown(one_side, tmp_path, browser):
    """The page of a report of two sides with 300 pages, opened from disk; nothing may go wrong in it."""
    scan = Image.new("L", (600, 60), 255)
    ImageDraw.Draw(scan).text((10, 20), "a line", fill=0)
    pages = [page(scan, *readings_of(number), name=f"p{number}.png") for number in range(PAGES)]
    with_box = replace(pages[8].readings[1], boxes=(Box(corners=(60, 6, 300, 54), label="title"),))
    pages[8] = replace(pages[8], readings=(pages[8].readings[0], with_box))
    report = replace(one_side(*pages), sides=("base", "tuned"))
    path = tmp_path / "report.html"
    write_report(report, path)
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "request",
        lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
    )
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.goto(path.as_uri())
    tab.wait_for_selector("#pages-list[data-ready]")
    yield tab
    tab.close()
    assert wrong == []


def names(tab):
    return [row.split("\n")[0] for row in tab.locator("#pages-list .page .name").all_inner_texts()]


def go_to_pages(tab):
    tab.locator("#pages").evaluate("element => element.scrollIntoView()")
    first_row(tab).locator(".card").wait_for()


def first_row(tab):
    return tab.locator("#pages-list .page").first


def test_the_worst_page_comes_first_and_only_rows_near_the_window_are_filled(shown):
    assert shown.locator("#pages-list > li").count() == PAGES
    go_to_pages(shown)
    assert names(shown)[0] == "p8.png"
    assert shown.locator(".card").count() < 60
    shown.mouse.wheel(0, 100_000)
    shown.locator("#pages-list > li").last.locator(".card").wait_for()
    assert shown.locator(".card").count() < 60


def test_pages_are_sorted_searched_and_filtered(shown):
    go_to_pages(shown)
    shown.select_option("#order", "name")
    sync_api.expect(first_row(shown).locator(".name")).to_have_text("p0.png")
    assert names(shown)[:3] == ["p0.png", "p1.png", "p2.png"]
    shown.select_option("#order", "gain")
    sync_api.expect(first_row(shown).locator(".name")).to_have_text("p9.png")
    assert names(shown)[:2] == ["p9.png", "p7.png"]
    shown.select_option("#order", "loss")
    sync_api.expect(first_row(shown).locator(".name")).to_have_text("p8.png")
    shown.keyboard.press("/")
    shown.keyboard.type("VICKSBUNG")
    sync_api.expect(shown.locator("#pages-list > li")).to_have_count(1)
    assert shown.locator("#shown").inner_text() == "1 of 300 pages"
    assert names(shown) == ["p7.png"]
    shown.keyboard.press("Control+A")
    shown.keyboard.type("nowhere")
    shown.locator("#nothing").wait_for()
    shown.click("#clear")
    shown.click("[data-filter=worse]")
    assert shown.locator("#shown").inner_text() == "1 of 300 pages"


def test_differences_are_marked_and_texts_are_never_markup(shown):
    shown.fill("#search", "vicksbung")
    sync_api.expect(shown.locator("#pages-list > li")).to_have_count(1)
    last = shown.locator(".page .text").last
    assert last.locator("del").all_inner_texts() == ["r"]
    assert last.locator("ins").all_inner_texts() == ["n"]
    assert HOSTILE in last.inner_text()
    assert shown.locator("#pages-list img").count() == 1
    before = shown.locator(".page .text").nth(1)
    assert before.locator("del").all_inner_texts() == [" Vicksburg"]


def test_a_text_from_right_to_left_stands_right(shown):
    shown.fill("#search", "עולס")
    sync_api.expect(shown.locator("#pages-list > li")).to_have_count(1)
    direction = "element => getComputedStyle(element).direction"
    assert {text.evaluate(direction) for text in shown.locator(".page .text").all()} == {"rtl"}


def test_a_page_is_opened_zoomed_and_left_by_keys(shown):
    shown.keyboard.press("j")
    shown.keyboard.press("Enter")
    assert shown.locator("#viewer-name").inner_text() == "p8.png"
    assert shown.url.endswith("#page=p8.png")
    width = shown.locator("#sheet").bounding_box()["width"]
    box, picture = shown.locator(".box").bounding_box(), shown.locator("#sheet img").bounding_box()
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(0.1, abs=0.01)
    assert box["height"] / picture["height"] == pytest.approx(0.8, abs=0.02)
    shown.keyboard.press("+")
    assert shown.locator("#sheet").bounding_box()["width"] == pytest.approx(width * 1.4, rel=0.01)
    shown.keyboard.press("0")
    stage = shown.locator("#stage").bounding_box()
    shown.mouse.click(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    assert shown.locator("#sheet").bounding_box()["width"] == pytest.approx(width * 2.5, rel=0.01)
    shown.keyboard.press("b")
    assert not shown.locator(".box").is_visible()
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#viewer-place").inner_text() == "2 of 300"
    shown.keyboard.press("Escape")
    assert not shown.locator("#viewer").is_visible()
    shown.keyboard.press("?")
    assert shown.locator("#help").is_visible()


def test_a_printed_page_holds_the_first_pages_in_full(shown):
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator(".card").count() >= 60
    assert "first 60 of 300" in shown.locator("#printed").inner_text()
