"""What reviewers did: items as they are now, and every edit that made them so."""
# ruff: noqa: S608 - what is put into statements are the names of columns below; values are bound

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ocrtune.errors import ReviewError, ReviewItemMissing
from ocrtune.review.database import Database
from ocrtune.review.items import STATES, Change, Edit, Item, NewItem, Outcome

Order = Literal["worst", "source"]

SNIPPET_CHARS = 120
"""How much of a text a list shows."""

_ITEM = "number, name, reference, prediction, start, text, state, version, reviewer, changed_at, reason"
_CORRECTED = "text IS NOT coalesce(start, '')"
_ENTRY = f"number, name, state, reason, reviewer, {_CORRECTED} AS corrected, substr(text, 1, {SNIPPET_CHARS}) AS snippet"
_ORDERS = {"worst": "rank", "source": "place"}


class ReviewStore:
    """A review in a SQLite file.

    Several threads and processes may use it at once. A change is on disk, with its entry in the history, before it
    is answered; a process that is killed leaves all of it or nothing.

    Args:
        path: The file.

    Raises:
        ReviewError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.path = path

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def fill(self, target: str, items: Sequence[NewItem]) -> None:
        """Bring the items in, in the order they are to be shown; those of an earlier call keep what reviewers did.

        Items that nobody changed take the new texts. Items that are not there any more are shown no longer, but kept.

        Args:
            target: What is reviewed; one file is for one target only.
            items: Worst first.

        Raises:
            ReviewError: The file is of another target, or cannot be written.
        """
        with self._database.writing() as connection:
            self._claim(connection, target)
            connection.execute("UPDATE items SET present = 0")
            connection.executemany(
                "INSERT INTO items (name, place, rank, reason, reference, prediction, start, text)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET present = 1,"
                " place = excluded.place, rank = excluded.rank, reason = excluded.reason,"
                " reference = excluded.reference, prediction = excluded.prediction,"
                " start = CASE version WHEN 0 THEN excluded.start ELSE start END,"
                " text = CASE version WHEN 0 THEN excluded.text ELSE text END",
                (_row(rank, item) for rank, item in enumerate(items)),
            )

    def _claim(self, connection: sqlite3.Connection, target: str) -> None:
        connection.execute("INSERT OR IGNORE INTO facts VALUES ('target', ?)", (target,))
        (found,) = connection.execute("SELECT value FROM facts WHERE name = 'target'").fetchone()
        if found != target:
            raise ReviewError(
                f"the review there is of {found!r}, not of {target!r}",
                where=str(self.path),
                hint="give this one a folder of its own by --folder",
            )

    def remember(self, name: str, value: str) -> None:
        """Keep a fact about the review itself, such as the port it was served on."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str:
        """What `remember` was told last; empty for nothing."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return "" if row is None else str(row["value"])

    def read_item(self, number: int) -> Item:
        """The item.

        Raises:
            ReviewItemMissing: There is none of that number.
        """
        with self._database.reading() as connection:
            return self._item(connection, number)

    def read_items(self) -> list[Item]:
        """All items in the order of their source."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_ITEM} FROM items WHERE present ORDER BY place")
            return [Item(**row) for row in rows]

    def find_outdated(self) -> list[str]:
        """Names of items that somebody changed or marked, and whose source has another text since."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT name FROM items WHERE present AND version > 0"
                " AND start IS NOT coalesce(reference, prediction) ORDER BY place"
            )
            return [name for (name,) in rows]

    def find_items(self, *, state: str = "", search: str = "", order: Order = "worst") -> list[int]:
        """The numbers of items, in their order.

        Args:
            state: Only those in it; `corrected` for those whose text was changed; empty for all.
            search: Only those that have it, without case, in their name or a text.
            order: Worst first, or as the source has them.
        """
        where, values = _condition(state, search.casefold())
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT number FROM items WHERE {where} ORDER BY {_ORDERS[order]}", values
            )
            return [number for (number,) in rows]

    def list_items(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Items of these numbers as a list shows them, with the begin of their texts; in no order."""
        marks = ", ".join("?" * len(numbers))
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_ENTRY} FROM items WHERE present AND number IN ({marks})", tuple(numbers)
            )
            return [_entry(row) for row in rows]

    def count_states(self) -> dict[str, int]:
        """How many items are in each state, how many there are (`all`), and how many were corrected."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT state, count(*) AS items, total({_CORRECTED}) AS corrected"
                " FROM items WHERE present GROUP BY state"
            ).fetchall()
        counts = {row["state"]: row["items"] for row in rows}
        return {
            **{state: counts.get(state, 0) for state in STATES},
            "all": sum(counts.values()),
            "corrected": sum(int(row["corrected"]) for row in rows),
        }

    def changes_since(self, edit: int) -> tuple[int, list[dict[str, Any]]]:
        """The number of the last edit, and the items that were changed after the edit of a number."""
        with self._database.reading() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM edits").fetchone()
            rows = connection.execute(
                f"SELECT {_ENTRY} FROM items WHERE present AND number IN"
                " (SELECT item FROM edits WHERE id > ? AND accepted)",
                (edit,),
            )
            return last, [_entry(row) for row in rows]

    def read_history(self, number: int) -> list[Edit]:
        """The edits of an item, latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT kind, accepted, reviewer, at, before, after, state_before, state_after"
                " FROM edits WHERE item = ? ORDER BY id DESC",
                (number,),
            )
            return [Edit(**{**row, "accepted": bool(row["accepted"])}) for row in map(dict, rows)]

    def save(self, change: Change) -> Outcome:
        """Make an item what the change says, if nobody changed it since the version that it names.

        Otherwise nothing changes but the history, which keeps the text. What is the same already is accepted as it is.
        The same key again gives the same outcome, and does nothing.

        Raises:
            ReviewItemMissing: There is no such item.
            ReviewError: The key was used for another item, or the file cannot be written.
        """
        with self._database.writing() as connection:
            item = self._item(connection, change.number)
            done = self._done(connection, change, item)
            if done:
                return done
            if (item.text, item.state) == (change.text, change.state):
                return Outcome(accepted=True, version=item.version, item=item)
            return self._apply(connection, "save", change, item)

    def undo(self, change: Change) -> Outcome:
        """Take back the last edit of an item that was not taken back yet, as a new edit; its text and state are not used.

        Raises:
            ReviewItemMissing: There is no such item.
            ReviewError: Nothing is left to undo, or as `save`.
        """
        with self._database.writing() as connection:
            item = self._item(connection, change.number)
            done = self._done(connection, change, item)
            if done:
                return done
            edit = connection.execute(
                "SELECT id, before, state_before FROM edits WHERE item = ? AND kind = 'save' AND accepted"
                " AND id NOT IN (SELECT undoes FROM edits WHERE item = ? AND accepted AND undoes IS NOT NULL)"
                " ORDER BY id DESC LIMIT 1",
                (item.number, item.number),
            ).fetchone()
            if edit is None:
                raise ReviewError("nothing is left to undo", where=item.name)
            back = replace(change, text=edit["before"], state=edit["state_before"])
            return self._apply(connection, "undo", back, item, undoes=edit["id"])

    def _done(self, connection: sqlite3.Connection, change: Change, item: Item) -> Outcome | None:
        """What became of a change that came before, if it did."""
        edit = connection.execute(
            "SELECT item, accepted, version FROM edits WHERE key = ?", (change.key,)
        ).fetchone()
        if edit is None:
            return None
        if edit["item"] != item.number:
            raise ReviewError("the key of the change was used for another item", where=item.name)
        accepted = bool(edit["accepted"])
        return Outcome(accepted=accepted, version=edit["version"] if accepted else item.version, item=item)

    def _apply(
        self,
        connection: sqlite3.Connection,
        kind: Literal["save", "undo"],
        change: Change,
        item: Item,
        *,
        undoes: int | None = None,
    ) -> Outcome:
        accepted = change.version == item.version
        version = item.version + accepted
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        connection.execute(
            "INSERT INTO edits (item, key, kind, accepted, version, undoes, reviewer, at, before, after,"
            " state_before, state_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(item.number, change.key, kind, accepted, version, undoes, change.reviewer, now),
                *(item.text, change.text, item.state, change.state),
            ),
        )
        if accepted:
            connection.execute(
                "UPDATE items SET text = ?, state = ?, version = ?, reviewer = ?, changed_at = ? WHERE number = ?",
                (change.text, change.state, version, change.reviewer, now, item.number),
            )
        return Outcome(accepted=accepted, version=version, item=self._item(connection, item.number))

    def _item(self, connection: sqlite3.Connection, number: int) -> Item:
        row = connection.execute(
            f"SELECT {_ITEM} FROM items WHERE number = ? AND present", (number,)
        ).fetchone()
        if row is None:
            raise ReviewItemMissing(f"there is no item {number}", where=str(self.path))
        return Item(**row)


def _row(rank: int, item: NewItem) -> tuple[object, ...]:
    texts = (item.reference, item.prediction, item.start, item.start or "")
    return (item.name, item.place, rank, item.reason, *texts)


def _condition(state: str, search: str) -> tuple[str, list[str]]:
    """What follows WHERE, and its values."""
    parts, values = ["present"], []
    if state == "corrected":
        parts.append(_CORRECTED)
    elif state:
        parts.append("state = ?")
        values.append(state)
    if search:
        parts.append("holds(?, name, text, reference, prediction)")
        values.append(search)
    return " AND ".join(parts), values


def _entry(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "corrected": bool(row["corrected"])}
