import json
from pathlib import Path

import pytest
from report_pages import block_of
from tiny_pdfs import book_pages, write_pdf
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.config import read_config
from ocrtune.demo import DemoResult, run_demo
from ocrtune.demo.run import MARKER, demo_config, start_folder
from ocrtune.errors import SourceError, TrainingError
from ocrtune.evaluation import evaluate
from ocrtune.sources import read_pages, write_jsonl

QUICK = (
    "training.max_steps=2",
    "training.batch_size=2",
    "evaluation.every_steps=2",
    "evaluation.max_pages=2",
    "evaluation.decoding.max_new_tokens=6",
)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("runs") / "demo", overrides=QUICK)


def test_the_export_reads_what_the_checkpoint_reads(result):
    assert result.export_matches
    assert (result.export / "model.safetensors").is_file()


def test_the_report_shows_each_line_of_page_6_before_and_after(result):
    html = result.report.read_text(encoding="utf-8")
    columns = block_of(html, "page-data")
    assert columns["sides"] == ["before", "after"]
    assert len(columns["names"]) == len(columns["cer"][0]) == len(columns["cer"][1]) == 39
    assert f"{result.cer_before * 100:.1f}\N{NO-BREAK SPACE}%" in html
    assert f"{result.cer_after * 100:.1f}\N{NO-BREAK SPACE}%" in html


def test_the_report_made_again_is_the_same_page(result):
    path = result.report.with_name("again.html")
    made = CliRunner().invoke(app, ["report", str(result.report.parent), "--out", str(path)])
    assert made.exit_code == 0, made.output
    assert path.read_text(encoding="utf-8") == result.report.read_text(encoding="utf-8")
    path.unlink()


def test_the_report_tells_what_the_demo_was_made_with(result):
    html = result.report.read_text(encoding="utf-8")
    versions = json.loads((result.report.parent / "versions.json").read_text())
    assert {"python", "ocrtune", "torch", "transformers", "peft", "accelerate"} <= set(versions)
    assert all(f"{name} {found}" in html for name, found in versions.items())
    assert f"ocrtune demo --run {result.report.parent}" in html


def test_the_scores_are_those_of_the_written_predictions(result, tmp_path):
    reference = tmp_path / "page-6.jsonl"
    lines = [page for page in read_pages("builtin") if page.document == "6"]
    write_jsonl(reference, [{"image": page.name, "text": page.text} for page in lines])
    rule = demo_config(tmp_path).evaluation.normalization
    for name, cer in (("before", result.cer_before), ("after", result.cer_after)):
        predictions = result.report.parent / "predictions" / f"test-{name}.jsonl"
        assert evaluate(predictions, str(reference), normalization=rule).scorecard.cer.micro == cer


def test_the_lines_that_are_scored_played_no_part_in_training(result):
    summary = json.loads((result.report.parent / "summary.json").read_text(encoding="utf-8"))
    assert summary["train_pages"] == 178
    config = demo_config(result.report.parent).data
    assert (config.validation_documents, config.test_documents) == (("5",), ("6",))


@pytest.fixture(scope="module")
def book_result(tmp_path_factory) -> DemoResult:
    folder = tmp_path_factory.mktemp("book")
    pdf = write_pdf(folder / "Буквы {1}.pdf", book_pages(6))
    return run_demo(folder / "demo-ru", pdf=pdf, overrides=(*QUICK, "model=builtin-random"))


def test_the_lines_of_a_pdf_take_the_same_way(book_result):
    assert book_result.export_matches
    run = book_result.report.parent
    documents = [page.document for page in read_pages(str(run / "lines" / "manifest.jsonl"))]
    config = read_config(run / "config.yaml").data
    told = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert told["train_pages"] == sum(
        name not in {*config.test_documents, *config.validation_documents} for name in documents
    )
    assert (config.validation_documents, config.test_documents) == (("page 6",), ("page 8",))


