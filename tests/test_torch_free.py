import json
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = ("torch", "transformers", "peft", "accelerate")

TORCH_FREE = (
    "errors",
    "records",
    "progress",
    "text",
    "families",
    "config",
    "sources",
    "data",
    "evaluation",
    "transcription",
    "inputs",
    "reports",
    "review",
    "cli",
)

BLOCK = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(name + " is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""

RUN = "sys.argv[0] = 'ocrtune'\nfrom ocrtune.cli import main\nmain()"


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ocrtune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python(RUN, *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> str:
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps({"image": "images/p1_000.png", "text": "THE SIEGE OF VICKSBURG. 49"}))
    return str(path)


def test_the_block_holds():
    for name in BLOCKED:
        assert "is blocked" in python(f"import {name}").stderr


@pytest.mark.parametrize("module", TORCH_FREE)
def test_a_module_imports_without_torch(module):
    result = python(f"import ocrtune.{module}\nassert not sys.modules.keys() & set({BLOCKED})")
    assert result.returncode == 0, result.stderr


def test_help_needs_no_torch():
    result = ocrtune("--help")
    assert result.returncode == 0, result.stderr
    for name in ("demo", "show", "check", "train", "predict", "evaluate", "export", "doctor"):
        assert name in result.stdout


@pytest.mark.parametrize(
    "name", ["demo", "show", "check", "train", "predict", "evaluate", "export", "doctor"]
)
def test_the_help_of_every_command_needs_no_torch(name):
    result = ocrtune(name, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_check_needs_no_torch():
    result = ocrtune("check", "builtin", "--family", "deepseek_ocr", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["pages"] == 257


def test_evaluate_needs_no_torch(predictions):
    result = ocrtune("evaluate", predictions, "--reference", "builtin", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["pages"] == 257


def test_show_needs_no_torch(tmp_path):
    code = f"from PIL import Image\nImage.new('RGB', (700, 700)).save({str(tmp_path / 'page.png')!r})"
    assert python(code).returncode == 0
    result = ocrtune(
        "show", str(tmp_path / "page.png"), "--family", "deepseek_ocr", "--mode", "gundam", "--json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["family"] == "deepseek_ocr"


def test_train_without_torch_says_how_to_get_it():
    result = ocrtune("train", "tiny-demo", "--json")
    assert result.returncode == 2
    assert "torch is not installed" in result.stderr
    assert "pip install 'ocrtune[train]'" in result.stderr
    assert json.loads(result.stdout)["error"]["code"] == "missing-dependency"


def test_a_mistake_is_told_on_stderr_and_as_json(tmp_path):
    result = ocrtune("check", str(tmp_path / "none.jsonl"), "--json")
    assert result.returncode == 2
    assert result.stderr.startswith("error: there is no file")
    assert json.loads(result.stdout)["error"]["code"] == "source"
