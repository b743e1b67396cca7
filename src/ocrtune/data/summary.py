"""A source checked as a whole: how much there is to learn, and what is wrong with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ocrtune.data.checks import check_dataset, check_splits
from ocrtune.data.gathering import gather_findings
from ocrtune.data.splits import Splits
from ocrtune.data.streams import read_some
from ocrtune.families import Family
from ocrtune.records import Finding, Page
from ocrtune.text import Normalization, normalize


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
    """

    summary: DatasetSummary
    findings: tuple[Finding, ...]

    def totals(self) -> dict[str, int]:
        """How many places have an error, a warning or a note: keys `errors`, `warnings`, `notes`."""
        counts = Counter[str]()
        for finding in self.findings:
            counts[f"{finding.severity}s"] += finding.count
        return {name: counts[name] for name in ("errors", "warnings", "notes")}

    def as_dict(self) -> dict[str, object]:
        """Counts, totals and findings, for `--json`."""
        findings = [finding.as_dict() for finding in self.findings]
        return {**asdict(self.summary), **self.totals(), "findings": findings}


def check_uri(
    uri: str,
    *,
    validation_uri: str | None = None,
    family: Family | None = None,
    prompt: str | None = None,
    normalization: Normalization | None = None,
) -> DatasetCheck:
    """Read a source and check its pages, and held-out ones with it for leaks between both.

    Args:
        uri: Whatever `read_some` takes.
        validation_uri: Held-out pages.
        family: See `check_dataset`, as the other arguments.
        prompt: The run's prompt.
        normalization: The run's.

    Raises:
        SourceError: A source cannot be read at all.
    """
    uris = [uri] if validation_uri is None else [uri, validation_uri]
    sources = [read_some(each) for each in uris]
    parts = [source.pages for source in sources]
    findings = [finding for source in sources for finding in source.findings]
    for pages in parts:
        findings += check_dataset(pages, family, prompt=prompt, normalization=normalization)
    if validation_uri is not None:
        findings += check_splits(Splits(train=tuple(parts[0]), validation=tuple(parts[1]), test=()))
    return DatasetCheck(
        summary=summarize_dataset([page for pages in parts for page in pages], normalization=normalization),
        findings=tuple(gather_findings(findings)),
    )


def summarize_dataset(pages: Sequence[Page], *, normalization: Normalization | None = None) -> DatasetSummary:
    """How much there is to learn, in texts as `normalization` (the default one for None) makes them."""
    normalization = normalization or Normalization()
    lengths = [len(normalize(page.text, normalization)) for page in pages if page.text is not None]
    return DatasetSummary(
        pages=len(pages),
        pages_with_text=len(lengths),
        documents=len({page.document for page in pages}),
        images=sum(len(page.images) for page in pages),
        characters=sum(lengths),
        longest_text_chars=max(lengths, default=0),
    )
