"""Reading order: whether the blocks of a page come in the order of the reference."""

import re
from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocrtune.evaluation.pairing import pair_best_first, within_limit
from ocrtune.evaluation.table_markup import find_html_tables, has_table

ENOUGH_ALIKE = 0.5
"""Blocks less alike than this, as 1 - edits by the longer one, are not the same block."""

_MARK = re.compile(r"(?:<\|ref\|>(?:(?!<\|)[^\n])*<\|/ref\|>\s*)?<\|det\|>(?:(?!<\|)[^\n])*<\|/det\|>")
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n")


def find_blocks(text: str) -> list[str]:
    """The blocks of a text: what stands between blank lines or behind a box, each with single spaces.

    Blank lines in a table of HTML part nothing.
    """
    if "<|det|>" in text:
        text = _MARK.sub("\n\n", text)
    if has_table(text):
        text = _without_blank_lines_in_tables(text)
    return [block for part in _BLANK_LINES.split(text) if (block := " ".join(part.split()))]


def _without_blank_lines_in_tables(text: str) -> str:
    kept, last = [], 0
    for start, end in find_html_tables(text):
        # One that is not closed would take all that follows it.
        if text[start:end].lower().endswith("</table>"):
            kept += [text[last:start], " ".join(text[start:end].split())]
            last = end
    return "".join([*kept, text[last:]])


def order_ned(references: Sequence[str], predictions: Sequence[str]) -> float:
    """Edits that bring the reference's blocks into the order of the prediction, by their number: 0 is right, 1 the worst.

    Each block of the reference is matched to one of the prediction, the most alike first; blocks that nothing is
    alike to are missing, which is an edit. Blocks that only the prediction has do not count.

    As in OmniDocBench, the edit distance is that of the reference's positions, all of them and in their order,
    against the matched ones in the order of the prediction. It differs in what is matched: there, blocks are annotated
    regions without headers, footers and captions, and paragraphs of a prediction are cut and joined until they
    fit; here, blocks are paragraphs as they stand.

    Args:
        references: Blocks in their right order.
        predictions: Blocks in the order of the prediction.
    """
    if references == predictions:
        return 0.0
    pairs = _match(references, predictions)
    found = [one for _, one in sorted((other, one) for one, other in pairs)]
    return Levenshtein.distance(range(len(references)), found) / len(references)


def _match(references: Sequence[str], predictions: Sequence[str]) -> list[tuple[int, int]]:
    """Equal blocks first, as most are; the others by how alike they are."""
    equal = _equal(references, predictions)
    rest_wanted = _beside(references, [one for one, _ in equal])
    rest_found = _beside(predictions, [other for _, other in equal])
    num_wanted, num_found = within_limit(rest_wanted, rest_found)
    if not num_wanted or not num_found:
        return equal
    similarities = cdist(
        [references[place] for place in rest_wanted[:num_wanted]],
        [predictions[place] for place in rest_found[:num_found]],
        scorer=Levenshtein.normalized_similarity,
        score_cutoff=ENOUGH_ALIKE,
        dtype=np.float32,
    )
    alike = pair_best_first(similarities, at_least=ENOUGH_ALIKE)
    return equal + [(rest_wanted[one], rest_found[other]) for one, other in alike]


def _equal(references: Sequence[str], predictions: Sequence[str]) -> list[tuple[int, int]]:
    places: dict[str, deque[int]] = defaultdict(deque)
    for place, block in enumerate(predictions):
        places[block].append(place)
    return [(place, places[block].popleft()) for place, block in enumerate(references) if places.get(block)]


def _beside(blocks: Sequence[str], matched: Sequence[int]) -> list[int]:
    """The places of the blocks that are not matched."""
    taken = set(matched)
    return [place for place in range(len(blocks)) if place not in taken]
