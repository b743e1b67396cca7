"""Pages of sources → three manifests: whole documents, each source's share in each, nothing seen in two of them."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ocrtune.data.part_files import read_sources, require_empty, write_findings, write_parts
from ocrtune.data.units import NEAR, By, Likeness, Seen, Unit, build_units
from ocrtune.errors import SourceError
from ocrtune.progress import track
from ocrtune.records import Finding, Page
from ocrtune.sources import write_text_atomically
from ocrtune.sources.importing import Files

Part = Literal["train", "validation", "test"]

PARTS: tuple[Part, ...] = ("train", "validation", "test")

SPLIT_NAME = "split.json"

LIKENESS = NEAR
"""By what `ocrtune split` tells pages that show the same."""

MOST_NAMES_TOLD = 5
"""How many documents or pages a finding names; the others are counted."""

MOST_MISSED = 0.5
"""A share that is missed by more than this part of itself is warned of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Which page goes where.

    Attributes:
        parts: For each page of all sources, one behind the other; None for one that is left out.
        units: Part → what went there.
        findings: Pages left out, pages that show the same, shares that are missed.
    """

    parts: list[Part | None]
    units: Mapping[Part, Sequence[Unit]]
    findings: list[Finding]

    @property
    def num_pages(self) -> dict[Part, int]:
        """Pages of each part."""
        return {part: sum(map(len, self.units[part])) for part in PARTS}

    @property
    def alike(self) -> list[tuple[str, ...]]:
        """Documents, or pages, that show the same and stay together, for each such group."""
        return [unit.names for part in PARTS for unit in self.units[part] if len(unit.names) > 1]

    def as_dict(self) -> dict[str, object]:
        """What `split.json` tells of documents."""
        documents = {part: [name for unit in self.units[part] for name in unit.names] for part in PARTS}
        return {"documents": documents, "alike": self.alike}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `write_split` left in a folder.

    Attributes:
        manifests: Part → its manifest; a part without pages has none.
        num_pages: Pages of each part.
        shares: Part → share of all pages.
        findings: What was odd; an error is a page, or a file of pages, that is left out.
    """

    manifests: Mapping[Part, Path]
    num_pages: Mapping[Part, int]
    shares: Mapping[Part, float]
    findings: list[Finding]


