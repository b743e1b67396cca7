import json

import pytest
from PIL import Image
from tiny_reviews import LINES, read_rows, write_predictions, write_rows

from ocrtune.data import check_uri
from ocrtune.errors import ReviewError
from ocrtune.review import Change, export_review, open_review
from ocrtune.review import exporting as module
from ocrtune.sources import read_pages


def mark(review, name, state="open", text=None):
    (item,) = (item for item in review.store.read_items() if item.name == name)
    review.store.save(
        Change(
            number=item.number,
            version=item.version,
            key=f"{name}-{item.version}",
            reviewer="Anna",
            text=item.text if text is None else text,
            state=state,
        )
    )


def texts(manifest):
    return {page.images[0].name: page.text for page in read_pages(str(manifest))}


def test_corrected_texts_are_a_new_manifest_and_the_old_one_stays(review, lines):
    before = (lines / "manifest.jsonl").read_bytes()
    mark(review, "odd.png", text="hidden by the mills")
    mark(review, "near.png", "skip")
    exported = export_review(review, lines / "corrected.jsonl")
    assert (lines / "manifest.jsonl").read_bytes() == before
    assert texts(exported.manifest) == {
        "good.png": LINES["good.png"][0],
        "cut.png": LINES["cut.png"][0],
        "odd.png": "hidden by the mills",
    }
    assert (exported.num_pages, exported.num_corrected, exported.left_out) == (3, 1, {"skip": 1})
    # Beside their manifest images are named where they lie.
    assert {row["image"] for row in read_rows(exported.manifest)} == {"good.png", "cut.png", "odd.png"}


def test_the_sidecar_tells_before_after_who_and_when(review, lines):
    mark(review, "odd.png", text="hidden by the mills")
    mark(review, "near.png", "skip")
    exported = export_review(review, lines / "corrected.jsonl")
    assert exported.changes == lines / "corrected.changes.jsonl"
    corrected, skipped = read_rows(exported.changes)
    assert corrected["at"].startswith("20")
    del corrected["at"], skipped["at"]
    assert corrected == {
        "image": "odd.png",
        "name": "odd.png",
        "before": LINES["odd.png"][0],
        "after": "hidden by the mills",
        "state": "open",
        "by": "Anna",
    }
    assert (skipped["image"], skipped["after"], skipped["state"]) == (None, None, "skip")


def test_an_export_elsewhere_brings_its_images_and_passes_the_check(review, tmp_path):
    exported = export_review(review, tmp_path / "next" / "corrected.jsonl")
    check = check_uri(str(exported.manifest))
    assert check.summary.pages == 4
    assert not [finding for finding in check.findings if finding.severity == "error"]


def test_predictions_that_nobody_looked_at_teach_nothing(tmp_path, lines):
    rows = [{"image": name} for name in LINES]
    (lines / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    review = open_review(str(write_predictions(tmp_path)), reference=str(lines))
    mark(review, "good.png", "good")
    mark(review, "odd.png", text="hidden by the hills")
    mark(review, "near.png", "wrong")
    usable = export_review(review, lines / "usable.jsonl")
    assert texts(usable.manifest) == {"good.png": LINES["good.png"][1], "odd.png": "hidden by the hills"}
    assert usable.left_out == {"wrong": 1, "unreviewed": 1}
    assert "1 marked wrong and not corrected, 1 nobody looked at" in usable.told
    assert set(texts(export_review(review, lines / "all.jsonl", rows="all").manifest)) == {
        "good.png",
        "odd.png",
        "cut.png",
    }
    corrected = export_review(review, lines / "some.jsonl", rows="corrected")
    assert texts(corrected.manifest) == {"odd.png": "hidden by the hills"}
    review.store.close()


def test_only_what_somebody_reviewed_is_taken_if_asked(review, lines):
    mark(review, "good.png", "good")
    exported = export_review(review, lines / "reviewed.jsonl", rows="reviewed")
    assert list(texts(exported.manifest)) == ["good.png"]
    assert exported.left_out == {"unreviewed": 3}


@pytest.mark.parametrize("name", ["manifest.jsonl", "other.jsonl"])
def test_what_is_there_is_never_written_over(review, lines, name):
    (lines / "other.changes.jsonl").write_text("mine")
    before = {file: file.read_bytes() for file in lines.iterdir()}
    with pytest.raises(ReviewError, match="lies there already"):
        export_review(review, lines / name)
    assert {file: file.read_bytes() for file in lines.iterdir()} == before


def test_an_export_that_fails_leaves_nothing(review, lines, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    before = sorted(lines.iterdir())
    monkeypatch.setattr(module, "_change", fail)
    mark(review, "odd.png", text="x")
    with pytest.raises(ReviewError, match="disk full"):
        export_review(review, lines / "corrected.jsonl")
    assert sorted(lines.iterdir()) == before


def test_an_image_that_is_gone_is_told_and_left_out(review, lines):
    (lines / "odd.png").unlink()
    exported = export_review(review, lines / "corrected.jsonl")
    assert exported.left_out == {"unwritable": 1}
    assert [finding.code for finding in exported.findings] == ["image"]


def test_an_export_without_pages_is_refused(review, lines):
    with pytest.raises(ReviewError, match="no page is left to write: 4 not corrected"):
        export_review(review, lines / "corrected.jsonl", rows="corrected")
    assert not (lines / "corrected.jsonl").exists()


def test_an_export_of_another_suffix_would_be_read_as_something_else_and_is_refused(review, tmp_path):
    with pytest.raises(ReviewError, match=r"a manifest is not called 'lines\.csv'"):
        export_review(review, tmp_path / "lines.csv")


def test_a_page_that_another_process_brought_in_is_told_and_left_out(tmp_path, lines):
    review = open_review(str(lines))
    Image.new("L", (400, 30), 255).save(lines / "new.png")
    rows = [*read_rows(lines / "manifest.jsonl"), {"image": "new.png", "text": "new"}]
    write_rows(lines / "manifest.jsonl", rows)
    open_review(str(lines)).store.close()
    exported = export_review(review, tmp_path / "out.jsonl")
    review.store.close()
    assert exported.num_pages == len(rows) - 1
    assert "came after this review was opened" in exported.findings[0].message


def test_a_reference_that_changed_since_it_was_reviewed_is_told(lines):
    review = open_review(str(lines))
    item = next(item for item in review.store.read_items() if item.name == "near.png")
    review.store.save(Change(number=item.number, version=0, key="12345678", text=item.text, state="good"))
    review.store.close()
    rows = read_rows(lines / "manifest.jsonl")
    write_rows(lines / "manifest.jsonl", [{**row, "text": row["text"] + "!"} for row in rows])
    again = open_review(str(lines))
    again.store.close()
    assert [(finding.code, finding.where, finding.count) for finding in again.findings] == [
        ("review-outdated", "near.png", 1)
    ]


def test_an_export_to_where_nothing_can_be_written_is_one_clear_error(review, lines):
    with pytest.raises(ReviewError, match="the export cannot be written"):
        export_review(review, lines / "good.png" / "out.jsonl")
