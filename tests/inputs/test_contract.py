"""Every breach of the input contract has its own code, and right batches have none."""

import re
from pathlib import Path

import pytest
import torch
from golden_batches import IMAGE_ID, PAD_ID, copied, read_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocrtune import errors
from ocrtune.families import FAMILIES
from ocrtune.inputs import InputsRecipe, encode
from ocrtune.inputs.collate import collate
from ocrtune.inputs.contract import ERROR_CLASSES, check_batch, require_batch
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.records import Example, ImageViews, ModelInputs

V1 = FAMILIES["deepseek_ocr"]
V2 = FAMILIES["deepseek_ocr2"]
UNLIMITED = FAMILIES["unlimited_ocr"]
TILED_ROW = 2
"""The row of DeepSeek-OCR's recorded batch whose page has tiles."""


def codes(batch, family=V1, severity="error", **ids):
    ids = {"image_id": IMAGE_ID, **ids}
    return [f.code for f in check_batch(batch, family, **ids) if f.severity == severity]


def example(family, grids, *, global_px=256, tile_px=128, answer=(7, 8, 1), prompt=(5, 6)):
    """Inputs of random pixels: one image of each grid, then the prompt and the answer."""
    rng = torch.Generator().manual_seed(len(grids) + sum(map(sum, grids)))

    def pixels(count, side):
        return torch.randint(0, 256, (count, side, side, 3), generator=rng, dtype=torch.uint8).numpy()

    views = tuple(
        ImageViews(
            global_view=pixels(1, global_px)[0],
            tiles=pixels(0 if grid == (1, 1) else grid[0] * grid[1], tile_px),
            grid=grid,
            num_image_tokens=num_image_tokens(family, global_px=global_px, tile_px=tile_px, grid=grid),
        )
        for grid in grids
    )
    image_tokens = sum(view.num_image_tokens for view in views)
    ids = torch.tensor([0, *[IMAGE_ID] * image_tokens, *prompt, *answer])
    labels = torch.full_like(ids, -100)
    labels[len(ids) - len(answer) :] = ids[len(ids) - len(answer) :]
    return ModelInputs(
        input_ids=ids.numpy(),
        labels=labels.numpy(),
        image_mask=(ids == IMAGE_ID).numpy(),
        views=views,
        num_prompt_tokens=len(ids) - len(answer),
    )


def batch_of(family, *rows, **sizes):
    return collate([example(family, grids, **sizes) for grids in rows], family, pad_id=PAD_ID)


@pytest.fixture
def published():
    return copied(read_golden("deepseek_ocr").batch.published())


@pytest.fixture
def native():
    return dict(read_golden("deepseek_ocr").batch.native())


@pytest.fixture
def text():
    """A batch of the published form without images."""
    return {
        "input_ids": torch.tensor([[0, 5, 6, 7, 8, 1], [0, 5, 9, 1, PAD_ID, PAD_ID]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[-100, -100, -100, 7, 8, 1], [-100, -100, 9, 1, -100, -100]]),
    }


