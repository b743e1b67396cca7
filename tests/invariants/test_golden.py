"""All three families against what the published code computed, through both call forms."""

from dataclasses import dataclass

import pytest
import torch
from golden_batches import GoldenBatch, read_golden, sha256
from torch import Tensor

from ocrtune.models import load_model
from ocrtune.models.tensors import published_tensors, read_shapes, weight_files

FAMILIES = ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr")
FORMS = ("native", "published")
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Computed:
    golden: GoldenBatch
    logits: Tensor
    loss: float
    gradients: dict[str, Tensor]


@pytest.fixture(scope="module", params=[(name, form) for name in FAMILIES for form in FORMS], ids="-".join)
def computed(request):
    """One forward and backward of each family and form, without the training mask of Unlimited-OCR."""
    name, form = request.param
    golden = read_golden(name)
    model = load_model(golden.folder)
    batch = golden.batch.native() if form == "native" else golden.batch.published()
    # A prompt as long as the row makes the reference window plain causal, as the recorded forward was.
    lengths = torch.full((len(batch["input_ids"]),), batch["input_ids"].shape[1])
    output = model(**batch, prompt_tokens=lengths)
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return Computed(golden, output.logits.detach(), output.loss.item(), gradients)


def worst(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_recorded_inputs_are_ours_bit_for_bit(name):
    golden = read_golden(name)
    ours = golden.batch.published()
    for key in ("input_ids", "attention_mask", "labels", "images_spatial_crop"):
        assert torch.equal(ours[key], golden.recorded[f"input/{key}"]), key
    assert torch.equal(ours["images_seq_mask"], golden.recorded["input/images_seq_mask"].bool())
    for (tiles, view), digests in zip(ours["images"], golden.sha256, strict=True):
        assert sha256(view) == digests["global"]
        assert sha256(tiles) == digests["tiles"]


def test_logits_are_those_of_the_published_code(computed):
    unpadded = computed.golden.unpadded
    assert worst(computed.logits[unpadded], computed.golden.recorded["output/logits"][unpadded]) < TOLERANCE


def test_the_loss_is_that_of_the_published_code(computed):
    assert computed.loss == pytest.approx(float(computed.golden.recorded["output/loss"]), abs=TOLERANCE)


def test_gradients_are_those_of_the_published_code(computed):
    to_native = {published: native for native, published in computed.golden.family.published_modules.items()}
    assert computed.golden.gradients
    for name, wanted in computed.golden.gradients.items():
        native = name.replace("model.", to_native["model."], 1)
        assert worst(computed.gradients[native], wanted) < TOLERANCE, name


def test_every_tensor_that_the_published_forward_freezes_learns_here(computed):
    unseen = {"query_768_resolution", "query_1024_resolution"}
    without = [name for name, gradient in computed.gradients.items() if gradient is None]
    assert not [name for name in without if not unseen & set(name.split("."))]
    for part in ("vision_tower", "multi_modal_projector", "view_separator"):
        gradients = [gradient for name, gradient in computed.gradients.items() if part in name]
        assert gradients
        assert all(gradient is not None for gradient in gradients)


@pytest.fixture(scope="module", params=FORMS)
def trained(request):
    """A forward of Unlimited-OCR as training runs it, its prompts taken from the labels."""
    golden = read_golden("unlimited_ocr")
    model = load_model(golden.folder)
    batch = golden.batch.native() if request.param == "native" else golden.batch.published()
    with torch.no_grad():
        return golden, model(**batch)


class TestUnlimitedTraining:
    """With labels a row sees what its decoding sees: prompt, images and the newest tokens."""

    def test_logits_are_those_of_the_windowed_forward(self, trained):
        golden, output = trained
        assert worst(output.logits, golden.recorded["output/rswa_logits"]) < TOLERANCE

    def test_the_loss_is_that_of_the_windowed_forward(self, trained):
        golden, output = trained
        assert float(output.loss) == pytest.approx(float(golden.recorded["output/rswa_loss"]), abs=TOLERANCE)

    def test_answer_logits_are_those_of_the_ring_buffer_decode(self, trained):
        golden, output = trained
        prompt = int(golden.batch.num_prompt_tokens)
        decoded = golden.recorded["output/decode_logits"]
        assert worst(output.logits[:, prompt - 1 :][:, : decoded.shape[1]], decoded) < TOLERANCE

    def test_the_window_matters_to_the_recorded_row(self, trained):
        golden, output = trained
        assert worst(output.logits, golden.recorded["output/logits"]) > 1e-3


def test_decoding_token_by_token_gives_the_recorded_logits():
    golden = read_golden("unlimited_ocr")
    model = load_model(golden.folder)
    native = golden.batch.native()
    prompt = int(golden.batch.num_prompt_tokens)
    ids = native["input_ids"]
    images = {key: native[key] for key in native if key not in {"input_ids", "attention_mask", "labels"}}
    with torch.no_grad():
        step = model(input_ids=ids[:, :prompt], **images, use_cache=True)
        logits = [step.logits[:, -1]]
        for position in range(prompt, ids.shape[1]):
            step = model(
                ids[:, position : position + 1], past_key_values=step.past_key_values, use_cache=True
            )
            logits.append(step.logits[:, -1])
    decoded = golden.recorded["output/decode_logits"]
    assert worst(torch.stack(logits, dim=1)[:, : decoded.shape[1]], decoded) < TOLERANCE


@pytest.mark.parametrize("name", FAMILIES)
def test_published_names_of_a_loaded_model_are_those_of_its_file(name):
    golden = read_golden(name)
    model = load_model(golden.folder)
    in_file = set(read_shapes(weight_files(golden.folder))) - set(golden.family.unused_tensors)
    assert set(published_tensors(model)) == in_file
