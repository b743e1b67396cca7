"""Pages → examples: prompts, targets, splits by document, and checks before a run."""

from ocrtune.data.budget import Budget, TokenCounts
from ocrtune.data.checks import (
    check_dataset,
    check_page,
    check_splits,
    find_near_leaks,
)
from ocrtune.data.codes import CODES, check_codes, severities
from ocrtune.data.collecting import examine_pages
from ocrtune.data.examples import build_example, build_examples, control_tokens, find_prompt
from ocrtune.data.fingerprints import find_near_duplicates
from ocrtune.data.gathering import gather_findings
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.repairing import Repaired, write_repaired
from ocrtune.data.splits import Splits, split_by_document
from ocrtune.data.statistics import DatasetStatistics
from ocrtune.data.summary import DatasetCheck, DatasetSummary, check_uri
from ocrtune.data.tables import check_table

__all__ = [
    "CODES",
    "Budget",
    "DatasetCheck",
    "DatasetStatistics",
    "DatasetSummary",
    "JsonTarget",
    "Repaired",
    "Splits",
    "TokenCounts",
    "build_example",
    "build_examples",
    "check_codes",
    "check_dataset",
    "check_page",
    "check_splits",
    "check_table",
    "check_uri",
    "control_tokens",
    "examine_pages",
    "find_near_duplicates",
    "find_near_leaks",
    "find_prompt",
    "gather_findings",
    "severities",
    "split_by_document",
    "write_repaired",
]
