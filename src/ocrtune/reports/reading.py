"""A folder → its Report, whatever kind of folder it is."""

from pathlib import Path

from ocrtune.errors import ReportError
from ocrtune.reports.evaluation_folder import EXPECTED, FILES, report_evaluation
from ocrtune.reports.records import Report
from ocrtune.reports.run_folder import report_run


def read_report(folder: Path, *, reference: str | None = None) -> Report:
    """The report of a run, an evaluation or a comparison.

    Args:
        folder: A run folder, or one that `ocrtune evaluate` or `ocrtune compare` wrote.
        reference: Where the pages of a run, or the pictures of an evaluation, are found instead of where they were.

    Raises:
        ReportError: It is none of these, or something in it is missing or broken.
        SourceError: Pages cannot be read.
    """
    if not folder.is_dir():
        raise ReportError(f"there is no folder {str(folder)!r}", hint=EXPECTED)
    if any((folder / name).is_file() for name in FILES):
        return report_evaluation(folder, reference=reference)
    if not (folder / "config.yaml").is_file():
        raise ReportError(
            "the folder holds no run, evaluation or comparison", where=str(folder), hint=EXPECTED
        )
    return report_run(folder, reference=reference)
