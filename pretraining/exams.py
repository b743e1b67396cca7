"""How well a model reads lines it has not learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from batches import LineSource, as_example
from ocrtune.config import DecodingSection
from ocrtune.data import build_examples
from ocrtune.evaluation import score_page, summarize
from ocrtune.inputs import Tokenizer, encode
from ocrtune.inputs.collate import collate
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models import OcrModel
from ocrtune.models.tiny import FAMILY, RECIPE
from ocrtune.prediction.answering import answer
from ocrtune.records import Example, ModelInputs, Prediction
from ocrtune.sources import BUILTIN, read_pages

SAMPLE_DOCUMENT = "5"
"""The sample page that is looked at; page 6 is left for those who fine-tune."""

HELD_OUT_LINES, HELD_OUT_LENGTH = 50, 60
DECODED_LINES, MAX_NEW_TOKENS = 20, 80

Exams = Mapping[str, Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came out.

    Attributes:
        accuracy: Share of tokens that are right when those before them are given.
        cer: Character error rate of the first lines, read without help.
        sample: What the first of them was read as.
    """

    accuracy: float
    cer: float
    sample: str

    def as_dict(self, name: str) -> dict[str, object]:
        """A part of a row of metrics."""
        return {
            f"{name}_accuracy": round(self.accuracy, 4),
            f"{name}_cer": round(self.cer, 4),
            f"{name}_sample": self.sample,
        }


def make_exams(source: LineSource) -> Exams:
    """Lines in held-out fonts, and the lines of a sample page."""
    pages = [page for page in read_pages(BUILTIN) if page.document == SAMPLE_DOCUMENT]
    rendered = source.held_out(HELD_OUT_LINES, HELD_OUT_LENGTH)
    return {
        "held_out_fonts": [as_example(line, f"line {number}") for number, line in enumerate(rendered, 1)],
        "sample_page": build_examples(
            pages, FAMILY, prompt=RECIPE.prompt, normalization=RECIPE.normalization
        ),
    }


def read_exam(
    model: OcrModel, tokenizer: Tokenizer, examples: Sequence[Example], autocast_dtype: torch.dtype | None
) -> Reading:
    """Ask `model`, which comes back in the mode it was in."""
    inputs = [encode(example, RECIPE, tokenizer) for example in examples]
    asked = list(zip(examples, inputs, strict=True))[:DECODED_LINES]
    decoding = DecodingSection(max_new_tokens=MAX_NEW_TOKENS, batch_size=DECODED_LINES)
    answers = answer(
        model, FAMILY, tokenizer, [given for _, given in asked], decoding, autocast_dtype=autocast_dtype
    )
    scores = [
        score_page(
            example.target or "", Prediction(image=example.name, text=found.text), RECIPE.normalization
        )
        for (example, _), found in zip(asked, answers, strict=True)
    ]
    return Reading(
        accuracy=_token_accuracy(model, inputs, tokenizer.pad_id, autocast_dtype),
        cer=summarize(scores, RECIPE.normalization).cer.micro,
        sample=answers[0].text,
    )


def _token_accuracy(
    model: OcrModel, inputs: Sequence[ModelInputs], pad_id: int, autocast_dtype: torch.dtype | None
) -> float:
    arguments = collate(inputs, FAMILY, pad_id=pad_id).native()
    wanted = arguments.pop("labels")[:, 1:]
    was_training = model.training
    model.eval()
    autocast = torch.autocast("cpu", autocast_dtype, enabled=autocast_dtype is not None)
    with torch.no_grad(), autocast:
        found = model(**arguments).logits[:, :-1].argmax(-1)
    model.train(was_training)
    asked = wanted != IGNORED_LABEL
    return float((found == wanted)[asked].float().mean())
