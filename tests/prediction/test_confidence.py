from dataclasses import replace

import numpy as np
import pytest
import torch

from ocrtune.config import DecodingSection
from ocrtune.inputs import encode
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model
from ocrtune.prediction import answer
from ocrtune.prediction.confidence import find_unsure_span, mean_logprob
from ocrtune.records import Example, UnsureSpan

DECODING = DecodingSection(max_new_tokens=30, no_repeat_ngram_tokens=2, window_tokens=64)


@pytest.fixture(scope="module")
def model(tiny_v1):
    return load_model(tiny_v1.folder)


@pytest.fixture(scope="module")
def inputs(tiny_v1):
    from tiny_models import random_page

    pages = [random_page(f"{number}", (90 + 60 * number, 100), number) for number in range(3)]
    examples = [
        Example(name=page.name, images=page.images, prompt="<image>\nFree OCR." + " Now." * number)
        for number, page in enumerate(pages)
    ]
    return [encode(example, tiny_v1.recipe, tiny_v1.tokenizer) for example in examples]


def test_each_is_the_log_softmax_of_one_forward_over_the_whole_answer(tiny_v1, model, inputs):
    # A guard of 2-grams forbids tokens often: the probabilities must be those before it.
    for row, found in zip(
        inputs, answer(model, tiny_v1.family, tiny_v1.tokenizer, inputs, DECODING), strict=True
    ):
        assert len(found.logprobs) == found.num_tokens
        np.testing.assert_allclose(found.logprobs, forced(tiny_v1, model, row, found.tokens), atol=2e-4)


def forced(tiny, model, row, tokens):
    whole = replace(
        row,
        input_ids=np.append(row.input_ids, tokens),
        labels=np.append(row.labels, [-100] * len(tokens)),
        image_mask=np.append(row.image_mask, [False] * len(tokens)),
    )
    batch = collate([whole], tiny.family, pad_id=2).native()
    batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch, use_cache=False).logits[0, len(row) - 1 : -1].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()


def test_a_batch_is_as_sure_as_its_pages_alone(tiny_v1, model, inputs):
    def read(batch_size):
        decoding = DECODING.model_copy(update={"batch_size": batch_size})
        return answer(model, tiny_v1.family, tiny_v1.tokenizer, inputs, decoding)

    for alone, together in zip(read(1), read(3), strict=True):
        np.testing.assert_allclose(alone.logprobs, together.logprobs, atol=2e-4)


class Letters:
    """A tokenizer whose tokens are letters, but 0 and 1, the halves of one."""

    def decode(self, tokens):
        text = "".join(map(chr, tokens))
        return text.replace("\0\1", "é").replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_the_unsure_span_is_the_worst_eight_tokens_in_a_row():
    text = "The quick brown fox jumps"
    sure = [-0.1] * len(text)
    sure[10:18] = [-2.0] * 8
    found = find_unsure_span([ord(letter) for letter in text], [*sure, -9.0], Letters())
    assert found == UnsureSpan(logprob=-2.0, start=10, end=18, text="brown fo")
    assert mean_logprob([*sure, -9.0]) == round((sum(sure) - 9) / 26, 4)


def test_a_short_answer_is_one_span_and_none_has_none():
    assert find_unsure_span([65, 66], [-1.0, -3.0, -0.5], Letters()) == UnsureSpan(
        logprob=-2.0, start=0, end=2, text="AB"
    )
    assert find_unsure_span([], [-0.5], Letters()) is None
    assert mean_logprob([]) == 0.0


def test_a_letter_of_several_tokens_belongs_to_the_later_one():
    tokens = [0, 1, *b"abcdefg"]
    found = find_unsure_span(tokens, [0.0, *[-1.0] * 8], Letters())
    assert (found.start, found.end, found.text) == (0, 8, "éabcdefg")


def test_a_model_that_overflows_is_unsure_and_its_row_is_json(tiny_v1):
    for broken in (float("nan"), float("-inf")):
        assert mean_logprob([-1.0, broken]) == -50.5
        span = find_unsure_span([5, 6], [-1.0, broken], tiny_v1.tokenizer)
        assert span.logprob == -50.5
