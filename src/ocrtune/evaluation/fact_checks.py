"""One fact about a page, held against the text of the page."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from ocrtune.evaluation.formulas import find_formulas, tokens_of
from ocrtune.evaluation.table_grid import Grid, GridCell
from ocrtune.evaluation.table_markup import find_tables
from ocrtune.text import shorten

FACT_TYPES = ("present", "absent", "order", "table", "math", "baseline")
"""What can be checked; other types are told and left out."""

MOST_REPEATS = 30
"""So often may a page end with the same one to five characters."""

_LEAST_LIKENESS = 0.5
_LONGEST_REPEAT = 5
_MOST_SHOWN = 40
_MARKS = (r"\*\*(.*?)\*\*", r"__(.*?)__", r"\*(.*?)\*", r"_(.*?)_")
_TAGS = re.compile(r"</?[bi]>")
_LINE_BREAK_TAG = re.compile(r"<br/?>")
_SPACE = re.compile(r"\s+")
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a", "'"),
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u2011\u2012\u2013\u2014\u2212", "-"),
        "\uff3f": "_",
        "\u00b5": "\u03bc",
    }
)
"""Quotes, dashes and other signs that facts do not tell apart."""

_UNEXPECTED = re.compile(
    "[\u4e00-\u9fff\u3040-\u309f\u30a0-\u30ff\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff\U0001f1e0-\U0001f1ff]"
)
"""CJK, kana and emoji: on the pages of olmOCR-bench a sign that a model lost the thread."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a page says, which its text must say too.

    Attributes:
        document: The PDF, as the file of facts names it.
        page: Which page of it, from 1.
        id: Names the fact.
        type: One of FACT_TYPES.
        row: The fact as it was read, checked.
        file: The file of facts it comes from.
    """

    document: str
    page: int
    id: str
    type: str
    row: Mapping[str, Any]
    file: str = ""

    @property
    def max_diffs(self) -> int:
        """How many characters may differ."""
        return int(self.row.get("max_diffs") or 0)


def why_not(fact: Fact, text: str) -> str:
    """Why a fact does not hold for the text of its page; empty where it does.

    Args:
        fact: Of one of FACT_TYPES.
        text: The page's text, as Markdown or HTML.
    """
    return _CHECKS[fact.type](fact, text)


@lru_cache(maxsize=256)
def simplify(text: str) -> str:
    """A text without what facts do not look at: Markdown's bold and italics, runs of white space, kinds of quotes.

    Dashes become `-`, quotes `'` and `"`, `<br>` a space; `<b>` and `<i>` go. The Unicode form is NFC.
    """
    text = _LINE_BREAK_TAG.sub(" ", text)
    for mark in _MARKS:
        text = re.sub(mark, r"\1", text)
    text = _SPACE.sub(" ", _TAGS.sub("", text))
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def _present(fact: Fact, text: str) -> str:
    wanted, likeness, enough = _likeness(fact, text)
    if likeness >= enough:
        return ""
    return f"{_shown(wanted)} is not there: the most alike passage is {likeness:.3f} alike, not {enough:.3f}"


def _absent(fact: Fact, text: str) -> str:
    wanted, likeness, enough = _likeness(fact, text)
    return f"{_shown(wanted)} is there: a passage is {likeness:.3f} alike" if likeness >= enough else ""


def _likeness(fact: Fact, text: str) -> tuple[str, float, float]:
    """What is looked for, how alike the most alike passage is, and how alike it must be."""
    wanted, page = simplify(fact.row["text"]), simplify(text)
    if fact.row.get("case_sensitive") is False:
        wanted, page = wanted.lower(), page.lower()
    page = _part(page, fact.row.get("first_n"), fact.row.get("last_n"))
    enough = 1.0 - fact.max_diffs / len(wanted)
    # A page shorter than the text would itself be looked for in the text.
    if len(page) < len(wanted) - fact.max_diffs:
        return wanted, 0.0, enough
    return wanted, fuzz.partial_ratio(wanted, page) / 100, enough


def _part(text: str, first: int | None, last: int | None) -> str:
    """The first and the last characters of a text, as far as they are asked for."""
    if first and last:
        return text[:first] + text[-last:]
    if first:
        return text[:first]
    return text[-last:] if last else text


def _order(fact: Fact, text: str) -> str:
    page = simplify(text)
    before, after = simplify(fact.row["before"]), simplify(fact.row["after"])
    places = [_places(wanted, page, fact.max_diffs) for wanted in (before, after)]
    for wanted, found in zip((before, after), places, strict=True):
        if not found:
            return f"{_shown(wanted)} is not there with {fact.max_diffs} differences or less"
    if min(places[0]) < max(places[1]):
        return ""
    return f"{_shown(before)} comes only behind {_shown(after)}"


def _places(wanted: str, text: str, max_diffs: int) -> list[int]:
    """Where a passage begins that needs `max_diffs` edits at most; of places side by side the best one."""
    if not max_diffs:
        return [match.start() for match in re.finditer(f"(?={re.escape(wanted)})", text)]
    edits = _edits_at_ends(wanted[::-1], text[::-1])[::-1]
    close = np.flatnonzero(edits <= max_diffs)
    runs = np.split(close, np.flatnonzero(np.diff(close) > 1) + 1) if len(close) else []
    return [int(run[np.argmin(edits[run])]) for run in runs]


def _edits_at_ends(wanted: str, text: str) -> NDArray[np.int64]:
    """The least edits that make `wanted` of some passage that ends before each place: int64 (len(text) + 1,)."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    steps = np.arange(len(text) + 1)
    row = np.zeros(len(text) + 1, dtype=np.int64)
    for count, letter in enumerate(wanted, start=1):
        best = row + 1
        best[1:] = np.minimum(best[1:], row[:-1] + (letters != ord(letter)))
        best[0] = count
        # A letter of the text that is left out costs 1 a step: the running minimum of what remains of each.
        row = np.minimum.accumulate(best - steps) + steps
    return row


