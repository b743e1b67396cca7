"""The page in a real browser: clicks and keys, two people, and a server that dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_reviews import LINES, read_rows, write_lines, write_predictions

from ocrtune.review import ReviewStore

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = Path("/usr/bin/chromium")
RUN = "from ocrtune.cli import main\nmain()"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def lines(tmp_path):
    write_lines(tmp_path / "lines")
    return tmp_path / "lines"


@pytest.fixture
def serve(tmp_path, lines):
    """Starts the command, and gives its process and its link."""
    servers = []

    def start():
        predictions = write_predictions(tmp_path, **start.more)
        arguments = [str(predictions), "--reference", str(lines), "--json"]
        server = subprocess.Popen(
            [sys.executable, "-c", RUN, "review", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        servers.append(server)
        return server, json.loads(server.stdout.readline())["link"]

    start.more = {}
    yield start
    for server in servers:
        server.kill()
        server.wait()


def visit(browser, link, name):
    page = browser.new_context(viewport={"width": 1200, "height": 800}).new_page()
    page.set_default_timeout(20_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(link)
    page.fill("#reviewer", name)
    page.click("#name-dialog .primary")
    page.wait_for_selector(".reading")
    return page


def wait_for(page, selector, text):
    playwright.expect(page.locator(selector)).to_have_text(text, timeout=20_000)


def history(tmp_path, number):
    store = ReviewStore(tmp_path / "review.sqlite")
    edits = store.read_history(number)
    store.close()
    return edits


def test_a_review_by_mouse_and_keys_becomes_a_manifest(browser, serve, tmp_path):
    _, link = serve()
    page = visit(browser, link, "Anna")
    assert "token" not in page.url
    wait_for(page, "#name", "cut.png")

    page.hover("#viewport")
    before = page.locator("#picture").get_attribute("style")
    page.mouse.wheel(0, -400)
    playwright.expect(page.locator("#picture")).not_to_have_attribute("style", before)
    page.click("#zoom-fit")

    page.click(".states [data-state=good]")
    wait_for(page, "#name", "odd.png")
    page.locator("[data-reading=prediction] .change").first.click()
    assert page.input_value("#editor") == "hiddcn by the hills"
    page.click("#editor")
    page.keyboard.press("Control+z")
    assert page.input_value("#editor") == LINES["odd.png"][0]
    page.keyboard.press("End")
    page.keyboard.type(".")
    page.keyboard.press("Control+Enter")
    wait_for(page, "#name", "near.png")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    wait_for(page, "#name", "good.png")
    wait_for(page, "#progress", "3 of 4 reviewed")
    page.keyboard.press("z")
    wait_for(page, "#name", "near.png")
    wait_for(page, "#progress", "2 of 4 reviewed")
    page.keyboard.press("p")
    page.click(".states [data-state=wrong]")
    wait_for(page, "#name", "good.png")
    page.click(".states [data-state=good]")
    wait_for(page, "#progress", "4 of 4 reviewed")
    wait_for(page, "#saving", "all saved")

    page.click("#open-export")
    page.fill("#export-name", "next.jsonl")
    page.click("#export")
    playwright.expect(page.locator("#export-told")).to_contain_text("4 pages, 2 of them corrected")
    texts = {Path(row["image"]).name: row["text"] for row in read_rows(tmp_path / "next.jsonl")}
    assert texts["odd.png"] == "hidden by the hills."
    assert texts["near.png"] == LINES["near.png"][1]
    assert texts["good.png"] == LINES["good.png"][0]
    assert {edit.reviewer for edit in history(tmp_path, 2)} == {"Anna"}
    assert page.errors == []


def test_two_browsers_on_one_page_see_both_texts_and_lose_neither(browser, serve, tmp_path):
    _, link = serve()
    anna, ben = visit(browser, link, "Anna"), visit(browser, link, "Ben")
    for page, words in ((anna, "HERS "), (ben, "HIS ")):
        page.click("#editor")
        page.keyboard.press("Home")
        page.keyboard.type(words)
    anna.keyboard.press("Control+s")
    wait_for(anna, "#saving", "all saved")
    ben.keyboard.press("Control+s")
    ben.wait_for_selector("#conflict:not([hidden])")
    wait_for(ben, "#saving", "1 page to decide")
    wait_for(ben, "[data-reading=theirs] .label", "Text of Anna")
    assert ben.input_value("#editor") == "HIS gerous for use"
    # Marks wait until the texts are decided on; other pages can be looked at meanwhile.
    ben.click("#after")
    wait_for(ben, "#name", "odd.png")
    ben.click("#before")
    ben.wait_for_selector("#conflict:not([hidden])")
    ben.click("#editor")
    ben.keyboard.press("Home")
    ben.keyboard.type("HERS AND ")
    ben.click("#keep-mine")
    wait_for(ben, "#saving", "all saved")
    edits = [(edit.reviewer, edit.after, edit.accepted) for edit in history(tmp_path, 1)]
    assert edits == [
        ("Ben", "HERS AND HIS gerous for use", True),
        ("Ben", "HIS gerous for use", False),
        ("Anna", "HERS gerous for use", True),
    ]
    # And the first one sees it without asking.
    playwright.expect(anna.locator("#editor")).to_have_value("HERS AND HIS gerous for use", timeout=20_000)
    assert anna.errors == ben.errors == []


def test_a_text_typed_while_the_server_is_dead_arrives_when_it_is_back(browser, serve, tmp_path):
    server, link = serve()
    page = visit(browser, link, "Anna")
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    page.click("#editor")
    page.keyboard.press("End")
    page.keyboard.type(" again")
    page.keyboard.press("Control+s")
    wait_for(page, "#saving", "not saved: trying again")
    context = page.context
    page.close(run_before_unload=False)

    _, again = serve()
    assert again.partition("/?")[0] == link.partition("/?")[0]
    page = context.new_page()
    page.goto(again)
    playwright.expect(page.locator("#editor")).to_have_value("gerous for use again", timeout=20_000)
    wait_for(page, "#saving", "all saved")
    assert [edit.after for edit in history(tmp_path, 1)] == ["gerous for use again"]


def test_an_undo_while_the_server_is_dead_is_done_once_it_is_back(browser, serve, tmp_path):
    _, link = serve()
    page = visit(browser, link, "Anna")
    page.click(".states [data-state=good]")
    wait_for(page, "#name", "odd.png")
    wait_for(page, "#saving", "all saved")
    page.keyboard.press("k")
    wait_for(page, "#name", "cut.png")
    page.wait_for_selector(".reading")
    page.route("**/undo", lambda route: route.abort())
    page.keyboard.press("z")
    wait_for(page, "#saving", "not saved: trying again")
    page.keyboard.press("z")
    page.unroute("**/undo")
    wait_for(page, "#progress", "0 of 4 reviewed")
    wait_for(page, "#saving", "all saved")
    assert [edit.kind for edit in history(tmp_path, 1)] == ["undo", "save"]


def test_old_differences_are_not_shown_as_those_of_what_is_typed(browser, serve):
    _, link = serve()
    page = visit(browser, link, "Anna")
    page.route("**/differences", lambda route: None)
    page.click("#editor")
    page.keyboard.type("x")
    assert set(page.locator(".reading-head .soft").all_text_contents()) == {"comparing…"}
    page.unroute("**/differences")


def test_boxes_lie_on_the_picture_and_move_with_it(browser, serve, tmp_path):
    boxes = [{"label": "title", "text": "<b>siege", "box": [10, 5, 390, 25]}]
    serve.more = {"cut": {"boxes": boxes}}
    _, link = serve()
    page = visit(browser, link, "Anna")
    page.wait_for_selector("#boxes rect")
    assert page.locator("#boxes title").all_text_contents() == ["title: <b>siege"]

    def share():
        drawn, picture = (page.locator(name).bounding_box() for name in ("#boxes rect", "#picture"))
        return (drawn["x"] - picture["x"]) / picture["width"], drawn["width"] / picture["width"]

    assert share() == pytest.approx((10 / 400, 380 / 400), abs=0.01)
    page.click("#zoom-in")
    page.click("#zoom-in")
    assert share() == pytest.approx((10 / 400, 380 / 400), abs=0.01)
    page.locator("#editor").blur()
    page.keyboard.press("b")
    playwright.expect(page.locator("#boxes")).to_be_hidden()
    page.keyboard.press("j")
    wait_for(page, "#name", "odd.png")
    playwright.expect(page.locator("#boxes-toggle")).to_be_hidden()
    assert page.errors == []
