"""`webdataset:shards/{000..099}.tar` or `parquet:lines?image=scan` → what is to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ocrtune.sources.tables.options import Role
from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri

ShardKind = Literal["webdataset", "parquet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRequest:
    """What a uri asks for.

    Attributes:
        path: A file, a folder, or a pattern with braces.
        kind: What the files are.
        columns: Role → the column of a Parquet file that the uri names for it; empty for one that is to be left aside.
        root: The folder that images named by their paths are in, seen from the shards' own.
        streamed: Whether a run learns from the shards one after the other; None to tell by their number.
    """

    path: Path
    kind: ShardKind
    columns: Mapping[Role, str] = field(default_factory=dict)
    root: str = ""
    streamed: bool | None = None


def parse_shard_request(uri: str) -> ShardRequest | None:
    """The request of a uri that begins with `webdataset:` or `parquet:`; None for any other.

    Raises:
        SourceError: An option is unknown, given twice or has a value it cannot have.
    """
    split = split_uri(uri, get_args(ShardKind))
    if split is None:
        return None
    kind, path, values = split
    options = read_options(uri, values, _PARSERS[kind], example=_EXAMPLES[kind])
    columns = {role: options.pop(role) for role in get_args(Role) if role in options}
    streamed = options.get("stream")
    return ShardRequest(
        path=path,
        kind="parquet" if kind == "parquet" else "webdataset",
        columns=columns,
        root=options.get("root", ""),
        streamed=None if streamed is None else streamed == "true",
    )


def _image_column(value: str) -> str:
    if not value:
        raise ValueError("must name a column")
    return value


_PARSERS: Mapping[str, OptionParsers] = {
    "webdataset": {},
    "parquet": {
        "image": _image_column,
        "text": str,
        "prompt": str,
        "document": str,
        "root": str,
        "stream": one_of(("true", "false")),
    },
}
_EXAMPLES = {
    "webdataset": "webdataset:shards/{000..099}.tar, which has none",
    "parquet": "parquet:lines.parquet?image=image&text=text",
}
