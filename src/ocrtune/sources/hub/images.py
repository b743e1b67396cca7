"""What a row tells of an image: its bytes, or the path of a file, which may lead nowhere but into known folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocrtune.sources.image_paths import find_image, leads_out
from ocrtune.sources.jsonl import BrokenLine


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as a row has it.

    Attributes:
        has_bytes: Its file stands in the row.
        path: Where the file is, or what it was called before it came into the row; empty where nobody knows.
    """

    has_bytes: bool
    path: str


class ImageFinder:
    """Finds image files on this machine.

    Args:
        column: That of the images, for errors.
        roots: The folders that files may be in; paths are seen from the first one.
    """

    def __init__(self, column: str, roots: Sequence[Path]) -> None:
        self._column = column
        self._roots = roots

    def require(self, files: list[ImageFile] | None) -> list[ImageFile]:
        """The files of a row, if each of them is something.

        Raises:
            BrokenLine: The row has null in place of its images, or of one of them.
        """
        if files is None or any(not file.has_bytes and not file.path for file in files):
            raise BrokenLine(f"the row has no image: `{self._column}` is null", code="image-none")
        return files

    def find(self, file: ImageFile) -> Path | None:
        """The file on disk; None for one that stands in the row.

        Raises:
            BrokenLine: The path is no path, or leads out of all known folders.
        """
        if file.has_bytes:
            return None
        # Absolute ones are the library's, for files that it has fetched or unpacked.
        for root in self._roots[1:]:
            if Path(file.path).is_absolute() and not leads_out(file.path, root, root):
                return Path(file.path)
        return find_image(file.path, self._column, self._roots[0])
