from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ocrtune.records import Page


@pytest.fixture
def picture(tmp_path):
    def draw(name: str, seed: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return draw


@pytest.fixture
def make_page():
    def make(name: str = "a.png", text: str | None = "words", *, images=None, **rest) -> Page:
        images = (Path(name),) if images is None else tuple(images)
        return Page(name=name, images=images, text=text, where=f"m.jsonl:{name}", **rest)

    return make