def _table(fact: Fact, text: str) -> str:
    is_markdown_read = not fact.row.get("ignore_markdown_tables")
    grids = [Grid.read(table) for table in find_tables(text, markdown=is_markdown_read)]
    if not grids:
        return "there is no table"
    wanted = simplify(fact.row["cell"])
    reasons = [
        reason
        for grid in grids
        for cell in grid.cells
        if _are_alike(wanted, simplify(cell.text), fact.max_diffs)
        for reason in [_wrong_neighbour(fact, grid, cell)]
    ]
    if not reasons:
        return f"no cell is {_shown(wanted)}"
    return "" if "" in reasons else "; ".join(dict.fromkeys(reasons))


def _wrong_neighbour(fact: Fact, grid: Grid, cell: GridCell) -> str:
    """What stands beside a cell that should not; empty where all is as the fact says."""
    neighbours: Mapping[str, Callable[[GridCell], Sequence[GridCell]]] = {
        "up": grid.up,
        "down": grid.down,
        "left": grid.left,
        "right": grid.right,
        "top_heading": grid.top_headings,
        "left_heading": grid.left_headings,
    }
    for name, find in neighbours.items():
        wanted = simplify(fact.row.get(name) or "")
        found = [simplify(each.text) for each in find(cell)] if wanted else []
        if wanted and not any(_are_alike(wanted, each, fact.max_diffs) for each in found):
            return f"`{name}` of {_shown(cell.text)} is {_shown(' | '.join(found))}, not {_shown(wanted)}"
    return ""


def _are_alike(wanted: str, found: str, max_diffs: int) -> bool:
    enough = max(_LEAST_LIKENESS, 1.0 - max_diffs / max(len(wanted), 1))
    return fuzz.ratio(wanted, found) / 100 >= enough


def _math(fact: Fact, text: str) -> str:
    wanted = _in_row(tokens_of(fact.row["math"]))
    dollars = not fact.row.get("ignore_dollar_delimited")
    formulas = find_formulas(text, dollars=dollars)
    if any(wanted in _in_row(tokens_of(formula)) for formula in formulas):
        return ""
    return f"none of {len(formulas)} formulas has the tokens of {_shown(fact.row['math'])}"


def _in_row(tokens: Sequence[str]) -> str:
    """Tokens with a space on both sides of each: no token has one inside."""
    return f" {' '.join(tokens)} "


def _baseline(fact: Fact, text: str) -> str:
    most = fact.row.get("max_length")
    counted = (
        _without_images(text)
        if most is not None and fact.row.get("max_length_skips_image_alt_tags")
        else text
    )
    num_chars = sum(map(str.isalnum, counted))
    if most is not None:
        return f"{num_chars} letters and digits on a page that may have {most}" if num_chars > most else ""
    if not num_chars:
        return "no letters or digits"
    most_repeats = fact.row.get("max_repeats", MOST_REPEATS)
    for length in range(1, _LONGEST_REPEAT + 1):
        if _num_repeats(text, length) > most_repeats:
            return f"the text ends with {_shown(text[-length:])} more than {most_repeats} times"
    unexpected = fact.row.get("check_disallowed_characters", True) and _UNEXPECTED.search(text)
    return f"{unexpected[0]!r} does not belong on the page" if unexpected else ""


def _without_images(text: str) -> str:
    """The text without Markdown's images; a pattern would look for their ends again and again."""
    return "\n".join(map(_line_without_images, text.split("\n")))


def _line_without_images(line: str) -> str:
    kept, place = [], 0
    while (start := line.find("![", place)) >= 0:
        middle = line.find("](", start + 2)
        end = line.find(")", middle + 2) if middle >= 0 else -1
        if end < 0:
            break
        kept.append(line[place:start])
        place = end + 1
    return "".join([*kept, line[place:]])


def _num_repeats(text: str, length: int) -> int:
    """How often the last so many characters stand at the end, one after the other."""
    end, count = text[-length:], 0
    while end and text.endswith(end, 0, len(text) - count * length):
        count += 1
    return count


def _shown(text: str) -> str:
    return repr(shorten(text, _MOST_SHOWN))


_CHECKS: Mapping[str, Callable[[Fact, str], str]] = MappingProxyType(
    {
        "present": _present,
        "absent": _absent,
        "order": _order,
        "table": _table,
        "math": _math,
        "baseline": _baseline,
    }
)
