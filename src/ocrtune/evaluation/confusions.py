"""What was read for what: characters, and letters of one script read as those of another."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rapidfuzz.distance import Levenshtein

from ocrtune.data.scripts import COMMON, are_look_alikes, script_of
from ocrtune.records import PageScore

NOTHING = ""
"""The side of an insertion or deletion that has nothing; shown as ∅."""

MOST_NED = 0.5
"""A page that differs in more than this share is no reading of its reference, and its letters are not compared."""

MOST_BLOCK_CHARS = 20
"""A longer stretch without counterpart is text left out or made up: no letter was taken for another there."""

MOST_CONFUSIONS = 500
"""Confusions of characters that are written, the most often first; their number is told beside them."""

MOST_TOGETHER = 3
"""Stretches of unequal length are one confusion up to so many characters, as `rn` read for `m`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """One thing read for another.

    Attributes:
        reference: What stands there; empty for something made up.
        prediction: What was read; empty for something left out.
        count: How often.
    """

    reference: str
    prediction: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptConfusion:
    """Letters of one script read as letters of another.

    Attributes:
        reference: The script of what stands there.
        prediction: The script of what was read.
        count: How often.
        look_alikes: How often both letters look the same, as Latin a and Cyrillic а do.
    """

    reference: str
    prediction: str
    count: int
    look_alikes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusions:
    """The confusions of some pages.

    Attributes:
        characters: The most often first.
        scripts: The most often first.
        omitted_chars: Characters of the reference in longer stretches that were left out.
        added_chars: Characters of the predictions in longer stretches that were made up.
        pages_left_out: Pages that differ too much for letters to be compared.
    """

    characters: tuple[Confusion, ...]
    scripts: tuple[ScriptConfusion, ...]
    omitted_chars: int
    added_chars: int
    pages_left_out: int

    def as_dict(self, *, most: int | None = None) -> dict[str, object]:
        """Plain values for JSON, with at most so many confusions of characters."""
        return {
            "characters": [[each.reference, each.prediction, each.count] for each in self.characters[:most]],
            "kinds_of_characters": len(self.characters),
            "scripts": [
                [each.reference, each.prediction, each.count, each.look_alikes] for each in self.scripts
            ],
            "omitted_chars": self.omitted_chars,
            "added_chars": self.added_chars,
            "pages_left_out": self.pages_left_out,
        }


def count_confusions(scores: Iterable[PageScore]) -> Confusions:
    """What was read for what on all pages, by a shortest edit of each.

    A shortest edit is cut into stretches between what is equal. A stretch of equal lengths on both sides is taken letter
    by letter; one of unequal lengths is one confusion if it is short, else its letters are laid side by side as the
    edit has them. Pages that are no reading of their reference are counted and left out.
    """
    counter = _Counter()
    for score in scores:
        if score.char_edits:
            counter.add(score)
    return counter.confusions()


def show_character(text: str) -> str:
    """Characters as people see them: ∅ for nothing, ␣, ⏎, and code points of what has no shape."""
    return "".join(map(_show_one, text)) or "∅"


def _show_one(character: str) -> str:
    known = {" ": "␣", "\n": "⏎"}.get(character)
    if known is not None:
        return known
    return character if character.isprintable() else f"U+{ord(character):04X}"


class _Counter:
    """Counts confusions page by page."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._omitted = self._added = self._left_out = 0

    def add(self, score: PageScore) -> None:
        longer = max(score.num_reference_chars, score.num_prediction_chars)
        if score.char_edits > MOST_NED * longer:
            self._left_out += 1
            return
        for wanted, found in _stretches(score.reference, score.prediction):
            self._add_stretch(wanted, found)

    def _add_stretch(self, wanted: str, found: str) -> None:
        if abs(len(wanted) - len(found)) > MOST_BLOCK_CHARS:
            self._omitted += len(wanted)
            self._added += len(found)
        elif len(wanted) == len(found):
            self._pairs.update(zip(wanted, found, strict=True))
        elif wanted and found and max(len(wanted), len(found)) <= MOST_TOGETHER:
            self._pairs[wanted, found] += 1
        else:
            self._pairs.update(_letters(wanted, found))

    def confusions(self) -> Confusions:
        ordered = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return Confusions(
            characters=tuple(
                Confusion(reference=wanted, prediction=found, count=count)
                for (wanted, found), count in ordered
            ),
            scripts=_script_confusions(ordered),
            omitted_chars=self._omitted,
            added_chars=self._added,
            pages_left_out=self._left_out,
        )


def _stretches(reference: str, prediction: str) -> Iterator[tuple[str, str]]:
    """Both sides of each stretch that differs; equal ones are never gone through."""
    edits = Levenshtein.opcodes(reference, prediction)
    for is_equal, group in groupby(edits, key=lambda edit: edit.tag == "equal"):
        if not is_equal:
            first, *rest = group
            last = rest[-1] if rest else first
            yield (
                reference[first.src_start : last.src_end],
                prediction[first.dest_start : last.dest_end],
            )


def _letters(wanted: str, found: str) -> Iterator[tuple[str, str]]:
    for edit in Levenshtein.editops(wanted, found):
        if edit.tag == "insert":
            yield NOTHING, found[edit.dest_pos]
        elif edit.tag == "delete":
            yield wanted[edit.src_pos], NOTHING
        else:
            yield wanted[edit.src_pos], found[edit.dest_pos]


def _script_confusions(pairs: Sequence[tuple[tuple[str, str], int]]) -> tuple[ScriptConfusion, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    alike: Counter[tuple[str, str]] = Counter()
    for (wanted, found), count in pairs:
        if len(wanted) != 1 or len(found) != 1:
            continue
        scripts = script_of(wanted), script_of(found)
        if scripts[0] != scripts[1] and COMMON not in scripts:
            counts[scripts] += count
            alike[scripts] += count * are_look_alikes(wanted, found)
    return tuple(
        ScriptConfusion(reference=one, prediction=other, count=count, look_alikes=alike[one, other])
        for (one, other), count in counts.most_common()
    )
