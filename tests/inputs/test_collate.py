from dataclasses import replace
from itertools import permutations

import pytest
import torch

from ocrtune.errors import InputsError
from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import IGNORED_LABEL, InputsRecipe, encode
from ocrtune.inputs.collate import collate, look_up, normalize_pixels, normalize_views
from ocrtune.records import Example

V1 = FAMILIES["deepseek_ocr"]
V2 = FAMILIES["deepseek_ocr2"]
UNLIMITED = FAMILIES["unlimited_ocr"]
MODE = Mode(name="own", global_px=128, tile_px=64, max_tiles=4)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(scope="module")
def make_inputs(tokenizer, draw_page):
    """(page sizes, family=, target=) → ModelInputs."""

    def make(*sizes, family=V1, target="an answer", mode=MODE):
        prompt = "<image>" * len(sizes) + "Read."
        images = tuple(draw_page(*size, seed) for seed, size in enumerate(sizes))
        recipe = InputsRecipe(family=family, mode=mode, prompt=prompt)
        return encode(Example(name="p", images=images, prompt=prompt, target=target), recipe, tokenizer)

    return make


@pytest.fixture(scope="module")
def mixed_inputs(make_inputs):
    """Tiles, text alone, no tiles, other tiles."""
    return [
        make_inputs((128, 64), target="tiles"),
        make_inputs(target="text alone, and the longest"),
        make_inputs((30, 60), target=""),
        make_inputs((64, 192), target="three tiles"),
    ]


def test_all_256_pixel_values_normalise_bit_for_bit():
    values = torch.arange(256, dtype=torch.uint8)
    pixels = values.reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    for dtype in DTYPES:
        wanted = torch.stack([(torch.tensor(float(x)) / 255 - 0.5) / 0.5 for x in range(256)]).to(dtype)
        found = normalize_pixels(pixels, dtype)
        assert found.dtype == dtype
        assert found.shape == (1, 3, 16, 16)
        for channel in found[0]:
            assert torch.equal(channel.flatten().view(torch.uint8), wanted.view(torch.uint8))


def test_white_is_1_black_is_minus_1_and_padding_almost_0():
    pixels = torch.tensor([[[[0, 255, 127]]]], dtype=torch.uint8)
    black, white, padding = normalize_pixels(pixels).flatten().tolist()
    assert (black, white) == (-1.0, 1.0)
    assert abs(padding) < 0.005


def test_channels_come_first_and_stay_in_rgb_order():
    pixels = torch.arange(24, dtype=torch.uint8).reshape(2, 2, 2, 3)
    found = (normalize_pixels(pixels) * 0.5 + 0.5) * 255
    assert torch.equal(found.round().to(torch.uint8), pixels.permute(0, 3, 1, 2))


def test_training_rows_are_padded_on_the_right(mixed_inputs):
    batch = collate(mixed_inputs, V1, pad_id=7)
    for row, inputs in enumerate(mixed_inputs):
        length = len(inputs)
        assert batch.input_ids[row, :length].tolist() == inputs.input_ids.tolist()
        assert batch.labels[row, :length].tolist() == inputs.labels.tolist()
        assert batch.image_mask[row, :length].tolist() == inputs.image_mask.tolist()
        assert (batch.input_ids[row, length:] == 7).all()
        assert (batch.labels[row, length:] == IGNORED_LABEL).all()
        assert not batch.image_mask[row, length:].any()
        assert batch.attention_mask[row].tolist() == [1] * length + [0] * (batch.input_ids.shape[1] - length)


def test_decoding_rows_are_padded_on_the_left(mixed_inputs):
    batch = collate(mixed_inputs, V1, pad_id=7, padding_side="left")
    for row, inputs in enumerate(mixed_inputs):
        missing = batch.input_ids.shape[1] - len(inputs)
        assert batch.input_ids[row].tolist() == [7] * missing + inputs.input_ids.tolist()
        assert batch.labels[row].tolist() == [IGNORED_LABEL] * missing + inputs.labels.tolist()
        assert batch.attention_mask[row].tolist() == [0] * missing + [1] * len(inputs)


