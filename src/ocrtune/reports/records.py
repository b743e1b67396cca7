"""What a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ocrtune.evaluation import rate_page
from ocrtune.records import Finding, ImageSource, PageScore
from ocrtune.reports.scores import Card, Confusion, Slice, Verdict

Kind = Literal["run", "evaluation", "comparison"]


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
class MixtureRow:
    """What a run learned from of one source.

    Attributes:
        name: The source's name.
        uri: Where it lies.
        pages: Its pages; None for a stream that does not know.
        seen: Examples of it that were learned from, each as often as it came.
    """

    name: str
    uri: str
    pages: int | None
    seen: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Something found on a page.

    Attributes:
        corners: (left, top, right, bottom) in pixels of the upright image.
        label: What it is; empty if nobody said.
    """

    corners: tuple[float, float, float, float]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one side read on a page.

    Attributes:
        text: Normalised.
        cer: Character edits over the reference's characters.
        edits: Character edits.
        runaway: Longer than twice the reference, or cut by the length limit.
        repeated: Says the same over and over.
        boxes: What it found where.
        facts: More that is known about it, in words.
    """

    text: str
    cer: float
    edits: int
    runaway: bool = False
    repeated: bool = False
    boxes: tuple[Box, ...] = ()
    facts: tuple[str, ...] = ()

    @classmethod
    def of(cls, score: PageScore) -> "Reading":
        """The reading that a score was counted for."""
        return cls(
            text=score.prediction,
            cer=rate_page(score).cer,
            edits=score.char_edits,
            runaway=score.runaway,
            repeated=bool(getattr(score, "repeated", False)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """One page: the picture, what stands on it, and what was read on it.

    Attributes:
        name: The page's name.
        image: The picture; None for text alone, or where it is not known.
        reference: Normalised.
        readings: One for each side of the report.
        findings: What is odd about the page, in words.
        groups: Column → value, to filter by.
    """

    name: str
    image: ImageSource | None
    reference: str
    readings: tuple[Reading, ...]
    findings: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, image: ImageSource | None, *scores: PageScore) -> "ReportPage":
        """The page that one or two scores were counted for."""
        first = scores[0]
        readings = tuple(Reading.of(score) for score in scores)
        return cls(name=first.image, image=image, reference=first.reference, readings=readings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a report shows.

    Attributes:
        kind: What it is about.
        title: What was trained on what, or compared with what, as a heading.
        summary: One or two sentences under it.
        sides: Names of what read the pages: one, or two to compare; the last is what the report is about.
        cards: Scores of each side; none where no page was scored.
        verdict: How the two sides differ; None for one side.
        normalization: What was made equal before counting, in words.
        losses: Curves of losses per token.
        rates: Curves of error rates; a rate of 0.05 is 5 %.
        learning_rates: The curve of the learning rate.
        slices: Scores of parts of the pages.
        confusions: Most frequent first.
        facts: Model, inputs, steps, time.
        mixture: What was learned from of each source.
        precision: Dtypes with the reason for them.
        learning: What learns and what is frozen.
        findings: What the checks found.
        skipped: Pages that were left out: one finding for each reason.
        versions: Package → version.
        command: Gives the same again; empty where nobody knows it.
        base_model: What was fine-tuned; empty where nobody knows it.
        dataset: What the pages are called; empty where nobody knows it.
        pages: In the order of their source.
        notes: What the report lacks, in words.
    """

    kind: Kind
    title: str
    summary: str = ""
    sides: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    verdict: Verdict | None = None
    normalization: str = ""
    losses: tuple[Curve, ...] = ()
    rates: tuple[Curve, ...] = ()
    learning_rates: tuple[Curve, ...] = ()
    slices: tuple[Slice, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    facts: tuple[Fact, ...] = ()
    mixture: tuple[MixtureRow, ...] = ()
    precision: tuple[Fact, ...] = ()
    learning: tuple[LearningRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Finding, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    base_model: str = ""
    dataset: str = ""
    pages: tuple[ReportPage, ...] = ()
    notes: tuple[str, ...] = ()
