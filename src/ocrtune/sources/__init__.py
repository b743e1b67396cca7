"""Files → pages: manifests, folders, images, and the sample data of the package."""

from ocrtune.sources.folder import natural_key
from ocrtune.sources.images import IMAGE_SUFFIXES, count_frames, open_image
from ocrtune.sources.reading import BUILTIN, SAMPLES, find_stray_texts, read_pages, sample_path
from ocrtune.sources.writing import make_readable, write_jsonl, write_text_atomically

__all__ = [
    "BUILTIN",
    "IMAGE_SUFFIXES",
    "SAMPLES",
    "count_frames",
    "find_stray_texts",
    "make_readable",
    "natural_key",
    "open_image",
    "read_pages",
    "sample_path",
    "write_jsonl",
    "write_text_atomically",
]
