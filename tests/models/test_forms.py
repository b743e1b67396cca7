"""Both call forms, with images and text in any order."""

import itertools

import numpy as np
import pytest
import torch
from golden_batches import IMAGE_ID, PAD_ID, copied, read_golden

from ocrtune import errors
from ocrtune.families import FAMILIES
from ocrtune.inputs.collate import collate
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.models import load_model
from ocrtune.records import ImageViews, ModelInputs

GLOBAL_PX, TILE_PX = 256, 128


@pytest.fixture(scope="module")
def v1():
    return load_model(read_golden("deepseek_ocr").folder)


@pytest.fixture(scope="module")
def unlimited():
    return load_model(read_golden("unlimited_ocr").folder)


def example(family, *grids, seed=0, global_px=GLOBAL_PX):
    """Random pixels and a random text: an image of each grid before it."""
    draw = np.random.default_rng([seed, len(grids)])

    def image(grid):
        count = 0 if grid == (1, 1) else grid[0] * grid[1]
        return ImageViews(
            global_view=draw.integers(0, 256, (global_px, global_px, 3), np.uint8),
            tiles=draw.integers(0, 256, (count, TILE_PX, TILE_PX, 3), np.uint8),
            grid=grid,
            num_image_tokens=num_image_tokens(family, global_px=global_px, tile_px=TILE_PX, grid=grid),
        )

    views = tuple(image(grid) for grid in grids)
    marks = [IMAGE_ID] * sum(view.num_image_tokens for view in views)
    text = draw.integers(3, IMAGE_ID, 5 + seed).tolist()
    ids = np.array([0, *marks, *text, 1])
    labels = np.where(np.arange(len(ids)) < len(marks) + 3, -100, ids)
    return ModelInputs(
        input_ids=ids,
        labels=labels,
        image_mask=ids == IMAGE_ID,
        views=views,
        num_prompt_tokens=len(marks) + 3,
    )


def forms(inputs, family):
    batch = collate(inputs, family, pad_id=PAD_ID)
    return batch.native(), batch.published()


class TestMixedRows:
    rows = ((), ((1, 1),), ((2, 1),), ((1, 3),))

    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    def test_every_order_gives_each_row_the_logits_it_has_alone(self, v1, order):
        inputs = [example(v1.family, *self.rows[row], seed=row) for row in order]
        with torch.no_grad():
            native, published = (model_output.logits for model_output in self.outputs(v1, inputs))
            assert torch.equal(native, published)
            for found, row in zip(native, order, strict=True):
                alone = self.alone(v1, row)
                assert torch.allclose(found[: len(alone)], alone, atol=1e-5)

    @staticmethod
    def outputs(model, inputs):
        return [model(**form) for form in forms(inputs, model.family)]

    def alone(self, model, row):
        inputs = [example(model.family, *self.rows[row], seed=row)]
        return model(**forms(inputs, model.family)[0]).logits[0]

    def test_text_alone_needs_no_images_in_either_form(self, v1):
        native, published = forms([example(v1.family), example(v1.family, seed=1)], v1.family)
        assert "pixel_values" not in native
        with torch.no_grad():
            assert torch.equal(v1(**native).logits, v1(**published).logits)

    @pytest.mark.parametrize("rows", [[((1, 1), (1, 1))], [(), ((1, 1),) * 3, ((2, 2),)]])
    def test_several_pages_of_a_row(self, unlimited, rows):
        inputs = [example(unlimited.family, *grids, seed=row) for row, grids in enumerate(rows)]
        native, published = forms(inputs, unlimited.family)
        with torch.no_grad():
            assert torch.equal(unlimited(**native).logits, unlimited(**published).logits)

    def test_rows_of_several_pages_may_have_a_grid_for_each_page(self, unlimited):
        inputs = [example(unlimited.family, (1, 1), (1, 1)), example(unlimited.family, (2, 1), seed=1)]
        _, published = forms(inputs, unlimited.family)
        by_page = {**published, "images_spatial_crop": torch.tensor([[1, 1], [1, 1], [2, 1]])}
        with torch.no_grad():
            assert torch.equal(unlimited(**published).logits, unlimited(**by_page).logits)

    def test_rows_of_different_view_sizes_share_a_published_batch(self, v1):
        small = collate([example(v1.family, (1, 1), global_px=128)], v1.family, pad_id=PAD_ID).published()
        large = collate([example(v1.family, (1, 1), seed=1)], v1.family, pad_id=PAD_ID).published()
        short = small["input_ids"].shape[1]
        missing = large["input_ids"].shape[1] - short

        def joined(key, fill):
            return torch.cat([torch.nn.functional.pad(small[key], (0, missing), value=fill), large[key]])

        batch = {
            "input_ids": joined("input_ids", PAD_ID),
            "attention_mask": joined("attention_mask", 0),
            "images_seq_mask": joined("images_seq_mask", 0),
            "images": [*small["images"], *large["images"]],
            "images_spatial_crop": torch.ones((2, 2), dtype=torch.int64),
        }
        with torch.no_grad():
            together = v1(**batch).logits
            assert torch.allclose(together[0, :short], v1(**small).logits[0], atol=1e-5)
            assert torch.allclose(together[1], v1(**large).logits[0], atol=1e-5)