class TestRightBatches:
    @pytest.mark.parametrize("name", FAMILIES)
    @pytest.mark.parametrize("form", ["native", "published"])
    def test_the_recorded_ones_have_no_finding(self, name, form):
        golden = read_golden(name)
        batch = getattr(golden.batch, form)()
        assert check_batch(batch, golden.family, image_id=IMAGE_ID) == []

    @pytest.mark.parametrize("form", ["native", "published"])
    @pytest.mark.parametrize(
        "rows",
        [
            [[(1, 1)]],
            [[]],
            [[], [(2, 3)]],
            [[(2, 3)], [], [(1, 1)], [(3, 2)]],
            [[(1, 1)], []],
            [[], []],
        ],
    )
    def test_rows_of_text_and_of_images_mix_in_any_order(self, rows, form):
        assert check_batch(getattr(batch_of(V1, *rows), form)(), V1, image_id=IMAGE_ID) == []

    @pytest.mark.parametrize("form", ["native", "published"])
    @pytest.mark.parametrize("rows", [[[(1, 1), (1, 1)]], [[(1, 1)] * 3, [], [(2, 2)]]])
    def test_several_pages_share_a_row_of_unlimited_ocr(self, rows, form):
        assert check_batch(getattr(batch_of(UNLIMITED, *rows), form)(), UNLIMITED, image_id=IMAGE_ID) == []

    @settings(max_examples=60)
    @given(
        family=st.sampled_from([V1, UNLIMITED]),
        columns=st.integers(1, 32),
        rows=st.integers(1, 32),
        form=st.sampled_from(["native", "published"]),
    )
    def test_every_grid_is_taken(self, family, columns, rows, form):
        if columns * rows > 32:
            rows = 32 // columns
        batch = batch_of(family, [(columns, rows)], global_px=128, tile_px=64)
        assert check_batch(getattr(batch, form)(), family, image_id=IMAGE_ID) == []

    @pytest.mark.parametrize("name", FAMILIES)
    @pytest.mark.parametrize("form", ["native", "published"])
    def test_pages_encoded_as_training_does_have_no_finding(self, name, form, tokenizer):
        family = FAMILIES[name]
        recipe = InputsRecipe.default(family)
        pages = [Image.new("RGB", size, "white") for size in ((640, 480), (1700, 2200))]
        examples = [
            Example(name=str(page.size), images=(page,), prompt=recipe.prompt, target="Two words")
            for page in pages
        ]
        inputs = [encode(example, recipe, tokenizer) for example in examples]
        batch = collate(inputs, family, pad_id=tokenizer.pad_id)
        ids = {
            "image_id": tokenizer.image_id,
            "bos_id": tokenizer.bos_id,
            "eos_id": tokenizer.eos_id,
        }
        assert check_batch(getattr(batch, form)(), family, **ids) == []

    def test_labels_are_not_needed(self, published):
        del published["labels"]
        assert codes(published) == []

    def test_an_attention_mask_is_not_needed(self, text):
        del text["attention_mask"]
        text["labels"][1] = torch.tensor([-100, -100, 9, 1, -100, -100])
        assert codes(text) == []

    def test_a_constant_answer_is_not_taken_for_shifted(self):
        row = example(V1, [(1, 1)], answer=(7, 7, 7, 1))
        assert check_batch(collate([row], V1, pad_id=PAD_ID).published(), V1, image_id=IMAGE_ID) == []

    def test_an_answer_of_eos_alone_is_right(self):
        row = example(V1, [(1, 1)], answer=(1,))
        assert check_batch(collate([row], V1, pad_id=PAD_ID).published(), V1, image_id=IMAGE_ID) == []

    def test_left_padding_is_right(self):
        rows = [example(V1, [(1, 1)]), example(V1, [(2, 1)])]
        batch = collate(rows, V1, pad_id=PAD_ID, padding_side="left")
        for form in (batch.native(), batch.published()):
            assert check_batch(form, V1, image_id=IMAGE_ID) == []

    def test_one_grid_for_each_page_is_taken_too(self):
        batch = batch_of(UNLIMITED, [(1, 1), (1, 1)], []).published()
        batch["images_spatial_crop"] = torch.ones((3, 2), dtype=torch.int64)
        assert codes(batch, UNLIMITED) == []


class TestMissingKeys:
    def test_images(self, published):
        published["images"] = None
        assert codes(published) == ["images-missing"]

    def test_images_where_no_key_tells_the_form(self, published):
        batch = {key: published[key] for key in ("input_ids", "attention_mask", "labels")}
        assert codes(batch) == ["images-missing"]

    def test_images_are_not_missed_by_text(self, text):
        assert codes(text) == []

    def test_images_spatial_crop(self, published):
        del published["images_spatial_crop"]
        assert codes(published) == ["spatial-crop-missing"]

    def test_images_seq_mask(self, published):
        del published["images_seq_mask"]
        assert codes(published) == ["sequence-mask-missing"]

    def test_all_of_them_at_once(self, published):
        batch = {**published, "images_seq_mask": None, "images_spatial_crop": None}
        assert codes(batch) == ["sequence-mask-missing", "spatial-crop-missing"]

    def test_input_ids(self, published):
        del published["input_ids"]
        assert codes(published) == ["input-ids-shape"]


