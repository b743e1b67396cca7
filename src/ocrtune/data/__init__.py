"""Pages → examples: prompts, targets, splits by document, and checks before a run."""

from ocrtune.data.checks import check_dataset, check_page, check_splits
from ocrtune.data.examples import build_example, build_examples, control_tokens, find_prompt
from ocrtune.data.gathering import gather_findings
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.splits import Splits, split_by_document
from ocrtune.data.summary import DatasetCheck, DatasetSummary, check_uri, summarize_dataset
from ocrtune.data.tables import check_table

__all__ = [
    "DatasetCheck",
    "DatasetSummary",
    "JsonTarget",
    "Splits",
    "build_example",
    "build_examples",
    "check_dataset",
    "check_page",
    "check_splits",
    "check_table",
    "check_uri",
    "control_tokens",
    "find_prompt",
    "gather_findings",
    "split_by_document",
    "summarize_dataset",
]
