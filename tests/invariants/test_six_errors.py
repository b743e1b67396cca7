"""The errors a hand-made pipeline meets, what people do about them, and what that does to training.

`naive_embeddings` does with its inputs what the published forward does, in that order and without a check; the
model behind it is the golden one. Error 6 has a module of its own.
"""

import math

import pytest
import torch
from golden_batches import IMAGE_ID, PAD_ID, copied, read_golden
from torch import Tensor, nn

from ocrtune import errors
from ocrtune.inputs.contract import check_batch
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.features import arrange, encode_views

GLOBAL_PX = 256
VIEW_FEATURES = 21
"""Features of a page without tiles: 4 rows of 4 and a newline each, and the separator."""

TILED_ROW = 2


def naive_embeddings(model, input_ids, images, images_seq_mask, images_spatial_crop):
    """Embeddings as the published forward fills them."""
    embeddings = model.get_input_embeddings()(input_ids)
    if torch.sum(images[0][1]).item() != 0:
        for row, (views, grid) in enumerate(zip(images, images_spatial_crop, strict=False)):
            with torch.no_grad():
                features = naive_features(model, *views, grid)
            embeddings[row].masked_scatter_(images_seq_mask[row].unsqueeze(-1), features)
    return embeddings


def naive_features(model, tiles, page, grid):
    """Features of a page; whether there are tiles is told by their sum, not by the grid."""
    has_tiles = torch.sum(tiles).item() != 0
    encoded = encode_views(
        model.model.vision_tower,
        model.model.multi_modal_projector,
        [page, tiles] if has_tiles else [page],
        chunk_views=None,
    )
    return arrange(
        encoded[0][0],
        encoded[1] if has_tiles else None,
        tuple(int(side) for side in grid),
        separator=model.model.view_separator,
        newline=model.model.image_newline,
    )


def naive_logits(model, batch):
    images = {key: batch[key] for key in ("input_ids", "images", "images_seq_mask", "images_spatial_crop")}
    embeddings = naive_embeddings(model, **images)
    return model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).logits


@pytest.fixture(scope="module")
def model():
    return load_model(read_golden("deepseek_ocr").folder)


@pytest.fixture
def batch():
    return copied(read_golden("deepseek_ocr").batch.published())


def page(seed=0):
    return torch.randn((1, 3, GLOBAL_PX, GLOBAL_PX), generator=torch.Generator().manual_seed(seed))


def short_batch(prompts, answers, image):
    """Rows as a hand-made pipeline makes them: one `<image>` id, never expanded; the page twice; no real mask."""
    ids = torch.tensor(
        [[0, IMAGE_ID, *prompt, *answer, 1] for prompt, answer in zip(prompts, answers, strict=True)]
    )
    labels = ids.clone()
    labels[:, : 2 + len(prompts[0])] = -100
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "images": [(image, image)] * len(ids),
        "images_seq_mask": torch.ones((len(ids), 1), dtype=torch.bool),
        "images_spatial_crop": torch.ones((len(ids), 2), dtype=torch.int64),
    }


def right_batch(prompts, answers, image):
    """The same rows and the same page as they ought to be."""
    marks = [IMAGE_ID] * VIEW_FEATURES
    ids = torch.tensor(
        [[0, *marks, *prompt, *answer, 1] for prompt, answer in zip(prompts, answers, strict=True)]
    )
    labels = ids.clone()
    labels[:, : 1 + VIEW_FEATURES + len(prompts[0])] = -100
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "images": [(torch.zeros_like(image), image)] * len(ids),
        "images_seq_mask": ids == IMAGE_ID,
        "images_spatial_crop": torch.ones((len(ids), 2), dtype=torch.int64),
    }


def test_the_naive_forward_is_right_where_its_inputs_are(model, batch):
    golden = read_golden("deepseek_ocr")
    with torch.no_grad():
        logits = naive_logits(model, batch)
    assert torch.allclose(
        logits[golden.unpadded], golden.recorded["output/logits"][golden.unpadded], atol=1e-5
    )


class TestTheErrors:
    """What the published code says, and what we say."""

    def naive(self, model, batch, error, text):
        with pytest.raises(error, match=text):
            naive_logits(model, batch)

    def ours(self, model, batch, error, text):
        with pytest.raises(error, match=text) as raised:
            model(**batch)
        assert raised.value.hint

    def test_1_images_is_none(self, model, batch):
        batch["images"] = None
        self.naive(model, batch, TypeError, "'NoneType' object is not subscriptable")
        self.ours(model, batch, errors.ImagesMissing, "images is missing")

    def test_2_images_spatial_crop_is_none(self, model, batch):
        batch["images_spatial_crop"] = None
        self.naive(model, batch, TypeError, "'NoneType' object is not iterable")
        self.ours(model, batch, errors.SpatialCropMissing, "images_spatial_crop is missing")

    def test_3_image_tensors_have_three_dimensions(self, model, batch):
        batch["images"] = [tuple(view[0] for view in views) for views in batch["images"]]
        self.naive(model, batch, RuntimeError, "number of dimensions")
        self.ours(model, batch, errors.ImageTensorNot4D, "wanted 4 dimensions")

    def test_4_images_seq_mask_is_none(self, model, batch):
        batch["images_seq_mask"] = None
        self.naive(model, batch, TypeError, "'NoneType' object is not subscriptable")
        self.ours(model, batch, errors.SequenceMaskMissing, "images_seq_mask is missing")

    def test_5_images_seq_mask_is_float(self, model, batch):
        batch["images_seq_mask"] = batch["images_seq_mask"].float()
        self.naive(model, batch, RuntimeError, "masked_scatter_ only supports boolean masks")
        self.ours(model, batch, errors.SequenceMaskNotBool, "float32")