class TestSequences:
    @pytest.mark.parametrize("shape", [(6,), (1, 2, 3), (0,)])
    def test_input_ids_of_another_rank(self, shape):
        assert codes({"input_ids": torch.zeros(shape, dtype=torch.int64)}) == ["input-ids-shape"]

    def test_an_attention_mask_of_another_shape(self, text):
        text["attention_mask"] = text["attention_mask"][:, :-1]
        assert codes(text) == ["input-ids-shape"]

    def test_two_bos(self, text):
        text["input_ids"][0, 1] = 0
        (finding,) = check_batch(text, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.where) == ("bos-doubled", "row 0")

    def test_bos_and_padding_of_the_same_id_are_not_two_bos(self):
        batch = {
            "input_ids": torch.tensor([[0, 0, 0, 5, 1]]),
            "attention_mask": torch.tensor([[0, 0, 1, 1, 1]]),
        }
        assert codes(batch) == []

    def test_no_bos_is_asked_of_a_tokenizer_without_one(self, text):
        text["input_ids"][0, 1] = 0
        assert codes(text, bos_id=None) == []


class TestMask:
    def test_a_column_that_would_be_broadcast(self, published):
        published["images_seq_mask"] = torch.ones((3, 1), dtype=torch.bool)
        assert codes(published) == ["sequence-mask-shape"]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
    def test_another_dtype(self, published, dtype):
        published["images_seq_mask"] = published["images_seq_mask"].to(dtype)
        assert codes(published) == ["sequence-mask-not-bool"]

    def test_the_usual_chain_of_both(self, published):
        published["images_seq_mask"] = torch.ones((3, 1))
        assert codes(published) == ["sequence-mask-not-bool", "sequence-mask-shape"]

    def test_too_few_true(self, published):
        row = published["images_seq_mask"][TILED_ROW]
        row[row.nonzero()[-1]] = False
        assert codes(published) == ["too-few-image-tokens"]

    def test_too_many_true(self, published):
        published["images_seq_mask"][TILED_ROW, 0] = True
        assert codes(published) == ["too-many-image-tokens"]

    def test_true_everywhere(self, published):
        published["images_seq_mask"][:] = True
        assert codes(published) == ["too-many-image-tokens"]

    def test_as_many_as_wanted_in_another_place(self, published):
        published["images_seq_mask"] = published["images_seq_mask"].roll(1, dims=1)
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.count) == ("sequence-mask-misplaced", 3)

    def test_false_at_all_image_tokens_of_a_blank_row(self, published):
        published["images_seq_mask"][0] = False
        published["images"][0] = (torch.zeros((1, 3, 256, 256)),) * 2
        assert codes(published) == ["sequence-mask-misplaced"]

    def test_false_everywhere_in_a_row_with_an_image(self, published):
        published["images_seq_mask"][0] = False
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert finding.code == "too-few-image-tokens"
        assert "21 features" in finding.message

    def test_an_image_token_of_another_id_is_told_as_misplaced(self, published):
        assert codes(published, image_id=128_815) == ["sequence-mask-misplaced"]


class TestImages:
    def test_3d_tensors(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles[0], view[0])
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.count) == ("image-tensor-not-4d", 2)
        assert finding.where == "row 0, tiles, row 0, global_view"

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda images: torch.stack([view for _, view in images]),
            lambda images: [view for _, view in images],
            lambda images: [{"tiles": tiles, "global_view": view} for tiles, view in images],
            lambda images: [(tiles, view, view) for tiles, view in images],
            lambda images: [(tiles.tolist(), view) for tiles, view in images],
        ],
    )
    def test_something_else_than_pairs_of_tensors(self, published, wrong):
        published["images"] = wrong(published["images"])
        assert set(codes(published)) == {"images-not-tuples"}

    def test_a_pair_may_be_a_list(self, published):
        published["images"] = [list(views) for views in published["images"]]
        assert codes(published) == []

    def test_fewer_images_than_rows(self, published):
        published["images"] = published["images"][:2]
        published["images_spatial_crop"] = published["images_spatial_crop"][:2]
        assert codes(published) == ["image-count"]

    def test_two_pages_in_a_row_of_a_family_of_one(self):
        batch = batch_of(UNLIMITED, [(1, 1), (1, 1)]).published()
        assert codes(batch, V1) == ["image-count"]

    def test_views_that_are_not_square(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles, view[..., :128])
        assert codes(published) == ["view-size"]

    def test_views_of_a_side_that_is_no_multiple_of_64(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles, view[..., :250, :250])
        assert codes(published) == ["view-size"]

    def test_a_side_the_encoder_has_no_queries_for(self):
        batch = batch_of(V2, [(1, 1)], global_px=640).published()
        (finding,) = check_batch(batch, V2, image_id=IMAGE_ID)
        assert finding.code == "view-size"
        assert "768 or 1024" in finding.message

    def test_one_channel(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles, view[:, :1])
        assert codes(published) == ["view-size"]

    def test_raw_pixels(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles, (view * 127 + 128).to(torch.uint8))
        assert codes(published) == ["view-dtype"]

    def test_a_page_that_sums_to_zero_is_a_note(self, published):
        tiles, view = published["images"][0]
        published["images"][0] = (tiles, torch.zeros_like(view))
        assert codes(published) == []
        assert codes(published, severity="note") == ["view-sums-to-zero"]

    def test_an_image_in_a_row_of_text(self):
        batch = batch_of(V1, [], [(1, 1)]).published()
        batch["images"][0] = batch["images"][1]
        assert codes(batch) == ["too-few-image-tokens"]

    def test_pixel_values_beside_the_published_keys(self, published):
        published["pixel_values"] = torch.zeros((3, 3, 256, 256))
        assert codes(published) == ["pixel-values-unexpected"]

    def test_pixel_values_instead_of_images(self, published):
        published["pixel_values"] = torch.zeros((3, 3, 256, 256))
        published["images"] = None
        assert codes(published) == ["pixel-values-unexpected", "images-missing"]


