"""A check that was stopped goes on: finished chunks of pages, a line each, in a file."""

import json
from base64 import b64decode, b64encode
from collections import Counter
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from ocrtune.data.facts import PAGE_DTYPE, PICTURE_DTYPE, Chunk
from ocrtune.data.gathering import Gatherer
from ocrtune.data.vocabulary import Vocabulary
from ocrtune.errors import SourceError

FORMAT = 2
"""Of the lines; a journal of another one is refused."""

_CHECKSUM_CHARS = 8


class Journal:
    """Finished chunks of a check, in a file to which each is added in one write.

    A line that a killed process left half written is cut off; so is everything behind a broken line.

    Args:
        path: Made if it is missing.
        settings: All that changes what is found, in words.

    Raises:
        SourceError: The file is no journal, or one of a check with other settings.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path = path
        self._header = {"ocrtune check": FORMAT, "settings": settings}
        self._places: dict[tuple[str, int], tuple[int, int]] = {}
        if path.is_file() and path.stat().st_size:
            self._read()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(self._header)

    def __len__(self) -> int:
        """Number of finished chunks."""
        return len(self._places)

    def find(self, part: str, first: int) -> Chunk | None:
        """The chunk of a part of the check, such as `train`, that begins with page `first`."""
        if (part, first) not in self._places:
            return None
        offset, length = self._places[part, first]
        with self.path.open("rb") as file:
            file.seek(offset)
            row = _parse(file.read(length))
        return None if row is None else _chunk(row)

    def add(self, part: str, first: int, chunk: Chunk) -> None:
        """Keep a finished chunk."""
        self._write(
            {
                "part": part,
                "first": first,
                "key": chunk.key,
                "pages": b64encode(chunk.pages.tobytes()).decode(),
                "pictures": b64encode(chunk.pictures.tobytes()).decode(),
                "suffixes": chunk.suffixes,
                "gathered": chunk.gathered.as_dict(),
                "vocabulary": chunk.vocabulary.as_dict(),
            }
        )

    def _write(self, row: dict[str, object]) -> None:
        content = json.dumps(row, ensure_ascii=True).encode()
        with self.path.open("ab", buffering=0) as file:
            file.write(b"%08x %s\n" % (crc32(content), content))

    def _read(self) -> None:
        sound = 0
        with self.path.open("rb") as file:
            header = _parse(file.readline())
            if header is None or "ocrtune check" not in header:
                raise SourceError(
                    "the file is no journal of a check", where=str(self.path), hint="name another file"
                )
            if header != self._header:
                raise SourceError(
                    f"the journal belongs to a check of {header.get('settings')!r}, not of {self._header['settings']!r}",
                    where=str(self.path),
                    hint="name another file, or delete this one",
                )
            sound = file.tell()
            for line in file:
                row = _parse(line)
                if row is None:
                    break
                self._places[row["part"], row["first"]] = (sound, len(line))
                sound += len(line)
        with self.path.open("r+b") as file:
            file.truncate(sound)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line, or None if it is not whole."""
    checksum, content = line[:_CHECKSUM_CHARS], line[_CHECKSUM_CHARS + 1 : -1]
    if not line.endswith(b"\n") or checksum != b"%08x" % crc32(content):
        return None
    try:
        row = json.loads(content)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _chunk(row: dict[str, Any]) -> Chunk:
    return Chunk(
        pages=np.frombuffer(b64decode(row["pages"]), dtype=PAGE_DTYPE).copy(),
        pictures=np.frombuffer(b64decode(row["pictures"]), dtype=PICTURE_DTYPE).copy(),
        suffixes=Counter(row["suffixes"]),
        gathered=Gatherer.from_dict(row["gathered"]),
        vocabulary=Vocabulary.from_dict(row["vocabulary"]),
        key=row["key"],
    )
