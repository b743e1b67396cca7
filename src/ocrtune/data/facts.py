"""Pages → what is kept of them: numbers of a fixed size, so that a million pages fit into memory."""

import os
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ocrtune.data.baseline import Baseline
from ocrtune.data.budget import Budget
from ocrtune.data.examples import build_example
from ocrtune.data.fingerprints import WORDS
from ocrtune.data.gathering import Gatherer
from ocrtune.data.hashes import hash_of
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.pictures import Picture, check_images
from ocrtune.data.prompts import check_prompt
from ocrtune.data.tables import check_table
from ocrtune.data.texts import check_text
from ocrtune.data.vocabulary import Vocabulary
from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.families import FAMILIES, Family, get_family
from ocrtune.records import Cut, EncodedImage, Finding, ImageSource, Page, PdfPage, TiffPage
from ocrtune.sources import image_size
from ocrtune.text import Normalization, normalize

Looking = Literal["pixels", "files", "texts"]
"""What is looked at: every image decoded; the bytes of the files and no texts; texts alone."""

NO_COUNT = -1
"""Stands for a number that nobody knows, such as the characters of a page without text."""

SHAPES = ("", "page", "line", "column", "sparse")
"""Names of the column `shape`; the first one is that of pictures without a fingerprint."""

PAGE_DTYPE = np.dtype(
    [
        ("text", "u8"),
        ("prompt", "u8"),
        ("document", "u8"),
        ("pictures", "u8"),
        ("characters", "i4"),
        ("num_images", "i4"),
        ("image_tokens", "i4"),
        ("text_tokens", "i4"),
        ("tiles", "i4"),
        ("noise", "f4"),
    ]
)
"""A page: hashes of its normalised text, prompt, document and pictures (0 where none opened), and counts."""

PICTURE_DTYPE = np.dtype(
    [
        ("digest", "u8"),
        ("fingerprint", "u8", (WORDS,)),
        ("shape", "u1"),
        ("width", "i4"),
        ("height", "i4"),
        ("page", "i8"),
    ]
)
"""A picture that opened: digest of its pixels or file, fingerprint, size (0 where not opened), index of its page."""

MOST_SUFFIXES = 50
OTHER_SUFFIXES = "others"

Rows = NDArray[np.void]
"""(n,) of `PAGE_DTYPE` or `PICTURE_DTYPE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What pages are checked against; goes to other processes.

    Attributes:
        family: None to leave aside what depends on a family.
        prompt: The run's.
        normalization: The run's.
        looking: What is looked at.
        budget: Counts tokens.
        baseline: What another OCR read.
        json_target: What every text must be as JSON; None where texts may be anything.
        keyed: Chunks get a key that tells whether their pages and files are still the same.
    """

    family: Family | None = None
    prompt: str | None = None
    normalization: Normalization = field(default_factory=Normalization)
    looking: Looking = "pixels"
    budget: Budget | None = None
    baseline: Baseline | None = None
    json_target: JsonTarget | None = None
    keyed: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # A family is not pickled but looked up by its name.
        rest = {known.name: getattr(self, known.name) for known in fields(self) if known.name != "family"}
        return _restore, (None if self.family is None else self.family.name, rest)

    def __str__(self) -> str:
        """All that changes what is found, in words."""
        parts = (
            self.family and self.family.name,
            self.prompt,
            self.normalization,
            self.looking,
            self.budget and f"tokens {hash_of(pickle.dumps(self.budget)):016x}",
            self.baseline and self.baseline.path,
            self.json_target and f"JSON {hash_of(pickle.dumps(self.json_target)):016x}",
        )
        return "; ".join(map(str, parts))


def _restore(family: str | None, rest: Mapping[str, Any]) -> Rules:
    return Rules(family=None if family is None else get_family(family), **rest)


