"""`folder:scans?text=md&document=file` → what is to be read, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri

TextKind = Literal["txt", "md", "json", "gt.txt"]
"""What the name of a text beside an image ends with."""

TextChoice = Literal[TextKind, "none"]
DocumentRule = Literal["folder", "file"]

FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRequest:
    """What a uri asks for.

    Attributes:
        path: A folder, or one image.
        text: Which of the texts beside an image is the page's; `none` leaves all aside; None takes the only one.
        document: What is one document: a folder in the folder, or each image.
    """

    path: Path
    text: TextChoice | None = None
    document: DocumentRule = "folder"


def parse_folder_request(uri: str) -> FolderRequest | None:
    """The request of a uri that begins with `folder:`; None for any other.

    Raises:
        SourceError: An option is unknown, given twice or has a value it cannot have.
    """
    split = split_uri(uri, {FOLDER})
    if split is None:
        return None
    _, path, values = split
    return FolderRequest(path=path, **read_options(uri, values, _PARSERS, example="folder:scans?text=md"))


_PARSERS: OptionParsers = {
    "text": one_of(get_args(TextChoice)),
    "document": one_of(get_args(DocumentRule)),
}