def test_dtypes_are_those_of_the_contract(mixed_inputs):
    for dtype in DTYPES:
        batch = collate(mixed_inputs, V1, pad_id=2, dtype=dtype)
        integers = (batch.input_ids, batch.attention_mask, batch.labels, batch.num_prompt_tokens)
        assert {tensor.dtype for tensor in integers} == {torch.int64}
        assert batch.image_mask.dtype == torch.bool
        assert batch.pixel_values.dtype == batch.pixel_values_local.dtype == dtype
        views = [view for pair in batch.published()["images"] for view in pair]
        assert {view.dtype for view in views} == {dtype}


def test_native_arguments_of_a_mixed_batch(mixed_inputs):
    arguments = collate(mixed_inputs, V1, pad_id=2).native()
    assert arguments["pixel_values"].shape == (3, 3, 128, 128)
    assert arguments["pixel_values_local"].shape == (2 + 0 + 3, 3, 64, 64)
    assert arguments["num_local_patches"] == [2, 0, 3]
    assert arguments["patches_grid"] == [[2, 1], [1, 1], [1, 3]]
    assert set(arguments) == {
        "input_ids",
        "attention_mask",
        "labels",
        "pixel_values",
        "pixel_values_local",
        "num_local_patches",
        "patches_grid",
    }


def test_a_family_without_grid_argument_gets_none(make_inputs):
    inputs = make_inputs((128, 64), family=V2)
    assert "patches_grid" not in collate([inputs], V2, pad_id=2).native()


def test_a_batch_of_text_alone_has_no_arguments_about_images(make_inputs):
    batch = collate([make_inputs(), make_inputs(target="")], V1, pad_id=2)
    assert set(batch.native()) == {"input_ids", "attention_mask", "labels"}


def test_a_batch_without_tiles_has_no_local_pixels(make_inputs):
    arguments = collate([make_inputs((60, 60)), make_inputs((20, 64))], V1, pad_id=2).native()
    assert arguments["pixel_values_local"] is None
    assert arguments["num_local_patches"] == [0, 0]
    assert arguments["patches_grid"] == [[1, 1], [1, 1]]


def test_published_form_of_a_mixed_batch(mixed_inputs):
    batch = collate(mixed_inputs, V1, pad_id=2)
    published = batch.published()
    assert set(published) == {
        "input_ids",
        "attention_mask",
        "labels",
        "images",
        "images_seq_mask",
        "images_spatial_crop",
    }
    assert [tuple(view.shape) for pair in published["images"] for view in pair] == [
        (2, 3, 64, 64),
        (1, 3, 128, 128),
        (1, 3, 128, 128),
        (1, 3, 128, 128),
        (1, 3, 128, 128),
        (1, 3, 128, 128),
        (3, 3, 64, 64),
        (1, 3, 128, 128),
    ]
    assert published["images_spatial_crop"].dtype == torch.int64
    assert published["images_spatial_crop"].tolist() == [[2, 1], [1, 1], [1, 1], [1, 3]]
    assert published["images_seq_mask"].dtype == torch.bool
    assert published["images_seq_mask"].shape == batch.input_ids.shape
    (tiles, view), (no_tiles, no_view), (blank_tiles, small), _ = published["images"]
    assert torch.equal(tiles, batch.pixel_values_local[:2])
    assert torch.equal(view, batch.pixel_values[:1])
    assert not no_tiles.any()
    assert not no_view.any()
    assert not blank_tiles.any()
    assert torch.equal(small, batch.pixel_values[1:2])


def test_published_form_of_text_alone_has_views_of_zeros(make_inputs):
    batch = collate([make_inputs()], V1, pad_id=2, dtype=torch.bfloat16)
    ((tiles, view),) = batch.published()["images"]
    assert tiles.shape == view.shape == (1, 3, 1024, 1024)
    assert tiles.dtype == view.dtype == torch.bfloat16
    assert not tiles.any()
    assert not view.any()
    assert not batch.published()["images_seq_mask"].any()


