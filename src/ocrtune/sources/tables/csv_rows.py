"""A CSV or TSV file → rows, read as they are asked for; no cell is computed or taken for a number."""

import codecs
import csv
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ocrtune.errors import ManifestError
from ocrtune.records import Finding
from ocrtune.sources.tables.options import UTF_8, TableRequest
from ocrtune.sources.tables.rows import Row, Table
from ocrtune.text import shorten

DELIMITERS = (",", ";", "\t", "|")
"""What is tried where the uri names no delimiter; of two that part the first row as well the earlier one is taken."""

MOST_CELL_CHARS = 16 * 2**20
MOST_LINE_CHARS = 64 * 2**20

_FORMULA = re.compile(r"""=[\w("'$+\-@.]|[+\-@][^\W\d][\w.]*[(|!]""")
"""`=` right before an operand, or another mark before a function, a sheet or a program; "-5", "= 3" and "@name" are text."""

_CHUNK_BYTES = 2**20
_NEVER_CLOSED = "unexpected end of data"
_TOO_LARGE = "field larger than field limit"

Numbered = tuple[int, list[str]]
"""The line that a row begins at, from 1, and its cells."""


def read_csv(request: TableRequest, fits: Callable[[Sequence[str]], bool]) -> Table:
    """The rows of a file whose first row names the columns.

    A row with more or fewer cells than there are columns, and one whose quotes are broken, is a finding. Blank lines
    are passed over; an empty cell is None.

    Args:
        request: The file, and how it is written.
        fits: Whether columns are such as are looked for, by which one delimiter is preferred to another.

    Raises:
        ManifestError: The file is empty, its first row is broken, a cell or line is too long, or it is in another
            encoding; the last three also when rows are asked for.
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
        reader = csv.reader(
            _lines(file, request.path),
            delimiter=request.delimiter or DELIMITERS[0],
            quoting=csv.QUOTE_NONE if request.quoting == "none" else csv.QUOTE_MINIMAL,
            strict=True,  # else a quote that is never closed swallows the rest of the file in silence
        )
        while True:
            number = reader.line_num + 1
            try:
                with _large_cells():
                    cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield _broken(error, request.path, number, reader.line_num)
                continue
            if cells:
                yield number, cells


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    while line := file.readline(MOST_LINE_CHARS + 1):
        if len(line) > MOST_LINE_CHARS:
            raise ManifestError(
                f"a line is longer than {MOST_LINE_CHARS} characters",
                where=str(path),
                hint="is this a table, with a line break after each row?",
            )
        yield line


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIO]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except UnicodeError as error:
        raise _not_encoded(path, encoding) from error


@contextmanager
def _large_cells() -> Iterator[None]:
    """The csv module has one limit for the whole process; it is raised for no longer than a row takes."""
    before = csv.field_size_limit(MOST_CELL_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _not_encoded(path: Path, encoding: str) -> ManifestError:
    # The decoder that passes over a byte order mark counts from behind it.
    name = "utf-8" if encoding == UTF_8 else encoding
    place, line = _first_undecodable(path, name)
    return ManifestError(
        f"the table is not {name.upper()} at byte {place}",
        where=f"{path}:{line}",
        hint="name its encoding, as in encoding=cp1251, encoding=latin-1 or encoding=utf-16; or save it as UTF-8",
    )


def _first_undecodable(path: Path, encoding: str) -> tuple[int, int]:
    """The byte, from 0, and the line, from 1, at which decoding stops."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            kept = decoder.getstate()[0]
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return offset - len(kept) + error.start, line + (kept + chunk).count(b"\n", 0, error.start)
            except UnicodeError:
                return offset, line
            if not chunk:
                return offset, line
            offset += len(chunk)
            line += chunk.count(b"\n")


def _broken(error: csv.Error, path: Path, first: int, last: int) -> Finding:
    told = str(error)
    if told.startswith(_TOO_LARGE):
        raise ManifestError(
            f"a cell is longer than {MOST_CELL_CHARS} characters",
            where=f"{path}:{first}",
            hint="is a quote opened here and never closed? quoting=none takes quotes for letters",
        ) from error
    what = "a quote is opened and never closed" if told == _NEVER_CLOSED else told
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    return Finding(
        code="row-broken",
        severity="error",
        message=f"{what}, so {lines} of the table are left out" if first != last else what,
        where=f"{path}:{first}",
        hint="write a quote inside a quoted cell twice; quoting=none takes quotes for letters",
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
