"""Predict, correct the worst lines in the browser, train again, compare: the whole loop, by commands.

A script stands in for the person: it clicks and types in Chromium what somebody who reads the scans would. Lines of pages
1 and 2 of the samples are the unseen ones, page 5 chooses the checkpoint, and both models are compared on pages 3, 4 and 6.

    python examples/review_loop.py runs/loop
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.sources import read_pages, sample_path

CHROMIUM = "/usr/bin/chromium"
NUM_UNSEEN = 60
DECODING = ("--max-new-tokens", "96", "--batch-size", "16")
COMMAND = [sys.executable, "-c", "from ocrtune.cli import main; main()"]
PARTS = {"unseen": {"1", "2"}, "validation": {"5"}, "test": {"3", "4", "6"}}


def run(*arguments: object) -> None:
    """An ocrtune command as a user would give it."""
    words = [str(argument) for argument in arguments]
    print("$ ocrtune", *words, flush=True)
    subprocess.run([*COMMAND, *words], check=True)


def write_manifests(folder: Path, most: int | None) -> dict[str, str]:
    """The unseen lines without their texts, and lines to choose and to compare by; the texts that the unseen ones have."""
    shutil.copytree(sample_path("vicksburg_lines") / "images", folder / "images", dirs_exist_ok=True)
    pages = {
        part: [page for page in read_pages("builtin") if page.document in of] for part, of in PARTS.items()
    }
    unseen = pages["unseen"][: most or NUM_UNSEEN]
    write_lines(folder / "unseen.jsonl", [{"image": page.name, "document": page.document} for page in unseen])
    for part in ("validation", "test"):
        rows = [
            {"image": page.name, "text": page.text, "document": page.document} for page in pages[part][:most]
        ]
        write_lines(folder / f"{part}.jsonl", rows)
    return {page.name: page.text or "" for page in unseen}


def write_lines(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """A manifest."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def correct(page: Page, truth: dict[str, str], picture: Path) -> int:
    """Go through all lines, worst first; how many had to be corrected."""
    page.fill("#reviewer", "Anna")
    page.click("#name-dialog .primary")
    corrected = 0
    for number in range(1, len(truth) + 1):
        page.wait_for_selector(".reading")
        name = page.locator("#name").inner_text()
        if page.input_value("#editor") != truth[name]:
            page.click("#editor")
            page.keyboard.press("Control+a")
            page.keyboard.type(truth[name])
            corrected += 1
        if number == len(truth) // 4 + 1:
            page.wait_for_selector("[data-reading=prediction] .change")
            page.screenshot(path=picture)
        page.click(".states [data-state=good]")
        if number < len(truth):
            expect(page.locator("#name")).not_to_have_text(name)
    expect(page.locator("#progress")).to_have_text(f"{len(truth)} of {len(truth)} reviewed")
    expect(page.locator("#saving")).to_have_attribute("data-state", "saved")
    return corrected


def review(folder: Path, truth: dict[str, str]) -> int:
    """Correct the predictions in a browser; how many had to be."""
    words = [
        "review",
        str(folder / "predictions.jsonl"),
        "--reference",
        str(folder / "unseen.jsonl"),
        "--json",
    ]
    server = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        link = json.loads(server.stdout.readline())["link"]
        with sync_playwright() as started:
            browser = started.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            page.goto(link)
            return correct(page, truth, folder / "review.png")
    finally:
        server.terminate()
        server.wait()


def main(folder: Path, *, most: int | None = None, more: Sequence[str] = ()) -> int:
    """The loop; how many lines had to be corrected.

    Args:
        folder: Everything is left here.
        most: No more lines than this in each manifest.
        more: Further options of `ocrtune train`.
    """
    folder.mkdir(parents=True)
    truth = write_manifests(folder, most)
    base = folder / "base"
    build_tiny_checkpoint(base)
    predictions, corrected, test = (
        folder / f"{name}.jsonl" for name in ("predictions", "corrected-1", "test")
    )
    run("predict", base, folder / "unseen.jsonl", "-o", predictions, *DECODING)
    num_corrected = review(folder, truth)
    print(f"{num_corrected} of {len(truth)} lines corrected by clicks and keys", flush=True)
    run("review", predictions, "--reference", folder / "unseen.jsonl", "--export", corrected)
    run(
        "train", "tiny-demo", "--set", f"run.folder={folder / 'run'}", "--set", f"data.uri={corrected}",
        "--set", f"data.validation_uri={folder / 'validation.jsonl'}", "--set", "data.validation_documents=[]",
        "--set", "data.test_documents=[]", *more,
    )  # fmt: skip
    run("predict", base, test, "-o", folder / "before.jsonl", *DECODING)
    run("predict", folder / "run", test, "-o", folder / "after.jsonl", *DECODING)
    run(
        "compare", folder / "before.jsonl", folder / "after.jsonl", "--reference", test,
        "--a-name", "before", "--b-name", "after", "--out", folder / "comparison",
    )  # fmt: skip
    run("report", folder / "comparison", "-o", folder / "report.html")
    return num_corrected


if __name__ == "__main__":
    main(Path(sys.argv[1]))
