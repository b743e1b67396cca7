r"""Formulas of a text, and how far those of a prediction are from those of a reference, in LaTeX tokens."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocrtune.evaluation.pairing import pair_in_order, within_limit

_BRACKETED = re.compile(
    r"""
      (?<!\\) \\\[ (?P<bracket> (?: [^\\] | \\[^\[\]] )+? ) \\\]
    | (?<!\\) \\\( (?P<paren> (?: [^\\] | \\[^()] )+? ) \\\)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMULA = re.compile(
    r"""
      \$\$ (?P<display> (?: [^$\\] | \\. )+? ) \$\$
    | (?<![\\$]) \$ (?P<inline> (?: [^$\\\n] | \\. | \n(?!\s*\n) )+? ) \$ (?![\d$])
    |"""
    + _BRACKETED.pattern,
    re.VERBOSE | re.DOTALL,
)
_SIGNS_OF_MATH = re.compile(r"[\\^_{}=<>]")
_WORD = re.compile(r"[^\W\d_]{2}")
_TOKEN = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|\S", re.DOTALL)
_SPACE = re.compile(r"\s+")

_WITHOUT_MEANING = frozenset(
    {r"\left", r"\right", r"\,", r"\;", r"\:", r"\!", r"\>", "\\ ", "\\\n", r"\quad", r"\qquad", "~"}
)
"""Sizes of brackets and white space: how a formula is set, not what it says."""


def find_formulas(text: str, *, dollars: bool = True) -> list[str]:
    r"""What stands between $…$, $$…$$, \(…\) and \[…\], in the order of the text.

    A single $ opens a formula only if another one in the same paragraph closes it and no digit follows that; where
    white space touches one of both signs, the inside must also have a sign of LaTeX, or be without words and touched on
    both sides: sums of money are no formulas.

    Args:
        text: A page's text.
        dollars: Whether dollar signs delimit formulas.
    """
    if (not dollars or "$" not in text) and r"\(" not in text and r"\[" not in text:
        return []
    return list(_find(text, _FORMULA if dollars else _BRACKETED))


def tokens_of(formula: str) -> list[str]:
    r"""The LaTeX tokens of a formula: commands, `\begin{…}`, and single characters.

    Left out are white space, also as a command, `\left` and `\right`, and braces around one token, around another
    pair of braces, or around all: `x^{2}` is `x^2`.
    """
    tokens = [_SPACE.sub("", token) or token for token in _TOKEN.findall(formula)]
    kept = _without_needless_braces([token for token in tokens if token not in _WITHOUT_MEANING])
    while _is_one_group(kept):
        kept = kept[1:-1]
    return kept


def formula_ned(references: Sequence[str], predictions: Sequence[str]) -> float:
    """Edits in tokens by the tokens of the longer of two formulas, over all pairs of formulas; 0 is equal, 1 the worst.

    Formulas are paired in the order they stand in, so that they are most alike; one without a partner counts with all
    its tokens. 0 where there are no formulas.
    """
    wanted, found = _as_letters(_with_tokens(references), _with_tokens(predictions))
    num_wanted, num_found = within_limit(wanted, found)
    similarities = cdist(
        wanted[:num_wanted], found[:num_found], scorer=Levenshtein.normalized_similarity, dtype=np.float32
    )
    pairs = pair_in_order(similarities)
    edits = sum(Levenshtein.distance(wanted[one], found[other]) for one, other in pairs)
    length = sum(max(len(wanted[one]), len(found[other])) for one, other in pairs)
    alone = _lengths_beside(wanted, [one for one, _ in pairs]) + _lengths_beside(
        found, [other for _, other in pairs]
    )
    return (edits + alone) / (length + alone) if length + alone else 0.0


def _with_tokens(formulas: Sequence[str]) -> list[list[str]]:
    """The tokens of each formula; one that says nothing, such as `{}`, is none."""
    return [tokens for formula in formulas if (tokens := tokens_of(formula))]


def _find(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    match = pattern.search(text)
    while match:
        kind = str(match.lastgroup)
        is_formula = kind != "inline" or _is_math(match[kind])
        if is_formula and match[kind].strip():
            yield match[kind].strip()
        # A sum of money: its second sign may open a formula.
        match = pattern.search(text, match.end() if is_formula else match.start() + 1)


def _is_math(inside: str) -> bool:
    if inside == inside.strip():
        return True
    inside = inside.replace(r"\$", " ")
    is_spaced = inside[:1].isspace() and inside[-1:].isspace()
    return bool(_SIGNS_OF_MATH.search(inside)) or (is_spaced and not _WORD.search(inside))


def _without_needless_braces(tokens: Sequence[str]) -> list[str]:
    kept: list[str] = []
    opened: list[int] = []
    for sign in tokens:
        if sign == "}" and opened:
            start = opened.pop()
            inside = kept[start + 1 :]
            if len(inside) == 1 or _is_one_group(inside):
                kept[start:] = inside
                continue
        elif sign == "{":
            opened.append(len(kept))
        kept.append(sign)
    return kept


def _is_one_group(tokens: Sequence[str]) -> bool:
    """Whether the first brace is closed by the last token."""
    if len(tokens) < 2 or tokens[0] != "{" or tokens[-1] != "}":  # noqa: PLR2004 - a pair of braces
        return False
    depth = 0
    for sign in tokens[:-1]:
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return False
    return depth == 1


def _as_letters(*sides: Sequence[Sequence[str]]) -> list[list[str]]:
    """Each formula as a string with one letter for each token: what edits are counted on fastest."""
    letters: dict[str, str] = {}
    # Beyond the surrogates, which no string can be compared with safely.
    first = 0xE000
    return [
        ["".join(letters.setdefault(token, chr(first + len(letters))) for token in tokens) for tokens in side]
        for side in sides
    ]


def _lengths_beside(formulas: Sequence[str], paired: Sequence[int]) -> int:
    return sum(map(len, formulas)) - sum(len(formulas[place]) for place in paired)
