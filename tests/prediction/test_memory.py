from collections import Counter
from dataclasses import replace

import pytest
import torch

from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import predict, predict_pages
from ocrtune.prediction.memory import is_out_of_memory
from ocrtune.prediction.pages import _Encoder

DECODING = DecodingSection(max_new_tokens=4, batch_size=8)


@pytest.fixture(scope="module")
def loaded(tiny_v1):
    return replace(load_checkpoint(tiny_v1.folder, device="cpu"), recipe=tiny_v1.recipe)


@pytest.fixture
def pages(page):
    return [page(f"{number}", (80 + 9 * number, 70), number) for number in range(20)]


def limit_memory(monkeypatch, model, most_rows, error):
    """`generate` fails for batches larger than that; what it was asked for."""
    asked = []
    generate = type(model).generate

    def limited(self, *args, input_ids, **options):
        asked.append(len(input_ids))
        if len(input_ids) > most_rows:
            raise error
        return generate(self, *args, input_ids=input_ids, **options)

    monkeypatch.setattr(type(model), "generate", limited)
    return asked


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_batch_is_halved_until_it_fits_and_stays_small(loaded, pages, monkeypatch, capsys, error):
    wanted = predict(loaded, pages, decoding=DECODING)
    asked = limit_memory(monkeypatch, loaded.model, 3, error)
    assert [row.text for row in predict(loaded, pages, decoding=DECODING)] == [row.text for row in wanted]
    assert asked == [8, 4, *[2] * 10]
    told = capsys.readouterr().err
    assert "out of memory with 8 pages together: going on with 4" in told
    assert "out of memory with 4 pages together: going on with 2" in told


def test_one_page_that_does_not_fit_is_named(loaded, pages, monkeypatch):
    limit_memory(monkeypatch, loaded.model, 0, MemoryError())
    with pytest.raises(PredictionError, match="memory does not do for one page alone") as caught:
        predict(loaded, pages[:1], decoding=DECODING)
    assert caught.value.where == "0"


def test_a_page_that_does_not_fit_alone_is_skipped_and_makes_no_other_batch_smaller(
    loaded, pages, monkeypatch, page
):
    wanted = predict(loaded, pages, decoding=DECODING)
    asked = []
    generate = type(loaded.model).generate
    longest = page("large", (700, 700), 99)

    def limited(self, *args, input_ids, **options):
        asked.append(len(input_ids))
        if (input_ids == loaded.tokenizer.image_id).sum(dim=1).max() > limit:
            raise MemoryError
        return generate(self, *args, input_ids=input_ids, **options)

    lengths = [
        int(Counter(row.input_ids.tolist())[loaded.tokenizer.image_id])
        for row in encoded(loaded, [*pages, longest])
    ]
    limit = max(lengths[:-1])
    assert lengths[-1] > limit
    monkeypatch.setattr(type(loaded.model), "generate", limited)
    found = list(predict_pages(loaded, [*pages[:3], longest, *pages[3:]], decoding=DECODING, on_error="skip"))
    assert (found[3].image, found[3].code) == ("large", PredictionError.code)
    assert "memory does not do" in found[3].message
    assert [row.text for row in found[:3] + found[4:]] == [row.text for row in wanted]
    assert asked == [8, 4, 2, 1, 8, 8, 4]


def encoded(loaded, pages):
    encoder = _Encoder(loaded.recipe, loaded.tokenizer, 2048, "stop")
    return [encoder.encode(page) for page in pages]


def test_other_errors_are_not_taken_for_want_of_memory(loaded, pages, monkeypatch):
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    limit_memory(monkeypatch, loaded.model, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        predict(loaded, pages, decoding=DECODING)