class TestTheUsualFixForError4:
    """`torch.ones((N, 1), dtype=torch.bool)`: no error, and no text either."""

    prompts = ((5, 6), (7, 8))
    answers = ((11, 12, 13, 14), (21, 22, 23, 24))

    @pytest.fixture
    def fixed(self):
        return short_batch(self.prompts, self.answers, page())

    def test_makes_the_naive_forward_run(self, model, fixed):
        assert naive_logits(model, fixed).isfinite().all()

    def test_prompts_have_no_effect(self, model, fixed):
        other = {**fixed, "input_ids": fixed["input_ids"].flip(0)}
        with torch.no_grad():
            difference = (naive_logits(model, fixed) - naive_logits(model, other)).abs().max()
        assert float(difference) == 0.0

    def test_embeddings_get_no_gradient(self, model, fixed):
        model.zero_grad()
        logits = naive_logits(model, fixed)
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), fixed["labels"][:, 1:].flatten()).backward()
        assert float(model.get_input_embeddings().weight.grad.abs().max()) == 0.0
        assert float(model.lm_head.weight.grad.abs().max()) > 0

    def test_ours_is_a_named_error(self, model, fixed):
        with pytest.raises(errors.SequenceMaskShape, match=r"\(2, 1\)"):
            model(**fixed)

    def test_all_that_is_wrong_with_such_a_batch_is_found_at_once(self, fixed):
        family = read_golden("deepseek_ocr").family
        first = [finding.code for finding in check_batch(fixed, family, image_id=IMAGE_ID)]
        assert first == ["sequence-mask-shape"]
        fixed["images_seq_mask"] = fixed["input_ids"] == IMAGE_ID
        second = [finding.code for finding in check_batch(fixed, family, image_id=IMAGE_ID)]
        assert second == ["duplicate-global-view"]
        fixed["images"] = [(torch.zeros_like(view), view) for _, view in fixed["images"]]
        third = [finding.code for finding in check_batch(fixed, family, image_id=IMAGE_ID)]
        assert third == ["too-few-image-tokens"]


class TestTwoSamplesOfOneImage:
    """They differ in prompt and target alone: only a model that sees its text can tell them apart."""

    prompts = TestTheUsualFixForError4.prompts
    answers = TestTheUsualFixForError4.answers
    steps = 90

    @property
    def floor(self):
        """The least loss of a model that cannot tell the two: ln 2 wherever their targets differ."""
        pairs = list(zip(*(([*answer, 1]) for answer in self.answers), strict=True))
        return math.log(2) * sum(one != other for one, other in pairs) / len(pairs)

    def train(self, loss_of):
        torch.manual_seed(0)
        trained = load_model(read_golden("deepseek_ocr").folder).train()
        optimizer = torch.optim.Adam(trained.parameters(), lr=5e-3)
        losses = []
        for _ in range(self.steps):
            loss: Tensor = loss_of(trained)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def test_the_broadcast_mask_stalls_at_the_floor_of_no_information(self):
        batch = short_batch(self.prompts, self.answers, page())

        def naive_loss(trained):
            logits = naive_logits(trained, batch)
            return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())

        losses = self.train(naive_loss)
        assert self.floor == pytest.approx(0.5545, abs=1e-4)
        assert losses[0] > 5, "it falls, which is what makes it convincing"
        assert self.floor - 1e-3 < losses[-1] < self.floor + 0.05

    def test_right_inputs_go_to_zero(self):
        batch = right_batch(self.prompts, self.answers, page())
        losses = self.train(lambda trained: supervised_loss(trained, batch).loss)
        assert losses[0] > 5
        assert losses[-1] < 0.03