class TestGrids:
    def test_one_by_one_although_there_are_tiles(self, published):
        published["images_spatial_crop"] = torch.ones((3, 2), dtype=torch.int64)
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.where) == ("tiles-discarded", f"row {TILED_ROW}")

    def test_rows_before_columns(self, published):
        published["images_spatial_crop"] = published["images_spatial_crop"].flip(1)
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.where) == ("grid-swapped", f"row {TILED_ROW}")

    @settings(max_examples=40)
    @given(columns=st.integers(1, 6), rows=st.integers(1, 5), family=st.sampled_from([V1, UNLIMITED]))
    def test_rows_before_columns_are_seen_in_every_grid_that_is_not_square(self, columns, rows, family):
        batch = batch_of(family, [(columns, rows)], global_px=128, tile_px=64)
        published, native = batch.published(), batch.native()
        published["images_spatial_crop"] = published["images_spatial_crop"].flip(1)
        native["patches_grid"] = [[rows, columns]]
        wanted = [] if columns == rows else ["grid-swapped"]
        assert codes(published, family) == wanted
        assert codes(native, family) == wanted

    def test_rows_before_columns_cannot_be_seen_without_row_breaks(self):
        golden = read_golden("deepseek_ocr2")
        batch = copied(golden.batch.published())
        batch["images_spatial_crop"] = batch["images_spatial_crop"].flip(1)
        assert codes(batch, V2) == []

    def test_another_number_of_tiles(self, published):
        published["images_spatial_crop"][TILED_ROW, 0] += 1
        assert codes(published) == ["grid-mismatch"]

    def test_tiles_that_are_blank(self, published):
        tiles, view = published["images"][TILED_ROW]
        published["images"][TILED_ROW] = (torch.zeros_like(tiles), view)
        assert codes(published) == ["grid-mismatch"]

    def test_a_grid_of_nothing(self, published):
        published["images_spatial_crop"][0] = 0
        assert codes(published) == ["grid-mismatch"]

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda grids: grids[:2],
            lambda grids: grids[0],
            lambda grids: grids[:, :1],
            lambda grids: [[1, 1], [1]],
            lambda grids: torch.cat([grids, grids]),
        ],
    )
    def test_another_number_of_grids(self, published, wrong):
        published["images_spatial_crop"] = wrong(published["images_spatial_crop"])
        assert codes(published) == ["spatial-crop-count"]

    def test_a_list_of_grids_is_as_good_as_a_tensor(self, published):
        published["images_spatial_crop"] = published["images_spatial_crop"].tolist()
        assert codes(published) == []

    def test_the_page_twice(self):
        batch = batch_of(V1, [(1, 1)], global_px=1024, tile_px=640).published()
        _, view = batch["images"][0]
        batch["images"] = [(view, view)]
        (finding,) = check_batch(batch, V1, image_id=IMAGE_ID)
        assert finding.code == "duplicate-global-view"
        assert "545 features, inference makes 273" in finding.message

    def test_the_page_twice_is_seen_whatever_the_number_of_image_tokens(self):
        # Somebody who counts the features of the doubled page has 545 image tokens for it.
        batch = batch_of(V1, [(1, 1)]).published()
        _, view = batch["images"][0]
        batch["images"] = [(view.clone(), view)]
        ids = torch.tensor([[0, *[IMAGE_ID] * 41, 5, 6, 7, 1]])
        batch |= {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.where(ids == 7, ids, -100),
            "images_seq_mask": ids == IMAGE_ID,
        }
        batch["labels"][0, -1] = 1
        assert codes(batch) == ["duplicate-global-view"]


