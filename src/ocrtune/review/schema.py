"""The tables of a review."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS items (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  place INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  reason TEXT NOT NULL,
  reference TEXT,
  prediction TEXT,
  start TEXT,
  text TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'good', 'wrong', 'unsure', 'skip')),
  version INTEGER NOT NULL DEFAULT 0,
  reviewer TEXT NOT NULL DEFAULT '',
  changed_at TEXT NOT NULL DEFAULT '',
  present INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS items_by_rank ON items (rank);

CREATE TABLE IF NOT EXISTS edits (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  item INTEGER NOT NULL REFERENCES items (number),
  key TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('save', 'undo')),
  accepted INTEGER NOT NULL,
  version INTEGER NOT NULL,
  undoes INTEGER REFERENCES edits (id),
  reviewer TEXT NOT NULL,
  at TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  state_before TEXT NOT NULL,
  state_after TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS edits_by_item ON edits (item);

CREATE TRIGGER IF NOT EXISTS edits_stay BEFORE UPDATE ON edits
BEGIN SELECT RAISE(ABORT, 'the history is never changed'); END;
CREATE TRIGGER IF NOT EXISTS edits_remain BEFORE DELETE ON edits
BEGIN SELECT RAISE(ABORT, 'the history is never changed'); END;
"""
"""Items as they are now, and edits, which are only ever added to; the triggers see to that."""
