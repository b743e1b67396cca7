import json
import sys
from math import prod
from pathlib import Path

import pytest
from PIL import Image

from ocrtune.inputs import Tokenizer

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def full_size_model():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import full_size_model  # it lies beside the scripts, which are no package

        yield full_size_model
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def shapes(full_size_model):
    return full_size_model.published_shapes()


def test_the_checkpoint_has_the_tensors_of_the_published_one(full_size_model, shapes):
    assert len(shapes) == 2710
    assert sum(map(prod, shapes.values())) == full_size_model.PARAMETERS == 3_336_106_240


def test_its_files_hold_each_tensor_once_and_are_of_about_one_size(full_size_model, shapes):
    parts = list(full_size_model.shards(shapes))
    assert len(parts) == full_size_model.SHARDS
    assert [name for part in parts for name in part] == list(shapes)
    sizes = [sum(map(prod, part.values())) for part in parts]
    assert max(sizes) < 1.05 * min(sizes)


def test_the_page_asks_for_about_300_tokens(full_size_model, tmp_path):
    manifest = full_size_model.write_page(tmp_path)
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(full_size_model.published_tokenizer()), encoding="utf-8"
    )
    tokenizer = Tokenizer.read(tmp_path)
    assert tokenizer.image_id == full_size_model.FAMILY.vocabulary.published_ids["<image>"]
    text = json.loads(manifest.read_text(encoding="utf-8"))["text"]
    assert 280 < len(tokenizer.encode(text)) < 320
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == full_size_model.PAGE_PX