def write_split(
    uris: Sequence[str],
    folder: Path,
    *,
    validation: float = 0.05,
    test: float = 0.05,
    seed: int = 0,
    by: By = "document",
    files: Files = "link",
    likeness: Likeness = LIKENESS,
) -> Written:
    """Write `train.jsonl`, `validation.jsonl` and `test.jsonl`, and last of all `split.json`, which tells how.

    Args:
        uris: Whatever `read_source` takes.
        folder: Made if it is missing; images that lie elsewhere come below its `images`.
        validation: As for `part_pages`, and so `test`, `seed`, `by` and `likeness`.
        test: Share of the pages.
        seed: Draws documents.
        by: What is never cut.
        files: What becomes of image files outside the folder.
        likeness: Tells pages that show the same.

    Raises:
        SourceError: A source cannot be read or parted, or the folder has one of these files already.
    """
    _require_shares(validation, test)
    require_empty(folder, [*(f"{part}.jsonl" for part in PARTS), SPLIT_NAME])
    sources, odd = read_sources(uris)
    parting = part_pages(sources, validation=validation, test=test, seed=seed, by=by, likeness=likeness)
    written = write_parts(sources, parting.parts, folder, files)
    findings = [*odd, *parting.findings, *written.findings]
    write_findings(folder, findings)
    counts = {part: sum(written.num_pages.get(part, ())) for part in PARTS}
    shares = {part: count / sum(counts.values()) for part, count in counts.items()}
    of_sources = [
        {"uri": uri, **{part: pages[number] for part, pages in written.num_pages.items()}}
        for number, uri in enumerate(uris)
    ]
    told = {
        "seed": seed,
        "by": by,
        "asked": {"validation": validation, "test": test},
        "pages": counts,
        "shares": {part: round(share, 4) for part, share in shares.items()},
        "sources": of_sources,
        **parting.as_dict(),
    }
    write_text_atomically(folder / SPLIT_NAME, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    manifests = {part: folder / f"{part}.jsonl" for part in PARTS if counts[part]}
    return Written(manifests=manifests, num_pages=counts, shares=shares, findings=findings)


def part_pages(
    sources: Sequence[Sequence[Page]],
    *,
    validation: float = 0.05,
    test: float = 0.05,
    seed: int = 0,
    by: By = "document",
    likeness: Likeness = LIKENESS,
) -> Parting:
    """Say for each page whether it is to be learned from, chosen on or kept for the end.

    Documents are drawn as `split_by_document` does: those of the lowest numbers are for validation, those of the
    highest for testing, so that one which is added moves hardly any other. Each source gives its share of pages to each
    part, as near as whole documents allow, and at least one document if it has enough. Documents of one name in several
    sources are one document, documents that show the same page stay together, and those of text alone are learned from.

    Args:
        sources: The pages of each.
        validation: Share of the pages; 0 for none.
        test: Share of the pages; 0 for none.
        seed: Draws documents.
        by: `page` takes each page by itself.
        likeness: Tells pages that show the same.

    Raises:
        SourceError: The shares leave nothing to learn from, or there is one document alone.
    """
    _require_shares(validation, test)
    seen = _look_at(sources, likeness)
    units = build_units(seen, by, likeness)
    _require_several(units, by)
    parted: dict[Part, list[Unit]] = {part: [] for part in PARTS}
    for source in range(len(sources)):
        of_source = [unit for unit in units if unit.source == source]
        for part, taken in _part_units(of_source, validation, test, seed).items():
            parted[part] += taken
    parts: list[Part | None] = [None] * len(seen)
    for part, taken in parted.items():
        for place in (place for unit in taken for place in unit.pages):
            parts[place] = part
    parting = Parting(parts=parts, units=parted, findings=seen.findings)
    parting.findings.extend(_tell_alike(parting.alike, by))
    parting.findings.extend(_tell_in_sources(seen))
    parting.findings.extend(_tell_missed(parting.num_pages, {"validation": validation, "test": test}))
    return parting


def take_share(units: Sequence[Unit], wanted: float) -> list[Unit]:
    """Units in their order up to `wanted` pages, one that is too large being passed over; then the one that fits best.

    Where all are too large it is the smallest; none is taken if it is the last one, or if no page is wanted.
    """
    if not wanted or not units[1:]:
        return []
    taken: list[Unit] = []
    passed: list[Unit] = []
    missing = wanted
    for unit in units:
        if len(unit) <= missing and len(taken) < len(units) - 1:
            taken.append(unit)
            missing -= len(unit)
        else:
            passed.append(unit)
    best = min(passed, key=lambda unit: abs(len(unit) - missing))
    if len(passed) > 1 and abs(len(best) - missing) < missing:
        taken.append(best)
    return taken or [best]


def _look_at(sources: Sequence[Sequence[Page]], likeness: Likeness) -> Seen:
    seen = Seen()
    for number, pages in enumerate(sources):
        for page in track(pages, "comparing pages"):
            seen.add(page, number, likeness)
    return seen


def _part_units(units: Sequence[Unit], validation: float, test: float, seed: int) -> dict[Part, list[Unit]]:
    """The units of one source by what they are for."""
    num_pages = sum(map(len, units))
    drawn = sorted(units, key=lambda unit: unit.draw(seed))
    readable = [unit for unit in drawn if unit.has_images] or drawn
    chosen = take_share(readable, validation * num_pages)
    # From the other end: a document that is added then moves none between the two parts that are held out.
    kept = take_share(_without(readable, chosen)[::-1], test * num_pages)
    train = _without(drawn, [*chosen, *kept])
    return {"train": train, "validation": chosen, "test": kept}


def _without(units: Sequence[Unit], taken: Sequence[Unit]) -> list[Unit]:
    places = {unit.pages[0] for unit in taken}
    return [unit for unit in units if unit.pages[0] not in places]


def _require_shares(validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise SourceError(f"{name} must be a share from 0 to below 1, found {share}")
    if validation + test >= 1:
        raise SourceError(
            f"validation {validation} and test {test} leave nothing to learn from",
            hint="together they must be below 1",
        )


def _require_several(units: Sequence[Unit], by: By) -> None:
    if not units:
        raise SourceError(
            "no page is left to be parted", hint="`ocrtune check` tells what is wrong with them"
        )
    if len(units) > 1:
        return
    alike = len(units[0].names)
    if alike > 1:
        raise SourceError(f"all {alike} {by}s show the same, and what shows the same is never parted")
    hint = "name `document` in the manifest, or cut between pages by --by page" if by == "document" else ""
    raise SourceError(f"{units[0].names[0]!r} is the only {by}, and none is ever cut in two", hint=hint)


def _tell_alike(alike: Sequence[Sequence[str]], by: By) -> Iterator[Finding]:
    for names in alike:
        more = len(names) - MOST_NAMES_TOLD
        yield Finding(
            code="documents-alike",
            severity="note",
            message=f"{by}s show the same, so they stay together",
            where=" = ".join(names[:MOST_NAMES_TOLD]) + (f" and {more} more" if more > 0 else ""),
        )


def _tell_in_sources(seen: Seen) -> Iterator[Finding]:
    sources: dict[str, set[int]] = defaultdict(set)
    for document, source in zip(seen.documents, seen.sources, strict=True):
        sources[document].add(source)
    for document, numbers in sources.items():
        if len(numbers) > 1:
            yield Finding(
                code="document-in-sources",
                severity="note",
                message="several sources have a document of this name; it is taken as one",
                where=document,
                hint="if they are not the same, name them apart by `document`",
            )


def _tell_missed(num_pages: Mapping[Part, int], asked: Mapping[Part, float]) -> Iterator[Finding]:
    total = sum(num_pages.values())
    for part, share in asked.items():
        reached = num_pages[part] / total
        if abs(reached - share) > MOST_MISSED * share:
            yield Finding(
                code="share-missed",
                severity="warning",
                message=f"{part} has {reached:.1%} of the pages, and {share:.1%} were asked for",
                hint="documents are never cut: add smaller ones, or cut between pages by --by page",
            )
