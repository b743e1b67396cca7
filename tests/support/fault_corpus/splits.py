"""Held-out pages that are among those learned from."""

import json
from collections.abc import Callable
from pathlib import Path

from fault_corpus.case import BAD_TEXT, TEXTS, Case, bad, bad_bytes, good, good_bytes, write_manifest

_SPLITS = "splits"
HELD_OUT = "held-out"


def cases() -> list[Case]:
    """All of splits."""
    return [
        bad(_SPLITS, "same-picture", _split(good_bytes(0), TEXTS[0], ""), "image-leaked", pages=5, validation=HELD_OUT),
        good(_SPLITS, "same-document", _split(bad_bytes(), BAD_TEXT, "page1"), "document-shared", pages=6, validation=HELD_OUT),
        good(_SPLITS, "apart", _split(bad_bytes(), BAD_TEXT, ""), pages=6, validation=HELD_OUT),
    ]  # fmt: skip


def _split(content: bytes, text: str, document: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        held_out = folder / HELD_OUT
        held_out.mkdir()
        (held_out / "other.png").write_bytes(content)
        row = {"image": "other.png", "text": text, "document": document or None}
        (held_out / "manifest.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        return write_manifest(folder)

    return make
