"""`hub:NAME?split=train&image=scan&text=words` → what is to be read, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from ocrtune.errors import SourceError
from ocrtune.sources.tables.options import Role
from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri, whole_number

KIND = "hub"
MOST_ROWS = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRequest:
    """What a uri asks for.

    Attributes:
        path: A folder, a Parquet file, or the name of a data set of the hub.
        columns: Role → the column that the uri names for it; empty for a role that is to be left aside.
        split: Such as `train` or `train[:10%]`; None for the only one, or `train`.
        config: Which of the data set's tables; None for the only one.
        revision: A branch, tag or commit; None for the newest.
        streaming: Read the first rows over the net, and keep no copy.
        limit: How many rows from the first on; None for all.
    """

    path: Path
    columns: Mapping[Role, str] = field(default_factory=dict)
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    streaming: bool = False
    limit: int | None = None
    kind: str = KIND

    @property
    def name(self) -> str:
        """The folder, file or name as it was written."""
        return self.path.as_posix()


def parse_hub_request(uri: str) -> HubRequest | None:
    """The request of a uri that begins with `hub:`; None for any other.

    Raises:
        SourceError: An option is unknown, given twice or has a value it cannot have, or nothing is named.
    """
    split = split_uri(uri, (KIND,))
    if split is None:
        return None
    _, path, values = split
    example = f"{KIND}:owner/name?split=train&image=image&text=text"
    if path == Path():
        raise SourceError("no data set is named", where=uri, hint=f"as in {example}")
    options = read_options(uri, values, _PARSERS, example=example)
    columns: dict[Role, str] = {role: options.pop(role) for role in get_args(Role) if role in options}
    options["streaming"] = options.get("streaming") == "true"
    return HubRequest(path=path, columns=columns, **options)


def _named(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


_PARSERS: OptionParsers = {
    "split": _named,
    "image": _named,
    "text": str,
    "prompt": str,
    "document": str,
    "config": _named,
    "revision": _named,
    "streaming": one_of(("true", "false")),
    "limit": whole_number(1, MOST_ROWS),
}
