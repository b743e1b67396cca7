"""Pages → findings: what would cost a run its quality, told before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ocrtune.data.budget import Budget
from ocrtune.data.collecting import collect_facts, examine_pages
from ocrtune.data.facts import Collected, Rules, check_contents
from ocrtune.data.fingerprints import Indices
from ocrtune.data.gathering import Gatherer
from ocrtune.data.journal import Journal
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.pictures import check_images
from ocrtune.data.repeats import gather_leaks, gather_near_leaks, pages_shown_in
from ocrtune.data.splits import Splits
from ocrtune.families import Family
from ocrtune.records import Finding, Page
from ocrtune.text import Normalization


def check_dataset(
    pages: Sequence[Page],
    family: Family | None = None,
    *,
    prompt: str | None = None,
    normalization: Normalization | None = None,
    open_images: bool = True,
    workers: int | None = None,
    budget: Budget | None = None,
    journal: Path | None = None,
    json_target: JsonTarget | None = None,
) -> list[Finding]:
    """Everything that is wrong with the pages, gathered by kind, errors first.

    A million pages take some hundred bytes of memory each: no page is kept.

    Args:
        pages: What was read; each is asked for when it is its turn.
        family: The family to be trained; without it what depends on a family is not checked: prompts and
            the number of images of a page.
        prompt: The run's prompt, as for `build_examples`.
        normalization: The run's, in which texts are compared; the default one for None.
        open_images: Open every image, which takes about as long as reading them all; False to leave them aside.
        workers: Processes; None for one a core where there is much to do, 1 for this one alone.
        budget: Counts tokens and tells what does not fit.
        journal: A file of finished pages, by which a check that was stopped goes on.
        json_target: What every text must be as JSON.

    Raises:
        SourceError: The journal is one of another check.
    """
    rules = Rules(
        family=family,
        prompt=prompt,
        normalization=normalization or Normalization(),
        looking="pixels" if open_images else "texts",
        budget=budget,
        json_target=json_target,
        keyed=journal is not None,
    )
    kept = None if journal is None else Journal(journal, str(rules))
    facts = examine_pages(pages, rules, workers=workers, journal=kept)
    facts.gathered.add_all(facts.vocabulary.findings())
    return facts.gathered.findings()


def check_page(
    page: Page,
    family: Family | None = None,
    *,
    prompt: str | None = None,
    normalization: Normalization | None = None,
    open_images: bool = True,
    json_target: JsonTarget | None = None,
) -> list[Finding]:
    """What is wrong with one page by itself; the arguments are those of `check_dataset`."""
    _, findings = check_images(page) if open_images else ([], [])
    rules = Rules(
        family=family,
        prompt=prompt,
        normalization=normalization or Normalization(),
        json_target=json_target,
    )
    return [*findings, *check_contents(page, rules)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitsCheck:
    """What parts of the pages share.

    Attributes:
        findings: Errors first.
        leaked: int64 (pages,), places of the pages learned from with an image that a held-out page has too.
    """

    findings: list[Finding]
    leaked: Indices


def check_splits(splits: Splits, *, workers: int | None = None) -> SplitsCheck:
    """What held-out pages share with the pages that are learned from: files, documents.

    Files are compared by content and not opened; one that cannot be read is left to `check_dataset`. Pages that only look
    alike are found by `find_near_leaks`.
    """
    if not len(splits.validation) and not len(splits.test):
        return SplitsCheck(findings=[], leaked=np.empty(0, dtype=np.int64))
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    rules = Rules(looking="files")
    facts = {name: collect_facts(pages, rules, workers=workers) for name, pages in parts.items()}
    gathered = Gatherer()
    gather_leaks(parts, facts, gathered)
    leaked = pages_shown_in(facts["train"], [facts["validation"], facts["test"]])
    return SplitsCheck(findings=gathered.findings(), leaked=leaked)


def find_near_leaks(parts: Mapping[str, Sequence[Page]], facts: Mapping[str, Collected]) -> list[Finding]:
    """Pages of a part that look like some of one before it; the facts are those of `examine_pages` with open images."""
    gathered = Gatherer()
    gather_near_leaks(parts, facts, gathered)
    return gathered.findings()
