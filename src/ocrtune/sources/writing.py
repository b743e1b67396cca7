"""Files written whole or not at all: a temporary file in the same folder, then a rename."""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with its line breaks as they are; readers see the old file or the new one.

    Missing folders above `path` are made. If writing fails, the old file stays and nothing else is left.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` as `write_text_atomically` does."""
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are private to the user, and these are for everybody who may read the folder.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_readable(path: Path) -> None:
    """Give a file the rights that `open` would: safetensors makes its files private to the user who runs it."""
    umask = os.umask(0)  # it can only be asked by being set
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line, atomically; letters beyond ASCII stay readable."""
    write_text_atomically(path, "".join(map(jsonl_line, rows)))


def append_jsonl(path: Path, row: Mapping[str, object]) -> None:
    """Add one JSON object as a line, in one write: several processes may do so."""
    with path.open("ab", buffering=0) as file:
        file.write(jsonl_line(row).encode())


def jsonl_line(row: Mapping[str, object]) -> str:
    """A JSON object and a line break; letters beyond ASCII stay readable."""
    return json.dumps(dict(row), ensure_ascii=False, allow_nan=False) + "\n"
