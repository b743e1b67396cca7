"""One SQLite file, used by several threads and processes: short transactions, each on disk before it is answered."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from ocrtune.errors import ReviewError
from ocrtune.review.schema import SCHEMA

_WAIT_S = 10.0


class Database:
    """The file, opened; its tables are made where they are missing.

    Args:
        path: The file; folders above it are made.

    Raises:
        ReviewError: It cannot be opened, or is no SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        with self._naming_errors("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.create_function("holds", -1, _holds, deterministic=True)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What was answered is on disk, also when the power goes.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for reading.

        Raises:
            ReviewError: The file cannot be read.
        """
        with self._lock, self._naming_errors("read"):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, which is kept when the block ends without an error.

        Raises:
            ReviewError: The file cannot be written: the disk is full, or somebody else holds it for long.
        """
        with self._lock, self._naming_errors("saved"):
            # IMMEDIATE: what is read in the block cannot be changed by others before the block writes.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _naming_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ReviewError(
                f"the review cannot be {what}: {error}",
                where=str(self.path),
                hint="it is a SQLite file in a folder that must be writable; --folder names another one",
            ) from error


def _holds(wanted: str, *texts: str | None) -> bool:
    """Whether one of the texts has `wanted` in it, without case; SQLite knows the case of ASCII only."""
    return any(wanted in text.casefold() for text in texts if text)
