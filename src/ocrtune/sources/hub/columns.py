"""Features of a data set → which column is the image, the text, the prompt and the document, or the chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ocrtune.errors import SourceError
from ocrtune.records import Finding
from ocrtune.sources.hub.options import HubRequest
from ocrtune.sources.tables.chats import TURN_KEYS
from ocrtune.sources.tables.columns import Columns, find_columns
from ocrtune.sources.tables.options import Role

_STRINGS = frozenset({"string", "large_string", "string_view"})
_BYTES = frozenset({"binary", "large_binary", "binary_view"})
_LABELS = ("int", "uint", "string", "large_string")
_FILE = frozenset({"bytes", "path"})
_OF_CHATS = ("system", "document")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubColumns:
    """Which column is what.

    Attributes:
        table: Where rows have a text of their own; its image is empty where rows have none.
        chat: Columns that make a chat; empty where rows are none.
    """

    table: Columns
    chat: tuple[str, ...] = ()

    @property
    def light(self) -> list[str]:
        """The columns that are read to make a page, without those of images."""
        table = self.table
        named = (*self.chat, table.text, table.prompt, table.document)
        return list(dict.fromkeys(name for name in named if name))


def find_hub_columns(features: Mapping[str, Any], request: HubRequest) -> tuple[HubColumns, list[Finding]]:
    """The columns that the uri names, else those of the right type and a common name, and a note on the latter.

    Raises:
        SourceError: A column is not there or of another type, or none or several may be meant.
    """
    pictures = [name for name, feature in features.items() if holds_images(feature)]
    texts = [name for name, feature in features.items() if _is_value(feature, _STRINGS)]
    labels = [name for name, feature in features.items() if _is_value(feature, _LABELS)]
    turns = [name for name in features if name in TURN_KEYS and not _is_value(features[name], _STRINGS)]
    kinds: dict[Role, list[str]] = {
        "image": [*pictures, *texts],
        "text": texts,
        "prompt": texts,
        "document": labels,
    }
    _require_types(kinds, features, request)
    if len(pictures) > 1 and "image" not in request.columns:
        raise SourceError(
            f"several columns hold images: {', '.join(map(repr, pictures))}",
            where=request.name,
            hint=f"name one: hub:{request.name}?image={pictures[0]}",
        )
    image = request.columns.get("image") or next(iter(pictures), "")
    if turns and "text" not in request.columns:
        document = request.columns.get("document", "")
        chat = tuple(name for name in (*turns, *_OF_CHATS) if name in features)
        _require_there(image, pictures, request)
        return HubColumns(table=Columns(image=image, document=document), chat=chat), []
    asked = replace(request, columns={**request.columns, **({"image": image} if image else {})})
    there = [
        name for name in features if name in {*pictures, *texts} or (name in labels and name == "document")
    ]
    there += [name for name in request.columns.values() if name in features and name not in there]
    columns, notes = find_columns(there, asked)
    return HubColumns(table=columns), notes


def holds_images(feature: Any) -> bool:
    """Whether a column is of images, or of lists of them, as their files or as what datasets makes of these."""
    inner = getattr(feature, "feature", None)
    if inner is not None:
        feature = inner
    elif isinstance(feature, list):
        feature = feature[0]
    if isinstance(feature, dict):
        return set(feature) == _FILE
    return getattr(feature, "_type", "") == "Image" or _is_value(feature, _BYTES)


def _is_value(feature: Any, kinds: Sequence[str] | frozenset[str]) -> bool:
    if getattr(feature, "_type", "") not in {"Value", "LargeString"}:
        return False
    return feature.dtype in kinds or (isinstance(kinds, tuple) and feature.dtype.startswith(kinds))


def _require_types(
    kinds: Mapping[Role, Sequence[str]], features: Mapping[str, Any], request: HubRequest
) -> None:
    for role, right in kinds.items():
        name = request.columns.get(role)
        if name and name in features and name not in right:
            raise _wrong_type(role, name, features, request)


def _require_there(image: str, pictures: Sequence[str], request: HubRequest) -> None:
    if image and image not in pictures:
        raise SourceError(
            f"there is no column {image!r} of images",
            where=request.name,
            hint=f"columns of images: {', '.join(pictures) or 'none'}",
        )


def _wrong_type(role: Role, name: str, features: Mapping[str, Any], request: HubRequest) -> SourceError:
    wanted = {"image": "images", "document": "strings or numbers"}.get(role, "strings")
    told = ", ".join(f"{column!r} ({_told(feature)})" for column, feature in features.items())
    return SourceError(
        f"the column {name!r} is of type {_told(features[name])}, and {role} wants {wanted}",
        where=request.name,
        hint=f"columns: {told}",
    )


def _told(feature: Any) -> str:
    kind = getattr(feature, "_type", type(feature).__name__)
    return str(feature.dtype) if kind == "Value" else str(kind)
