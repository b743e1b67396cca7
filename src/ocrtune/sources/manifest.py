"""A JSONL manifest → pages: one JSON object a line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from ocrtune.errors import ManifestError
from ocrtune.records import Finding, Page
from ocrtune.sources.encodings import find_encoding, other_encoding_hint
from ocrtune.sources.image_paths import DATA_ROOT, check_inside, check_is_path
from ocrtune.sources.jsonl import (
    READING_STOPPED,
    BrokenLine,
    LineIndex,
    OtherEncoding,
    Problem,
    index_jsonl,
    kind_of,
    read_line,
    read_lines,
    take_label,
    take_path,
    take_target,
    take_text,
    tell_problems,
)

_EXAMPLE = 'a line is one JSON object: {"image": "scans/1.png", "text": "what stands there"}'

_BEGIN_BYTES = 1024


class ManifestPages(Sequence[Page]):
    """The pages of a manifest, in the order of its lines; each is read when it is asked for.

    A million of them take 16 MB, and go to other processes as those.

    Args:
        path: The manifest.
        index: Where its good lines are.

    Attributes:
        path: The manifest.
    """

    def __init__(self, path: Path, index: LineIndex) -> None:
        self.path = path
        self._index = index

    def __len__(self) -> int:
        return len(self._index.offsets)

    @overload
    def __getitem__(self, place: int) -> Page: ...

    @overload
    def __getitem__(self, place: slice) -> list[Page]: ...

    def __getitem__(self, place: int | slice) -> Page | list[Page]:
        if isinstance(place, slice):
            return [self._read(each) for each in range(*place.indices(len(self)))]
        return self._read(range(len(self))[place])

    def __iter__(self) -> Iterator[Page]:
        """One pass over the file, much faster than page by page."""
        lines = read_lines(self.path)
        for number in self._index.numbers.tolist():
            with self._naming_changes(number):
                line = next((line for line in lines if line.number >= number), None)
                if line is None or line.number > number:
                    raise BrokenLine("the line is gone")
                page = self._page(line.parse(), number)
            yield page

    def _read(self, place: int) -> Page:
        number = int(self._index.numbers[place])
        with self._naming_changes(number):
            return self._page(self._row(place), number)

    def _row(self, place: int) -> Mapping[str, Any]:
        return read_line(self.path, int(self._index.offsets[place]), self._index.encoding)

    @contextmanager
    def _naming_changes(self, number: int) -> Iterator[None]:
        """A line that was good and is not any more belongs to a file that somebody has changed."""
        try:
            yield
        except (BrokenLine, OSError) as broken:
            raise ManifestError(
                f"the manifest was changed while it was in use: {broken}",
                where=f"{self.path}:{number}",
                hint="start again, and leave the file alone meanwhile",
            ) from broken

    def _page(self, row: Mapping[str, Any], number: int) -> Page:
        return _page(self.path, row, number)


def read_manifest(path: Path) -> tuple[ManifestPages, list[Finding]]:
    """The pages of a manifest, in the order of its lines, and a finding for each line that is left out.

    Keys of a line, others being left alone:

    * `image`: path of the image, relative to the manifest's folder, and in it; the page's name, exactly as written.
    * `images`: several paths in place of `image`; the first is the page's name. `[]` says that there is text
      alone, and the page is named by its line, such as `manifest.jsonl:12`.
    * `text`: what stands on the page; absent or null where nobody knows. An object or a list is a target in JSON.
    * `prompt`: the page's own prompt.
    * `document`: which document the page belongs to, a string or a number. Without it `page` counts, as in
      manifests of lines cut from pages; without both the page is a document by itself.

    Blank lines are passed over; CRLF does no harm, and a byte order mark says whether the file is in UTF-16. A line is
    left out that is too long or no JSON object, or has no image, a key of a wrong type, an image outside of the folder,
    or a name that an earlier line has.

    Raises:
        ManifestError: It is one JSON list. Or so many lines are broken that the rest was not read, or there are no pages; then with every
            broken line.
    """
    _refuse_list(path)
    index, problems = index_jsonl(path, lambda row, number: _page(path, row, number).name)
    findings = [_of_line(problem, path) for problem in problems]
    if findings and (not len(index.offsets) or findings[-1].code == READING_STOPPED):
        raise broken_lines(findings, path)
    if not len(index.offsets):
        raise ManifestError("the manifest holds no pages", where=str(path))
    return ManifestPages(path, index), findings


def _refuse_list(path: Path) -> None:
    """A list over several lines has single lines that look like those of a manifest."""
    encoding, mark = find_encoding(path)
    with path.open("rb") as file:
        begin = file.read(_BEGIN_BYTES).removeprefix(mark).decode(encoding, errors="replace").lstrip()
    if begin.startswith("[") and begin[1:].lstrip().startswith("{"):
        raise ManifestError(
            "the file is a list, and a manifest has one JSON object a line",
            where=str(path),
            hint=f"jsonl:{path} reads lists too; chat:{path} reads chats",
        )


def broken_lines(findings: Sequence[Finding], path: Path) -> ManifestError:
    """The findings of a manifest as one error."""
    told = [f"line {finding.where.rpartition(':')[2]}: {finding.message}" for finding in findings]
    return ManifestError(
        tell_problems(told),
        where=str(path),
        hint=_hint_of(findings)
        or f"{_EXAMPLE}; "
        f"jsonl:{path}?image=KEY&text=KEY reads other keys, chat:{path} chats; {DATA_ROOT}=FOLDER allows images elsewhere",
    )


def _of_line(problem: Problem, path: Path) -> Finding:
    number, broken = problem
    found = broken.as_finding(f"{path}:{number}")
    hint = other_encoding_hint("jsonl", path) if isinstance(broken, OtherEncoding) else found.hint
    return replace(found, hint=hint or _EXAMPLE)


def _hint_of(findings: Sequence[Finding]) -> str:
    """What helps with the first line, if that is more than to know how lines are written."""
    return findings[0].hint if findings[0].hint != _EXAMPLE else ""


def _page(path: Path, row: Mapping[str, Any], number: int) -> Page:
    written = _image_paths(row)
    for image_path in written:
        check_is_path(image_path)
    images = tuple(path.parent / image for image in written)
    for image, image_path in zip(images, written, strict=True):
        check_inside(image, path.parent, image_path)
    name = written[0] if written else f"{path.name}:{number}"
    return Page(
        name=name,
        images=images,
        text=take_target(row, "text"),
        prompt=take_text(row, "prompt"),
        document=_document(row) or own_document(written, name),
        where=f"{path}:{number}",
    )


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
