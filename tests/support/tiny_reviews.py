"""A few lines with predictions of some quality, to be reviewed."""

import json
from pathlib import Path

from PIL import Image

LINES = {
    "good.png": ("the siege\r\nof Vicksburg", "the siege\r\nof Vicksburg"),
    "cut.png": ("gerous for use", "gerous gerous gerous gerous gerous"),
    "odd.png": ("hidden by the hills", "hiddcn by thc hiIIs"),
    "near.png": ("a report creeps into camp", "a report creeps into carnp"),
}
"""Image → its text, and what a model read; one with line breaks that editors in browsers do not keep."""


def write_lines(folder: Path) -> Path:
    """A manifest of `LINES`, with blank images of a line's shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINES:
        Image.new("L", (400, 30), 255).save(folder / name)
    return write_rows(
        folder / "manifest.jsonl", [{"image": name, "text": text} for name, (text, _) in LINES.items()]
    )


def write_predictions(folder: Path, **extra: dict[str, object]) -> Path:
    """A file of predictions of `LINES`; `extra` adds keys to rows, by the stem of the image."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"image": name, "text": read, "num_tokens": 5, "truncated": name == "cut.png"}
        | extra.get(Path(name).stem, {})
        for name, (_, read) in LINES.items()
    ]
    return write_rows(folder / "predictions.jsonl", rows)


def write_rows(path: Path, rows) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
