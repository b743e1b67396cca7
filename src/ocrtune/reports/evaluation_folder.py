"""A folder of `ocrtune evaluate --out` or `ocrtune compare --out` → a Report."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ocrtune.errors import OcrtuneError, ReportError
from ocrtune.progress import track
from ocrtune.records import ImageSource
from ocrtune.reports.records import Fact, Kind, Report, ReportPage
from ocrtune.reports.result_files import (
    Row,
    read_card,
    read_confusions,
    read_findings,
    read_normalization,
    read_reading,
    read_slices,
    read_verdict,
)
from ocrtune.reports.wording import format_count
from ocrtune.sources import read_pages

FILES: Mapping[str, Kind] = {"comparison.json": "comparison", "evaluation.json": "evaluation"}

PAGES_FILE = "pages.jsonl"
VERSION = 1
"""Of the files; a later one may mean something else by the same keys."""


def report_evaluation(folder: Path, *, reference: str | None = None) -> Report:
    """The report of one side's scores, or of two that were compared.

    Args:
        folder: With `evaluation.json` or `comparison.json`, and `pages.jsonl`.
        reference: Where the pictures are found instead of where they were.

    Raises:
        ReportError: A file is missing, broken, or of a later form.
        SourceError: `reference` cannot be read.
    """
    name = next(name for name in FILES if (folder / name).is_file())
    result = read_json(folder / name)
    rows = read_rows(folder / PAGES_FILE)
    if not isinstance(result, dict) or result.get("version", VERSION) > VERSION:
        raise ReportError(
            f"{name} is not of form {VERSION}, which this ocrtune knows",
            where=str(folder / name),
            hint="update ocrtune",
        )
    try:
        report = _compared(result) if FILES[name] == "comparison" else _evaluated(result)
        pictures = _Pictures(result, reference)
        pages = tuple(_pages(rows, result, pictures))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(
            f"a key is missing or of a wrong kind: {error}", where=str(folder), hint="make the folder again"
        ) from error
    return replace(report, pages=pages, notes=pictures.notes(pages))


def read_json(path: Path) -> Any:
    """What stands in a JSON file.

    Raises:
        ReportError: It is not there, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReportError(f"no {path.name}", where=str(path.parent), hint=EXPECTED) from error
    except (OSError, ValueError) as error:
        raise ReportError(f"{path.name} cannot be read: {error}", where=str(path)) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects in a JSONL file.

    Raises:
        ReportError: As `read_json`, with the line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ReportError(f"no {path.name}", where=str(path.parent), hint=EXPECTED) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            rows.append(_row(line, f"{path}:{number}"))
    return rows


EXPECTED = "a report needs the folder of a finished run, or one that `ocrtune evaluate` or `ocrtune compare` wrote with --out"


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ReportError(f"the line is no JSON: {error}", where=where) from error
    if not isinstance(row, dict):
        raise ReportError("the line is no JSON object", where=where)
    return row


def _evaluated(result: Row) -> Report:
    card = read_card(result)
    name = _name_of(result.get("predictions"))
    return Report(
        kind="evaluation",
        title=f"{name} on {_name_of(result.get('reference'))}",
        summary=f"What was read on {format_count(card.pages, 'page')}, compared with what stands there.",
        sides=(name,),
        cards=(card,),
        slices=read_slices(result),
        confusions=read_confusions(result),
        **_about(result, result),
    )


def _compared(result: Row) -> Report:
    sides = result["sides"]
    names = tuple(side["name"] for side in sides)
    return Report(
        kind="comparison",
        title=f"{names[0]} and {names[1]} on {_name_of(result.get('reference'))}",
        summary=f"Both read the same {format_count(result['pages'], 'page')}.",
        sides=names,
        cards=tuple(map(read_card, sides)),
        verdict=read_verdict(result["differences"]),
        slices=read_slices(result),
        confusions=read_confusions(*sides),
        **_about(result, sides[0]),
    )


def _about(result: Row, side: Row) -> dict[str, Any]:
    predictions = result.get("predictions") or []
    paths = [predictions] if isinstance(predictions, str) else predictions
    facts = [Fact(name="reference", value=str(result.get("reference", "")))]
    facts += [Fact(name="predictions", value=str(path)) for path in paths]
    return {
        "normalization": read_normalization(side),
        "findings": read_findings(result),
        "versions": dict(result.get("versions") or {}),
        "command": result.get("command") or "",
        "dataset": _name_of(result.get("reference")),
        "facts": tuple(facts),
    }


def _name_of(path: Any) -> str:
    """A file's name as people call it: of `scans/manifest.jsonl` it is `scans`."""
    found = Path(str(path or "pages"))
    return (
        found.parent.name
        if found.stem in {"manifest", "predictions"} and found.parent.name
        else found.stem or str(path)
    )


def _pages(rows: list[dict[str, Any]], result: Row, pictures: "_Pictures") -> Iterable[ReportPage]:
    paths = result.get("predictions") or []
    told = [_predictions_by_image(Path(path)) for path in ([paths] if isinstance(paths, str) else paths)]
    for row in track(rows, "reading pages"):
        sides = [row] if "prediction" in row else [row["a"], row["b"]]
        name = row["image"]
        yield ReportPage(
            name=name,
            image=pictures.of(row),
            reference=row["reference"],
            readings=tuple(
                read_reading(side, told[number].get(name, {}) if number < len(told) else {})
                for number, side in enumerate(sides)
            ),
            groups=dict(row.get("columns") or {}),
        )


def _predictions_by_image(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of our own predictions, for boxes and what decoding told; other engines' files have none."""
    if path.suffix.lower() not in {".jsonl", ".ndjson"} or not path.is_file():
        return {}
    return {row["image"]: row for row in read_rows(path) if isinstance(row.get("image"), str)}


class _Pictures:
    """Finds the pictures of pages: where the row says, else in the reference."""

    def __init__(self, result: Row, reference: str | None) -> None:
        self._uri = reference or str(result.get("reference") or "")
        self._asked = reference is not None
        self._problem = ""
        self._found: dict[str, ImageSource] | None = self._read() if self._asked else None

    def of(self, row: Row) -> ImageSource | None:
        """The first picture of a page; None where there is none any more."""
        written = [Path(path) for path in row.get("pictures") or ()]
        if written and not self._asked and written[0].is_file():
            return written[0]
        if self._found is None:
            self._found = self._read()
        return self._found.get(row["image"])

    def notes(self, pages: Iterable[ReportPage]) -> tuple[str, ...]:
        missing = sum(page.image is None for page in pages)
        if not missing:
            return ()
        why = f": {self._problem}" if self._problem else ""
        return (
            f"{format_count(missing, 'page')} without a picture{why}. `--reference` says where they are.",
        )

    def _read(self) -> dict[str, ImageSource]:
        try:
            return {page.name: page.images[0] for page in read_pages(self._uri) if page.images}
        except OcrtuneError as error:
            if self._asked:
                raise
            self._problem = error.message
            return {}
