"""`csv:lines.csv?image=file_name&text=transcription` → what is to be read, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ocrtune.sources.encodings import UTF_8, check_encoding
from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri

Kind = Literal["csv", "jsonl", "chat"]
Role = Literal["image", "text", "prompt", "document"]
Quoting = Literal["csv", "none"]
Formulas = Literal["refuse", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """What a uri asks for.

    Attributes:
        path: The file.
        kind: How its rows are read.
        columns: Role → the column that the uri names for it; empty for a role that is to be left aside.
        root: The folder that images are in, seen from the file's own.
        delimiter: What parts the cells of a CSV file, or None to look for it.
        encoding: If the file has no byte order mark, which would tell it.
        formulas: Whether a cell of a CSV file that a spreadsheet would compute is refused, or taken for text.
        quoting: `csv` where quotes hold cells together, `none` where a quote is a letter like others.
    """

    path: Path
    kind: Kind
    columns: Mapping[Role, str] = field(default_factory=dict)
    root: str = ""
    delimiter: str | None = None
    encoding: str = UTF_8
    quoting: Quoting = "csv"
    formulas: Formulas = "refuse"

    @property
    def image_root(self) -> Path:
        """The folder that images are in."""
        return self.path.parent / self.root


def parse_table_request(uri: str) -> TableRequest | None:
    """The request of a uri that begins with `csv:`, `jsonl:` or `chat:`; None for any other.

    Raises:
        SourceError: An option is unknown, given twice or has a value it cannot have.
    """
    split = split_uri(uri, get_args(Kind))
    if split is None:
        return None
    kind, path, values = split
    options = read_options(uri, values, _PARSERS[kind], example=_EXAMPLES[kind])
    columns = {role: options.pop(role) for role in get_args(Role) if role in options}
    return TableRequest(path=path, kind=kind, columns=columns, **options)  # type: ignore[arg-type]


def _image_column(value: str) -> str:
    if not value:
        raise ValueError("must name a column")
    return value


def _delimiter(value: str) -> str:
    mark = "\t" if value == "tab" else value
    if len(mark) != 1 or mark.isalnum() or mark in '"\r\n ':
        raise ValueError(f"must be one mark such as , ; | or the word tab, found {value!r}")
    return mark


_OF_COLUMNS: OptionParsers = {
    "image": _image_column,
    "text": str,
    "prompt": str,
    "document": str,
    "root": str,
    "encoding": check_encoding,
}
_PARSERS: Mapping[str, OptionParsers] = {
    "csv": {
        **_OF_COLUMNS,
        "delimiter": _delimiter,
        "quoting": one_of(get_args(Quoting)),
        "formulas": one_of(get_args(Formulas)),
    },
    "jsonl": _OF_COLUMNS,
    "chat": {"root": str, "encoding": check_encoding},
}
_EXAMPLES = {
    "csv": "csv:lines.csv?image=file_name&text=transcription&delimiter=;",
    "jsonl": "jsonl:lines.jsonl?image=file_name&text=transcription",
    "chat": "chat:train.json?root=scans",
}
