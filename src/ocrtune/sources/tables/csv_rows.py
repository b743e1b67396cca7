"""A CSV or TSV file → rows, read as they are asked for; no cell is computed or taken for a number."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ocrtune.errors import ManifestError
from ocrtune.records import Finding
from ocrtune.sources.encodings import find_encoding, other_encoding_hint
from ocrtune.sources.tables.options import TableRequest
from ocrtune.sources.tables.rows import Row, Table
from ocrtune.text import shorten

DELIMITERS = (",", ";", "\t", "|")
"""What is tried where the uri names no delimiter; of two that part the first row as well the earlier one is taken."""

MOST_CELL_CHARS = 16 * 2**20
MOST_LINE_CHARS = 64 * 2**20

_FORMULA = re.compile(r"""=[\w("'$+\-@.]|[+\-@][^\W\d][\w.]*[(|!]""")
"""`=` right before an operand, or another mark before a function, a sheet or a program; "-5", "= 3" and "@name" are text."""

_CHUNK_BYTES = 2**20
_QUOTE = '"'
_NEVER_CLOSED = "unexpected end of data"
_TOO_LARGE = "field larger than field limit"

Numbered = tuple[int, list[str]]
"""The line that a row begins at, from 1, and its cells."""


def read_csv(request: TableRequest, fits: Callable[[Sequence[str]], bool]) -> Table:
    """The rows of a file whose first row names the columns.

    A row with more or fewer cells than there are columns, one whose quotes are broken, and one with a cell or line that
    is too long is a finding. Blank lines are passed over; an empty cell is None.

    Args:
        request: The file, and how it is written.
        fits: Whether columns are such as are looked for, by which one delimiter is preferred to another.

    Raises:
        ManifestError: The file is empty, its first row is broken, a cell or line is too long and nobody knows where its
            row ends, or it is in another encoding; the last two also when rows are asked for.
    """
    if request.delimiter is None:
        request = replace(request, delimiter=_find_delimiter(request, fits))
    parsed = _parse(request)
    first = next(parsed, None)
    if first is None:
        raise ManifestError("the table is empty", where=str(request.path))
    if isinstance(first, Finding):
        raise ManifestError(
            f"the row that names the columns is broken: {first.message}", where=first.where, hint=first.hint
        )
    columns = _names(first[1])
    if any("\0" in name for name in columns):
        raise ManifestError(
            "the row that names the columns holds NUL, as in UTF-16 that has no byte order mark",
            where=str(request.path),
            hint=f"name its encoding, as in csv:{request.path}?encoding=utf-16-le; or save it as UTF-8",
        )
    return Table(columns=columns, rows=_rows(request, columns, parsed))


def _find_delimiter(request: TableRequest, fits: Callable[[Sequence[str]], bool]) -> str:
    def rank(mark: str) -> tuple[bool, int]:
        with closing(_parse(replace(request, delimiter=mark))) as parsed:
            first = next(parsed, None)
        columns = () if first is None or isinstance(first, Finding) else _names(first[1])
        return fits(columns), len(columns)

    return max(DELIMITERS, key=rank)


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in cells)


def _rows(
    request: TableRequest, columns: tuple[str, ...], parsed: Iterator[Numbered | Finding]
) -> Iterator[Row | Finding]:
    path = request.path
    for found in parsed:
        if isinstance(found, Finding):
            yield found
            continue
        number, cells = found
        if len(cells) != len(columns):
            yield _other_count(len(cells), len(columns), f"{path}:{number}")
            continue
        formula = None if request.formulas == "text" else next(filter(_FORMULA.match, cells), None)
        if formula is not None:
            yield _formula(formula, f"{path}:{number}")
            continue
        yield Row(
            cells=dict(zip(columns, (cell or None for cell in cells), strict=True)),
            name=f"{path.name}:{number}",
            where=f"{path}:{number}",
        )


def _parse(request: TableRequest) -> Generator[Numbered | Finding]:
    """All rows that are not blank, the first one included."""
    with _opened(request.path, request.encoding) as file:
        lines = _Lines(file)
        reader = csv.reader(
            lines,
            delimiter=request.delimiter or DELIMITERS[0],
            quoting=csv.QUOTE_NONE if request.quoting == "none" else csv.QUOTE_MINIMAL,
            strict=True,  # else a quote that is never closed swallows the rest of the file in silence
        )
        while True:
            number = reader.line_num + lines.num_skipped + 1
            lines.num_quotes = 0
            try:
                with _large_cells():
                    cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                last = reader.line_num + lines.num_skipped
                is_known = request.quoting == "none" or lines.num_quotes % 2 == 0
                yield _broken(error, request.path, number, last, is_end_known=is_known)
                continue
            if cells:
                yield number, cells


