"""Commands shown in the docs, run in order in a folder that has what they name."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.doctor.batches import write_batch
from ocrtune.sources import sample_path

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/guides/first-run.md",
    "README.md",
    "docs/guides/six-errors.md",
    "docs/guides/predict-and-evaluate.md",
    "docs/guides/structures.md",
    "docs/guides/evaluate-and-compare.md",
    "docs/guides/report.md",
    "docs/guides/loop.md",
    "docs/guides/feature-cache.md",
    "docs/guides/export-and-serve.md",
    "docs/guides/export-to-archives.md",
    "docs/guides/synthetic-pages.md",
    "docs/guides/your-data.md",
    "docs/guides/check.md",
    "docs/guides/plan-a-run.md",
    "docs/guides/review.md",
    "docs/concepts/inputs.md",
    "docs/concepts/models.md",
    "docs/concepts/precision.md",
    "docs/concepts/tuning.md",
    "docs/concepts/training.md",
)
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)

# What a recipe for a large card needs to run here in seconds; everything else of the command stays as shown.
SMALL = shlex.split(
    "--set model=builtin --set family=deepseek_ocr --set inputs.mode.global_px=128 --set inputs.max_tokens=512"
    " --set training.max_steps=2 --set training.batch_size=1 --set training.accumulation_steps=1"
    " --set training.workers=0 --set training.device=cpu --set evaluation.every_steps=2 --set evaluation.max_pages=1"
    " --set evaluation.decoding.max_new_tokens=4"
)
# Run by others: the set-up itself, and both demos, which have tests of their own.
NOT_RUN = ("make ", "pip ", "git ", "cd ", "ocrtune demo ")


def commands():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for block in SHELL_BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split(" #")[0].strip()
                if command and not command.startswith(("#", *NOT_RUN)):
                    yield page, command


def write_manifest(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a few sample lines under each name that the docs use."""
    folder = tmp_path_factory.mktemp("docs")
    samples = sample_path("vicksburg_lines")
    lines = [
        json.loads(line) for line in (samples / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    few = [line for page in range(1, 7) for line in [row for row in lines if row["page"] == page][:2]]
    copy = folder / "src/ocrtune/sources/samples/vicksburg_lines"
    write_manifest(copy / "manifest.jsonl", few)
    shutil.copytree(samples / "images", copy / "images")
    (copy.parent / "vicksburg_pages").symlink_to(sample_path("vicksburg_pages"))
    for name in ("manifest", "test"):
        write_manifest(folder / "data" / f"{name}.jsonl", few)
    write_manifest(folder / "data" / "new.jsonl", [{**row, "text": None} for row in few])
    shutil.copytree(samples / "images", folder / "data" / "images")
    fact = {"pdf": few[0]["image"], "page": 1, "id": "a", "type": "absent", "text": "not on this page"}
    write_manifest(folder / "facts.jsonl", [fact])
    shutil.copy(samples / "images" / few[0]["image"].removeprefix("images/"), folder / "page.png")
    torch.save(make_batch(), folder / "batch.pt")
    write_batch(make_batch(), folder / "batch.safetensors")
    return folder


def make_batch():
    """A batch of one page in mode small, as somebody's own trainer would save it."""
    prompt = [0, *[128815] * 111, 201, 21431, 126041, 16]
    ids = torch.tensor([[*prompt, 52, 53, 1]])
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "images": [(torch.zeros(1, 3, 640, 640), torch.rand(1, 3, 640, 640))],
        "images_seq_mask": ids == 128815,
        "images_spatial_crop": torch.tensor([[1, 1]]),
    }


def arguments(command: str) -> list[str]:
    words = shlex.split(command)
    assert words[0] == "ocrtune", f"the docs show a command that no test runs: {command}"
    is_large = words[1] == "train" and words[2] != "tiny-demo"
    return words[1:] + (SMALL if is_large else [])


def test_every_command_of_the_docs_runs(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    shown = list(commands())
    assert len(shown) > 10
    for page, command in shown:
        result = CliRunner().invoke(app, arguments(command))
        assert result.exit_code == 0, f"{page}: {command}\n{result.output}\n{result.exception!r}"


def test_no_page_with_commands_is_left_out():
    listed = {ROOT / page for page in PAGES}
    for page in (ROOT / "docs").rglob("*.md"):
        if page not in listed:
            assert not SHELL_BLOCK.search(page.read_text(encoding="utf-8")), f"{page} is not in PAGES"
