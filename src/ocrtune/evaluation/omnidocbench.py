"""OmniDocBench's overall score, where its three inputs are given."""

from ocrtune.errors import EvaluationError


def omnidocbench_overall(*, text_edit_distance: float, teds: float, cdm: float) -> float:
    """The overall score of OmniDocBench 1.5 and later, from 0 to 100.

    Text and tables can be measured here (`Scorecard.text_edit_distance`, `teds` of `structures`); CDM comes from
    OmniDocBench's own scripts, because it draws formulas with LaTeX.

    Args:
        text_edit_distance: From 0 to 1, 0 is best.
        teds: From 0 to 1, 1 is best.
        cdm: From 0 to 1, 1 is best.

    Raises:
        EvaluationError: A value is not from 0 to 1, such as a percentage.

    Source: README of OmniDocBench 1.5, whose table of models the formula reproduces.
    """
    for name, value in (("text edit distance", text_edit_distance), ("TEDS", teds), ("CDM", cdm)):
        if not 0 <= value <= 1:
            raise EvaluationError(f"{name} is {value}, not from 0 to 1", hint="divide percentages by 100")
    return 100 * (1 - text_edit_distance + teds + cdm) / 3
