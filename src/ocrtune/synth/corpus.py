"""Files of text → paragraphs and words, each file read once per process."""

import glob
import gzip
import re
import string
import sys
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from ocrtune.errors import SynthError
from ocrtune.synth.languages import LANGUAGES, Language, base_code, get_language

SAMPLES = resources.files("ocrtune.synth") / "samples"

LEAST_PARAGRAPH, LEAST_PLAIN = 80, 0.93
"""Characters of a paragraph, and its share of letters of the language and plain marks."""

APOSTROPHES_KEPT = 0.1
"""An English word list has nearly as many possessives as words."""

_MAN_PAGE = re.compile(r"\.[1-9][a-z]*(\.gz)?$")
_NEW_PARAGRAPH = re.compile(
    r"^[.'](?:PP|P|LP|TP|IP|HP|SH|SS|RS|RE|TH|TQ|Pp|Sh|Ss|It|sp|br|nf|fi).*$", re.MULTILINE
)
_REQUEST = re.compile(r"^[.'].*\n?", re.MULTILINE)
_ESCAPES = (
    (re.compile(r'\\".*'), ""),
    (re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[+-]?\d+"), ""),
    (re.compile(r"\\-"), "-"),
    (re.compile(r"\\\(em|\\\[em\]"), "—"),
    (re.compile(r"\\\*?(?:\((?:[Aa]q|cq|oq)|\[(?:[Aa]q|cq|oq)\])"), "'"),
    (re.compile(r"\\\*?(?:\((?:lq|rq|dq)|\[(?:lq|rq|dq)\])"), '"'),
    (re.compile(r"\\[~ 0]"), " "),
    (re.compile(r"\\\*?(?:\(..|\[[^\]]*\])|\\."), ""),
)
"""Of troff, the language of man pages: font changes go, some marks have names."""

_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", ":": "\u0308", ",": "\u0327", "~": "\u0303"}
_ACCENTED = re.compile(r"\\[(\[](['`^:,~])([A-Za-z])\]?")
_BY_CODE = re.compile(r"\\\[u([0-9A-F]{4,5})\]")

_BLANK_LINES = re.compile(r"\n\s*\n")
_MARKS = "–—\u2018’“”„…«»§°№½"
_MARKS_OF_WORDS = string.punctuation + _MARKS + "·،؛؟।॥"


@dataclass(frozen=True, slots=True)
class Corpus:
    """What the files say.

    Attributes:
        prose: Paragraphs, each once, single spaces, NFC.
        listed: Words of the lists, of the paragraphs where there are no lists; each once, NFC.
        unreadable: Files that are not UTF-8, or broken archives; they are left out.
    """

    prose: tuple[str, ...]
    listed: tuple[str, ...]
    unreadable: int = 0


def read_corpus(language: str, *, samples: bool, files: Sequence[str], words: Sequence[str]) -> Corpus:
    """Paragraphs of `files` and words of the lists `words`, and the sample of the language if it has one.

    Of the files only paragraphs that are prose in letters of the language are kept, of the lists only words in them.

    Args:
        language: Its code.
        samples: Whether the built-in sample is read too.
        files: Patterns of text files and man pages, `**` for any folders between; `.gz` is unpacked.
        words: Patterns of word lists, one word a line, as plain text or as Hunspell has them.

    Raises:
        SynthError: No file fits a pattern, or no paragraph or no word of those files is kept.
    """
    paths, lists = _find("texts.files", files), _find("texts.words", words)
    return _read_corpus(base_code(language), samples, paths, lists)


@cache
def _read_corpus(code: str, samples: bool, paths: tuple[Path, ...], lists: tuple[Path, ...]) -> Corpus:
    language, unreadable = get_language(code), Counter[Path]()
    prose = tuple(dict.fromkeys(_prose(_read_each(paths, unreadable), language)))
    listed = tuple(dict.fromkeys(_listed(_read_each(lists, unreadable), language)))
    if (paths and not prose) or (lists and not listed):
        what, files = ("paragraph", paths) if paths and not prose else ("word", lists)
        raise _nothing_kept(code, what, files, len(unreadable))
    prose = tuple(dict.fromkeys((*(_read_sample(code) if samples else ()), *prose)))
    return Corpus(prose, listed or tuple(dict.fromkeys(_words_of(prose, language))), len(unreadable))


def _nothing_kept(code: str, what: str, paths: Sequence[Path], unreadable: int) -> SynthError:
    return SynthError(
        f"no {what} in {code!r} in {len(paths)} files, {unreadable} of them not UTF-8",
        where=f"{paths[0]} and others" if len(paths) > 1 else str(paths[0]),
        hint=f"is texts.language right? A paragraph has more than {LEAST_PARAGRAPH} characters, nearly all letters",
    )


def _find(key: str, patterns: Sequence[str]) -> tuple[Path, ...]:
    """Files that fit, each once and in order; resolved, because a folder may be there under two names."""
    found = {pattern: glob.glob(str(Path(pattern).expanduser()), recursive=True) for pattern in patterns}  # noqa: PTH207  # patterns may be absolute
    files = {
        pattern: [path for path in map(Path, names) if path.is_file()] for pattern, names in found.items()
    }
    vain = [pattern for pattern, paths in files.items() if not paths]
    if vain:
        raise SynthError(
            f"no file fits {key}",
            where=", ".join(vain),
            hint="patterns start at the folder the command runs in, or at /; `**` stands for any folders",
        )
    return tuple(sorted({path.resolve() for paths in files.values() for path in paths}))


def _read_each(paths: Iterable[Path], unreadable: Counter[Path]) -> Iterator[str]:
    """The texts of files, of man pages without their markup; those that cannot be read as UTF-8 are counted."""
    for path in paths:
        try:
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except (UnicodeDecodeError, OSError, EOFError, zlib.error):
            unreadable[path] += 1
        else:
            yield _without_troff(text) if _MAN_PAGE.search(path.name) else text


def _without_troff(text: str) -> str:
    text = _REQUEST.sub("", _NEW_PARAGRAPH.sub("\n", text))
    if "\\" not in text:
        return text
    text = _ACCENTED.sub(lambda match: match[2] + _ACCENTS[match[1]], text)
    text = _BY_CODE.sub(lambda match: chr(int(match[1], 16)), text)
    for escape, meaning in _ESCAPES:
        text = escape.sub(meaning, text)
    return text


def _read_sample(language: str) -> list[str]:
    sample = SAMPLES / f"{base_code(language)}.txt"
    return list(_paragraphs(sample.read_text(encoding="utf-8"))) if base_code(language) in LANGUAGES else []


def _paragraphs(text: str) -> Iterator[str]:
    for block in _BLANK_LINES.split(text):
        if paragraph := " ".join(block.split()):
            yield unicodedata.normalize("NFC", paragraph)


def _prose(texts: Iterable[str], language: Language) -> Iterator[str]:
    letters = language.script or _any_letters()
    plain = re.compile(f"[{letters}{language.plain}]+")
    strange = re.compile(rf"[^\x20-\x7e{_MARKS}{letters}{language.plain}]|\|")
    for text in texts:
        for paragraph in _paragraphs(text):
            if len(paragraph) <= LEAST_PARAGRAPH or strange.search(paragraph):
                continue
            if len(plain.sub("", paragraph)) < (1 - LEAST_PLAIN) * len(paragraph):
                yield paragraph


def _listed(texts: Iterable[str], language: Language) -> Iterator[str]:
    word = _word(language)
    for text in texts:
        for line in unicodedata.normalize("NFC", text).splitlines():
            # Hunspell puts flags after a slash and facts after a tab; its first line is a count.
            entries = re.split(r"[/\t]", line, maxsplit=1)[0].split()
            yield from (entry for entry in entries if word.fullmatch(entry) and _is_kept(entry))


def _words_of(paragraphs: Sequence[str], language: Language) -> Iterator[str]:
    word = _word(language)
    # Most entries come again and again: each is looked at once.
    for entry in dict.fromkeys(entry for paragraph in paragraphs for entry in paragraph.split()):
        stripped = entry.strip(_MARKS_OF_WORDS)
        if word.fullmatch(stripped) and _is_kept(stripped):
            yield stripped


def _word(language: Language) -> re.Pattern[str]:
    letters = f"[{language.script or _any_letters()}]+"
    return re.compile(f"{letters}(?:['’-]{letters})*")


def _is_kept(word: str) -> bool:
    # By the word itself and not by its place, so that machines with other lists keep the same ones.
    return "'" not in word or zlib.crc32(word.encode()) < APOSTROPHES_KEPT * 2**32


@cache
def _any_letters() -> str:
    """Letters and the marks on them of every script, as they stand between brackets of a regular expression."""
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "LM"]
    starts = [code for code, before in zip(codes, [-1, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if code != after - 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))
