import hashlib
import json
from collections import Counter
from importlib.resources import as_file
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from ocrtune.config import DecodingSection
from ocrtune.evaluation import score_page, summarize
from ocrtune.families import family_of
from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs import Tokenizer
from ocrtune.models import load_checkpoint, load_model
from ocrtune.models.tiny import TINY, WEIGHTS, build_tiny_checkpoint, train_tiny_tokenizer
from ocrtune.prediction import predict
from ocrtune.sources import read_pages
from ocrtune.text import Normalization


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Tokenizer:
    return Tokenizer.read(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint: Path):
    return load_model(checkpoint)


def digests(folder: Path):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("untrained"), seed=0)


def test_it_is_made_of_the_same_bytes_each_time(checkpoint, untrained, tmp_path):
    assert digests(build_tiny_checkpoint(tmp_path / "again")) == digests(checkpoint)
    assert digests(build_tiny_checkpoint(tmp_path / "untrained", seed=0)) == digests(untrained)


def test_a_seed_gives_other_weights_and_the_same_tokenizer(checkpoint, untrained, tmp_path):
    folders = (checkpoint, untrained, build_tiny_checkpoint(tmp_path / "other", seed=1))
    found = [digests(folder) for folder in folders]
    assert len({digest["model.safetensors"] for digest in found}) == 3
    for name in ("config.json", "ocrtune.json", "tokenizer.json"):
        assert len({digest[name] for digest in found}) == 1


def test_its_weights_read_scanned_lines_they_never_learned_from(checkpoint):
    loaded = load_checkpoint(checkpoint, device="cpu")
    pages = [page for page in read_pages("builtin") if page.document == "5"][:12]
    found = predict(loaded, pages, decoding=DecodingSection(max_new_tokens=80, batch_size=12))
    rule = Normalization()
    scores = [score_page(page.text, row, rule) for page, row in zip(pages, found, strict=True)]
    assert summarize(scores, rule).cer.micro < 0.15


def test_the_weights_take_no_more_than_twelve_megabytes_of_the_package():
    with as_file(WEIGHTS) as path:
        assert path.stat().st_size < 12e6


def test_a_folder_that_is_there_is_overwritten_and_keeps_nothing_half_written(tmp_path):
    (tmp_path / "model.safetensors").write_text("old")
    names = {path.name for path in build_tiny_checkpoint(tmp_path).iterdir()}
    assert names == {"config.json", "model.safetensors", "ocrtune.json", "tokenizer.json"}


def test_it_is_of_family_deepseek_ocr_and_loads_as_one(checkpoint, model):
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    assert family_of(config).name == "deepseek_ocr"
    assert model.family.name == "deepseek_ocr"
    assert config["architectures"] == [type(model).__name__]


def test_it_has_four_million_parameters(model):
    assert 4e6 < sum(parameter.numel() for parameter in model.parameters()) < 5e6


def test_its_tensors_have_exactly_the_names_of_the_published_layout(checkpoint, golden):
    def shape_of_name(name):
        return ".".join("N" if part.isdecimal() and part != "0" else part for part in name.split("."))

    ours = {shape_of_name(name) for name in load_file(checkpoint / "model.safetensors")}
    published = {shape_of_name(name) for name in load_file(golden / "deepseek_ocr" / "model.safetensors")}
    assert ours == published


def test_every_weight_is_finite_float32(checkpoint):
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        assert tensor.dtype == np.float32, name
        assert np.isfinite(tensor).all(), name


def test_vision_weights_are_not_zero_where_the_librarys_default_makes_them_so(untrained):
    for name, tensor in load_file(untrained / "model.safetensors").items():
        if name.startswith("model.sam_model") and tensor.ndim > 1 and "rel_pos" not in name:
            assert tensor.std() > 1e-3, name


def test_white_paper_looks_like_nothing_to_the_first_filters(untrained):
    filters = load_file(untrained / "model.safetensors")["model.sam_model.patch_embed.proj.weight"]
    assert np.abs(filters.sum(axis=(1, 2, 3))).max() < 1e-4
    flat = filters[:, 0].reshape(len(filters), -1)
    gram = flat @ flat.T / (flat[0] @ flat[0])
    assert np.abs(gram - np.eye(len(filters))).max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize(("side", "features"), [(64, 1), (128, 4), (256, 16)])
def test_views_of_any_side_can_be_seen(model, side, features):
    seen = model.model.vision_tower(torch.zeros(2, 3, side, side)).last_hidden_state
    assert seen.shape[:2] == (2, features)
    assert torch.isfinite(seen).all()


def test_the_first_three_ids_are_those_of_the_published_tokenizer(tokenizer):
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 1, 2)


def test_config_and_tokenizer_agree(checkpoint, tokenizer):
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    assert config["image_token_id"] == tokenizer.image_id
    assert config["text_config"]["vocab_size"] == tokenizer.size == 360
    for name in ("bos", "eos", "pad"):
        assert config["text_config"][f"{name}_token_id"] == getattr(tokenizer, f"{name}_id")


@pytest.mark.parametrize("text", [*VOCABULARY.kept, VOCABULARY.image, VOCABULARY.bos])
def test_a_special_token_in_a_text_is_one_id(tokenizer, text):
    assert len(tokenizer.encode(f"a{text}b")) == 3


SPECIAL = (VOCABULARY.bos, VOCABULARY.eos, VOCABULARY.pad, VOCABULARY.image)


@given(st.text().filter(lambda text: not any(special in text for special in SPECIAL)))
def test_every_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_each_letter_of_the_sample_lines_is_a_token(tokenizer):
    for page in read_pages("builtin"):
        ids = tokenizer.encode(page.text)
        assert tokenizer.decode(ids) == page.text
        assert len(ids) == len(page.text)


def test_each_cyrillic_letter_is_one_token_pre_reform_ones_too(tokenizer):
    letters = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіѣѳѵ"
    lengths = Counter({letter: len(tokenizer.encode(letter)) for letter in letters + letters.upper()})
    assert set(lengths.values()) == {1}


def test_training_the_tokenizer_again_gives_the_same_one(checkpoint):
    text = (checkpoint / "tokenizer.json").read_text(encoding="utf-8")
    assert all(train_tiny_tokenizer().to_str(pretty=True) == text for _ in range(3))


def test_the_smallest_filters_number_no_more_than_a_patch_has_patterns():
    assert TINY.sam_width < 16 * 16
