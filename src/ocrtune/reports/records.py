"""What a report is made of."""

from dataclasses import dataclass

from ocrtune.evaluation import Scorecard
from ocrtune.records import Finding, ImageSource, PageScore


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One measured value.

    Attributes:
        step: Optimizer step, from 1.
        value: What was measured after it.
    """

    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Values of one kind over the steps of a run.

    Attributes:
        name: What is measured, such as `training loss`.
        points: In the order of the steps.
    """

    name: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of a table of facts.

    Attributes:
        name: What it is.
        value: Ready to be read.
        reason: Why it is so; empty where there is nothing to say.
    """

    name: str
    value: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRow:
    """What one part of the model does in a run.

    Attributes:
        part: Its name.
        tensors: Number of tensors.
        parameters: Number of parameters.
        dtype: Dtype of its weights.
        learns: It learns, or it is frozen.
        learning_rate: Peak rate; None where it is frozen.
    """

    part: str
    tensors: int
    parameters: int
    dtype: str
    learns: bool
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One held-out page: the picture, and what was read on it.

    Attributes:
        image: The picture; None for text alone.
        after: Score of what the fine-tuned model read, with reference and prediction normalised.
        before: The same of the model before; None where it was not asked.
    """

    image: ImageSource | None
    after: PageScore
    before: PageScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Everything a report shows of one run.

    Attributes:
        title: What was trained on what, as a heading.
        summary: One or two sentences under it.
        after: Scores of the fine-tuned model on held-out pages; None where none were held out.
        before: Scores of the model before; None where it was not asked.
        losses: Curves of losses per token.
        rates: Curves of error rates; a rate of 0.05 is 5 %.
        facts: Model, inputs, steps, time.
        precision: Dtypes with the reason for them.
        learning: What learns and what is frozen.
        findings: What the checks found in data, and pages that were skipped.
        lines: Held-out pages in the order of their source.
    """

    title: str
    summary: str
    after: Scorecard | None = None
    before: Scorecard | None = None
    losses: tuple[Curve, ...] = ()
    rates: tuple[Curve, ...] = ()
    facts: tuple[Fact, ...] = ()
    precision: tuple[Fact, ...] = ()
    learning: tuple[LearningRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    lines: tuple[ReportLine, ...] = ()
