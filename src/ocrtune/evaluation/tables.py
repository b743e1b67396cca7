"""How alike two tables are: TEDS and TEDS-structure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf

import numpy as np
from apted import APTED, Config
from lxml import etree
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocrtune.evaluation.pairing import pair_in_order, within_limit
from ocrtune.evaluation.table_markup import read_table, span_of

MOST_EXACT = 40_000
"""Nodes of one table times nodes of the other, up to which the tree edit distance is exact: 20 rows of 9 cells each."""

MOST_ALIGNED = 1_000_000
"""The same, up to which rows and cells are aligned; beyond it row is compared with row by place."""

_ONE_OF_EACH = 2.0
"""What one element deleted and one inserted cost: the least that trees of one shape cost where any node leaves its place."""

_GROUPS = ("thead", "tbody", "tfoot")
_CELLS = frozenset({"td", "th"})


@dataclass(frozen=True, slots=True)
class TableScores:
    """How alike the tables of two texts are, on the mean; 1 is equal.

    Attributes:
        teds: With the texts of the cells.
        teds_structure: Without them.
    """

    teds: float
    teds_structure: float


@dataclass(frozen=True, eq=False)
class _Node:
    """An element of a table; `content` are the letters and tags in a cell, `spans` its columns and rows."""

    tag: str
    spans: tuple[int, int] = (1, 1)
    content: str | tuple[str, ...] = ""
    children: "tuple[_Node, ...]" = ()

    @cached_property
    def size(self) -> int:
        """How many nodes it is, with those below it."""
        return 1 + sum(node.size for node in self.children)

    @cached_property
    def structure(self) -> tuple[object, ...]:
        """What is equal where tags and spans are, here and below."""
        return self.tag, self.spans, tuple(node.structure for node in self.children)

    @cached_property
    def whole(self) -> tuple[object, ...]:
        """What is equal where contents are too."""
        return self.tag, self.spans, self.content, tuple(node.whole for node in self.children)


@dataclass(frozen=True, slots=True)
class _Tree:
    """A table. `num_nodes` counts all elements below `<table>`, those inside of cells too."""

    root: _Node
    num_nodes: int


def teds(reference: str, prediction: str, *, structure_only: bool = False, keep_groups: bool = True) -> float:
    """Tree edit distance based similarity of two tables: 1 - distance / elements of the larger one.

    To delete or insert an element costs 1; so does to rename it, if tags or spans differ. Else the distance of two
    cells is the edit distance of their contents, in letters and tags, by the longer one. `<th>` counts as `<td>`, and
    a run of white space in a cell as one space. Where one of both is no table the value is 0; it never falls below 0.

    Tables of more elements than MOST_EXACT allows are compared by the best alignment of rows, and of cells in
    them: no element is then mapped to one of another depth, and the value is the same or a little lower.

    Source: Zhong, ShafieiBavani and Jimeno Yepes, Image-based table recognition, arXiv:1911.10683, section V, and its
        published example, which tests/evaluation/test_tables.py recomputes.

    Args:
        reference: HTML of one table.
        prediction: HTML of one table.
        structure_only: Leave the contents of cells out: TEDS-structure.
        keep_groups: `<thead>`, `<tbody>` and `<tfoot>` count as elements, as published. Without it they are left out.
    """
    trees = [_read(table, keep_groups=keep_groups) for table in (reference, prediction)]
    wanted, found = trees
    return (
        0.0 if wanted is None or found is None else _similarity(wanted, found, structure_only=structure_only)
    )


def score_tables(references: Sequence[str], predictions: Sequence[str]) -> TableScores:
    """Both values for all tables of a page, each a mean over pairs; a table without a partner counts 0.

    Tables are paired in the order they stand in, so that their texts are most alike. Groups of rows are left out
    (OmniDocBench leaves out `thead` alone): the families write none, and Markdown has none.

    Args:
        references: HTML of each table, one at least.
        predictions: HTML of each table.
    """
    wanted = [_read(table, keep_groups=False) for table in references]
    found = [_read(table, keep_groups=False) for table in predictions]
    pairs = _pair([_text_of(tree) for tree in wanted], [_text_of(tree) for tree in found])
    num_tables = max(len(wanted), len(found))
    sums = [0.0, 0.0]
    for one, other in pairs:
        left, right = wanted[one], found[other]
        if left is not None and right is not None:
            sums[0] += _similarity(left, right, structure_only=False)
            sums[1] += _similarity(left, right, structure_only=True)
    return TableScores(teds=sums[0] / num_tables, teds_structure=sums[1] / num_tables)


def _pair(wanted: Sequence[str], found: Sequence[str]) -> list[tuple[int, int]]:
    if len(wanted) == len(found) == 1:
        return [(0, 0)]
    num_wanted, num_found = within_limit(wanted, found)
    similarities = cdist(
        wanted[:num_wanted], found[:num_found], scorer=Levenshtein.normalized_similarity, dtype=np.float32
    )
    return pair_in_order(similarities)


def _similarity(wanted: _Tree, found: _Tree, *, structure_only: bool) -> float:
    num_nodes = max(wanted.num_nodes, found.num_nodes)
    costs = _Costs(structure_only=structure_only)
    return max(0.0, 1.0 - _distance(wanted.root, found.root, costs) / num_nodes) if num_nodes else 1.0


def _distance(wanted: _Node, found: _Node, costs: "_Costs") -> float:
    if costs.are_equal(wanted, found):
        return 0.0
    in_place = _cost_in_place(wanted, found, costs)
    if in_place <= _ONE_OF_EACH:
        return in_place
    pairs = wanted.size * found.size
    if pairs <= MOST_EXACT:
        return float(APTED(wanted, found, costs).compute_edit_distance())
    return costs.aligned(wanted, found) if pairs <= MOST_ALIGNED else costs.by_place(wanted, found)


def _cost_in_place(wanted: _Node, found: _Node, costs: "_Costs") -> float:
    """The cost where each node becomes the one in its place; infinite for trees of other shapes, and only begun beyond 2."""
    cost, opened = 0.0, [(wanted, found)]
    while opened and cost <= _ONE_OF_EACH:
        one, other = opened.pop()
        if len(one.children) != len(other.children):
            return inf
        cost += costs.rename(one, other)
        opened += zip(one.children, other.children, strict=True)
    return cost


class _Costs(Config):  # type: ignore[misc]
    """What it costs to make one node of another."""

    valuecls = float

    def __init__(self, *, structure_only: bool) -> None:
        self._structure_only = structure_only
        self._known: dict[tuple[str | tuple[str, ...], str | tuple[str, ...]], float] = {}

    def rename(self, node1: _Node, node2: _Node) -> float:
        """0 for equal nodes, 1 for other tags or spans, else how far the contents are from each other."""
        if node1.tag != node2.tag or node1.spans != node2.spans:
            return 1.0
        if self._structure_only or node1.content == node2.content:
            return 0.0
        contents = node1.content, node2.content
        if contents not in self._known:
            self._known[contents] = Levenshtein.normalized_distance(*contents)
        return self._known[contents]

    def children(self, node: _Node) -> tuple[_Node, ...]:
        """The nodes below one."""
        return node.children

    def are_equal(self, node1: _Node, node2: _Node) -> bool:
        """Whether it costs nothing to make one node, with all below it, of another."""
        return node1.structure == node2.structure if self._structure_only else node1.whole == node2.whole

    def aligned(self, wanted: _Node, found: _Node) -> float:
        """The least cost of making one node of another where children become children, in their order."""
        cost = self.rename(wanted, found)
        if not (wanted.children and found.children):
            return cost + wanted.size + found.size - 2
        rows, columns = self._where_they_differ(wanted.children, found.children)
        above = [0.0, *accumulate(float(node.size) for node in columns)]
        for node in rows:
            row = [above[0] + node.size]
            for place, other in enumerate(columns):
                changed = above[place] + self.aligned(node, other)
                row.append(min(changed, above[place + 1] + node.size, row[-1] + other.size))
            above = row
        return cost + above[-1]

    def by_place(self, wanted: _Node, found: _Node) -> float:
        """The cost where the first child becomes the first one, the second the second, and so on."""
        same = min(len(wanted.children), len(found.children))
        beyond = (*wanted.children[same:], *found.children[same:])
        changed = map(self.by_place, wanted.children[:same], found.children[:same])
        return self.rename(wanted, found) + sum(changed) + sum(node.size for node in beyond)

    def _where_they_differ(
        self, wanted: tuple[_Node, ...], found: tuple[_Node, ...]
    ) -> tuple[tuple[_Node, ...], tuple[_Node, ...]]:
        """Both without their equal begin and end, which a least cost always leaves as they are."""
        most = min(len(wanted), len(found))
        begin = next((n for n in range(most) if not self.are_equal(wanted[n], found[n])), most)
        wanted, found, most = wanted[begin:], found[begin:], most - begin
        end = next((n for n in range(most) if not self.are_equal(wanted[-1 - n], found[-1 - n])), most)
        return wanted[: len(wanted) - end], found[: len(found) - end]


def _read(table: str, *, keep_groups: bool) -> _Tree | None:
    element = read_table(table)
    if element is None:
        return None
    if not keep_groups:
        etree.strip_tags(element, *_GROUPS)
    # The cells' own elements count, as in the published code, although the tree ends with the cells.
    num_nodes = sum(1 for _ in element.iterdescendants())
    return _Tree(root=_node(element), num_nodes=num_nodes)


def _node(element: etree._Element) -> _Node:
    """The tree of an element; below a cell it ends."""
    if element.tag in _CELLS:
        spans = (span_of(element, "colspan"), span_of(element, "rowspan"))
        return _Node("td", spans, _content(element))
    return _Node(str(element.tag), children=tuple(map(_node, element)))


def _content(cell: etree._Element) -> str | tuple[str, ...]:
    """The letters of a cell, and its tags between them if it has any."""
    if not len(cell):
        return " ".join((cell.text or "").split())
    parts: list[str] = []
    for event, element in etree.iterwalk(cell, events=("start", "end")):
        if event == "start":
            parts += ([] if element is cell else [f"<{element.tag}>"]) + list(element.text or "")
        elif element is not cell:
            parts += [f"</{element.tag}>", *(element.tail or "")]
    return tuple(_without_spare_space(parts))


def _without_spare_space(parts: list[str]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if not part.isspace():
            kept.append(part)
        elif kept and kept[-1] != " ":
            kept.append(" ")
    return kept[:-1] if kept and kept[-1] == " " else kept


def _text_of(tree: _Tree | None) -> str:
    """The texts of all cells, in their order."""
    if tree is None:
        return ""
    texts: list[str] = []
    opened = [tree.root]
    while opened:
        node = opened.pop()
        if node.content:
            texts.append("".join(part for part in node.content if len(part) == 1))
        opened += reversed(node.children)
    return " ".join(texts)
