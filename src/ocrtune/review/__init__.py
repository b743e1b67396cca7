"""A person's corrections: a local web page, its edits, and the manifest that they become.

The web server, `ocrtune.review.serving`, needs the extra `review` and is imported by itself.
"""

from ocrtune.review.exporting import Exported, Rows, export_review
from ocrtune.review.gathering import gather_items
from ocrtune.review.items import Change, Edit, Item, NewItem, Outcome, State
from ocrtune.review.opening import REVIEW_FILE, Review, open_review
from ocrtune.review.store import ReviewStore

__all__ = [
    "REVIEW_FILE",
    "Change",
    "Edit",
    "Exported",
    "Item",
    "NewItem",
    "Outcome",
    "Review",
    "ReviewStore",
    "Rows",
    "State",
    "export_review",
    "gather_items",
    "open_review",
]
