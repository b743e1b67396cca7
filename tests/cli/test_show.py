import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
import typer
from PIL import Image
from typer.testing import CliRunner

from ocrtune.cli import show
from ocrtune.errors import CheckpointError, InputsError, ModeError, TokenizerError
from ocrtune.families import FAMILIES
from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs import InputsRecipe, parse_mode

FACTS = ["family", "mode", "grid", "image_tokens", "global_view", "tiles"]
V1 = FAMILIES["deepseek_ocr"]


@pytest.fixture
def page(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (900, 650, 3), dtype=np.uint8)
    path = tmp_path / "page.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a card and a tokenizer of one token per byte."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    mode = parse_mode(V1, "{global_px: 256, tile_px: 128, max_tiles: 4}")
    recipe = InputsRecipe(family=V1, mode=mode, prompt="<image>\nFree OCR.")
    (folder / "ocrtune.json").write_text(json.dumps({"format": 1, "inputs": recipe.as_dict()}))
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(list(VOCABULARY.published_ids))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def run(*arguments):
    app = typer.Typer()
    app.command()(show.command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_json_holds_exactly_the_facts_of_the_views(page):
    facts = json.loads(run(page, "--family", "deepseek_ocr", "--mode", "gundam", "--json").stdout)
    assert list(facts) == FACTS
    assert (facts["family"], facts["mode"]) == ("deepseek_ocr", "gundam")
    assert facts["grid"] == [2, 3]
    assert facts["image_tokens"] == 903
    assert len(facts["tiles"]) == 6


def test_the_familys_own_mode_is_taken_without_one(page):
    for family in FAMILIES.values():
        facts = json.loads(run(page, "--family", family.name, "--json").stdout)
        assert facts["mode"] == family.default_mode


def test_a_mode_of_ones_own_is_given_as_a_mapping(page):
    mode = "{global_px: 256, tile_px: 128, max_tiles: 4}"
    facts = json.loads(run(page, "--family", "deepseek_ocr", "--mode", mode, "--json").stdout)
    assert (facts["mode"], facts["grid"]) == ("custom", [1, 2])
    assert facts["image_tokens"] == (4 * 5 + 1) + 2 * 2 * (2 + 1)


def test_a_model_gives_family_mode_prompt_and_tokens(page, checkpoint):
    facts = json.loads(run(page, "--model", checkpoint, "--target", "Ab", "--json").stdout)
    assert list(facts) == [*FACTS, "prompt", "target", "tokens", "loss_tokens"]
    assert facts["mode"] == "custom"
    assert facts["prompt"] == "<image>\nFree OCR."
    assert facts["loss_tokens"] == 3
    assert [token["text"] for token in facts["tokens"] if token["in_loss"]] == ["A", "b", VOCABULARY.eos]
    assert sum(token["text"] == "<image>" for token in facts["tokens"]) == facts["image_tokens"]


def test_mode_and_prompt_of_the_command_line_go_before_the_models(page, checkpoint):
    arguments = (page, "--model", checkpoint, "--mode", "tiny", "--prompt", "figure", "--json")
    facts = json.loads(run(*arguments).stdout)
    assert (facts["mode"], facts["image_tokens"]) == ("tiny", 73)
    assert facts["prompt"] == "<image>\nParse the figure."


def test_people_see_facts_and_a_mark_beside_each_token_of_the_loss(page, checkpoint):
    shown = run(page, "--model", checkpoint, "--target", "Ab\nc").stdout
    assert "650 × 900 px" in shown
    assert "deepseek_ocr (DeepSeek-OCR)" in shown
    marked = [line for line in shown.splitlines() if "◀ loss" in line]
    assert len(marked) == 5
    assert r"\n" in marked[2]
    assert "\x1b" not in shown


def test_an_images_tokens_are_one_line_with_their_count(page, checkpoint):
    shown = run(page, "--model", checkpoint, "--mode", "tiny").stdout
    (line,) = [line for line in shown.splitlines() if "<image>" in line]
    assert "<image> × 73" in line
    assert "1–73" in line


def test_every_other_token_has_a_line_of_its_own_and_spaces_are_seen(page, checkpoint):
    shown = run(page, "--model", checkpoint, "--target", "ee  '").stdout
    marked = [line.split("│")[3].strip() for line in shown.splitlines() if "◀ loss" in line]
    assert marked == ["e", "e", "␣", "␣", "'", VOCABULARY.eos]


def test_a_page_without_tiles_says_so(page):
    shown = run(page, "--family", "deepseek_ocr", "--mode", "base").stdout
    assert "none" in shown
    assert "273" in shown


def test_the_views_are_drawn_into_a_picture(page, tmp_path):
    picture = tmp_path / "new" / "views.png"
    run(page, "--family", "deepseek_ocr", "-o", picture, "--json")
    with Image.open(picture) as image:
        assert image.width > 1000
    assert [path.name for path in picture.parent.iterdir()] == ["views.png"]


def test_a_picture_of_no_known_kind_is_refused(page, tmp_path):
    with pytest.raises(InputsError, match=r"no picture can be written to 'views\.txt'"):
        run(page, "--family", "deepseek_ocr", "-o", tmp_path / "views.txt")


def test_without_a_family_the_error_names_them(page):
    with pytest.raises(ModeError, match="which family") as caught:
        run(page)
    assert "unlimited_ocr" in caught.value.hint


def test_another_family_than_the_models_is_refused(page, checkpoint):
    with pytest.raises(InputsError, match="--family unlimited_ocr, but the model is deepseek_ocr"):
        run(page, "--model", checkpoint, "--family", "unlimited_ocr")


def test_a_folder_without_model_or_tokenizer_is_an_error(page, golden, tmp_path):
    with pytest.raises(CheckpointError):
        run(page, "--model", tmp_path)
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        run(page, "--model", golden / "deepseek_ocr")


def test_a_prompt_without_tokenizer_is_said_not_to_be_shown(page):
    result = run(page, "--family", "deepseek_ocr", "--prompt", "markdown", "--json")
    assert "without --model there is no tokenizer" in result.stderr
    assert "tokens" not in json.loads(result.stdout)


def test_torch_is_not_needed(page):
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from ocrtune.cli import main; sys.argv = ['ocrtune', *sys.argv[1:]]; main()"
    )
    arguments = ["show", str(page), "--family", "deepseek_ocr2", "--json"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(result.stdout)["family"] == "deepseek_ocr2"
