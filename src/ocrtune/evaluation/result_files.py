"""An evaluation or a comparison → a folder for reports and other programs.

`evaluation.json` or `comparison.json` holds everything about the set, `pages.jsonl` a row for each page. What stands in
them is told in docs/concepts/evaluation-files.md; `version` grows when a key changes its meaning or goes.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rapidfuzz

from ocrtune.evaluation.comparison import Comparison, PagePair
from ocrtune.evaluation.evaluating import Evaluation, score_row
from ocrtune.evaluation.summary import rate_page
from ocrtune.records import Page, PageScore, Prediction
from ocrtune.sources import write_jsonl, write_text_atomically

EVALUATION_FILE = "evaluation.json"
COMPARISON_FILE = "comparison.json"
PAGES_FILE = "pages.jsonl"

FILE_VERSION = 1
"""Of both files."""


def write_evaluation(
    folder: Path, evaluation: Evaluation, *, reference: str, predictions: Path, command: str = ""
) -> None:
    """Write `evaluation.json` and `pages.jsonl`, each whole or not at all.

    Args:
        folder: Made if it is not there.
        evaluation: As `evaluate` gives it.
        reference: The uri of the reference, by which reports find the pictures.
        predictions: What was read.
        command: How the files are made again; empty where there is none.
    """
    write_jsonl(folder / PAGES_FILE, _evaluation_rows(evaluation))
    about = _about(reference, command) | {"predictions": str(predictions)}
    _write_json(folder / EVALUATION_FILE, {"kind": "evaluation", **about, **evaluation.as_dict()})


def write_comparison(
    folder: Path, comparison: Comparison, *, reference: str, a: Path, b: Path, command: str = ""
) -> None:
    """Write `comparison.json` and `pages.jsonl`, each whole or not at all.

    Args:
        folder: Made if it is not there.
        comparison: As `compare` gives it.
        reference: The uri of the reference.
        a: What A read.
        b: What B read.
        command: How the files are made again.
    """
    write_jsonl(folder / PAGES_FILE, _comparison_rows(comparison))
    about = _about(reference, command) | {"predictions": [str(a), str(b)]}
    _write_json(folder / COMPARISON_FILE, {"kind": "comparison", **about, **comparison.as_dict()})


def _about(reference: str, command: str) -> dict[str, object]:
    return {
        "version": FILE_VERSION,
        "reference": reference,
        "command": command,
        "versions": {
            "ocrtune": version("ocrtune"),
            "python": platform.python_version(),
            "rapidfuzz": rapidfuzz.__version__,
            "regex": version("regex"),
            "numpy": np.__version__,
        },
    }


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    write_text_atomically(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def _evaluation_rows(evaluation: Evaluation) -> Iterator[dict[str, object]]:
    rows = zip(evaluation.pages, evaluation.scores, evaluation.predictions, strict=True)
    for index, (page, score, prediction) in enumerate(rows):
        yield {
            **score_row(score),
            **_page_facts(page, evaluation.columns, index),
            "num_tokens": prediction.num_tokens,
            "truncated": prediction.truncated,
        }


def _comparison_rows(comparison: Comparison) -> Iterator[dict[str, object]]:
    for index, (pair, predictions) in enumerate(zip(comparison.pairs, comparison.predictions, strict=True)):
        yield {
            "image": pair.page.name,
            "reference": pair.a.reference,
            **_page_facts(pair.page, comparison.columns, index),
            "difference": pair.difference,
            "wer_difference": _wer_difference(pair),
            "a": _side(pair.a, predictions[0]),
            "b": _side(pair.b, predictions[1]),
        }


def _side(score: PageScore, prediction: Prediction) -> dict[str, object]:
    """One side's prediction, counts and rates; the reference and the page's name stand beside it, once."""
    row = score_row(score)
    del row["image"], row["reference"]
    return {**row, "num_tokens": prediction.num_tokens, "truncated": prediction.truncated}


def _wer_difference(pair: PagePair) -> float:
    return rate_page(pair.b).wer - rate_page(pair.a).wer


def _page_facts(page: Page, columns: Mapping[str, list[str]], index: int) -> dict[str, object]:
    return {
        "document": page.document or page.name,
        "pictures": [str(image.resolve()) for image in page.images if isinstance(image, Path)],
        "columns": {name: values[index] for name, values in columns.items()},
    }
