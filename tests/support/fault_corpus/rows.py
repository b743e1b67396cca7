"""Manifests, tables and chats with lines that are broken, or that lead out of their folder."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fault_corpus.case import (
    BAD_TEXT,
    Case,
    bad,
    bad_bytes,
    good,
    good_rows,
    refused,
    with_rows,
    write_manifest,
)

_MANIFESTS, _TABLES, _CHATS = "manifests", "tables", "chats"
_LINE_LIMIT = "ocrtune.sources.jsonl.MOST_LINE_BYTES"


def cases() -> list[Case]:
    """All of manifests, tables and chats."""
    return [*_lines(), *_paths(), *_whole(), *_csv(), *_jsonl(), *_chats()]


def _lines() -> list[Case]:
    def line(content: object) -> Callable[[Path], str]:
        return with_rows(content)

    return [
        bad(_MANIFESTS, "line-not-json", line(b'{"image": "bad.png", "text": }'), "row-broken"),
        bad(_MANIFESTS, "line-cut-off", line(b'{"image": "bad.png", "te'), "row-broken"),
        bad(_MANIFESTS, "line-a-list", line(["bad.png", BAD_TEXT]), "row-broken"),
        bad(_MANIFESTS, "line-not-utf8", line(b'{"image": "bad.png", "text": "caf\xe9"}'), "row-broken"),
        bad(_MANIFESTS, "line-too-deep", line(b'{"image": ' + b"[" * 100_000), "row-broken"),
        bad(_MANIFESTS, "text-a-number", line({"image": "bad.png", "text": 7}), "row-broken"),
        bad(_MANIFESTS, "image-null", line({"image": None, "text": BAD_TEXT}), "row-broken"),
        bad(_MANIFESTS, "no-image", line({"picture": "bad.png", "text": BAD_TEXT}), "row-broken"),
        bad(_MANIFESTS, "zero-in-a-path", line({"image": "bad\0.png", "text": BAD_TEXT}), "row-broken"),
        bad(_MANIFESTS, "half-a-surrogate", line(b'{"image": "bad.png", "text": "\\ud800"}'), "row-broken"),
        bad(_MANIFESTS, "name-twice", line({"image": "page1.png", "text": BAD_TEXT}), "name-twice"),
        bad(
            _MANIFESTS, "path-too-long", line({"image": "a" * 5000 + ".png", "text": BAD_TEXT}), "image-data"
        ),
    ]


def _paths() -> list[Case]:
    def path(written: str) -> Callable[[Path], str]:
        return with_rows({"image": written, "text": BAD_TEXT})

    return [
        bad(_MANIFESTS, "path-out", path("../bad.png"), "image-outside"),
        bad(_MANIFESTS, "path-absolute", path("/etc/hostname"), "image-outside"),
        bad(_MANIFESTS, "path-home", path("~/bad.png"), "image"),
        bad(_MANIFESTS, "link-out", _link_out, "image-outside"),
        bad(_MANIFESTS, "link-to-itself", _link_to_itself, "image"),
    ]


def _whole() -> list[Case]:
    row = {"image": "bad.png", "text": BAD_TEXT}
    return [
        bad(
            _MANIFESTS,
            "line-too-long",
            with_rows({**row, "note": "x" * 2000}),
            "row-broken",
            limits={_LINE_LIMIT: 1000},
        ),
        refused(_MANIFESTS, "empty-manifest", _empty, "manifest"),
        refused(
            _MANIFESTS,
            "of-another-kind",
            with_rows(*([b"no json"] * 20)),
            "manifest",
            limits={"ocrtune.sources.jsonl.MOST_PROBLEMS": 10},
        ),
        good(_MANIFESTS, "bom-and-crlf", _bom_and_crlf),
    ]


def _csv() -> list[Case]:
    return [
        bad(_TABLES, "csv-quote-never-closed", _table(f'bad.png,"{BAD_TEXT}', last=True), "row-broken"),
        bad(_TABLES, "csv-text-behind-a-quote", _table('bad.png,"black" ink'), "row-broken"),
        bad(_TABLES, "csv-one-cell-more", _table("bad.png,black,ink"), "row-cells"),
        bad(_TABLES, "csv-one-cell", _table("bad.png"), "row-cells"),
        bad(_TABLES, "csv-formula", _table("bad.png,=1+1"), "cell-formula"),
        bad(_TABLES, "csv-no-text", _table("bad.png,"), "text-missing"),
        bad(_TABLES, "csv-no-image", _table(f",{BAD_TEXT}"), "image-none"),
        bad(_TABLES, "csv-path-out", _table(f"../bad.png,{BAD_TEXT}"), "image-outside"),
        refused(_TABLES, "csv-in-latin-1", _table("bad.png,café", encoding="latin-1"), "manifest"),
        refused(_TABLES, "csv-no-image-column", _table(f"bad.png,{BAD_TEXT}", columns="number,colour"), "source"),
        refused(_TABLES, "csv-empty", _empty_table, "manifest"),
    ]  # fmt: skip


def _jsonl() -> list[Case]:
    def row(**cells: object) -> Callable[[Path], str]:
        return partial(_jsonl_with, json.dumps(cells))

    return [
        bad(_TABLES, "jsonl-image-null", row(image=None, text=BAD_TEXT), "image-none"),
        bad(_TABLES, "jsonl-image-a-number", row(image=7, text=BAD_TEXT), "row-broken"),
        bad(_TABLES, "jsonl-image-twice", row(image="page1.png", text=BAD_TEXT), "image-twice"),
        bad(_TABLES, "jsonl-not-json", partial(_jsonl_with, "{"), "row-broken"),
    ]


def _chats() -> list[Case]:
    def turns(*contents: object, image: object = "bad.png") -> Callable[[Path], str]:
        return partial(_chats_with, {"messages": _said(*contents), "images": [image]})

    asked = "<image>\nFree OCR. "
    return [
        bad(_CHATS, "two-markers-for-one-image", turns(f"<image>{asked}", BAD_TEXT), "image-marks"),
        bad(_CHATS, "image-in-the-net", turns(asked, BAD_TEXT, image="https://example.org/a.png"), "image-url"),
        bad(_CHATS, "image-as-data", turns(asked, BAD_TEXT, image="data:image/png;base64,iVBORw0KGgo="), "image-data"),
        bad(_CHATS, "no-answer", turns(asked), "text-missing"),
        bad(_CHATS, "path-out", turns(asked, BAD_TEXT, image="../bad.png"), "image-outside"),
        bad(_CHATS, "content-a-number", turns(asked, 7), "row-broken"),
        good(_CHATS, "right", turns(asked, BAD_TEXT)),
    ]  # fmt: skip


def _link_out(folder: Path) -> str:
    outside = folder.parent / f"{folder.name}-outside.png"
    outside.write_bytes(bad_bytes())
    (folder / "bad.png").symlink_to(outside)
    return write_manifest(folder, {"image": "bad.png", "text": BAD_TEXT})


def _link_to_itself(folder: Path) -> str:
    (folder / "bad.png").symlink_to("bad.png")
    return write_manifest(folder, {"image": "bad.png", "text": BAD_TEXT})


def _empty(folder: Path) -> str:
    (folder / "manifest.jsonl").touch()
    return str(folder)


def _empty_table(folder: Path) -> str:
    (folder / "table.csv").touch()
    return str(folder / "table.csv")


def _bom_and_crlf(folder: Path) -> str:
    (folder / "bad.png").write_bytes(bad_bytes())
    row = {"image": "bad.png", "text": BAD_TEXT}
    return write_manifest(folder, row, before=b"\xef\xbb\xbf", end=b"\r\n")


def _table(
    row: str, *, columns: str = "image,text", encoding: str = "utf-8", last: bool = False
) -> Callable[[Path], str]:
    """A CSV of good rows with another in their midst, or at the end."""

    def make(folder: Path) -> str:
        (folder / "bad.png").write_bytes(bad_bytes())
        lines = [f"{cells['image']},{cells['text']}" for cells in good_rows(folder)]
        lines.insert(len(lines) if last else 3, row)
        path = folder / "table.csv"
        path.write_text("\n".join([columns, *lines, ""]), encoding=encoding)
        return f"csv:{path}" if columns != "image,text" else f"csv:{path}?image=image&text=text"

    return make


def _jsonl_with(line: str, folder: Path) -> str:
    rows = [json.dumps(row) for row in good_rows(folder)]
    rows.insert(3, line)
    path = folder / "table.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return f"jsonl:{path}?image=image&text=text"


def _said(*contents: object) -> list[dict[str, object]]:
    return [
        {"role": ("user", "assistant")[turn % 2], "content": content} for turn, content in enumerate(contents)
    ]


def _chats_with(chat: object, folder: Path) -> str:
    (folder / "bad.png").write_bytes(bad_bytes())
    chats: list[object] = [
        {"messages": _said("<image>\nFree OCR. ", row["text"]), "images": [row["image"]]}
        for row in good_rows(folder)
    ]
    chats.insert(3, chat)
    path = folder / "chats.json"
    path.write_text(json.dumps(chats), encoding="utf-8")
    return f"chat:{path}"
