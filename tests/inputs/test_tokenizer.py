import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import TokenizerError
from ocrtune.families.vocabulary import BOS, EOS, IMAGE, PAD, VOCABULARY
from ocrtune.inputs import Tokenizer

SPECIAL_TOKENS = tuple(VOCABULARY.published_ids)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_the_published_tokenizer_has_the_published_ids(published_tokenizer):
    ids = VOCABULARY.published_ids
    assert published_tokenizer.bos_id == ids[BOS] == 0
    assert published_tokenizer.eos_id == ids[EOS] == 1
    assert published_tokenizer.pad_id == ids[PAD] == 2
    assert published_tokenizer.image_id == ids[IMAGE] == 128815
    assert published_tokenizer.kept_ids == frozenset(range(128816, 128825))
    assert published_tokenizer.unguarded_ids == {128821, 128822}
    assert published_tokenizer.size == 128827
    assert all(published_tokenizer.encode(text) == [number] for text, number in ids.items())


def test_encoding_adds_nothing(published_tokenizer):
    assert published_tokenizer.encode("\nFree OCR.") == [201, 21431, 126041, 16]
    assert published_tokenizer.encode("") == []


def test_decoding_keeps_boxes_and_tables_and_drops_control_tokens(published_tokenizer):
    answer = "<|ref|>title<|/ref|><|det|>[[1, 2, 30, 40]]<|/det|>\n<tr><td>é 1</td><td></td></tr>"
    ids = published_tokenizer.encode(f"{BOS}{IMAGE}{answer}{EOS}{PAD}")
    assert published_tokenizer.decode(ids) == answer


@given(text=TEXTS)
def test_text_survives_encoding_and_decoding(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_long_text_is_not_cut_and_a_short_one_not_padded_whatever_the_file_says(
    tmp_path, write_byte_tokenizer
):
    folder = write_byte_tokenizer(tmp_path)
    tree = json.loads((folder / "tokenizer.json").read_text())
    tree["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    tree["padding"] = {
        "strategy": {"Fixed": 8},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": PAD,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    tokenizer = Tokenizer.read(folder)
    assert len(tokenizer.encode("longer than four bytes")) == 22
    assert len(tokenizer.encode("ab")) == 2


@pytest.mark.parametrize("missing", SPECIAL_TOKENS)
def test_a_missing_special_token_is_named(tmp_path, write_byte_tokenizer, missing):
    folder = write_byte_tokenizer(tmp_path, tuple(text for text in SPECIAL_TOKENS if text != missing))
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.read(folder)
    assert caught.value.message == f"the tokenizer lacks the special token {missing}"


def test_all_missing_special_tokens_are_named_at_once(tmp_path, write_byte_tokenizer):
    with pytest.raises(TokenizerError, match=r"special tokens <td>, </td>, <tr>, </tr>"):
        Tokenizer.read(write_byte_tokenizer(tmp_path, SPECIAL_TOKENS[:-4]))


def test_a_folder_without_tokenizer_json_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json") as caught:
        Tokenizer.read(tmp_path)
    assert "copy tokenizer.json" in caught.value.hint
    assert caught.value.where == str(tmp_path)


def test_a_broken_tokenizer_json_is_an_error_with_its_place(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TokenizerError, match="not a tokenizer") as caught:
        Tokenizer.read(tmp_path)
    assert caught.value.where == str(tmp_path / "tokenizer.json")


def test_writing_copies_the_files_byte_for_byte(tmp_path, write_byte_tokenizer):
    source = write_byte_tokenizer(tmp_path / "source")
    (source / "tokenizer_config.json").write_text('{"model_max_length": 8192}')
    (source / "model.safetensors").write_text("no tokenizer file")
    tokenizer = Tokenizer.read(source)
    tokenizer.write(tmp_path / "deep" / "copy")
    written = {path.name: path.read_bytes() for path in (tmp_path / "deep" / "copy").iterdir()}
    assert written == {
        name: (source / name).read_bytes() for name in ("tokenizer.json", "tokenizer_config.json")
    }
    tokenizer.write(source)
    assert Tokenizer.read(source).image_id == tokenizer.image_id


def test_a_tokenizer_can_be_sent_to_a_worker_process(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("some text") == tokenizer.encode("some text")
    assert copy.control_ids == tokenizer.control_ids
