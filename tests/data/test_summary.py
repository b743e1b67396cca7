import pytest

from ocrtune.data import DatasetCheck, DatasetSummary, check_uri, gather_findings
from ocrtune.families import get_family
from ocrtune.records import Finding
from ocrtune.sources import read_pages, write_jsonl
from ocrtune.text import Normalization


def test_the_sample_lines_are_counted():
    pages = read_pages("builtin")
    summary = check_uri("builtin", open_images=False).summary
    assert (summary.pages, summary.documents, summary.images) == (257, 6, 257)
    assert summary.characters == sum(len(page.text) for page in pages)
    assert summary.longest_text_chars == max(len(page.text) for page in pages)


def test_pages_without_text_are_counted_apart(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "a.png"}, {"image": "b.png", "text": "a  b"}])
    summary = check_uri(str(tmp_path / "m.jsonl"), open_images=False).summary
    assert (summary.pages, summary.pages_with_text, summary.images) == (2, 1, 2)
    assert summary.characters == 3
    kept = Normalization(whitespace="keep")
    assert check_uri(str(tmp_path / "m.jsonl"), open_images=False, normalization=kept).summary.characters == 4


def test_a_source_is_read_and_checked_in_one(picture, tmp_path):
    picture("a.png")
    write_jsonl(tmp_path / "m.jsonl", [{"image": "a.png", "text": "x"}, {"image": "gone.png", "text": "y"}])
    check = check_uri(str(tmp_path / "m.jsonl"), family=get_family("deepseek_ocr"))
    assert check.totals() == {"errors": 1, "warnings": 0, "notes": 0}
    printed = check.as_dict()
    assert (printed["pages"], printed["errors"]) == (2, 1)
    assert printed["findings"][0]["code"] == "image"


def test_held_out_pages_are_checked_too_and_for_leaks(picture, tmp_path):
    picture("a.png")
    picture("b.png", 1)
    write_jsonl(tmp_path / "train.jsonl", [{"image": "a.png", "text": "x"}])
    write_jsonl(tmp_path / "held.jsonl", [{"image": "a.png", "text": "x"}, {"image": "b.png"}])
    check = check_uri(str(tmp_path / "train.jsonl"), validation_uri=str(tmp_path / "held.jsonl"))
    assert {finding.code for finding in check.findings} == {
        "image-leaked",
        "document-shared",
        "text-missing",
    }
    assert check.summary.pages == 3


@pytest.mark.parametrize("count", [1, 5, 6, 20])
def test_gathering_keeps_every_count_and_tells_the_first_places(count):
    findings = [Finding(code="c", severity="note", message="m", where=f"p{n}", count=2) for n in range(count)]
    (gathered,) = gather_findings(findings)
    assert gathered.count == 2 * count
    assert gathered.where.count("p") == min(count, 5)
    assert (f"and {count - 5} more" in gathered.where) == (count > 5)


def test_other_messages_are_other_kinds_and_totals_count_places():
    findings = gather_findings(
        [
            Finding(code="c", severity="note", message="m"),
            Finding(code="c", severity="error", message="n", count=3),
            Finding(code="c", severity="note", message="m"),
        ]
    )
    assert [(finding.severity, finding.count) for finding in findings] == [("error", 3), ("note", 2)]
    nothing = DatasetSummary(
        pages=0, pages_with_text=0, documents=0, images=0, characters=0, longest_text_chars=0
    )
    check = DatasetCheck(summary=nothing, findings=tuple(findings))
    assert check.totals() == {"errors": 3, "warnings": 0, "notes": 2}


def test_of_a_stream_the_first_pages_are_checked(synth_font, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ocrtune.data.streams.MOST_LOOKED_AT", 7)
    (tmp_path / "lines.yaml").write_text(f"fonts: {{paths: ['{synth_font}']}}\nletters: {{longest: 12}}\n")
    check = check_uri(f"synth:{tmp_path / 'lines.yaml'}", family=get_family("deepseek_ocr"))
    assert check.summary.pages == check.summary.pages_with_text == check.summary.images == 7
    assert check.totals()["errors"] == 0
    assert "first 7 pages" in capsys.readouterr().err
