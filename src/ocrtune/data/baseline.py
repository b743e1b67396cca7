"""Texts beside what another OCR read: where both are far apart, one of them is wrong."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from ocrtune.data.hashes import hash_of
from ocrtune.errors import ManifestError
from ocrtune.records import Finding, Page
from ocrtune.sources.jsonl import BrokenLine, parse_line, read_lines, take_text
from ocrtune.text import Normalization, normalize

MOST_NOISE = 0.5
"""Edits a character of the text beyond which text and image hardly belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Predictions of another OCR, found by the names of pages; lines are read when they are asked for.

    Attributes:
        path: JSONL with `image` and `text`.
        names: uint64 (n,), hashes of the names, rising.
        offsets: int64 (n,), where each one's line begins.
    """

    path: Path
    names: NDArray[np.uint64] = field(repr=False)
    offsets: NDArray[np.int64] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """The baseline of a file; only places of lines are kept, 16 bytes each. Of equal names the last one counts.

        Raises:
            ManifestError: It is not there, or a line has no `image` or no `text`.
        """
        names: list[int] = []
        offsets: list[int] = []
        try:
            for line in read_lines(path):
                names.append(hash_of(_row(line.content, f"{path}:{line.number}")[0]))
                offsets.append(line.offset)
        except OSError as error:
            raise ManifestError(f"the baseline cannot be read: {error.strerror}", where=str(path)) from error
        keys = np.array(names, dtype=np.uint64)
        order = np.argsort(keys, kind="stable")
        return cls(path=path, names=keys[order], offsets=np.array(offsets, dtype=np.int64)[order])

    def text_of(self, name: str) -> str | None:
        """What the other OCR read on the page called `name`; None where it read nothing."""
        place = int(np.searchsorted(self.names, np.uint64(hash_of(name)), side="right")) - 1
        if place < 0 or self.names[place] != hash_of(name):
            return None
        with self.path.open("rb") as file:
            file.seek(int(self.offsets[place]))
            return _row(file.readline(), str(self.path))[1]

    def compare(self, page: Page, text: str, normalization: Normalization) -> tuple[float, list[Finding]]:
        """Edits between both for each character of `text`, and what is to be said about it.

        Spaces and line breaks count alike: where another OCR breaks lines says nothing about letters.

        Args:
            page: Gives name and place.
            text: Its text.
            normalization: For both.

        Returns:
            The rate, above 1 where the other text is longer and unlike it, NaN where there is nothing to compare with;
            and at most one finding. An empty text counts as one character.
        """
        read = self.text_of(page.name)
        if read is None:
            return float("nan"), [_missing(page)]
        in_one_line = normalization.model_copy(update={"whitespace": "collapse"})
        text, read = normalize(text, in_one_line), normalize(read, in_one_line)
        rate = Levenshtein.distance(text, read) / max(1, len(text))
        return rate, [_noise(page)] if rate > MOST_NOISE else []


def _row(line: bytes, where: str) -> tuple[str, str]:
    try:
        row = parse_line(line)
        image, text = take_text(row, "image"), take_text(row, "text")
    except BrokenLine as broken:
        raise ManifestError(str(broken), where=where) from broken
    if image is None or text is None:
        raise ManifestError(
            f"a baseline's line needs `image` and `text`, this one has {json.dumps(list(row), ensure_ascii=False)}",
            where=where,
            hint="`ocrtune predict` writes such a file",
        )
    return image, text


def _missing(page: Page) -> Finding:
    return Finding(
        code="baseline-missing",
        severity="note",
        message="the baseline has no row for the page",
        where=page.where or page.name,
        hint="rows are found by `image`, as the page is named",
    )


def _noise(page: Page) -> Finding:
    return Finding(
        code="label-noise",
        severity="warning",
        message=f"text and baseline differ by more than {MOST_NOISE} edits a character",
        where=page.where or page.name,
        hint="look at the page: the text may be that of another one, or cut off",
    )
