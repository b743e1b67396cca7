import random

import pytest
from PIL import ImageFont

from batches import LineSource
from ocrtune.inputs import Tokenizer
from ocrtune.models.tiny import build_tiny_checkpoint
from texts import Fonts, LineTexts

PROSE = "The quick brown fox jumps over the lazy dog--and back again, before the day is done. " * 2


@pytest.fixture(scope="session")
def font():
    """The one that Pillow carries, so that a machine without fonts will do."""
    return ImageFont.load_default(size=20)


@pytest.fixture
def rng():
    return random.Random(7)


@pytest.fixture(scope="session")
def texts():
    return LineTexts([PROSE], ["alpha", "beta", "gamma", "it's"])


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def tokenizer(start):
    return Tokenizer.read(start)


@pytest.fixture(scope="session")
def source(texts, font, start):
    return LineSource(
        texts=texts, fonts=Fonts((font,), (1.0,), (font,)), tokenizer_folder=start, batch_size=4, seed=3
    )
