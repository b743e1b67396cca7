"""What a person reviews: one item for each page, with what decides how early it is shown."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

State = Literal["open", "good", "wrong", "unsure", "skip"]
"""What somebody said of a text; `open` before anybody did."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """A page that is to be reviewed.

    Attributes:
        name: The page's name.
        place: Where it stands in its source, from 0.
        reference: The text of the source; None where it has none.
        prediction: What a model read; None where none did.
        reason: In a few words why the text may be wrong, such as `CER 34 %`; may be empty.
    """

    name: str
    place: int
    reference: str | None
    prediction: str | None
    reason: str = ""

    @property
    def start(self) -> str | None:
        """The text that is corrected: the reference, or the prediction where there is none."""
        return self.prediction if self.reference is None else self.reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A page as the review holds it now.

    Attributes:
        number: Its number, from 1, for good.
        name: The page's name.
        reference: The text of the source; None where it has none.
        prediction: What a model read; None where none did.
        start: The text before anybody changed it; None where there was none.
        text: The text now.
        state: What somebody said of it.
        version: Counts its changes; a save names the version that it changes.
        reviewer: Who changed it last; empty for nobody, and for somebody without a name.
        changed_at: When, in UTC as ISO 8601; empty for never.
        reason: Why the text may be wrong.
    """

    number: int
    name: str
    reference: str | None
    prediction: str | None
    start: str | None
    text: str
    state: State
    version: int
    reviewer: str
    changed_at: str
    reason: str

    @property
    def corrected(self) -> bool:
        """Whether the text is another than at the start."""
        return self.text != (self.start or "")

    def as_dict(self) -> dict[str, object]:
        """The item for the page in the browser."""
        return {**asdict(self), "corrected": self.corrected}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody wants an item to be.

    Attributes:
        number: The item.
        version: The version of it that they saw.
        key: Made by the sender, one for each change: sent twice, it is done once.
        reviewer: Their name; may be empty.
        text: The text from now on.
        state: What they say of it.
    """

    number: int
    version: int
    key: str
    reviewer: str = ""
    text: str = ""
    state: State = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a change.

    Attributes:
        accepted: False where somebody else was faster; the text is in the history all the same.
        version: The item's version through this change; if it was refused, the one that it has.
        item: The item now.
    """

    accepted: bool
    version: int
    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One entry of an item's history; none is ever changed or deleted.

    Attributes:
        kind: `save` or `undo`.
        accepted: False for a text that came too late and was kept here only.
        reviewer: Who; may be empty.
        at: When, in UTC as ISO 8601.
        before: The text before.
        after: The text wanted.
        state_before: The state before.
        state_after: The state wanted.
    """

    kind: Literal["save", "undo"]
    accepted: bool
    reviewer: str
    at: str
    before: str
    after: str
    state_before: State
    state_after: State

    def as_dict(self) -> dict[str, object]:
        """The edit for the page in the browser."""
        return asdict(self)