class TestSilentFailures:
    """The naive forward runs and says nothing; ours names it."""

    def logits_of(self, model, batch):
        with torch.no_grad():
            return naive_logits(model, batch)

    def test_with_too_few_true_the_global_view_never_arrives(self, model, batch):
        golden = read_golden("deepseek_ocr")
        last_true = batch["images_seq_mask"][TILED_ROW].nonzero().flatten()[-VIEW_FEATURES:]
        batch["images_seq_mask"][TILED_ROW, last_true] = False
        other = {**batch, "images": list(batch["images"])}
        other["images"][TILED_ROW] = (batch["images"][TILED_ROW][0], page(1))
        assert torch.equal(self.logits_of(model, batch), self.logits_of(model, other))
        with pytest.raises(errors.TooFewImageTokens):
            model(**batch)
        assert golden.batch.num_local_patches[TILED_ROW] > 0

    def test_with_rows_before_columns_the_features_are_others_and_their_tail_is_lost(self, model, batch):
        columns, rows = batch["images_spatial_crop"][TILED_ROW].tolist()
        swapped = naive_features(model, *batch["images"][TILED_ROW], (rows, columns))
        wanted = int(batch["images_seq_mask"][TILED_ROW].sum())
        assert len(swapped) > wanted
        before = self.logits_of(model, batch)
        batch["images_spatial_crop"] = batch["images_spatial_crop"].flip(1)
        after = self.logits_of(model, batch)
        assert float((before - after)[TILED_ROW].abs().max()) > 1e-3
        with pytest.raises(errors.GridSwapped):
            model(**batch)

    def test_a_page_twice_makes_features_that_inference_never_makes(self, model):
        twice = naive_features(model, page(), page(), (1, 1))
        once = naive_features(model, torch.zeros((1, 3, GLOBAL_PX, GLOBAL_PX)), page(), (1, 1))
        assert (len(twice), len(once)) == (2 * VIEW_FEATURES - 1, VIEW_FEATURES)
        # Two views at once are rounded otherwise than one: by how much depends on the processor.
        torch.testing.assert_close(twice[-VIEW_FEATURES:], once, rtol=1e-5, atol=1e-5)

    def test_a_vision_encoder_set_to_learn_learns_nothing(self, model, batch):
        model.zero_grad(set_to_none=True)
        naive_logits(model, batch).sum().backward()
        vision = [p for name, p in model.named_parameters() if "vision_tower" in name or "projector" in name]
        assert all(parameter.grad is None for parameter in vision)
        model(**batch).loss.backward()
        assert all(parameter.grad is not None for parameter in vision)

    def test_a_row_of_text_first_drops_every_image(self, model, batch):
        blank = torch.zeros((1, 3, GLOBAL_PX, GLOBAL_PX))
        batch["images"][0] = (blank, blank)
        batch["input_ids"][0] = batch["input_ids"][0].masked_fill(batch["images_seq_mask"][0], 5)
        batch["images_seq_mask"][0] = False
        other = {**batch, "images": [batch["images"][0], (blank, page(1)), batch["images"][2]]}
        assert torch.equal(self.logits_of(model, batch), self.logits_of(model, other))
        with torch.no_grad():
            assert not torch.equal(model(**batch).logits[1], model(**other).logits[1])

    def test_a_short_list_of_grids_drops_the_later_images(self, model, batch):
        batch["images_spatial_crop"] = batch["images_spatial_crop"][:1]
        other = {
            **batch,
            "images": [batch["images"][0], (batch["images"][1][0], page(1)), batch["images"][2]],
        }
        assert torch.equal(self.logits_of(model, batch), self.logits_of(model, other))
        with pytest.raises(errors.SpatialCropCount):
            model(**batch)

    def test_shifted_labels_teach_the_token_after_the_next(self, model, batch):
        ids, labels = batch["input_ids"], batch["labels"]
        shifted = nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
        logits = self.logits_of(model, batch)
        # What the model's own shift compares the logits of position t with.
        row, position = (shifted[:, 1:] != -100).nonzero()[0].tolist()
        assert shifted[row, position + 1] == ids[row, position + 2]
        wanted = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), shifted[:, 1:].flatten())
        assert wanted.isfinite()
        with pytest.raises(errors.LabelsShifted):
            model(**{**batch, "labels": shifted})

    def test_labels_that_are_the_ids_are_image_tokens_mostly(self, model, batch):
        batch["labels"] = batch["input_ids"].clone()
        targets = batch["labels"][:, 1:]
        num_padding = int((targets == PAD_ID).sum())
        assert num_padding > 0
        assert int((targets == IMAGE_ID).sum()) > (targets.numel() - num_padding) / 2
        with pytest.raises(errors.LabelsOnPrompt, match="labels-on-image-tokens, labels-on-padding"):
            model(**batch)

    def test_labels_of_nothing_make_the_loss_nan(self, model, batch):
        batch["labels"][:] = -100
        logits = self.logits_of(model, batch)
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
        assert loss.isnan()
        with pytest.raises(errors.LabelsAllIgnored):
            model(**batch)

    def test_an_answer_without_eos_never_teaches_to_stop(self, model, batch):
        batch["labels"] = batch["labels"].masked_fill(batch["labels"] == 1, -100)
        assert not (batch["labels"] == 1).any()
        with pytest.raises(errors.EosMissing):
            model(**batch)
