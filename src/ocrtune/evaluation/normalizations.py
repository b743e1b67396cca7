"""Names of normalisations → what they make equal: tables of the package, and a user's own files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import regex

from ocrtune.errors import EvaluationError
from ocrtune.text import NamedNormalization, Pair

_FILE_KINDS = ("pairs", "regex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one name makes equal.

    Attributes:
        about: In words.
        settings: Fields of `Normalization` that it sets.
        pairs: What is replaced by what.
        patterns: Regular expressions replaced after them.
    """

    about: str
    settings: Mapping[str, str] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    patterns: tuple[Pair, ...] = ()


def _all_to(replacement: str, characters: str) -> tuple[Pair, ...]:
    return tuple((character, replacement) for character in characters)


_LONG_S = (("\N{LATIN SMALL LETTER LONG S}", "s"),)
_U_V = (("v", "u"), ("V", "U"))
_I_J = (("j", "i"), ("J", "I"))
_LIGATURES = (
    ("\ufb00", "ff"),
    ("\ufb01", "fi"),
    ("\ufb02", "fl"),
    ("\ufb03", "ffi"),
    ("\ufb04", "ffl"),
    ("\ufb05", "st"),
    ("\ufb06", "st"),
    ("æ", "ae"),
    ("Æ", "AE"),
    ("œ", "oe"),
    ("Œ", "OE"),
    ("\ua733", "aa"),
    ("\ua732", "AA"),
)
_DASHES = _all_to("-", "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2e17\u2e40\ufe58\ufe63\uff0d¬")
_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2039\u203a\u02bc\u2032`\u00b4"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"
_QUOTES = (*_all_to("'", _SINGLE_QUOTES), *_all_to('"', _DOUBLE_QUOTES))
_TWO_SINGLE_QUOTES = (("''", '"'),)


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "none": Part(
            about="nothing: code points as they are", settings={"unicode": "none", "whitespace": "keep"}
        ),
        "trim": Part(
            about="Unicode NFC; runs of spaces are one, lines are stripped; the default",
            settings={"unicode": "NFC", "whitespace": "trim"},
        ),
        "collapse": Part(
            about="Unicode NFC; every run of whitespace, line breaks too, is one space",
            settings={"unicode": "NFC", "whitespace": "collapse"},
        ),
        "compatible": Part(about="Unicode NFKC, by which ² is 2 and ﬁ is fi", settings={"unicode": "NFKC"}),
        "fold": Part(about="capitals and small letters", settings={"case": "fold"}),
        "long-s": Part(about="long s and s", pairs=_LONG_S),
        "u-v": Part(about="v and u", pairs=_U_V),
        "i-j": Part(about="j and i", pairs=_I_J),
        "ligatures": Part(about="ligatures and their letters: ﬁ and fi, æ and ae", pairs=_LIGATURES),
        "dashes": Part(about="all dashes and the hyphen", pairs=_DASHES),
        "quotes": Part(
            about="curly, low and angled quotes and the straight ones",
            pairs=_QUOTES,
            patterns=_TWO_SINGLE_QUOTES,
        ),
        "modern": Part(
            about="diplomatic and modern spelling: long-s, u-v, i-j, ligatures, dashes and quotes together",
            pairs=(*_LONG_S, *_U_V, *_I_J, *_LIGATURES, *_DASHES, *_QUOTES),
            patterns=_TWO_SINGLE_QUOTES,
        ),
    }
)
"""Name → what it makes equal; names are joined by `+`."""


def find_normalization(name: str) -> NamedNormalization:
    r"""The normalisation of a name such as `fold`, `collapse+modern` or `trim+pairs:own.tsv`.

    Names of `PARTS` are joined by `+`, the later ones going before; what they leave open is as in `trim`. `pairs:FILE` and
    `regex:FILE` are tables of a user's: on each line what is replaced, a tab, and what stands for it (nothing
    deletes it); blank lines and those that begin with `#` are passed over. Regular expressions are those of the package
    regex: Python's, and more, such as `\p{Greek}`.

    Raises:
        EvaluationError: A part has no known name, or a file cannot be read or has a broken line.
    """
    settings = dict(PARTS["trim"].settings)
    pairs: list[Pair] = []
    patterns: list[Pair] = []
    for part in _split(name):
        kind, _, path = part.partition(":")
        if kind in _FILE_KINDS and path:
            (pairs if kind == "pairs" else patterns).extend(_read_pairs(Path(path), is_regex=kind == "regex"))
        elif part in PARTS:
            settings |= PARTS[part].settings
            pairs += PARTS[part].pairs
            patterns += PARTS[part].patterns
        else:
            raise _unknown(part, name)
    return NamedNormalization.model_validate(
        {**settings, "name": name, "pairs": tuple(pairs), "patterns": tuple(patterns)}
    )


def tell_normalizations() -> str:
    """The names in one line each, for help."""
    return "\n".join(f"{name}: {part.about}" for name, part in PARTS.items())


def _split(name: str) -> list[str]:
    """The parts of a name; what follows a `+` and is no name belongs to the path of a file before it."""
    parts: list[str] = []
    for part in name.split("+"):
        is_name = part in PARTS or part.partition(":")[0] in _FILE_KINDS
        if parts and not is_name and parts[-1].partition(":")[0] in _FILE_KINDS:
            parts[-1] += f"+{part}"
        else:
            parts.append(part)
    return parts


def _unknown(part: str, name: str) -> EvaluationError:
    close = get_close_matches(part, PARTS, n=1)
    known = ", ".join([*PARTS, "pairs:FILE", "regex:FILE"])
    return EvaluationError(
        f"there is no normalisation {part!r}",
        where="" if part == name else name,
        hint=f"did you mean {close[0]!r}? known: {known}" if close else f"known: {known}",
    )


def _read_pairs(path: Path, *, is_regex: bool) -> Iterator[Pair]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"the table cannot be read: {error}", where=str(path)) from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield _pair(line, f"{path}:{number}", "regex" if is_regex else "pairs")


def _pair(line: str, where: str, kind: Literal["pairs", "regex"]) -> Pair:
    found, tab, wanted = line.partition("\t")
    if not tab or not found:
        raise EvaluationError(
            f"{line!r} has no tab after what is replaced",
            where=where,
            hint="a line is: what is replaced, a tab, what stands for it",
        )
    if kind == "regex":
        _check_pattern(found, wanted, where)
    return found, wanted


def _check_pattern(found: str, wanted: str, where: str) -> None:
    """Raise before any page is scored; groups of the replacement are looked at too."""
    try:
        regex.compile(found)
        # A replacement is looked at where something is replaced: here nothing by nothing.
        regex.sub(f"(?:{found}\n)|", wanted, "")
    except (regex.error, IndexError) as error:
        raise EvaluationError(
            f"{found!r} → {wanted!r} is no regular expression with its replacement: {error}", where=where
        ) from error
