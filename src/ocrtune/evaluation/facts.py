"""Facts about pages, as olmOCR-bench has them: which of them the predictions keep."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean

from ocrtune.data import gather_findings
from ocrtune.errors import EvaluationError
from ocrtune.evaluation.fact_checks import FACT_TYPES, Fact, why_not
from ocrtune.evaluation.fact_files import PageTexts, read_facts, read_texts
from ocrtune.progress import track
from ocrtune.records import Finding
from ocrtune.sources import write_jsonl

BASELINE = "baseline"
"""The type, and the name of the file, of facts that are added to every document."""

_Z = 1.959963984540054
"""How many standard deviations hold 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class FactRate:
    """How many of some facts hold.

    Attributes:
        held: Facts that hold.
        count: All of them.
        low: Lower end of the 95 % interval of the rate.
        high: Upper end.
    """

    held: int
    count: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share that holds."""
        return self.held / self.count

    def as_dict(self) -> dict[str, object]:
        """The rate for `--json`."""
        return {"rate": self.rate, **asdict(self)}


@dataclass(frozen=True, slots=True)
class FactOutcome:
    """What came of one fact.

    Attributes:
        fact: The fact.
        why: Why it does not hold; empty where it does.
    """

    fact: Fact
    why: str

    @property
    def holds(self) -> bool:
        """Whether the prediction keeps the fact."""
        return not self.why

    def as_dict(self) -> dict[str, object]:
        """The row of the fact, as it was read, with the reason: a file of facts again."""
        return {**self.fact.row, "file": self.fact.file, "why": self.why}


@dataclass(frozen=True, slots=True)
class FactsResult:
    """What came of all facts.

    Attributes:
        outcomes: One for each fact, in the order of the files.
        findings: Facts that were left out, and pages without prediction.
    """

    outcomes: tuple[FactOutcome, ...]
    findings: tuple[Finding, ...]

    @property
    def overall(self) -> FactRate:
        """The rate of all facts."""
        return rate_facts(self.outcomes)

    @property
    def mean_of_files(self) -> float:
        """The mean of the files' rates: what olmOCR-bench calls its overall score."""
        return fmean(rate.rate for rate in self.by_file().values())

    def by_type(self) -> dict[str, FactRate]:
        """The rate of each type of facts, in the order of FACT_TYPES."""
        rates = self._by(lambda fact: fact.type)
        return {kind: rates[kind] for kind in FACT_TYPES if kind in rates}

    def by_document(self) -> dict[str, FactRate]:
        """The rate of each document."""
        return self._by(lambda fact: fact.document)

    def by_file(self) -> dict[str, FactRate]:
        """The rate of each file of facts."""
        return self._by(lambda fact: fact.file)

    def failed(self) -> tuple[FactOutcome, ...]:
        """The facts that do not hold."""
        return tuple(outcome for outcome in self.outcomes if not outcome.holds)

    def as_dict(self) -> dict[str, object]:
        """The rates, the facts that do not hold and the findings, for `--json`."""
        groups = {"types": self.by_type(), "files": self.by_file(), "documents": self.by_document()}
        return {
            "overall": self.overall.as_dict(),
            "mean_of_files": self.mean_of_files,
            **{name: {key: rate.as_dict() for key, rate in rates.items()} for name, rates in groups.items()},
            "failed": [outcome.as_dict() for outcome in self.failed()],
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def _by(self, key_of: Callable[[Fact], str]) -> dict[str, FactRate]:
        groups: dict[str, list[FactOutcome]] = defaultdict(list)
        for outcome in self.outcomes:
            groups[key_of(outcome.fact)].append(outcome)
        return {key: rate_facts(outcomes) for key, outcomes in groups.items()}


def check_facts(
    facts: Path, predictions: Path | Mapping[str, str], *, add_baseline: bool = False
) -> FactsResult:
    """Hold facts against the texts that were predicted for their pages.

    A fact is kept if it holds for more than half of the texts of its page. One whose page has no text does not hold.

    Args:
        facts: A JSONL file as olmOCR-bench has them, or a folder of such files.
        predictions: A file of predictions, a folder of `.md` and `.txt`, or texts by the names of their pages. Names
            are those of ocrtune (`book.pdf#3`), of olmOCR-bench (`book_pg3_repeat1.md`), or `book.md` for page 1.
        add_baseline: Check the first page of every document that has no fact of the type `baseline` for that too, as
            olmOCR-bench does.

    Raises:
        EvaluationError: A file is missing or broken, there is no fact that can be checked, or none of the facts'
            pages has a text.
    """
    known, findings = read_facts(facts)
    if add_baseline:
        known += _baselines(known)
    if not known:
        raise EvaluationError("there is no fact that can be checked", where=str(facts))
    texts = read_texts(predictions)
    _require_match(known, texts)
    outcomes = tuple(_check(fact, texts) for fact in track(known, "checking facts"))
    return FactsResult(outcomes, tuple(gather_findings([*findings, *_missing(known, texts)])))


def write_failed(path: Path, result: FactsResult) -> None:
    """Write the facts that do not hold, each with its reason, as JSONL that can be checked again; atomically."""
    write_jsonl(path, (outcome.as_dict() for outcome in result.failed()))


def rate_facts(outcomes: Sequence[FactOutcome]) -> FactRate:
    """The rate of some facts, with the 95 % interval of Wilson's score.

    Facts of one document are not independent of each other. Their number is therefore divided by the design effect
    before the interval is made: how many times the variance between documents is what it would be if they were.

    Raises:
        EvaluationError: There are none.
    """
    if not outcomes:
        raise EvaluationError("there are no facts to rate")
    held, count = sum(outcome.holds for outcome in outcomes), len(outcomes)
    low, high = _wilson(held / count, count / _design_effect(outcomes))
    return FactRate(held=held, count=count, low=low, high=high)


def _wilson(rate: float, count: float) -> tuple[float, float]:
    shrunk = 1 + _Z**2 / count
    middle = (rate + _Z**2 / (2 * count)) / shrunk
    half = _Z * sqrt(rate * (1 - rate) / count + _Z**2 / (4 * count**2)) / shrunk
    return min(max(middle - half, 0.0), rate), max(min(middle + half, 1.0), rate)


def _design_effect(outcomes: Sequence[FactOutcome]) -> float:
    """1 and more; 1 where one document has them all, or all hold, or none does."""
    documents: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        documents[outcome.fact.document].append(outcome.holds)
    rate = fmean(outcome.holds for outcome in outcomes)
    num_documents = len(documents)
    if num_documents == 1 or rate in {0.0, 1.0}:
        return 1.0
    spread = sum((sum(holds) - rate * len(holds)) ** 2 for holds in documents.values())
    as_if_independent = len(outcomes) * rate * (1 - rate)
    return max(1.0, num_documents / (num_documents - 1) * spread / as_if_independent)


def _check(fact: Fact, texts: PageTexts) -> FactOutcome:
    found = texts.of(fact.document, fact.page)
    if not found:
        return FactOutcome(fact, "the page has no prediction")
    reasons = [why_not(fact, text) for text in found]
    failed = [reason for reason in reasons if reason]
    return FactOutcome(fact, failed[0] if 2 * len(failed) >= len(reasons) and failed else "")


def _baselines(facts: Sequence[Fact]) -> list[Fact]:
    """A fact of the type `baseline` for the first page of each document without one."""
    has_one = {fact.document for fact in facts if fact.type == BASELINE}
    documents = dict.fromkeys(fact.document for fact in facts if fact.document not in has_one)
    return [_baseline(document) for document in documents]


def _baseline(document: str) -> Fact:
    name = f"{document}_baseline"
    row = {"pdf": document, "page": 1, "id": name, "type": BASELINE}
    return Fact(document, 1, name, BASELINE, row, BASELINE)


def _require_match(facts: Sequence[Fact], texts: PageTexts) -> None:
    if not any(texts.of(fact.document, fact.page) for fact in facts):
        fact = facts[0]
        raise EvaluationError(
            f"none of {len(texts)} predictions belongs to any page of {len(facts)} facts",
            hint=f"page {fact.page} of {fact.document!r} is looked for as '{fact.document}#{fact.page}'",
        )


def _missing(facts: Iterable[Fact], texts: PageTexts) -> Iterator[Finding]:
    pages = dict.fromkeys((fact.document, fact.page) for fact in facts)
    for document, page in pages:
        if not texts.of(document, page):
            yield Finding(
                code="prediction-missing",
                severity="error",
                message="the page has no prediction, and none of its facts holds",
                where=f"{document}#{page}",
                hint="predict all pages that the facts are about",
            )
