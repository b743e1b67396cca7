"""Tars and tables of a few pages of noise, each with its own text."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SHARDS, PAGES_OF_SHARD = 4, 6
PAGES = SHARDS * PAGES_OF_SHARD
BROKEN = b"\x89PNG and no more"


def png(number):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 60 + 5 * (number % 7), 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def numbers_of(shard):
    return range(shard * PAGES_OF_SHARD, (shard + 1) * PAGES_OF_SHARD)


def word(number):
    return f"page {number}"


def write_tars(folder, broken=()):
    """Four tars of six pages each."""
    folder.mkdir()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number in numbers_of(shard):
                image = BROKEN if number in broken else png(number)
                for suffix, content in (("png", image), ("txt", word(number).encode())):
                    info = tarfile.TarInfo(f"{number:02}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return f"webdataset:{folder}"


def write_parquets(folder):
    """The same pages in four tables of two row groups each."""
    folder.mkdir()
    for shard in range(SHARDS):
        images = [{"bytes": png(number), "path": None} for number in numbers_of(shard)]
        table = pa.table({"image": images, "text": [word(number) for number in numbers_of(shard)]})
        pq.write_table(table, folder / f"{shard}.parquet", row_group_size=4)
    return f"parquet:{folder}?image=image&text=text"
