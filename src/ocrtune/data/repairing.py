"""A source written anew as a manifest: texts repaired where that is safe, pages left out that say nothing new."""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ocrtune.data.hashes import hash_of
from ocrtune.data.repeats import place_of
from ocrtune.errors import SourceError
from ocrtune.progress import track
from ocrtune.records import Page
from ocrtune.sources.writing import jsonl_line, open_atomically

Repair = Callable[[str], tuple[str, Sequence[str]]]
"""Gives a text without its faults, and the codes of the findings that are mended by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What `write_repaired` left on the disk.

    Attributes:
        manifest: A source of pages like any other.
        changes: One JSON object for each page that is changed or left out: `image`, `where`, `codes`, `before`, `after`;
            `after` is null for a page that is left out.
        num_pages: Pages of the manifest.
        num_repaired: Pages of it whose text is changed.
        num_dropped: Pages left out because an earlier one has the same pictures, prompt and text.
        num_outside: Pages whose images lie outside the folder of the manifest.
    """

    manifest: Path
    changes: Path
    num_pages: int
    num_repaired: int
    num_dropped: int
    num_outside: int = 0


def write_repaired(
    pages: Sequence[Page], path: Path, repair: Repair, *, repeated: Collection[int] = ()
) -> Repaired:
    """Write the pages as a manifest, and what is changed beside it as `NAME.changes.jsonl`.

    Images stay where they are; their paths are relative to the manifest. A row has `image` or `images`, `text`, `prompt` and
    `document`, and no other keys of its source. Both files are written whole or not at all, row by row.

    Args:
        pages: Of image files only.
        path: The manifest, which may not be there yet.
        repair: See `Repair`.
        repeated: Indices of pages to leave out.

    Raises:
        SourceError: A page has an image that is no file by itself, two pages have the same image, or `path` is there.
    """
    if path.exists():
        raise SourceError("a file lies there already", where=str(path), hint="write to another one")
    left_out = frozenset(repeated)
    changes = path.with_name(f"{path.name}.changes.jsonl")
    names: set[int] = set()
    num_repaired = num_outside = 0
    with ExitStack() as stack:
        changed = stack.enter_context(open_atomically(changes))
        rows = stack.enter_context(open_atomically(path))
        for index, page in enumerate(track(pages, "writing pages")):
            if index in left_out:
                _write(changed, _change(page, ["image-repeated"], None))
                continue
            row = _row(page, path.parent, names)
            num_outside += str(row.get("image", "")).startswith("../")
            if page.text is not None:
                text, codes = repair(page.text)
                row["text"] = text
                if text != page.text:
                    num_repaired += 1
                    _write(changed, _change(page, list(codes), text))
            _write(rows, row)
    return Repaired(
        manifest=path,
        changes=changes,
        num_pages=len(pages) - len(left_out),
        num_repaired=num_repaired,
        num_dropped=len(left_out),
        num_outside=num_outside,
    )


def _row(page: Page, folder: Path, names: set[int]) -> dict[str, object]:
    images = [_relative(source, page, folder) for source in page.images]
    if images:
        name = hash_of(images[0])
        if name in names:
            raise SourceError(
                "an earlier page has the same image, and a manifest names each once",
                where=place_of(page),
                hint="`ocrtune import` writes a copy of the image for each page",
            )
        names.add(name)
    named: dict[str, object] = {"image": images[0]} if len(images) == 1 else {"images": images}
    facts = {"text": page.text, "prompt": page.prompt, "document": page.document or None}
    return {**named, **{key: value for key, value in facts.items() if value is not None}}


def _relative(source: object, page: Page, folder: Path) -> str:
    if not isinstance(source, Path):
        raise SourceError(
            "the page's image is no file by itself, so no manifest can name it",
            where=place_of(page),
            hint="`ocrtune import` writes such pages as image files with a manifest; repair that one",
        )
    return Path(os.path.relpath(source.absolute(), folder.absolute())).as_posix()


def _change(page: Page, codes: list[str], after: str | None) -> dict[str, object]:
    return {"image": page.name, "where": page.where, "codes": codes, "before": page.text, "after": after}


def _write(file: BinaryIO, row: dict[str, object]) -> None:
    file.write(jsonl_line(row).encode())