class TestLabels:
    def test_of_another_shape(self, text):
        text["labels"] = text["labels"][:, 1:]
        assert codes(text) == ["labels-shape"]

    def test_shifted_already(self, text):
        text["labels"] = torch.nn.functional.pad(text["labels"][:, 1:], (0, 1), value=-100)
        (finding,) = check_batch(text, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.count) == ("labels-shifted", 2)

    def test_shifted_already_with_something_put_at_the_end(self, text):
        text["labels"] = text["labels"].roll(-1, dims=1)
        text["labels"][:, -1] = torch.tensor([1, -100])
        assert codes(text) == ["labels-shifted"]

    @pytest.mark.parametrize("name", FAMILIES)
    def test_shifted_already_in_the_recorded_batches(self, name):
        golden = read_golden(name)
        batch = copied(golden.batch.published())
        batch["labels"] = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=-100)
        assert codes(batch, golden.family) == ["labels-shifted"]

    def test_that_are_the_ids(self, published):
        published["labels"] = published["input_ids"].clone()
        found = codes(published)
        assert found[:3] == ["labels-on-prompt", "labels-on-image-tokens", "labels-on-padding"]

    def test_on_image_tokens(self, published):
        row = published["labels"][0]
        row[1:4] = published["input_ids"][0, 1:4]
        assert codes(published) == ["labels-on-image-tokens"]

    def test_on_padding(self, text):
        text["labels"][1, -1] = PAD_ID
        assert "labels-on-padding" in codes(text)

    def test_none_at_all(self, text):
        text["labels"][:] = -100
        assert codes(text) == ["labels-all-ignored"]

    def test_none_in_a_row_is_a_warning(self, text):
        text["labels"][1] = -100
        assert codes(text) == []
        assert codes(text, severity="warning") == ["labels-all-ignored"]

    def test_without_eos(self, text):
        text["labels"][0, -1] = -100
        (finding,) = check_batch(text, V1, image_id=IMAGE_ID)
        assert (finding.code, finding.where) == ("eos-missing", "row 0")

    def test_without_eos_for_somebody_who_wants_it_so(self, text):
        text["labels"][0, -1] = -100
        assert codes(text, eos_id=None) == []

    def test_of_other_tokens_than_the_ids_is_a_warning(self, text):
        text["labels"][0, 3] = 11
        assert codes(text, severity="warning") == ["labels-differ-from-ids"]

    def test_after_an_unstripped_prompt_is_a_warning(self, text):
        text["input_ids"][0, 2] = 223
        assert codes(text, severity="warning", image_id=128_815) == ["prompt-not-stripped"]

    def test_another_tokenizer_may_have_any_token_there(self, text):
        text["input_ids"][0, 2] = 223
        assert codes(text, severity="warning", image_id=IMAGE_ID) == []