class _TooLong(Exception):
    """A line is too long; it is passed over by now."""


class _Lines:
    """The lines of a file, of which none is read whole that is too long.

    Attributes:
        num_skipped: Lines that were too long.
        num_quotes: Quotes in lines since this was set to 0; where they are even, no quoted cell goes on.
    """

    def __init__(self, file: TextIO) -> None:
        self.num_skipped = 0
        self.num_quotes = 0
        self._file = file

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next(MOST_LINE_CHARS + 1)
        if not line:
            raise StopIteration
        if len(line) <= MOST_LINE_CHARS:
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._next(_CHUNK_BYTES)
        self.num_skipped += 1
        raise _TooLong(f"a line is longer than {MOST_LINE_CHARS} characters")

    def _next(self, most_chars: int) -> str:
        line = self._file.readline(most_chars)
        self.num_quotes += line.count(_QUOTE)
        return line


@contextmanager
def _opened(path: Path, asked: str) -> Iterator[TextIO]:
    encoding, mark = find_encoding(path, asked)
    try:
        with path.open("rb") as raw:
            raw.seek(len(mark))
            with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
                yield file
    except UnicodeError as error:
        raise _not_encoded(path, encoding, len(mark)) from error


@contextmanager
def _large_cells() -> Iterator[None]:
    """The csv module has one limit for the whole process; it is raised for no longer than a row takes."""
    before = csv.field_size_limit(MOST_CELL_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _not_encoded(path: Path, encoding: str, start: int) -> ManifestError:
    place, line = _first_undecodable(path, encoding, start)
    return ManifestError(
        f"the table is not {encoding.upper()} at byte {place}",
        where=f"{path}:{line}",
        hint=other_encoding_hint("csv", path),
    )


def _first_undecodable(path: Path, encoding: str, start: int) -> tuple[int, int]:
    """The byte, from 0, and the line, from 1, at which decoding from a byte on stops."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = start, 1
    with path.open("rb") as file:
        file.seek(start)
        while True:
            chunk = file.read(_CHUNK_BYTES)
            before = decoder.getstate()
            kept = len(before[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                decoder.setstate(before)
                good = decoder.decode(chunk[: max(error.start - kept, 0)])
                return offset - kept + error.start, line + good.count("\n")
            except UnicodeError:
                return offset, line
            if not chunk:
                return offset, line
            offset += len(chunk)
            line += text.count("\n")


def _broken(error: csv.Error | _TooLong, path: Path, first: int, last: int, *, is_end_known: bool) -> Finding:
    what, hint = str(error), "write a quote inside a quoted cell twice; quoting=none takes quotes for letters"
    if isinstance(error, _TooLong) or what.startswith(_TOO_LARGE):
        what = what if isinstance(error, _TooLong) else f"a cell is longer than {MOST_CELL_CHARS} characters"
        hint = "is a quote opened here and never closed? quoting=none takes quotes for letters"
        if not is_end_known:
            raise ManifestError(what, where=f"{path}:{first}", hint=hint) from error
    elif what == _NEVER_CLOSED:
        what = "a quote is opened and never closed"
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    return Finding(
        code="row-broken",
        severity="error",
        message=f"{what}, so {lines} of the table are left out" if first != last else what,
        where=f"{path}:{first}",
        hint=hint,
    )


def _formula(cell: str, where: str) -> Finding:
    return Finding(
        code="cell-formula",
        severity="error",
        message=f"the cell {shorten(cell)!r} is a formula, and not what stands on a page",
        where=where,
        hint="save values in place of formulas; formulas=text takes such cells for text",
    )


def _other_count(found: int, wanted: int, where: str) -> Finding:
    return Finding(
        code="row-cells",
        severity="error",
        message=f"the row has {found} {'cell' if found == 1 else 'cells'}, and there are {wanted} columns",
        where=where,
        hint="a cell that holds the delimiter or a line break stands in quotes",
    )
