import json

import numpy as np
import pytest
from PIL import Image

from ocrtune.data import check_uri
from ocrtune.reports.bars import bar_chart
from ocrtune.reports.data_page import write_data_page
from ocrtune.sources import read_pages


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 120, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "text": f"line {number}"})
    rows[2]["text"] = "<script>alert(1)</script> caf\u00c3\u00a9"
    rows[3]["image"] = "missing.png"
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def page_of(manifest, path):
    uri = str(manifest)
    write_data_page(check_uri(uri, workers=1), [read_pages(uri)], path, title=uri)
    return path.read_text()


def test_findings_stand_in_the_page_with_pictures_of_their_pages(manifest, tmp_path):
    page = page_of(manifest, tmp_path / "check.html")
    assert "mojibake" in page
    assert page.count("data:image/png;base64,") >= 1
    assert "the image does not exist" in page
    assert "Characters of a page" in page


def test_nothing_of_a_text_is_taken_for_html_and_nothing_is_fetched(manifest, tmp_path):
    page = page_of(manifest, tmp_path / "check.html")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_source_without_findings_says_so(manifest, tmp_path):
    good = [
        row
        for row in map(json.loads, manifest.read_text().splitlines())
        if row["image"] in {"0.png", "1.png"}
    ]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in good))
    assert "None." in page_of(manifest, tmp_path / "check.html")


def test_bars_have_the_height_of_their_counts():
    chart = bar_chart([0, 1, 2, 3], [4, 0, 2], "lengths")
    heights = [float(part.split('"')[0]) for part in chart.split(' height="')[1:]]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.1)