class TestNativeForm:
    def test_images_missing(self, native):
        native["pixel_values"] = None
        assert codes(native) == ["images-missing"]

    def test_features_made_earlier_are_images(self, native):
        del native["pixel_values"]
        native["mm_encoder_outputs"] = {"image": object()}
        assert codes(native) == []

    def test_3d_views(self, native):
        native["pixel_values"] = native["pixel_values"][0]
        assert codes(native) == ["image-tensor-not-4d"]

    def test_a_list_of_views(self, native):
        native["pixel_values"] = list(native["pixel_values"])
        assert codes(native) == ["image-tensor-not-4d"]

    def test_tiles_without_their_counts(self, native):
        native["num_local_patches"] = None
        assert codes(native) == ["grid-mismatch"]

    def test_counts_for_fewer_images(self, native):
        native["num_local_patches"] = native["num_local_patches"][:-1]
        assert codes(native) == ["image-count"]

    def test_counts_without_tiles(self, native):
        native["pixel_values_local"] = None
        assert codes(native) == ["grid-mismatch"]

    def test_counts_of_other_tiles(self, native):
        native["num_local_patches"] = [0, 0, 99]
        assert codes(native) == ["grid-mismatch"]

    def test_counts_of_no_tiles(self, native):
        native["num_local_patches"] = [0, 0, 0]
        assert codes(native) == ["tiles-discarded"]

    def test_tiles_without_their_grid(self, native):
        del native["patches_grid"]
        assert codes(native) == ["spatial-crop-missing"]

    def test_grids_of_fewer_images(self, native):
        native["patches_grid"] = native["patches_grid"][:-1]
        assert codes(native) == ["spatial-crop-count"]

    def test_grids_of_other_tiles(self, native):
        columns, rows = native["patches_grid"][TILED_ROW]
        native["patches_grid"] = [[1, 1], [1, 1], [columns + 1, rows]]
        assert codes(native) == ["grid-mismatch"]

    def test_one_by_one_although_there_are_tiles(self, native):
        native["patches_grid"] = [[1, 1]] * 3
        assert codes(native) == ["tiles-discarded"]

    def test_rows_before_columns(self, native):
        native["patches_grid"] = [grid[::-1] for grid in native["patches_grid"]]
        assert codes(native) == ["grid-swapped"]

    def test_the_page_twice(self):
        native = batch_of(V1, [(1, 1)]).native()
        native |= {"pixel_values_local": native["pixel_values"], "num_local_patches": [1]}
        assert codes(native) == ["duplicate-global-view"]

    def test_too_few_and_too_many_image_tokens(self, native):
        ids = native["input_ids"].clone()
        ids[TILED_ROW, 0] = IMAGE_ID
        assert codes({**native, "input_ids": ids}) == ["too-many-image-tokens"]
        ids[TILED_ROW][ids[TILED_ROW] == IMAGE_ID] = 5
        assert "too-few-image-tokens" in codes({**native, "input_ids": ids})

    def test_image_tokens_in_another_row_than_their_image(self):
        native = batch_of(V1, [(1, 1)], [(2, 1)]).native()
        native["pixel_values"] = native["pixel_values"].flip(0)
        native["num_local_patches"] = [2, 0]
        native["patches_grid"] = [[2, 1], [1, 1]]
        assert codes(native) == ["too-many-image-tokens"]


class TestErrors:
    def test_every_code_has_its_class(self):
        classes = [value for value in vars(errors).values() if isinstance(value, type)]
        wanted = {
            error.code
            for error in classes
            if issubclass(error, errors.BatchError) and error is not errors.BatchError
        }
        assert set(ERROR_CLASSES) == wanted

    def test_every_code_has_a_test_here(self):
        source = Path(__file__).read_text()
        assert [code for code in ERROR_CLASSES if f'"{code}"' not in source] == []

    def test_the_first_error_is_raised_as_its_class_and_names_the_others(self, published):
        batch = {**published, "images_seq_mask": None, "images_spatial_crop": None}
        with pytest.raises(errors.SequenceMaskMissing, match="also: spatial-crop-missing") as raised:
            require_batch(batch, V1, image_id=IMAGE_ID)
        assert raised.value.hint

    def test_a_right_batch_raises_nothing(self, published):
        require_batch(published, V1, image_id=IMAGE_ID)

    def test_warnings_and_notes_raise_nothing(self, text):
        text["labels"][1] = -100
        require_batch(text, V1, image_id=IMAGE_ID)

    def test_messages_say_what_was_found_and_what_is_wanted(self, published):
        published["images_seq_mask"] = torch.ones((3, 1), dtype=torch.bool)
        (finding,) = check_batch(published, V1, image_id=IMAGE_ID)
        assert "(3, 1)" in finding.message
        assert "(3, 75)" in finding.message

    def test_messages_are_lower_case_without_a_full_stop(self, published):
        broken = {**published, "images": None, "images_seq_mask": torch.ones((3, 1)), "pixel_values": 1}
        for finding in check_batch(broken, V1, image_id=IMAGE_ID):
            assert not finding.message.endswith(".")
            assert not re.match("[A-Z]", finding.message)
            assert finding.hint

    def test_errors_come_before_warnings(self, text):
        text["labels"][1] = -100
        text["input_ids"][0, 1] = 0
        severities = [finding.severity for finding in check_batch(text, V1, image_id=IMAGE_ID)]
        assert severities == ["error", "warning"]
