"""Files → pages: manifests, tables, chats, folders, images, transcriptions in XML, PDFs, and the package's samples."""

from ocrtune.sources.folder import natural_key
from ocrtune.sources.images import IMAGE_SUFFIXES, count_frames, open_image
from ocrtune.sources.reading import (
    BUILTIN,
    SAMPLES,
    SourcePages,
    read_pages,
    read_source,
    sample_path,
)
from ocrtune.sources.sizes import image_size
from ocrtune.sources.writing import make_readable, write_jsonl, write_text_atomically

__all__ = [
    "BUILTIN",
    "IMAGE_SUFFIXES",
    "SAMPLES",
    "SourcePages",
    "count_frames",
    "image_size",
    "make_readable",
    "natural_key",
    "open_image",
    "read_pages",
    "read_source",
    "sample_path",
    "write_jsonl",
    "write_text_atomically",
]
