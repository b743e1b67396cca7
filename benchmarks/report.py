"""How soon a report of 5,000 pages stands in Chromium, how it scrolls, and how large it is.

Run it with `python benchmarks/report.py`, with playwright and /usr/bin/chromium; it prints one JSON object and writes it to
`report.json` beside it. Whole pages are the hardest: long texts on both sides, and a picture each.
"""

import json
import random
import statistics
import string
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from machine import describe_machine
from ocrtune.evaluation import score_page, summarize
from ocrtune.records import Prediction
from ocrtune.reports import Report, ReportPage, write_report
from ocrtune.reports.result_files import read_card
from ocrtune.sources import open_image, read_pages, sample_path
from ocrtune.text import Normalization

PAGES = 5000
OPENINGS = 5
SCROLL_PX = 60_000
STEP_PX = 400
CHROMIUM = "/usr/bin/chromium"

# Frames while the wheel turns: the longest tells whether it stutters.
FRAMES = """() => {
  window.frames_ms = [];
  let before = performance.now();
  const next = (now) => { window.frames_ms.push(now - before); before = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""


def main() -> None:
    result: dict[str, Any] = {
        "pages": PAGES,
        "machine": describe_machine(),
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        result["machine"]["chromium"] = browser.version
        for kind in ("lines", "whole_pages"):
            path = Path(folder) / f"{kind}.html"
            start = time.monotonic()
            write_report(make_report(kind), path)
            result[kind] = {"written_s": round(time.monotonic() - start, 1), **measure(browser, path)}
        browser.close()
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def make_report(kind: str) -> Report:
    """Sample pages over and over, with letters that are wrong by chance: 8 % before, 3 % after."""
    source = "builtin" if kind == "lines" else str(sample_path("vicksburg_pages"))
    chance = random.Random(0)
    samples = [page for page in read_pages(source) if page.text]
    # Pictures that are open already: what is measured is the page, not the decoding of scans.
    scans = [open_image(sample.images[0]) for sample in samples]
    scores = []
    pages = []
    for number in range(PAGES):
        sample = samples[number % len(samples)]
        # No two pages alike: packing would make too little of them.
        words = (sample.text or "").split(" ")
        chance.shuffle(words)
        reference = " ".join(words)
        both = [
            score_page(
                reference,
                Prediction(image=f"{number:05d}.png", text=misread(reference, rate, chance)),
                Normalization(),
            )
            for rate in (0.08, 0.03)
        ]
        scores.append(both)
        pages.append(ReportPage.of(scans[number % len(samples)], *both))
    cards = tuple(
        read_card(summarize([both[side] for both in scores], Normalization()).as_dict()) for side in (0, 1)
    )
    report = Report(
        kind="comparison", title=f"{PAGES:,} {kind.replace('_', ' ')}", sides=("base", "tuned"), cards=cards
    )
    return replace(report, normalization=str(Normalization()), pages=tuple(pages))


def misread(text: str, rate: float, chance: random.Random) -> str:
    return "".join(_misread(text, rate, chance))


def _misread(text: str, rate: float, chance: random.Random) -> Iterator[str]:
    for letter in text:
        drawn = chance.random()
        if drawn > rate:
            yield letter
        elif drawn > rate / 3:
            yield chance.choice(string.ascii_lowercase)


def measure(browser: Browser, path: Path) -> dict[str, Any]:
    """Medians of several openings, each in a profile of its own, from disk."""
    openings = [_open(browser, path) for _ in range(OPENINGS)]
    return {
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "pictures": sum(map(bool, pictures_of(path))),
        **{key: round(statistics.median(opening[key] for opening in openings), 1) for key in openings[0]},
    }


def pictures_of(path: Path) -> list[str]:
    """The pictures in a report; empty where one was left out."""
    block = path.read_text(encoding="utf-8").split('id="picture-data">')[1].split("</script>")[0]
    sources: list[str] = json.loads(block)["sources"]
    return sources


def _open(browser: Browser, path: Path) -> dict[str, float]:
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    start = time.perf_counter()
    tab.goto(path.as_uri(), wait_until="commit")
    tab.wait_for_selector("#pages-list[data-ready]", state="attached")
    tab.wait_for_selector("#pages-list .card", state="attached")
    ready_ms = (time.perf_counter() - start) * 1000
    paint_ms = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    found = {
        "first_paint_ms": paint_ms,
        "first_page_ms": ready_ms,
        **_sort(tab),
        **_search(tab),
        **_scroll(tab),
    }
    tab.close()
    return found


def _sort(tab: Page) -> dict[str, float]:
    return {
        "sorting_ms": tab.evaluate(
            """() => { const order = document.querySelector("#order"), start = performance.now();
        order.value = "gain"; order.dispatchEvent(new Event("change")); document.body.offsetHeight;
        return performance.now() - start; }"""
        )
    }


def _search(tab: Page) -> dict[str, float]:
    """The first search makes all texts; it is timed from the key to the list."""
    return {
        "first_search_ms": tab.evaluate(
            """async () => { const search = document.querySelector("#search"), shown = document.querySelector("#shown");
        const before = shown.textContent, start = performance.now();
        const changed = new Promise((done) => new MutationObserver(done).observe(shown, { childList: true, characterData: true, subtree: true }));
        search.value = "siege"; search.dispatchEvent(new Event("input")); await changed;
        const took = performance.now() - start; search.value = ""; search.dispatchEvent(new Event("input"));
        await new Promise((done) => setTimeout(done, 500)); return took; }"""
        )
    }


def _scroll(tab: Page) -> dict[str, float]:
    tab.evaluate("document.querySelector('#pages').scrollIntoView()")
    tab.mouse.move(700, 500)
    tab.evaluate(FRAMES)
    for _ in range(0, SCROLL_PX, STEP_PX):
        tab.mouse.wheel(0, STEP_PX)
    tab.wait_for_timeout(300)
    frames = sorted(tab.evaluate("window.frames_ms"))
    return {
        "frame_median_ms": statistics.median(frames),
        "frame_p95_ms": frames[int(len(frames) * 0.95)],
        "frame_longest_ms": frames[-1],
        "filled_cards": tab.locator(".card").count(),
    }


if __name__ == "__main__":
    main()
