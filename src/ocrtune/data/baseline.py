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
from ocrtune.sources.jsonl import BrokenLine, parse_line, take_text
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
        offset = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        names.append(hash_of(_row(line, path, number)[0]))
                        offsets.append(offset)
                    offset += len(line)
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
            return _row(file.readline(), self.path, place + 1)[1]

    def compare(self, page: Page, text: str, normalization: Normalization) -> tuple[float, list[Finding]]:
        """Edits between both for each character of `text`, and what is to be said about it.

        Args:
            page: Gives name and place.
            text: Its text, normalised.
            normalization: For the other text.

        Returns:
            The rate, NaN where there is nothing to compare with; and at most one finding.
        """
        read = self.text_of(page.name)
        if read is None:
            return float("nan"), [_missing(page)]
        rate = Levenshtein.distance(text, normalize(read, normalization)) / max(1, len(text))
        return rate, [_noise(page)] if rate > MOST_NOISE else []


def _row(line: bytes, path: Path, number: int) -> tuple[str, str]:
    try:
        row = parse_line(line.removeprefix(b"\xef\xbb\xbf"))
        image, text = take_text(row, "image"), take_text(row, "text")
    except BrokenLine as broken:
        raise ManifestError(str(broken), where=f"{path}:{number}") from broken
    if image is None or text is None:
        keys = json.dumps(list(row), ensure_ascii=False)
        raise ManifestError(
            f"a baseline's line needs `image` and `text`, this one has {keys}",
            where=f"{path}:{number}",
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
