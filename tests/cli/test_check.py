import json

import pytest
import typer
from PIL import Image
from tiny_models import tokenizer_json
from typer.testing import CliRunner

from ocrtune.cli.check import command
from ocrtune.errors import ConfigError, ModeError
from ocrtune.sources import write_jsonl

app = typer.Typer()
app.command()(command)


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def manifest(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    write_jsonl(
        tmp_path / "m.jsonl", [{"image": "a.png", "text": "co\u00adop"}, {"image": "gone.png", "text": "x"}]
    )
    return str(tmp_path / "m.jsonl")


def test_sound_pages_exit_with_0_and_are_counted():
    result = run("builtin", "--family", "deepseek_ocr", "--prompt", "free", "--json")
    printed = json.loads(result.stdout)
    assert result.exit_code == 0
    assert printed["findings"] == []
    assert (printed["pages"], printed["documents"], printed["errors"]) == (257, 6, 0)
    assert "257 pages of 6 documents" in result.stderr
    assert "0 errors, 0 warnings, 0 notes" in result.stderr


def test_errors_exit_with_1(manifest):
    result = run(manifest, "--json")
    printed = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (printed["errors"], printed["warnings"], printed["notes"]) == (1, 0, 1)
    assert [finding["code"] for finding in printed["findings"]] == ["image", "invisible-character"]


def test_for_people_findings_stand_on_stderr_and_nothing_on_stdout(manifest):
    result = run(manifest)
    assert result.stdout == ""
    assert "error image: the image does not exist" in result.stderr
    assert "hint: " in result.stderr


def test_with_a_tokenizer_tokens_are_told_by_script_for_people_machines_and_reports(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    write_jsonl(
        tmp_path / "m.jsonl", [{"image": "gone.png", "text": "abcd"}, {"image": "b.png", "text": "\u0436"}]
    )
    result = run(
        str(tmp_path / "m.jsonl"), "--family", "deepseek_ocr", "--tokenizer", str(tmp_path), "--json",
        "--html", str(tmp_path / "check.html"),
    )  # fmt: skip
    printed = json.loads(result.stdout)
    assert "tokens a character: Latin 1.00, Cyrillic 1.00" in result.stderr
    assert [(each["script"], each["characters"]) for each in printed["statistics"]["vocabulary"]] == [
        ("Latin", 4),
        ("Cyrillic", 1),
    ]
    assert "character-unknown" in {finding["code"] for finding in printed["findings"]}
    assert '<tr><th scope="row">Cyrillic</th>' in (tmp_path / "check.html").read_text(encoding="utf-8")


def test_warnings_and_notes_alone_exit_with_0(tmp_path):
    Image.new("RGB", (40, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("x")
    result = run(str(tmp_path))
    assert result.exit_code == 0
    assert "image-tiny" in result.stderr


def test_held_out_pages_are_compared_with_the_others():
    result = run("builtin", "--validation", "builtin", "--json")
    codes = {finding["code"]: finding["count"] for finding in json.loads(result.stdout)["findings"]}
    assert codes == {"image-leaked": 257, "document-shared": 6}
    assert result.exit_code == 1


def test_a_prompt_is_checked_for_the_family(manifest):
    result = run(manifest, "--family", "deepseek_ocr", "--prompt", "no mark", "--json")
    counts = {finding["code"]: finding["count"] for finding in json.loads(result.stdout)["findings"]}
    assert counts["prompt"] == 2


def test_an_unknown_family_is_raised_for_the_command_line_to_report():
    with pytest.raises(ModeError):
        run("builtin", "--family", "deepseek")


def test_allowed_errors_do_not_fail(manifest):
    result = run(manifest, "--allow", "image", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["errors"] == 0
    with pytest.raises(ConfigError, match="did you mean 'image'"):
        run(manifest, "--allow", "imag")


def test_images_may_be_left_aside(manifest):
    result = run(manifest, "--no-images")
    assert result.exit_code == 0
    assert "image:" not in result.stderr


def test_a_stopped_check_says_how_to_go_on(manifest, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ocrtune.data.collecting.look_at_pages", stop)
    result = run(manifest, "--resume", str(tmp_path / "journal"))
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr
    assert "--resume FILE" in run(manifest).stderr


def test_the_check_goes_on_from_its_journal(manifest, tmp_path):
    results = [run(manifest, "--resume", str(tmp_path / "journal"), "--json") for _ in range(2)]
    assert results[0].stdout == results[1].stdout


def test_tokens_need_a_family(manifest):
    with pytest.raises(ModeError, match="family"):
        run(manifest, "--mode", "base")


def test_a_repaired_manifest_is_written(manifest, tmp_path):
    result = run(manifest, "--fix-out", str(tmp_path / "fixed.jsonl"))
    assert "2 pages, 1 of them repaired, 0 doubles left out" in result.stderr
    assert "coop" in (tmp_path / "fixed.jsonl").read_text()