@dataclass(slots=True, kw_only=True)
class Chunk:
    """What is known of some pages that stand together.

    Attributes:
        pages: (n,) of `PAGE_DTYPE`.
        pictures: Of `PICTURE_DTYPE`; `page` counts from the chunk's first.
        suffixes: Pages' image files by suffix.
        gathered: Findings; pages count from the chunk's first.
        vocabulary: How its texts fit the tokenizer; empty without one.
        key: See `key_of`; empty unless it is asked for.
    """

    pages: Rows
    pictures: Rows
    suffixes: Counter[str]
    gathered: Gatherer
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    key: str = ""


def look_at_pages(pages: Sequence[Page], rules: Rules) -> Chunk:
    """Everything that is kept of the pages; depends on them, their files and the rules alone."""
    rows = np.zeros(len(pages), dtype=PAGE_DTYPE)
    pictures: list[tuple[object, ...]] = []
    gathered = Gatherer()
    suffixes: Counter[str] = Counter()
    vocabulary = Vocabulary()
    for number, page in enumerate(pages):
        facts = _look_at_page(page, rules)
        rows[number] = facts.row
        pictures += [(*picture, number) for picture in facts.pictures]
        gathered.add_all(facts.findings, page=number)
        suffixes.update(_suffix(source) for source in page.images)
        if (counted := _count_vocabulary(page, rules)) is not None:
            vocabulary.merge(counted)
    return Chunk(
        pages=rows,
        pictures=np.array(pictures, dtype=PICTURE_DTYPE),
        suffixes=suffixes,
        gathered=gathered,
        vocabulary=vocabulary,
        key=key_of(pages, rules) if rules.keyed else "",
    )


def check_contents(page: Page, rules: Rules) -> Iterator[Finding]:
    """What is wrong with the page's text and prompt."""
    yield from check_text(page, [rules.family] if rules.family else list(FAMILIES.values()))
    if page.text is not None:
        yield from check_table(page.text, page.where)
        if rules.json_target is not None:
            yield from rules.json_target.check(page.text, page.where)
    broken = list(_check_example(page, rules))
    yield from broken
    if page.prompt is not None and page.images and rules.family is not None and not broken:
        for finding in check_prompt(page.prompt, rules.family):
            yield replace(finding, where=page.where)


def fail_page(finding: Finding) -> Chunk:
    """The chunk of one page of which nothing is known but that looking at it went wrong."""
    gathered = Gatherer()
    gathered.add(finding, page=0)
    rows = np.zeros(1, dtype=PAGE_DTYPE)
    for name in ("characters", "image_tokens", "text_tokens", "tiles"):
        rows[name] = NO_COUNT
    rows["noise"] = np.nan
    return Chunk(pages=rows, pictures=np.zeros(0, dtype=PICTURE_DTYPE), suffixes=Counter(), gathered=gathered)


def join_chunks(chunks: Sequence[Chunk], *, key: str = "") -> Chunk:
    """Chunks that stand together as one."""
    joined = Collected()
    for chunk in chunks:
        joined.add(chunk)
    return Chunk(
        pages=joined.pages,
        pictures=joined.pictures,
        suffixes=joined.suffixes,
        gathered=joined.gathered,
        vocabulary=joined.vocabulary,
        key=key,
    )


class Collected:
    """What is known of all pages of a source, chunk by chunk.

    Attributes:
        suffixes: Images by suffix.
        gathered: Findings.
        vocabulary: How the texts fit the tokenizer; empty without one.
    """

    def __init__(self) -> None:
        self.suffixes: Counter[str] = Counter()
        self.gathered = Gatherer()
        self.vocabulary = Vocabulary()
        self._pages = _Column(PAGE_DTYPE)
        self._pictures = _Column(PICTURE_DTYPE)

    @property
    def pages(self) -> Rows:
        """(n,) of `PAGE_DTYPE`."""
        return self._pages.rows

    @property
    def pictures(self) -> Rows:
        """(n,) of `PICTURE_DTYPE`."""
        return self._pictures.rows

    def add(self, chunk: Chunk) -> None:
        """Add the pages that follow."""
        first = len(self.pages)
        self._pages.extend(chunk.pages)
        added = self._pictures.extend(chunk.pictures)
        added["page"] += first
        self.gathered.merge(chunk.gathered, offset=first)
        self.vocabulary.merge(chunk.vocabulary)
        for suffix, count in chunk.suffixes.items():
            known = suffix in self.suffixes or len(self.suffixes) < MOST_SUFFIXES
            self.suffixes[suffix if known else OTHER_SUFFIXES] += count


