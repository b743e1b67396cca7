"""Pages, each with the name of its part → a manifest for each part, and their images below the same folder."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.progress import track
from ocrtune.records import Finding, Page
from ocrtune.sources import read_source, write_jsonl
from ocrtune.sources.image_paths import DATA_ROOT
from ocrtune.sources.importing import FINDINGS_NAME, Files, PageWriter, page_left_out, require_new
from ocrtune.sources.writing import jsonl_line, open_atomically

PartName = TypeVar("PartName", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFiles:
    """What `write_parts` wrote.

    Attributes:
        num_pages: Part → pages of each source.
        findings: Pages that could not be written, and images that lie outside the folder.
    """

    num_pages: dict[str, list[int]]
    findings: list[Finding]


def read_sources(uris: Sequence[str]) -> tuple[list[Sequence[Page]], list[Finding]]:
    """The pages of each source, and everything that is odd about them.

    Raises:
        SourceError: A source cannot be read.
    """
    sources = [read_source(uri) for uri in uris]
    return [source.pages for source in sources], [found for source in sources for found in source.findings]


def require_empty(folder: Path, names: Iterable[str]) -> None:
    """Refuse to write over files of an earlier run.

    Raises:
        SourceError: One is there.
    """
    for name in names:
        require_new(folder / name)


def write_parts(
    sources: Sequence[Sequence[Page]], parts: Sequence[PartName | None], folder: Path, files: Files
) -> PartFiles:
    """Write `PART.jsonl` for each part, after all images; a page that cannot be written is left out and told.

    Args:
        sources: The pages of each.
        parts: For each page of all sources, one behind the other; None for one that goes nowhere.
        folder: Made if it is missing.
        files: What becomes of image files that lie outside the folder.

    Raises:
        SourceError: No page of a part could be written.
    """
    names = sorted({part for part in parts if part is not None})
    written = PartFiles(num_pages={name: [0] * len(sources) for name in names}, findings=[])
    writer = PageWriter(folder, files)
    with ExitStack() as stack:
        manifests = {name: stack.enter_context(open_atomically(folder / f"{name}.jsonl")) for name in names}
        for (source, page), part in zip(
            track(_numbered(sources), "writing pages", total=len(parts)), parts, strict=True
        ):
            if part is None:
                continue
            try:
                row = writer.write(page)
            except OcrtuneError as error:
                written.findings.append(page_left_out(page, error))
                continue
            manifests[part].write(jsonl_line(row).encode())
            written.num_pages[part][source] += 1
        _require_pages(written, folder)
    if writer.num_outside:
        written.findings.append(_outside(writer.num_outside, folder))
    return written


def write_findings(folder: Path, findings: Iterable[Finding]) -> None:
    """Write `findings.jsonl`."""
    write_jsonl(folder / FINDINGS_NAME, (finding.as_dict() for finding in findings))


def _numbered(sources: Sequence[Sequence[Page]]) -> Iterator[tuple[int, Page]]:
    return chain.from_iterable(((number, page) for page in pages) for number, pages in enumerate(sources))


def _require_pages(written: PartFiles, folder: Path) -> None:
    for part, counts in written.num_pages.items():
        if not any(counts):
            write_findings(folder, written.findings)
            raise SourceError(f"no page of {part} can be written", hint=f"see {folder / FINDINGS_NAME}")


def _outside(count: int, folder: Path) -> Finding:
    return Finding(
        code="images-outside",
        severity="warning",
        message="images lie outside the folder of the manifest, which is read only where that is allowed",
        where=str(folder),
        hint=f"{DATA_ROOT}=FOLDER allows it; --files link or copy brings images below the manifest",
        count=count,
    )
