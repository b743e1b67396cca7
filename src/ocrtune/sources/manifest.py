"""A JSONL manifest → pages: one JSON object a line."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ocrtune.errors import ManifestError
from ocrtune.records import Page
from ocrtune.sources.jsonl import (
    BrokenLine,
    kind_of,
    read_jsonl,
    take_label,
    take_path,
    take_target,
    take_text,
    tell_problems,
)


def read_manifest(path: Path) -> list[Page]:
    """The pages of a manifest, in the order of its lines.

    Keys of a line, others being left alone:

    * `image`: path of the image, relative to the manifest's folder; the page's name, exactly as written.
    * `images`: several paths in place of `image`; the first is the page's name. `[]` says that there is text
      alone, and the page is named by its line, such as `manifest.jsonl:12`.
    * `text`: what stands on the page; absent or null where nobody knows. An object or a list is a target in JSON.
    * `prompt`: the page's own prompt.
    * `document`: which document the page belongs to, a string or a number. Without it `page` counts, as in
      manifests of lines cut from pages; without both the page is a document by itself.

    Blank lines are passed over; a byte order mark and CRLF do no harm.

    Raises:
        ManifestError: With every broken line: no JSON object, a key missing or of a wrong type, a name that an
            earlier line has. Or there are no pages.
    """
    pages, problems = read_jsonl(path, partial(_named_page, path))
    if problems:
        raise ManifestError(
            tell_problems(problems),
            where=str(path),
            hint='a line is one JSON object: {"image": "scans/1.png", "text": "what stands there"}; '
            f"jsonl:{path}?image=KEY&text=KEY reads other keys, chat:{path} chats",
        )
    if not pages:
        raise ManifestError("the manifest holds no pages", where=str(path))
    return pages


def _named_page(path: Path, row: Mapping[str, Any], number: int) -> tuple[str, Page]:
    written = _image_paths(row)
    name = written[0] if written else f"{path.name}:{number}"
    page = Page(
        name=name,
        images=tuple(path.parent / image for image in written),
        text=take_target(row, "text"),
        prompt=take_text(row, "prompt"),
        document=_document(row) or own_document(written, name),
        where=f"{path}:{number}",
    )
    return name, page


def _image_paths(row: Mapping[str, Any]) -> list[str]:
    """The image paths as written."""
    if "image" in row and "images" in row:
        raise BrokenLine("has both `image` and `images`")
    if "image" in row:
        return [take_path(row["image"], "image")]
    if "images" not in row:
        keys = ", ".join(f"`{key}`" for key in row) or "none"
        raise BrokenLine(f"no `image`; its keys: {keys}")
    if not isinstance(row["images"], list):
        raise BrokenLine(f"`images` is {kind_of(row['images'])}, not a list of paths")
    return [take_path(value, "images") for value in row["images"]]


def _document(row: Mapping[str, Any]) -> str:
    """The document as the line names it, or nothing."""
    return take_label(row, "document" if row.get("document") is not None else "page")


def own_document(written: Sequence[str], name: str) -> str:
    """The document of a page that is one by itself: its image's path without the suffix."""
    path = Path(written[0] if written else name)
    return path.with_suffix("").as_posix() if written and path.name else name
