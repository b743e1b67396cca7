"""One fault in an otherwise good small source: how it is made, and what `check` and `train` are to say of it."""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
from PIL import Image, ImageDraw, ImageFont

NUM_GOOD = 6
"""Good pages of every source that a fault is put into."""

TEXTS = ("red apples", "a long road", "seven hats", "winter wheat", "old stones", "paper boats")
"""What stands on the good pages."""

BAD_TEXT = "black ink here"
"""What stands on the page that a fault is put into."""

Outcome = Literal["learned", "skipped", "refused"]
"""`learned`: all pages; `skipped`: without the bad ones, or an error if the recipe does not say to skip; `refused`: no run."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault.

    Attributes:
        kind: What is broken: images, texts, …
        name: Unique; a folder's name.
        make: Writes the source into a folder that is there, and gives its uri.
        codes: Of all findings of `check`, or of its error where the source is refused; none of what is good.
        outcome: What becomes of the pages.
        code: Of the error of a run that does not skip, where it is not `training`.
        pages: Pages that are left to learn from.
        validation: Held-out pages, as a folder beside the source.
        environment: Set while the case is read.
        limits: Module attribute → value, while the case is read.
        for_root: Whether it is one for somebody who may read everything.
    """

    kind: str
    name: str
    make: Callable[[Path], str]
    codes: tuple[str, ...] = ()
    outcome: Outcome = "skipped"
    code: str = ""
    pages: int = NUM_GOOD
    validation: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, object] = field(default_factory=dict)
    for_root: bool = True

    @property
    def can_be_made(self) -> bool:
        """Whether this machine and user can have such a fault."""
        return self.for_root or os.geteuid() != 0

    @contextmanager
    def conditions(self) -> Iterator[None]:
        """Its environment and limits."""
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self.environment))
            for name, value in self.limits.items():
                stack.enter_context(patch(name, value))
            yield


def good(kind: str, name: str, make: Callable[[Path], str], *codes: str, pages: int = 7, **options) -> Case:
    """A source all of whose pages are learned from; codes are of warnings and notes."""
    return Case(kind=kind, name=name, make=make, codes=codes, outcome="learned", pages=pages, **options)


def bad(kind: str, name: str, make: Callable[[Path], str], *codes: str, **options) -> Case:
    """A source of which something is left out."""
    return Case(kind=kind, name=name, make=make, codes=codes, **options)


def refused(kind: str, name: str, make: Callable[[Path], str], code: str, **options) -> Case:
    """A source that no run can begin with."""
    return Case(kind=kind, name=name, make=make, codes=(code,), outcome="refused", pages=0, **options)


@cache
def picture(text: str, size: tuple[int, int] = (240, 64)) -> Image.Image:
    """A page of one line; never changed."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((10, 18), text, fill="black", font=ImageFont.load_default(size=24))
    return image


def noise(seed: int, size: tuple[int, int] = (240, 160)) -> Image.Image:
    """An image that nothing packs."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def good_bytes(number: int) -> bytes:
    """The PNG of a good page."""
    return encoded(picture(TEXTS[number]))


@cache
def bad_bytes() -> bytes:
    """The PNG of the page that is otherwise good."""
    return encoded(picture(BAD_TEXT))


def good_rows(folder: Path) -> list[dict[str, str]]:
    """Write the good images; a row of a manifest for each."""
    rows = []
    for number, text in enumerate(TEXTS, start=1):
        (folder / f"page{number}.png").write_bytes(good_bytes(number - 1))
        rows.append({"image": f"page{number}.png", "text": text})
    return rows


def write_manifest(folder: Path, *bad_lines: object, before: bytes = b"", end: bytes = b"\n") -> str:
    """A manifest of good lines with others in their midst; what is not bytes is written as JSON."""
    lines = [json.dumps(row).encode() for row in good_rows(folder)]
    lines[3:3] = [
        line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()
        for line in bad_lines
    ]
    path = folder / "manifest.jsonl"
    path.write_bytes(before + b"".join(line + end for line in lines))
    return str(path)


def write_folder(folder: Path, files: Mapping[str, bytes | str] = {}) -> str:
    """Images with texts beside them, and other files."""
    for number, row in enumerate(good_rows(folder), start=1):
        (folder / f"page{number}.txt").write_text(f"{row['text']}\n", encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def with_json_files(content: str) -> Callable[[Path], str]:
    """A folder whose texts are JSON, with one more."""

    def make(folder: Path) -> str:
        for row in good_rows(folder):
            path = folder / row["image"]
            path.with_suffix(".json").write_text(json.dumps({"text": row["text"]}), encoding="utf-8")
        (folder / "bad.png").write_bytes(bad_bytes())
        (folder / "bad.json").write_text(content, encoding="utf-8")
        return str(folder)

    return make


def with_image(
    content: bytes | None, name: str = "bad.png", text: str | None = BAD_TEXT
) -> Callable[[Path], str]:
    """A manifest with one more image; None leaves the file out."""

    def make(folder: Path) -> str:
        if content is not None:
            (folder / name).write_bytes(content)
        return write_manifest(folder, {"image": name, "text": text})

    return make


def with_rows(*rows: object, images: Sequence[tuple[str, bytes]] = ()) -> Callable[[Path], str]:
    """A manifest with more lines, which may name `bad.png`, a good image."""

    def make(folder: Path) -> str:
        for name, content in [("bad.png", bad_bytes()), *images]:
            (folder / name).write_bytes(content)
        return write_manifest(folder, *rows)

    return make


def with_files(**files: bytes | str) -> Callable[[Path], str]:
    """A folder with more files: `bad__txt` is `bad.txt`."""
    named = {name.replace("__", "."): content for name, content in files.items()}
    return lambda folder: write_folder(folder, named)
