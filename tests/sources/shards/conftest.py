import io
import tarfile

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def encoded():
    """(seed, format) → the bytes of an image file."""

    def encode(seed: int = 0, kind: str = "PNG", size=(24, 16)) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return encode


@pytest.fixture
def write_tar(tmp_path):
    """(file name, (member, content) pairs) → the path of a tar with them."""

    def write(name, members, *, form=tarfile.GNU_FORMAT, mode="w"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, mode, format=form) as tar:
            for member, content in members:
                info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return write