class _Column:
    """Rows that grow in place."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._room = np.zeros(1024, dtype=dtype)
        self._count = 0

    @property
    def rows(self) -> Rows:
        return self._room[: self._count]

    def extend(self, rows: Rows) -> Rows:
        """The new rows, where they stand now."""
        end = self._count + len(rows)
        if end > len(self._room):
            room = np.zeros(max(end, len(self._room) * 3 // 2), dtype=self._room.dtype)
            room[: self._count] = self.rows
            self._room = room
        self._room[self._count : end] = rows
        self._count = end
        return self._room[end - len(rows) : end]


@dataclass(slots=True)
class _PageFacts:
    row: tuple[float, ...]
    pictures: Sequence[tuple[object, ...]]
    findings: list[Finding]


def _look_at_page(page: Page, rules: Rules) -> _PageFacts:
    if rules.looking == "files":
        return _look_at_files(page)
    pictures, findings = check_images(page) if rules.looking == "pixels" else ([], [])
    findings += check_contents(page, rules)
    text = None if page.text is None else normalize(page.text, rules.normalization)
    image_tokens, text_tokens, tiles = _count_tokens(page, pictures, rules, findings)
    noise = float("nan")
    if rules.baseline is not None and text is not None:
        noise, found = rules.baseline.compare(page, text, rules.normalization)
        findings += found
    row = (
        0 if text is None else hash_of(text),
        0 if page.prompt is None else hash_of(page.prompt),
        hash_of(page.document),
        hash_of(b"".join(picture.digest for picture in pictures)) if pictures else 0,
        NO_COUNT if text is None else len(text),
        len(page.images),
        image_tokens,
        text_tokens,
        tiles,
        noise,
    )
    return _PageFacts(row, [_picture_row(picture) for picture in pictures], findings)


def _picture_row(picture: Picture) -> tuple[object, ...]:
    known = picture.fingerprint
    words = (0,) * WORDS if known is None else tuple(known.words.tolist())
    shape = 0 if known is None else SHAPES.index(known.shape)
    return (int.from_bytes(picture.digest[:8], "little"), words, shape, *picture.size)


def _look_at_files(page: Page) -> _PageFacts:
    contents = [content for source in page.images if (content := image_digest(source)) is not None]
    row = (0, 0, hash_of(page.document), 0, NO_COUNT, len(page.images), *(NO_COUNT,) * 3, float("nan"))
    pictures = [(int.from_bytes(content[:8], "little"), (0,) * WORDS, 0, 0, 0) for content in contents]
    return _PageFacts(row, pictures, [])


def _count_tokens(
    page: Page, pictures: Sequence[Picture], rules: Rules, findings: list[Finding]
) -> tuple[int, int, int]:
    """Image tokens, text tokens and tiles; what does not fit is added to the findings."""
    unknown = (NO_COUNT, NO_COUNT, NO_COUNT)
    if rules.budget is None:
        return unknown
    if rules.looking == "texts":
        pictures = _from_headers(page)
    if len(pictures) < len(page.images):
        return unknown
    try:
        findings += rules.budget.check(page, pictures)
        counts = rules.budget.count(page, [picture.size for picture in pictures])
    except OcrtuneError as error:
        findings.append(_of_page(error, page))
        return unknown
    tiles = sum(columns * rows for columns, rows in counts.tiles)
    return sum(counts.image_tokens), NO_COUNT if counts.text_tokens is None else counts.text_tokens, tiles


def _count_vocabulary(page: Page, rules: Rules) -> Vocabulary | None:
    if rules.budget is None or rules.looking == "files" or page.text is None:
        return None
    return rules.budget.count_vocabulary(page.text)


def _from_headers(page: Page) -> list[Picture]:
    """Pictures of which only the size is known; fewer than the page's images where one cannot be read."""
    try:
        return [Picture(digest=b"", size=image_size(source)) for source in page.images]
    except SourceError:
        return []


