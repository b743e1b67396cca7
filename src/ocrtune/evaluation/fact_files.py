"""Facts and the texts of pages on disk."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ocrtune.errors import EvaluationError, ManifestError
from ocrtune.evaluation.fact_checks import FACT_TYPES, Fact, simplify
from ocrtune.evaluation.predictions import read_predictions
from ocrtune.records import Finding
from ocrtune.sources.jsonl import BrokenLine, kind_of, read_jsonl, take_target, take_text, tell_problems
from ocrtune.sources.side_texts import read_text_file

_TEXT_SUFFIXES = frozenset({".md", ".txt"})
_OF_PDF = re.compile(r"(?P<stem>.+?)(?:\.pdf)?#(?P<page>\d+)", re.IGNORECASE)
_OF_BENCH = re.compile(r"(?P<stem>.+)_pg(?P<page>\d+)(?:_repeat\d+)?(?:\.\w+)?")
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "present": ("text",),
        "absent": ("text",),
        "order": ("before", "after"),
        "table": ("cell",),
        "math": ("math",),
        "baseline": (),
    }
)
_NEIGHBOURS = ("up", "down", "left", "right", "top_heading", "left_heading")
_COUNTS = ("max_diffs", "first_n", "last_n", "max_length", "max_repeats")
_SWITCHES = (
    "case_sensitive",
    "ignore_markdown_tables",
    "ignore_dollar_delimited",
    "max_length_skips_image_alt_tags",
    "check_disallowed_characters",
)

Place = tuple[str, int]
"""A document without its suffix, and the page, from 1."""


class PageTexts:
    """Texts by the pages they belong to; a page may have several, of several attempts to read it.

    Args:
        texts: Names of pages with their texts. A name is `book.pdf#3`, `book_pg3.md`, `book_pg3_repeat1.md`, or
            `book.png`, which is page 1; folders may stand before it.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._by_place: dict[Place, list[str]] = defaultdict(list)
        for name, text in texts:
            self._by_place[_place_of(name)].append(text)
        self._by_file: dict[Place, set[str]] = defaultdict(set)
        for stem, page in self._by_place:
            self._by_file[PurePosixPath(stem).name, page].add(stem)

    def __len__(self) -> int:
        return sum(map(len, self._by_place.values()))

    def of(self, document: str, page: int) -> list[str]:
        """The texts of a page; found by the file's name alone, if only one folder has such a file.

        Args:
            document: The PDF, as a fact names it.
            page: From 1.
        """
        stem = _without_suffix(document)
        if (stem, page) in self._by_place:
            return self._by_place[stem, page]
        stems = self._by_file.get((PurePosixPath(stem).name, page), set())
        return self._by_place[next(iter(stems)), page] if len(stems) == 1 else []


def read_texts(predictions: Path | Mapping[str, str]) -> PageTexts:
    """The texts that were predicted.

    Args:
        predictions: JSONL as `read_predictions` takes it, a folder of `.md` and `.txt`, or texts by pages' names.

    Raises:
        EvaluationError: There is no such file, it is broken, or the folder has no text.
        TextError: A file of the folder is not UTF-8 or too large.
    """
    if isinstance(predictions, Mapping):
        return PageTexts(predictions.items())
    if not predictions.is_dir():
        return PageTexts((prediction.image, prediction.text) for prediction in read_predictions(predictions))
    paths = sorted(path for path in predictions.rglob("*") if path.suffix.lower() in _TEXT_SUFFIXES)
    if not paths:
        raise EvaluationError(f"the folder {str(predictions)!r} has no .md or .txt", hint="one file a page")
    return PageTexts((path.relative_to(predictions).as_posix(), read_text_file(path)) for path in paths)


def read_facts(path: Path) -> tuple[list[Fact], list[Finding]]:
    """The facts of a JSONL file, or of all in a folder, and a finding for each one that is left out.

    Left out are facts of types that are not known here, and those that a person rejected.

    Raises:
        EvaluationError: There is no such file, or with every broken line: a field missing or of a wrong type, an `id`
            that an earlier line has.
    """
    facts, findings = [], []
    for file in _files(path):
        for fact in _read_file(file):
            finding = _reason_to_leave_out(fact, f"{file.name}: {fact.id}")
            if finding is None:
                facts.append(fact)
            else:
                findings.append(finding)
    return facts, findings


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise EvaluationError(f"there is no file of facts {str(path)!r}", hint="one JSON object a line")
    return files


def _read_file(path: Path) -> list[Fact]:
    try:
        facts, problems = read_jsonl(path, lambda row, _number: _parse(row, path.stem))
    except ManifestError as error:
        raise EvaluationError(error.message, where=error.where, hint=error.hint) from error
    if problems:
        raise EvaluationError(
            tell_problems(problems),
            where=str(path),
            hint='a line is one fact: {"pdf": "a.pdf", "page": 1, "id": "a_1", "type": "present", "text": "…"}',
        )
    return facts


def _reason_to_leave_out(fact: Fact, where: str) -> Finding | None:
    if fact.type not in FACT_TYPES:
        return Finding(
            code="fact-type-unknown",
            severity="warning",
            message=f"facts of the type {fact.type!r} are not checked",
            where=where,
            hint=f"known are {', '.join(FACT_TYPES)}",
        )
    if fact.row.get("checked") == "rejected":
        message = "a person rejected the fact, and it is left out"
        return Finding(code="fact-rejected", severity="note", message=message, where=where)
    return None


def _parse(row: Mapping[str, Any], file: str) -> tuple[str, Fact]:
    # The whole row is written again where the fact does not hold.
    take_target({"the fact": dict(row)}, "the fact")
    document, name, kind = (_needed(row, key) for key in ("pdf", "id", "type"))
    page = row.get("page")
    if isinstance(page, bool) or not isinstance(page, int) or page < 1:
        raise BrokenLine(f"`page` is {page!r}, not a number from 1")
    if kind in FACT_TYPES:
        _check_fields(row, kind)
    return name, Fact(document, page, name, kind, row, file)


def _check_fields(row: Mapping[str, Any], kind: str) -> None:
    for key in _COUNTS:
        value = row.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise BrokenLine(f"`{key}` is {value!r}, not a count")
    for key in _SWITCHES:
        if not isinstance(row.get(key, True), bool):
            raise BrokenLine(f"`{key}` is {kind_of(row[key])}, not true or false")
    for key in _NEIGHBOURS:
        take_text(row, key)
    texts = [simplify(_needed(row, key)) for key in _NEEDED[kind]]
    if not all(text.strip() for text in texts):
        raise BrokenLine(f"a text to look for is blank: {', '.join(f'`{key}`' for key in _NEEDED[kind])}")
    if kind == "order" and (row.get("max_diffs") or 0) > min(map(len, texts)) // 2:
        raise BrokenLine(f"`max_diffs` is {row['max_diffs']}, more than half of a text to look for")


def _needed(row: Mapping[str, Any], key: str) -> str:
    value = take_text(row, key)
    if not value:
        raise BrokenLine(f"no `{key}`; its keys: {', '.join(f'`{each}`' for each in row) or 'none'}")
    return value


def _place_of(name: str) -> Place:
    for pattern in (_OF_PDF, _OF_BENCH):
        match = pattern.fullmatch(name)
        if match:
            return match["stem"], int(match["page"])
    return _without_suffix(name), 1


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else name
