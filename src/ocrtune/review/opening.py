"""A target → a review that can be served and exported."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ocrtune.errors import ReviewError, ReviewItemMissing
from ocrtune.records import Finding, Page, TextBox
from ocrtune.review.gathering import gather_items
from ocrtune.review.store import ReviewStore

REVIEW_FILE = "review.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review, opened.

    Attributes:
        title: What is reviewed, for people.
        folder: Where edits and exports are kept.
        store: Items and edits.
        pages: Name → page.
        findings: What was odd about the target, and pages left out.
        boxes: Name → what the model found where.
    """

    title: str
    folder: Path
    store: ReviewStore
    pages: Mapping[str, Page]
    findings: Sequence[Finding]
    boxes: Mapping[str, Sequence[TextBox]] = field(default_factory=dict)

    def page_of(self, name: str) -> Page:
        """The page of an item.

        Raises:
            ReviewItemMissing: Another process has brought it in since this one began.
        """
        if name not in self.pages:
            raise ReviewItemMissing(
                f"the page {name!r} came after this review was opened",
                where=str(self.store.path),
                hint="open it again",
            )
        return self.pages[name]


def open_review(target: str, *, reference: str | None = None, folder: Path | None = None) -> Review:
    """Open a review, or go on with it; what reviewers did is kept in `review.sqlite`.

    Args:
        target: As for `gather_items`.
        reference: As for `gather_items`.
        folder: Where edits are kept; beside the target for None.

    Raises:
        ReviewError: There is nothing to review, no place for the edits, or the folder has a review of another target.
        OcrtuneError: Something cannot be read.
    """
    gathered = gather_items(target, reference)
    place = folder or gathered.folder
    if place is None:
        raise ReviewError(
            f"there is no folder beside {target!r} to keep edits in", hint="name one by --folder"
        )
    store = ReviewStore(place / REVIEW_FILE)
    try:
        store.fill(gathered.target, gathered.items)
    except ReviewError:
        store.close()
        raise
    return Review(
        title=gathered.title,
        folder=place,
        store=store,
        pages=gathered.pages,
        findings=[*gathered.findings, *_outdated(store)],
        boxes=gathered.boxes,
    )


def _outdated(store: ReviewStore) -> Iterator[Finding]:
    """Pages that somebody reviewed, and whose text in the source is another than it was then."""
    names = store.find_outdated()
    if names:
        yield Finding(
            code="review-outdated",
            severity="warning",
            message="the source has another text of a page than when it was reviewed; what the reviewer left is kept",
            where=names[0],
            hint="the page in the browser shows both: take over what is right",
            count=len(names),
        )