def _check_example(page: Page, rules: Rules) -> Iterator[Finding]:
    """What building the example would raise, apart from the text, which has checks of its own."""
    if rules.family is None:
        return
    try:
        build_example(
            page, rules.family, prompt=rules.prompt, normalization=rules.normalization, with_targets=False
        )
    except OcrtuneError as error:
        yield _of_page(error, page)


def _of_page(error: OcrtuneError, page: Page) -> Finding:
    found = Finding.of_error(error)
    return replace(found, code="prompt" if error.code == "inputs" else error.code, where=page.where)


def key_of(pages: Sequence[Page], rules: Rules) -> str:
    """A hash of the pages, with size and time of change of their files unless images are left aside."""
    key = blake2b(digest_size=16)
    for page in pages:
        marks = [_mark(source, with_file=rules.looking != "texts") for source in page.images]
        key.update(repr((page.name, page.text, page.prompt, page.document, marks)).encode("utf-8", "replace"))
    return key.hexdigest()


def _mark(source: ImageSource, *, with_file: bool) -> tuple[object, ...]:
    if isinstance(source, Path):
        return (str(source), *(_changed(source) if with_file else ()))
    if isinstance(source, TiffPage):
        return (source.number, _mark(source.path, with_file=with_file))
    if isinstance(source, PdfPage):
        return (source.number, source.dpi, _mark(source.path, with_file=with_file))
    if isinstance(source, Cut):
        outline = (source.polygon, source.baseline, source.margin_px, source.quarter_turns)
        return (outline, _mark(source.path, with_file=with_file))
    return (source.name,) if isinstance(source, EncodedImage) else (source.mode, source.size)


def _changed(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a million times, and twice as fast
    except OSError:
        return ()
    return (found.st_size, found.st_mtime_ns)


def _suffix(source: ImageSource) -> str:
    """The suffix of the file that an image is, is in or is cut from."""
    path = source.path if isinstance(source, PdfPage | TiffPage | Cut) else source
    if isinstance(path, PdfPage | TiffPage):
        path = path.path
    if isinstance(path, EncodedImage):
        path = Path(path.name)
    return path.suffix.lower() if isinstance(path, Path) else "in memory"


def image_digest(source: ImageSource) -> bytes | None:
    """A digest of a file's bytes, or of an image's pixels; None for a file that cannot be read.

    Of a page of a PDF or TIFF its number counts too, not how large it is rendered; of a part its outline.
    """
    try:
        if isinstance(source, Path):
            # Reading a pipe would wait for ever.
            return _file_content(source, source.stat().st_mtime_ns) if source.is_file() else None
        if isinstance(source, PdfPage | TiffPage | Cut):
            file = image_digest(source.path)
            place = source.polygon if isinstance(source, Cut) else source.number
            return file and blake2b(file + repr(place).encode(), digest_size=16).digest()
        if isinstance(source, EncodedImage):
            return blake2b(source.read(), digest_size=16).digest()
    except (OSError, SourceError):
        return None
    return blake2b(repr((source.mode, source.size)).encode() + source.tobytes(), digest_size=16).digest()


@lru_cache(maxsize=1)
def _file_content(path: Path, changed_ns: int) -> bytes:  # noqa: ARG001 - a changed file has another content
    return blake2b(path.read_bytes(), digest_size=16).digest()


def suffix_counts(suffixes: Mapping[str, int]) -> dict[str, int]:
    """Images by suffix, most first."""
    return dict(sorted(suffixes.items(), key=lambda item: (-item[1], item[0])))
