"""The nouns of synthetic pages: Text → Sheet → Scan."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ink = NDArray[np.float32]
"""(height, width), 0 for bare paper and 1 for full ink."""

Points = NDArray[np.float64]
"""(N, 2): x and y in pixels from the left upper corner; the middle of the first pixel is at 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What is to be set.

    Attributes:
        text: One paragraph or line, single spaces, NFC.
        language: Its code.
    """

    text: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a sheet that has a box of its own in a grounded target.

    Attributes:
        kind: `text`, `title`, `table`, `footnote` …, as the family labels them.
        target: What is to be read there.
        outline: (N, 2) points around it; its box is their bounds, after every geometric change.
    """

    kind: str
    target: str
    outline: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A page as the press sees it: ink, and where everything stands.

    Attributes:
        ink: How much ink.
        blocks: In reading order.
        letters: (letters, 2) the middle of each letter of `text`, for layouts `line`; empty where it is not known.
        em_px: Em size of the body text: what degradations measure their lengths in.
        facts: Provenance: font, size, layout and the like, for the manifest.
    """

    ink: Ink
    blocks: tuple[Block, ...]
    letters: Points = field(default_factory=lambda: np.empty((0, 2)))
    em_px: float = 32.0
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A page as the scanner leaves it.

    Attributes:
        image: Mode L, or RGB where something has a colour.
        blocks: With outlines in pixels of `image`.
        letters: As in `Sheet`, in pixels of `image`.
        facts: Provenance, the degradations with their strengths among them.
    """

    image: Image.Image
    blocks: tuple[Block, ...]
    letters: Points
    facts: dict[str, object] = field(default_factory=dict)
