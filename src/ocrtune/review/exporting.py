"""A review → a new manifest with the corrected texts; the source it came from is never changed."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

from ocrtune.errors import OcrtuneError, ReviewError, ReviewItemMissing
from ocrtune.progress import track
from ocrtune.records import Finding
from ocrtune.reports.wording import format_count, show_controls
from ocrtune.review.items import Item
from ocrtune.review.opening import Review
from ocrtune.sources.importing import PageWriter, page_left_out
from ocrtune.sources.writing import jsonl_line, open_atomically

SUFFIXES = frozenset({".jsonl", ".ndjson"})
"""Of manifests: by another one the file would be read as something else."""

Rows = Literal["usable", "all", "reviewed", "corrected"]
"""Which pages are exported, of those that are not marked to be left out."""

LeftOut = Literal["skip", "wrong", "unreviewed", "unchanged", "unwritable"]
"""Why a page is not in an export."""

_WORDS: Mapping[LeftOut, str] = MappingProxyType(
    {
        "skip": "marked to be left out",
        "wrong": "marked wrong and not corrected",
        "unreviewed": "nobody looked at",
        "unchanged": "not corrected",
        "unwritable": "with images that cannot be read",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export left on the disk.

    Attributes:
        manifest: A source of pages like any other.
        changes: One JSON object for each page that was corrected, or left out by a reviewer's word: `image`, `name`, `before`,
            `after` (null where it is left out), `state`, `by`, `at`.
        num_pages: Pages of the manifest.
        num_corrected: Pages of it whose text is another than at the start.
        left_out: Why → how many pages are not in the manifest.
        findings: Pages whose images cannot be read.
    """

    manifest: Path
    changes: Path
    num_pages: int
    num_corrected: int
    left_out: dict[LeftOut, int]
    findings: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """The export for `--json` and for the page."""
        return {
            "manifest": str(self.manifest),
            "changes": str(self.changes),
            "pages": self.num_pages,
            "corrected": self.num_corrected,
            "left_out": self.left_out,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    @property
    def told(self) -> str:
        """The export in a line, for people."""
        left_out = tell_left_out(self.left_out)
        return f"{format_count(self.num_pages, 'page')}, {self.num_corrected} of them corrected; left out: {left_out or 'none'}"


def export_review(review: Review, path: Path, *, rows: Rows = "usable") -> Exported:
    """Write the texts as they are now as a manifest, and what was corrected beside it as `STEM.changes.jsonl`.

    Pages marked `skip`, and pages marked `wrong` whose text nobody corrected, are always left out. Image files below the
    manifest's folder are named where they lie; any others get a second name or a copy there. Both files are written whole
    or not at all.

    Args:
        review: The review.
        path: The manifest, which may not be there yet.
        rows: `usable` leaves out predictions that nobody has looked at, `all` takes those as well, `reviewed` takes only what
            was corrected or marked, `corrected` only texts that were changed.

    Raises:
        ReviewError: `path` is there already, has another suffix than `SUFFIXES`, or cannot be written; or no page is left to
            write.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ReviewError(
            f"a manifest is not called {path.name!r}",
            where=str(path),
            hint="give it a name that ends in .jsonl",
        )
    changes = path.with_name(f"{path.stem}.changes.jsonl")
    for file in (path, changes):
        if file.exists():
            raise ReviewError("a file lies there already", where=str(file), hint="export to another name")
    try:
        export = _write_files(review, path, changes, rows)
    except OSError as error:
        raise ReviewError(f"the export cannot be written: {error}", where=str(path)) from error
    return Exported(
        manifest=path,
        changes=changes,
        num_pages=export.num_pages,
        num_corrected=export.num_corrected,
        left_out=dict(export.left_out),
        findings=export.findings,
    )


def _write_files(review: Review, path: Path, changes: Path, rows: Rows) -> "_Export":
    with ExitStack() as stack:
        # Left in the opposite order: the manifest is there only when all that belongs to it is.
        manifest = stack.enter_context(open_atomically(path))
        export = _Export(review, path.parent, manifest, stack.enter_context(open_atomically(changes)))
        for item in track(review.store.read_items(), "writing pages"):
            export.add(item, why_left_out(item, rows))
        if not export.num_pages:
            raise ReviewError(
                f"no page is left to write: {tell_left_out(export.left_out) or 'there is none'}",
                where=str(path),
                hint="mark pages good or correct them first, or take all of them with --rows all",
            )
    return export


def why_left_out(item: Item, rows: Rows) -> LeftOut | None:
    """Why an item is not exported; None for one that is."""
    if item.state == "skip":
        return "skip"
    if item.state == "wrong" and not item.corrected:
        return "wrong"
    touched = item.corrected or item.state != "open"
    # A model's own guess teaches it nothing, and a page without any text less.
    is_trusted = rows == "all" or item.reference is not None
    if not touched and (rows == "reviewed" or not is_trusted):
        return "unreviewed"
    return "unchanged" if rows == "corrected" and not item.corrected else None


def tell_left_out(left_out: Mapping[LeftOut, int]) -> str:
    """How many pages are left out and why, in words; empty for none."""
    return ", ".join(
        f"{left_out[reason]} {words}" for reason, words in _WORDS.items() if left_out.get(reason)
    )


class _Export:
    """Both files while they are written, and what is counted on the way."""

    def __init__(self, review: Review, folder: Path, manifest: BinaryIO, changes: BinaryIO) -> None:
        self.num_pages = 0
        self.num_corrected = 0
        self.left_out: Counter[LeftOut] = Counter()
        self.findings: list[Finding] = []
        self._review = review
        self._writer = PageWriter(folder, "link")
        self._manifest = manifest
        self._changes = changes

    def add(self, item: Item, reason: LeftOut | None) -> None:
        """Write an item's page, or count why not; then what a reviewer made of it."""
        row = self._row(item) if reason is None else None
        if row is not None:
            self._manifest.write(jsonl_line(row).encode())
            self.num_pages += 1
            self.num_corrected += item.corrected
        else:
            self.left_out[reason or "unwritable"] += 1
        if item.corrected or reason in {"skip", "wrong"}:
            self._changes.write(jsonl_line(_change(item, row)).encode())

    def _row(self, item: Item) -> dict[str, object] | None:
        try:
            page = self._review.page_of(item.name)
        except ReviewItemMissing as error:
            self.findings.append(Finding.of_error(error, where=item.name))
            return None
        try:
            return self._writer.write(replace(page, text=item.text, where=show_controls(page.where)))
        except OcrtuneError as error:
            self.findings.append(page_left_out(page, error))
            return None


def _change(item: Item, row: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "image": None if row is None else row.get("image"),
        "name": item.name,
        "before": item.start,
        "after": None if row is None else item.text,
        "state": item.state,
        "by": item.reviewer,
        "at": item.changed_at,
    }
