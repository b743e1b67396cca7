import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.predict import command
from ocrtune.errors import ImageError, InputsError, MissingDependency, PredictionError

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    pytest.importorskip("torch")
    from tiny_models import make_tiny_model

    tiny = make_tiny_model(golden, tmp_path_factory.mktemp("model") / "model", "deepseek_ocr")
    card = {
        "format": 1,
        "version": "0.1.0",
        "inputs": tiny.recipe.as_dict(),
        "tuning": None,
        "base": None,
        "step": 0,
        "scores": None,
    }
    (tiny.folder / "ocrtune.json").write_text(json.dumps(card), encoding="utf-8")
    return tiny.folder


@pytest.fixture
def scans(tmp_path):
    from tiny_models import random_page

    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        random_page("", (80 + 60 * number, 70), number).images[0].save(folder / f"{number}.png")
    return folder


def test_json_is_one_object_and_the_rows_lie_in_the_file(model, scans, tmp_path):
    out = tmp_path / "predictions.jsonl"
    result = run(model, scans, "-o", out, "--max-new-tokens", 3, "--device", "cpu", "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert {
        key: printed[key] for key in ("predictions", "pages", "skipped", "resumed", "truncated", "tokens")
    } == {
        "predictions": str(out),
        "pages": 3,
        "skipped": 0,
        "resumed": 0,
        "truncated": 3,
        "tokens": 9,
    }
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert all(
        row.keys()
        == {"image", "text", "num_tokens", "truncated", "stop", "mean_logprob", "lowest_span", "seconds"}
        for row in rows
    )


def test_people_are_told_on_stderr_alone(model, scans, tmp_path):
    out = tmp_path / "predictions.jsonl"
    result = run(model, scans, "-o", out, "--max-new-tokens", 2, "--device", "cpu")
    assert result.stdout == ""
    assert f"3 of 3 pages predicted in 0 s: {out}" in result.stderr
    assert "3 answers were cut by the length limit" in result.stderr


def test_one_image_is_a_source_too(model, scans, tmp_path):
    out = tmp_path / "predictions.jsonl"
    run(model, scans / "1.png", "-o", out, "--max-new-tokens", 2, "--device", "cpu", "--prompt", "markdown")
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize("form", ["txt", "md", "json", "page", "alto", "hocr", "pdf"])
def test_files_of_documents_lie_beside_the_rows(model, scans, tmp_path, form):
    out = tmp_path / "read"
    options = ("--max-new-tokens", 2, "--device", "cpu", "--format", form, "--json")
    result = run(model, scans / "0.png", scans / "2.png", "-o", out, *options)
    told = json.loads(result.stdout)
    assert told["predictions"] == str(out / "predictions.jsonl")
    assert len(told["files"]) == 2
    assert all(Path(file).stat().st_size for file in told["files"])
    assert f"2 files written: {out}" in result.stderr


def test_several_sources_and_stdin_are_read(model, scans, tmp_path):
    listed = f"{scans / '0.png'}\n{scans / '1.png'}\n"
    arguments = [str(model), "-", str(scans / "2*.png"), "-o", str(tmp_path / "p.jsonl"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--max-new-tokens", "2"], input=listed)
    assert result.exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["image"] for row in rows] == [(scans / f"{number}.png").as_posix() for number in range(3)]


def test_a_family_of_single_pages_says_so(model, scans, tmp_path):
    with pytest.raises(InputsError, match="one page at a time"):
        run(model, scans, "-o", tmp_path / "p.jsonl", "--documents", "--device", "cpu")


def test_pages_together_without_documents_is_no_silent_nothing(model, scans, tmp_path):
    with pytest.raises(PredictionError, match="--pages-together"):
        run(model, scans, "-o", tmp_path / "p.jsonl", "--pages-together", 3, "--device", "cpu")


def test_the_small_model_goes_by_its_name(tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "p.jsonl"
    run("builtin", "builtin", "-o", out, "--max-new-tokens", 1, "--device", "cpu", "--batch-size", 32)
    assert out.read_text(encoding="utf-8").count('"stop"') > 50


def test_a_broken_page_stops_or_is_skipped(model, scans, tmp_path):
    (scans / "1.png").write_bytes(b"no picture")
    out = tmp_path / "predictions.jsonl"
    options = (model, scans, "-o", out, "--max-new-tokens", 2, "--device", "cpu")
    with pytest.raises(ImageError):
        run(*options)
    result = run(*options, "--on-error", "skip", "--json")
    assert json.loads(result.stdout)["skipped"] == 1
    assert json.loads(result.stdout)["skipped_file"] == str(tmp_path / "predictions.skipped.jsonl")
    assert "1 pages were skipped" in result.stderr


def test_without_torch_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "torch" or "ocrtune.prediction" in name
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match="torch is not installed"):
        run(tmp_path, tmp_path)