BREACHES = {
    errors.ImagesMissing: lambda batch: batch.update(images=None),
    errors.SpatialCropMissing: lambda batch: batch.update(images_spatial_crop=None),
    errors.SequenceMaskMissing: lambda batch: batch.update(images_seq_mask=None),
    errors.SequenceMaskShape: lambda batch: batch.update(
        images_seq_mask=torch.ones((3, 1), dtype=torch.bool)
    ),
    errors.SequenceMaskNotBool: lambda batch: batch.update(images_seq_mask=batch["images_seq_mask"].float()),
    errors.ImageTensorNot4D: lambda batch: batch["images"].__setitem__(
        0, tuple(view[0] for view in batch["images"][0])
    ),
    errors.TilesDiscarded: lambda batch: batch.update(images_spatial_crop=torch.ones((3, 2)).long()),
    errors.GridSwapped: lambda batch: batch.update(images_spatial_crop=batch["images_spatial_crop"].flip(1)),
    errors.DuplicateGlobalView: lambda batch: batch["images"].__setitem__(0, (batch["images"][0][1],) * 2),
    errors.PixelValuesUnexpected: lambda batch: batch.update(pixel_values=torch.zeros((3, 3, 256, 256))),
    errors.LabelsOnPrompt: lambda batch: batch.update(labels=batch["input_ids"].clone()),
    errors.LabelsAllIgnored: lambda batch: batch["labels"].fill_(-100),
}


class TestRefusedBeforeTheForward:
    """Each error is named and nothing is computed; the whole list is in the contract's tests."""

    @pytest.mark.parametrize("error", BREACHES, ids=lambda error: error.__name__)
    def test_a_breach(self, v1, error, monkeypatch):
        batch = copied(read_golden("deepseek_ocr").batch.published())
        BREACHES[error](batch)
        monkeypatch.setattr(v1, "encode_images", lambda _: pytest.fail("views were encoded"))
        with pytest.raises(error):
            v1(**batch)

    def test_tiles_without_their_grid_in_the_native_form(self, v1):
        batch = read_golden("deepseek_ocr").batch.native()
        with pytest.raises(errors.SpatialCropMissing, match="patches_grid"):
            v1(**{**batch, "patches_grid": None})
        with pytest.raises(errors.SpatialCropMissing, match="num_local_patches"):
            v1(**{**batch, "num_local_patches": None})


class TestCacheAndGenerate:
    def test_labels_turn_the_cache_off(self, v1):
        batch = read_golden("deepseek_ocr").batch.native()
        with torch.no_grad():
            assert v1(**batch).past_key_values is None
            del batch["labels"]
            assert v1(**batch).past_key_values is not None

    @pytest.mark.parametrize("name", FAMILIES)
    def test_generate_takes_both_forms(self, name):
        golden = read_golden(name)
        model = load_model(golden.folder)
        generated = []
        for form in (golden.batch.native(), golden.batch.published()):
            prompt = int(golden.batch.num_prompt_tokens[0])
            batch = {key: value for key, value in first_row(form).items() if key != "labels"}
            for key in ("input_ids", "attention_mask", "images_seq_mask"):
                if key in batch:
                    batch[key] = batch[key][:, :prompt]
            with torch.no_grad():
                generated.append(model.generate(**batch, max_new_tokens=4, do_sample=False))
        assert torch.equal(*generated)
        assert generated[0].shape[1] > prompt

    def test_features_made_earlier_are_taken(self, v1):
        batch = read_golden("deepseek_ocr").batch.native()
        with torch.no_grad():
            wanted = v1(**batch).logits
            images = {key: batch.pop(key) for key in list(batch) if "p" in key and key in IMAGE_KEYS}
            made = v1.get_image_features(**images)
            found = v1(**batch, mm_encoder_outputs={"image": made}).logits
        assert torch.allclose(found, wanted, atol=1e-5)


IMAGE_KEYS = ("pixel_values", "pixel_values_local", "num_local_patches", "patches_grid")


def first_row(form):
    """The first row of a batch and its image."""
    row = {}
    for key, value in form.items():
        if key == "pixel_values_local":
            row[key] = value[: form["num_local_patches"][0]] if form["num_local_patches"][0] else None
        else:
            row[key] = value[:1]
    return row
