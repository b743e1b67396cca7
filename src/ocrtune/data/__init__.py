"""Pages → examples: prompts, targets, splits by document, and checks before a run."""

from ocrtune.data.checks import check_dataset, check_page, check_splits, check_stray_texts
from ocrtune.data.examples import build_example, build_examples, control_tokens, find_prompt
from ocrtune.data.gathering import gather_findings
from ocrtune.data.splits import Splits, split_by_document
from ocrtune.data.summary import DatasetCheck, DatasetSummary, check_uri, summarize_dataset

__all__ = [
    "DatasetCheck",
    "DatasetSummary",
    "Splits",
    "build_example",
    "build_examples",
    "check_dataset",
    "check_page",
    "check_splits",
    "check_stray_texts",
    "check_uri",
    "control_tokens",
    "find_prompt",
    "gather_findings",
    "split_by_document",
    "summarize_dataset",
]
