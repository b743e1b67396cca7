import io
import json

import datasets
import pytest
from PIL import Image

datasets.disable_progress_bars()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of the library's own for each test; a test that asked the net would fail, for it is offline."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", folder / "downloads")
    return folder


@pytest.fixture
def encode():
    """The bytes of an image file of a width that tells it from others."""

    def make(width, kind="PNG"):
        file = io.BytesIO()
        Image.new("RGB", (width, 20), "white").save(file, kind)
        return file.getvalue()

    return make


@pytest.fixture
def save(tmp_path):
    """Save columns as Parquet in a folder, or as `save_to_disk` does."""

    def write(columns, features=None, *, name="data", how="parquet", splits=("train",)):
        features = None if features is None else datasets.Features(features)
        made = datasets.Dataset.from_dict(columns, features=features)
        folder = tmp_path / name
        if how == "disk":
            made.save_to_disk(str(folder))
        elif how == "dict":
            datasets.DatasetDict(dict.fromkeys(splits, made)).save_to_disk(str(folder))
        else:
            folder.mkdir(exist_ok=True)
            for split in splits:
                made.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
        return folder

    return write


@pytest.fixture
def image_folder(tmp_path, encode):
    """A folder of images with `metadata.jsonl`, as the library knows them."""
    folder = tmp_path / "folder" / "train"
    folder.mkdir(parents=True)
    for width in (30, 31, 32):
        (folder / f"{width}.png").write_bytes(encode(width))
    rows = [{"file_name": f"{width}.png", "text": f"w{width}"} for width in (30, 31, 32)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder.parent