def test_the_report_of_a_pdf_tells_what_was_passed_over(book_result):
    html = book_result.report.read_text(encoding="utf-8")
    assert "Буквы {1}.pdf" in html
    assert "scored on 11 lines of page 8" in html
    assert "--language ru --pdf" in html
    assert "pages left out: table of contents" in html
    assert len(block_of(html, "page-data")["names"]) == 11


def test_a_file_that_is_no_pdf_costs_no_earlier_demo(tmp_path):
    start_folder(tmp_path / "demo")
    (tmp_path / "demo" / "report.html").touch()
    (tmp_path / "book.pdf").write_text("Dear reader")
    with pytest.raises(SourceError, match="no PDF"):
        run_demo(tmp_path / "demo", pdf=tmp_path / "book.pdf")
    assert (tmp_path / "demo" / "report.html").exists()


def test_the_run_folder_may_have_a_name_that_is_no_yaml(tmp_path):
    run = tmp_path / "a: [b"
    assert demo_config(run).run.folder == str(run)


def test_an_earlier_demo_is_replaced(tmp_path):
    start_folder(tmp_path / "demo")
    (tmp_path / "demo" / "config.yaml").touch()
    start_folder(tmp_path / "demo")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [MARKER]


def test_a_folder_that_no_demo_made_is_left_as_it_is(tmp_path):
    kept = tmp_path / "letters.txt"
    kept.write_text("mine")
    with pytest.raises(TrainingError, match="no demo made"):
        start_folder(tmp_path)
    assert kept.read_text() == "mine"


def test_a_file_in_the_folders_place_is_an_error(tmp_path):
    (tmp_path / "demo").touch()
    with pytest.raises(TrainingError, match="is a file"):
        start_folder(tmp_path / "demo")


def answer_with(monkeypatch, *, matches=True):
    """The command is run without the demo; what it was called with."""
    made = DemoResult(
        cer_before=1.25, cer_after=0.5, report=Path("r.html"), export=Path("export"), export_matches=matches
    )
    calls = []
    monkeypatch.setattr("ocrtune.demo.run_demo", lambda run, **options: calls.append((run, options)) or made)
    return calls


def test_the_command_ends_with_one_json_object(monkeypatch):
    answer_with(monkeypatch, matches=True)
    outcome = CliRunner().invoke(app, ["demo", "--json"])
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout.splitlines()[-1]) == {
        "cer_before": 1.25,
        "cer_after": 0.5,
        "report": "r.html",
        "export": "export",
        "export_matches": True,
    }
    assert "125.0% before, 50.0% after" in outcome.stderr


def test_the_command_fails_if_the_export_reads_other_text(monkeypatch):
    answer_with(monkeypatch, matches=False)
    assert CliRunner().invoke(app, ["demo"]).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ([], (Path("runs/demo"), {"pdf": None, "pages": None})),
        (
            ["--language", "ru", "--pdf", "b.pdf"],
            (Path("runs/demo-ru"), {"pdf": Path("b.pdf"), "pages": None}),
        ),
        (
            ["--language", "ru", "--pdf", "b.pdf", "--pages", "9-60", "--run", "here"],
            (Path("here"), {"pdf": Path("b.pdf"), "pages": range(9, 61)}),
        ),
    ],
)
def test_options_choose_the_demo(arguments, call, monkeypatch):
    calls = answer_with(monkeypatch)
    assert CliRunner().invoke(app, ["demo", *arguments]).exit_code == 0
    assert calls == [call]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--language", "ru"], "ru needs a Russian PDF"),
        (["--pdf", "b.pdf"], "goes with --language ru"),
        (["--pages", "3-4"], "goes with --language ru"),
        (["--language", "ru", "--pdf", "b.pdf", "--pages", "all"], "no range such as 9-60"),
    ],
)
def test_options_that_do_not_go_together_are_told(arguments, message, monkeypatch):
    calls = answer_with(monkeypatch)
    outcome = CliRunner().invoke(app, ["demo", *arguments])
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())
    assert calls == []
