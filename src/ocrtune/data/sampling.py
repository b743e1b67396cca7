"""A few pages that stand for all: of each source and document, and of short and long, wide and tall ones, their share."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

from ocrtune.data.part_files import read_sources, require_empty, write_findings, write_parts
from ocrtune.data.splits import draw_document
from ocrtune.data.splitting import take_share
from ocrtune.data.units import By, Seen, build_units
from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.progress import track
from ocrtune.records import Finding, Page
from ocrtune.sources import image_size
from ocrtune.sources.importing import Files
from ocrtune.sources.reading import MANIFEST_NAME

_SAMPLE = MANIFEST_NAME.removesuffix(".jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What `write_sample` left in a folder.

    Attributes:
        manifest: A source of pages like any other.
        num_pages: Pages of the manifest.
        num_all: Pages there were to choose from.
        findings: What was odd; an error is a page, or a file of pages, that is left out.
    """

    manifest: Path
    num_pages: int
    num_all: int
    findings: list[Finding]


def write_sample(
    uris: Sequence[str],
    folder: Path,
    *,
    size: str,
    seed: int = 0,
    by: By = "page",
    files: Files = "link",
) -> Sampled:
    """Write a few pages of sources as `manifest.jsonl`, their images below the same folder.

    Args:
        uris: Whatever `read_source` takes.
        folder: Made if it is missing.
        size: As for `count_wanted`.
        seed: Draws pages.
        by: As for `sample_pages`.
        files: What becomes of image files outside the folder.

    Raises:
        SourceError: A source cannot be read, the size is none, or the folder has a manifest already.
    """
    require_empty(folder, [MANIFEST_NAME])
    sources, odd = read_sources(uris)
    num_all = sum(map(len, sources))
    chosen, unread = sample_pages(sources, count_wanted(size, num_all), seed=seed, by=by)
    parts = [_SAMPLE if place in chosen else None for place in range(num_all)]
    written = write_parts(sources, parts, folder, files)
    findings = [*odd, *unread, *written.findings]
    write_findings(folder, findings)
    return Sampled(
        manifest=folder / MANIFEST_NAME,
        num_pages=sum(written.num_pages[_SAMPLE]),
        num_all=num_all,
        findings=findings,
    )


def count_wanted(size: str, num_pages: int) -> int:
    """How many pages a size such as `200` or `5%` is, at least one.

    Raises:
        SourceError: It is neither.
    """
    number = size.removesuffix("%")
    try:
        wanted = float(number) * num_pages / 100 if size.endswith("%") else int(number)
        if 0 < wanted < float("inf"):
            return max(1, round(wanted))
    except ValueError:
        pass
    raise SourceError(f"{size!r} is no number of pages", hint="such as 200, or 5% of them")


def sample_pages(
    sources: Sequence[Sequence[Page]], count: int, *, seed: int = 0, by: By = "page"
) -> tuple[set[int], list[Finding]]:
    """Places of the chosen pages among those of all sources, one behind the other, and pages that cannot be read.

    By page, pages are laid in a row: sources one after the other, in them the documents that are large enough to have a
    page in the sample and then all others together, in these the shapes of images, in these from short to long texts.
    The row is cut into `count` equal pieces, and one page of each is drawn, so every source, large document, shape and
    length has its share but for a page.

    Args:
        sources: The pages of each.
        count: How many pages; all of them where there are no more.
        seed: Draws pages.
        by: `document` takes whole documents of each source, as near to the count as they allow.
    """
    seen = Seen()
    shapes: list[int] = []
    lengths: list[int] = []
    for number, pages in enumerate(sources):
        for page in track(pages, "reading pages"):
            seen.add(page, number, None)
            shapes.append(_shape(page, seen))
            lengths.append(len(page.text or ""))
    places = [place for place in range(len(seen)) if place not in seen.left_out]
    if count >= len(places):
        return set(places), seen.findings
    if by == "document":
        return _whole_documents(seen, count, seed), seen.findings
    row = _in_a_row(seen, places, shapes, lengths, len(places) / count)
    pieces = [range(piece * len(row) // count, (piece + 1) * len(row) // count) for piece in range(count)]
    return {
        min((row[each] for each in piece), key=lambda place: _draw(seen, place, seed)) for piece in pieces
    }, seen.findings


def _shape(page: Page, seen: Seen) -> int:
    """Which power of two is nearest to the first image's width by its height; far from all others without one."""
    no_image = 99
    if not page.images:
        return no_image
    try:
        width, height = image_size(page.images[0])
    except OcrtuneError as error:
        seen.leave_out(len(seen) - 1, page, error)
        return no_image
    return round(log2(width / height))


def _in_a_row(
    seen: Seen, places: Sequence[int], shapes: Sequence[int], lengths: Sequence[int], piece: float
) -> list[int]:
    sizes = Counter((seen.sources[place], seen.documents[place]) for place in places)

    def key(place: int) -> tuple[object, ...]:
        source, document = seen.sources[place], seen.documents[place]
        # Sorted by document, pages of small ones would be drawn by their names, and not by what they are.
        large = document if sizes[source, document] >= piece else ""
        return source, large, shapes[place], lengths[place], seen.names[place]

    return sorted(places, key=key)


def _draw(seen: Seen, place: int, seed: int) -> int:
    return draw_document(seen.names[place], seed)


def _whole_documents(seen: Seen, count: int, seed: int) -> set[int]:
    of_source = defaultdict(list)
    for unit in sorted(build_units(seen, "document"), key=lambda unit: unit.draw(seed)):
        of_source[unit.source].append(unit)
    chosen: set[int] = set()
    num_left, missing = sum(len(unit) for units in of_source.values() for unit in units), count
    for units in of_source.values():
        num_pages = sum(map(len, units))
        # What one source gives too much or too little is made up for by those behind it.
        for unit in take_share(units, missing * num_pages / num_left):
            chosen.update(unit.pages)
            missing -= len(unit)
        num_left -= num_pages
        missing = max(missing, 0)
    return chosen
