"""Every fault that sources are known to have, each made by itself in an otherwise good small source."""

from fault_corpus import images, packed, pdfs, rows, splits, texts, transcripts
from fault_corpus.case import NUM_GOOD, Case
from fault_corpus.packed import archives

CASES: tuple[Case, ...] = tuple(
    case for part in (images, texts, rows, transcripts, pdfs, packed, splits) for case in part.cases()
)
"""All but archives, which are unpacked before they are a source."""

__all__ = ["CASES", "NUM_GOOD", "Case", "archives"]
