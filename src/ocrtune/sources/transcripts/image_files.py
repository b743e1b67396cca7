"""The image that a transcription is of, wherever exports put it; nothing outside the data is opened."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ocrtune.records import Finding
from ocrtune.sources.image_paths import is_inside, leads_out
from ocrtune.sources.images import IMAGE_SUFFIXES

_SIBLINGS = (".", "images", "..", "../images")
"""Where common exports have images, from the folder of the XML."""


class ImageFiles:
    """Finds images for the XML files below one folder.

    Args:
        root: The folder; a path in an XML file may not lead out of it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_stem: dict[Path, dict[str, Path]] = {}

    def find(self, written: str, xml: Path) -> tuple[Path | None, list[Finding]]:
        """The image that `xml` calls `written`, or None with the finding that tells why.

        It is looked for at the path as written, from the XML's folder and from the root; then by its bare name, and
        by its stem with any suffix, beside the XML, in `images`, in the folder above and in `images` there. A file
        that names no image has one of its own stem. Paths out of the root are not followed; their bare names are
        looked for all the same.
        """
        name = PurePosixPath(written.replace("\\", "/")).name
        is_outside = bool(written) and leads_out(written, xml.parent, self._root)
        if name and not is_outside:
            for folder in (xml.parent, self._root):
                if _is_file(folder / written):
                    return folder / written, []
        found = self._beside(name, xml)
        if found is not None and not self._is_ours(found, xml):
            found, is_outside = None, True
        if found is None:
            return None, [_outside(written, xml) if is_outside else _missing(written or f"{xml.stem}.*", xml)]
        return found, [_note(xml)] if found.name != name or is_outside else []

    def _is_ours(self, image: Path, xml: Path) -> bool:
        """Whether no link leads out of the data; beside a root there may be images too, but no links to others."""
        return is_inside(image, self._root) or not _is_behind_a_link(image, xml.parent)

    def _beside(self, name: str, xml: Path) -> Path | None:
        folders = [Path(os.path.normpath(xml.parent / sibling)) for sibling in _SIBLINGS]
        for folder in folders:
            if name and _is_file(folder / name):
                return folder / name
        stem = PurePosixPath(name).stem or xml.stem
        return next((found for folder in folders if (found := self._images_of(folder).get(stem))), None)

    def _images_of(self, folder: Path) -> dict[str, Path]:
        if folder not in self._by_stem:
            # Of several suffixes the first by name, whatever order the disk has.
            found = sorted(_images(folder), reverse=True)
            self._by_stem[folder] = {path.stem: path for path in found}
        return self._by_stem[folder]


def _images(folder: Path) -> Iterator[Path]:
    try:
        found = list(folder.iterdir()) if folder.is_dir() else []
    except OSError:  # a folder that must not be looked into has no image for us
        return
    yield from (path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)


def _is_behind_a_link(image: Path, folder: Path) -> bool:
    """Whether the image is elsewhere than its path, seen from the folder, says."""
    real_folder = os.path.realpath(folder)
    return os.path.realpath(image) != os.path.normpath(
        os.path.join(real_folder, os.path.relpath(image, folder))  # noqa: PTH118
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the disk, or with a zero in it
        return False


def _note(xml: Path) -> Finding:
    return Finding(
        code="image-elsewhere",
        severity="note",
        message="the image is not where the file says and is taken by its name",
        where=str(xml),
    )


def _outside(written: str, xml: Path) -> Finding:
    return Finding(
        code="image-outside",
        severity="error",
        message=f"the image {written!r} lies outside the data, and there is none of its name beside the file",
        where=str(xml),
        hint="put it beside the XML file, or into `images` there",
    )


def _missing(written: str, xml: Path) -> Finding:
    return Finding(
        code="image-missing",
        severity="error",
        message=f"there is no image {written!r}",
        where=str(xml),
        hint="put it beside the XML file, or into `images` there",
    )
