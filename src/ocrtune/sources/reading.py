"""A uri → pages, whatever kind of source it names."""

from difflib import get_close_matches
from pathlib import Path

from ocrtune.errors import SourceError
from ocrtune.records import Page
from ocrtune.sources.folder import find_texts_without_image, read_folder, read_image
from ocrtune.sources.images import IMAGE_SUFFIXES
from ocrtune.sources.manifest import read_manifest

BUILTIN = "builtin"
"""The uri of the sample lines that come with the package."""

SYNTH = "synth:"
"""What the uri of synthetic pages begins with: a stream without end, which `read_pages` cannot give."""

SAMPLES = ("vicksburg_lines", "vicksburg_pages")
"""The sample data that come with the package; `samples/README.md` tells where they are from."""

MANIFEST_NAME = "manifest.jsonl"
MANIFEST_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})


def read_pages(uri: str) -> list[Page]:
    """The pages of a source, in its order; nothing is opened but the texts.

    Args:
        uri: `builtin` for the sample lines; a JSONL manifest; a folder with a `manifest.jsonl` in it, or of
            images with a `.txt` of the same stem each; one image.

    Raises:
        SourceError: There is nothing of that name, or nothing in it that can be read.
        ManifestError: Lines of the manifest are broken.
    """
    if uri == BUILTIN:
        return read_manifest(sample_path("vicksburg_lines") / MANIFEST_NAME)
    if uri.startswith(SYNTH):
        raise SourceError(
            f"{uri!r} is a stream of synthetic pages without end",
            hint=f"write some as files: `ocrtune synth {uri.removeprefix(SYNTH)} -o pages/`",
        )
    path = Path(uri)
    if path.is_dir():
        return read_folder(path) if _is_folder_of_images(path) else read_manifest(path / MANIFEST_NAME)
    if not path.is_file():
        raise SourceError(f"there is no file or folder {uri!r}", hint=_nearest(path))
    if path.suffix.lower() in MANIFEST_SUFFIXES:
        return read_manifest(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return read_image(path)
    raise SourceError(
        f"a file with the suffix {path.suffix!r} is no source of pages",
        where=uri,
        hint="give a JSONL manifest, a folder of images with .txt files, one image, or builtin",
    )


def find_stray_texts(uri: str) -> list[Path]:
    """The `.txt` files that `read_pages(uri)` leaves out because no image beside them has their stem."""
    path = Path(uri)
    is_folder = uri != BUILTIN and _is_folder_of_images(path)
    return find_texts_without_image(path) if is_folder else []


def sample_path(name: str) -> Path:
    """The folder of sample data `name` in the package: `vicksburg_lines` or `vicksburg_pages`.

    Raises:
        SourceError: There are no such data.
    """
    if name not in SAMPLES:
        raise SourceError(f"there are no sample data {name!r}", hint=f"known: {', '.join(SAMPLES)}")
    return Path(__file__).parent / "samples" / name


def _is_folder_of_images(path: Path) -> bool:
    return path.is_dir() and not (path / MANIFEST_NAME).is_file()


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r} either"
    names = [found.name for found in path.parent.iterdir()] + [BUILTIN]
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"looked in {str(path.parent.resolve())!r}"
