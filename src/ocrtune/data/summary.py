"""A source checked as a whole: how much there is to learn, and what is wrong with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ocrtune.data.baseline import Baseline
from ocrtune.data.budget import Budget
from ocrtune.data.codes import severities
from ocrtune.data.collecting import collect_facts, examine_pages
from ocrtune.data.facts import NO_COUNT, Collected, Rules
from ocrtune.data.gathering import Gatherer
from ocrtune.data.journal import Journal
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.repeats import gather_leaks, same_pages
from ocrtune.data.statistics import DatasetStatistics, join_vocabularies, joined, measure
from ocrtune.data.streams import read_some
from ocrtune.families import Family
from ocrtune.records import Finding, Page
from ocrtune.text import Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """How much there is to learn.

    Attributes:
        pages: Pages, with and without text.
        pages_with_text: Pages that can be learned from.
        documents: Different documents.
        images: Images of all pages.
        characters: Characters of all texts, normalised.
        longest_text_chars: Characters of the longest text.
    """

    pages: int
    pages_with_text: int
    documents: int
    images: int
    characters: int
    longest_text_chars: int

    def __str__(self) -> str:
        """The counts in words."""
        return (
            f"{self.pages} pages of {self.documents} documents, {self.pages_with_text} with text, "
            f"{self.images} images, {self.characters} characters"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """What came of checking a source.

    Attributes:
        summary: Of all pages, held-out ones included.
        findings: Gathered by kind, errors first.
        statistics: Of all pages; None where nobody measured.
        repeated: Indices of pages of the source that have pictures, prompt and text of an earlier one.
    """

    summary: DatasetSummary
    findings: tuple[Finding, ...]
    statistics: DatasetStatistics | None = None
    repeated: tuple[int, ...] = ()

    def totals(self) -> dict[str, int]:
        """How many places have an error, a warning or a note: keys `errors`, `warnings`, `notes`."""
        counts = Counter[str]()
        for finding in self.findings:
            counts[f"{finding.severity}s"] += finding.count
        return {name: counts[name] for name in ("errors", "warnings", "notes")}

    def allowing(self, codes: Sequence[str]) -> "DatasetCheck":
        """The check with errors of these codes as warnings.

        Raises:
            ConfigError: There is no such code.
        """
        return replace(self, findings=tuple(severities(self.findings, codes)))

    def as_dict(self) -> dict[str, object]:
        """Counts, totals, findings and statistics, for `--json`."""
        findings = [finding.as_dict() for finding in self.findings]
        statistics = {} if self.statistics is None else {"statistics": self.statistics.as_dict()}
        return {**asdict(self.summary), **self.totals(), "findings": findings, **statistics}


def check_uri(
    uri: str,
    *,
    validation_uri: str | None = None,
    family: Family | None = None,
    prompt: str | None = None,
    normalization: Normalization | None = None,
    open_images: bool = True,
    workers: int | None = None,
    budget: Budget | None = None,
    baseline: Path | None = None,
    journal: Path | None = None,
    json_schema: Path | None = None,
) -> DatasetCheck:
    """Read a source and check its pages, and held-out ones with it for leaks between both.

    Args:
        uri: Whatever `read_some` takes.
        validation_uri: Held-out pages.
        family: See `check_dataset`, as the other arguments.
        prompt: The run's prompt.
        normalization: The run's.
        open_images: Open every image; False to look at texts alone, and at the files of pages that are held out.
        workers: Processes.
        budget: Counts tokens.
        baseline: JSONL of what another OCR read, to be compared with the texts.
        journal: By which a check that was stopped goes on.
        json_schema: A JSON Schema that every text satisfies.

    Raises:
        SourceError: A source cannot be read at all, or the journal is one of another check.
        ManifestError: A line of the baseline is broken.
    """
    rules = Rules(
        family=family,
        prompt=prompt,
        normalization=normalization or Normalization(),
        looking="pixels" if open_images else "texts",
        budget=budget,
        baseline=None if baseline is None else Baseline.read(baseline),
        json_target=None if json_schema is None else JsonTarget.read(json_schema),
        keyed=journal is not None,
    )
    uris = {"train": uri} if validation_uri is None else {"train": uri, "validation": validation_uri}
    kept = None if journal is None else Journal(journal, f"{', '.join(uris.values())}: {rules}")
    gathered = Gatherer()
    sources = {part: read_some(each) for part, each in uris.items()}
    for source in sources.values():
        gathered.add_all(source.findings)
    parts = {part: source.pages for part, source in sources.items()}
    facts: dict[str, Collected] = {}
    for part, pages in parts.items():
        facts[part] = examine_pages(pages, rules, workers=workers, journal=kept, part=part)
        gathered.merge(facts[part].gathered)
    gathered.add_all(join_vocabularies(list(facts.values())).findings())
    gather_leaks(parts, facts if open_images else _facts_of_files(parts, workers), gathered)
    return DatasetCheck(
        summary=_summarize(list(facts.values())),
        findings=tuple(gathered.findings()),
        statistics=measure(list(parts.values()), list(facts.values())),
        repeated=tuple(same_pages(facts["train"].pages).tolist()),
    )


def _facts_of_files(parts: dict[str, Sequence[Page]], workers: int | None) -> dict[str, Collected]:
    """What leaks are found by where no image is opened; nothing of a source by itself."""
    if len(parts) == 1:
        return {}
    rules = Rules(looking="files")
    return {part: collect_facts(pages, rules, workers=workers) for part, pages in parts.items()}


def _summarize(facts: Sequence[Collected]) -> DatasetSummary:
    rows = joined([each.pages for each in facts])
    lengths = rows["characters"][rows["characters"] != NO_COUNT]
    return DatasetSummary(
        pages=len(rows),
        pages_with_text=len(lengths),
        documents=len(np.unique(rows["document"])),
        images=int(rows["num_images"].sum()),
        characters=int(lengths.sum(dtype=np.int64)),
        longest_text_chars=int(lengths.max(initial=0)),
    )