def test_several_images_of_a_row_are_stacked_in_the_published_form(make_inputs):
    rows = [
        make_inputs((60, 60), (20, 30), family=UNLIMITED),
        make_inputs(family=UNLIMITED),
        make_inputs((128, 64), family=UNLIMITED),
    ]
    batch = collate(rows, UNLIMITED, pad_id=2)
    assert batch.images_per_row == [2, 0, 1]
    images = batch.published()["images"]
    assert torch.equal(images[0][1], batch.pixel_values[:2])
    assert torch.equal(images[2][1], batch.pixel_values[2:])
    assert torch.equal(images[2][0], batch.pixel_values_local)
    assert batch.published()["images_spatial_crop"].tolist() == [[1, 1], [1, 1], [2, 1]]


def test_every_order_of_a_mixed_batch_gives_each_row_its_own_images(mixed_inputs):
    alone = [collate([inputs], V1, pad_id=2).published() for inputs in mixed_inputs]
    for order in permutations(range(4)):
        batch = collate([mixed_inputs[row] for row in order], V1, pad_id=2)
        published = batch.published()
        for place, row in enumerate(order):
            length = len(mixed_inputs[row])
            assert torch.equal(published["input_ids"][place, :length], alone[row]["input_ids"][0])
            assert torch.equal(published["images_seq_mask"][place, :length], alone[row]["images_seq_mask"][0])
            assert torch.equal(published["images_spatial_crop"][place], alone[row]["images_spatial_crop"][0])
            if mixed_inputs[row].views:
                for found, wanted in zip(published["images"][place], alone[row]["images"][0], strict=True):
                    assert torch.equal(found, wanted)
            assert batch.num_prompt_tokens[place] == mixed_inputs[row].num_prompt_tokens


def test_a_batch_moves_to_a_device_whole(mixed_inputs):
    batch = collate(mixed_inputs, V1, pad_id=2)
    moved = batch.to("meta")
    tensors = [
        moved.input_ids,
        moved.attention_mask,
        moved.labels,
        moved.image_mask,
        moved.pixel_values,
        moved.pixel_values_local,
        moved.num_prompt_tokens,
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.num_local_patches == batch.num_local_patches
    published = moved.published()
    assert all(view.device.type == "meta" for pair in published["images"] for view in pair)
    assert published["images_spatial_crop"].device.type == "meta"


def test_examples_of_two_modes_do_not_make_a_batch(make_inputs):
    other = replace(MODE, global_px=64)
    with pytest.raises(InputsError, match="views of 64 and 128 px in one batch"):
        collate([make_inputs((60, 60)), make_inputs((60, 60), mode=other)], V1, pad_id=2)


def test_no_examples_make_no_batch():
    with pytest.raises(InputsError, match="a batch of no examples"):
        collate([], V1, pad_id=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_card_looks_up_what_a_cpu_computes(dtype):
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    found = look_up(values.permute(0, 3, 1, 2), dtype)
    assert torch.equal(found.view(torch.uint8), normalize_pixels(values, dtype).view(torch.uint8))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", [V1, V2, UNLIMITED], ids=lambda family: family.name)
def test_views_that_are_normalised_where_the_model_is_are_those_of_a_batch(make_inputs, family, dtype):
    inputs = [make_inputs((128, 64), family=family), make_inputs((30, 60), family=family)]
    late, early = (collate(inputs, family, pad_id=2, dtype=each).native() for each in (torch.uint8, dtype))
    assert late["pixel_values"].nbytes == early["pixel_values"].nbytes // dtype.itemsize
    found = normalize_views(late, dtype)
    assert found.keys() == early.keys()
    for name in ("pixel_values", "pixel_values_local"):
        assert found[name].is_contiguous()
        assert torch.equal(found[name].view(torch.uint8), early[name].view(torch.uint8))
    again = normalize_views(found, dtype)
    assert all(again[name] is found[name] for name in found)
