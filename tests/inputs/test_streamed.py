"""Examples of shards: what each process reads, what stands for broken pages, and when that is too much."""

import io
import os
import tarfile
from collections import Counter
from functools import partial
from itertools import islice

import numpy as np
import pytest
from accelerate import skip_first_batches
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from PIL import Image
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from ocrtune.data.streams import open_stream
from ocrtune.errors import ImageError, InputsError, SourceError, TooManySkipped
from ocrtune.inputs.streamed import MOST_TRIED, SkipLimit, StreamedExamples
from ocrtune.models.tiny import RECIPE

SHARDS, PAGES_OF_SHARD, RANKS, WORKERS, BATCH = 8, 12, 2, 2, 3


def png(number):
    file = io.BytesIO()
    Image.fromarray(np.full((16, 48, 3), number, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def write_shards(tmp_path):
    """(broken numbers) → a uri of shards, page n with the text `n`."""

    def write(*, broken=(), without_text=()):
        for shard in range(SHARDS):
            with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
                for number in range(shard * PAGES_OF_SHARD, (shard + 1) * PAGES_OF_SHARD):
                    members = {"png": b"\x89PNG" if number in broken else png(number), "txt": b"%d" % number}
                    for suffix in ("png",) if number in without_text else members:
                        info = tarfile.TarInfo(f"{number:04}.{suffix}")
                        info.size = len(members[suffix])
                        tar.addfile(info, io.BytesIO(members[suffix]))
        return f"webdataset:{tmp_path}"

    return write


def open_shards(uri, **rest):
    return open_stream(
        uri, **{"seed": 3, "lanes": RANKS * WORKERS, "batch_size": BATCH, "shuffle_pages": 5, **rest}
    )


class WhoRead:
    """Text of each page, with the process that made it."""

    def __init__(self, stream, count):
        self._stream = stream
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, number):
        page = self._stream.page(number)
        return number, page.name.partition("#")[0], page.text, os.getpid()


def loader_of(rank, dataset):
    batches = BatchSampler(SequentialSampler(dataset), BATCH, drop_last=False)
    shard = BatchSamplerShard(batches, num_processes=RANKS, process_index=rank)
    return DataLoader(
        dataset, batch_sampler=shard, num_workers=WORKERS, collate_fn=list, multiprocessing_context="fork"
    )


def test_ranks_and_workers_read_disjoint_shards_and_every_page_once(write_shards):
    stream = open_shards(write_shards())
    dataset = WhoRead(stream, stream.num_pages)
    texts, shards = Counter(), {}
    for rank in range(RANKS):
        for batch in loader_of(rank, dataset):
            for number, shard, text, process in batch:
                texts[text] += 1
                shards.setdefault((rank, process), set()).add(shard)
                assert stream.order.lane(number) % RANKS == rank
    assert texts == Counter(str(number) for number in range(SHARDS * PAGES_OF_SHARD))
    assert len(shards) == RANKS * WORKERS
    assert sorted(shard for read in shards.values() for shard in read) == [f"{n}.tar" for n in range(SHARDS)]


def test_workers_keep_to_shards_of_their_own_after_a_resume(write_shards):
    stream = open_shards(write_shards())
    dataset = WhoRead(stream, stream.num_pages)
    whole = prepare_data_loader(
        DataLoader(
            dataset, batch_size=BATCH, num_workers=WORKERS, collate_fn=list, multiprocessing_context="fork"
        ),
        num_processes=RANKS,
        process_index=1,
        put_on_device=False,
    )
    expected = [[row[:3] for row in batch] for batch in whole]
    rest = list(skip_first_batches(whole, 3))
    assert [[row[:3] for row in batch] for batch in rest] == expected[3:]
    shards = {}
    for number, shard, _, process in (row for batch in rest for row in batch):
        shards.setdefault(process, set()).add((shard, stream.order.lane(number)))
    first, second = shards.values()
    assert not {shard for shard, _ in first} & {shard for shard, _ in second}


def texts_of(examples, tokenizer):
    for example in examples:
        yield tokenizer.decode(
            [int(token) for token in example.labels if token not in {-100, tokenizer.eos_id}]
        )


def test_a_run_that_goes_on_gets_the_examples_it_would_have_had(write_shards, tokenizer):
    uri = write_shards()
    count = 2 * SHARDS * PAGES_OF_SHARD

    def examples():
        stream = open_shards(uri)
        return StreamedExamples(stream.page, count, RECIPE, tokenizer, stride=stream.stride(count))

    whole = list(texts_of(examples(), tokenizer))
    killed_at = 77
    resumed = examples()
    rest = texts_of((resumed[number] for number in range(killed_at, count)), tokenizer)
    assert list(rest) == whole[killed_at:]
    epochs = whole[: count // 2], whole[count // 2 :]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(map(str, range(count // 2)))
    assert epochs[0] != epochs[1]


def test_materials_tell_when_shards_or_lanes_are_others(write_shards, tmp_path):
    uri = write_shards()
    before = open_shards(uri).materials()
    assert open_shards(uri).materials() == before
    assert open_shards(uri, lanes=2).materials() != before
    (tmp_path / "7.tar").unlink()
    assert open_shards(uri).materials()["shards"] != before["shards"]


def test_a_page_that_cannot_be_used_is_listed_and_another_one_of_its_lane_stands_for_it(
    write_shards, tokenizer
):
    stream = open_shards(write_shards(broken={5, 40}, without_text={41}))
    # No multiple of what all lanes take in turn.
    count = stream.num_pages + 5
    told, asked = [], []
    make = partial(_noting, asked, stream.page)
    examples = StreamedExamples(
        make, count, RECIPE, tokenizer, on_error=told.append, stride=stream.stride(count)
    )
    texts = list(texts_of(examples, tokenizer))
    assert len(texts) == count
    assert {finding.code for finding in told} == {"image", "inputs"}
    assert {finding.where.rpartition("#")[2] for finding in told} == {"0005.png", "0040.png", "0041"}
    stand_ins = [number for number in asked if number >= count]
    assert len(stand_ins) == len(told) >= 3
    lanes = {number: stream.order.lane(number) for number in asked}
    failed = [asked[place - 1] for place, number in enumerate(asked) if number in stand_ins]
    assert [lanes[number] for number in failed] == [lanes[number] for number in stand_ins]
    assert list(texts_of(examples, tokenizer)) == texts


def _noting(asked, make, number):
    asked.append(number)
    return make(number)


def test_without_leave_to_skip_a_broken_page_stops_the_run_and_is_named(write_shards, tokenizer):
    stream = open_shards(write_shards(broken={5}))
    with pytest.raises(ImageError) as error:
        list(StreamedExamples(stream.page, stream.num_pages, RECIPE, tokenizer, on_too_long=print))
    assert error.value.where.endswith("0.tar#0005.png")


def test_too_many_pages_left_out_stop_the_run_with_their_reasons(write_shards, tokenizer, monkeypatch):
    monkeypatch.setattr("ocrtune.inputs.streamed.LOOKED_BACK", 40)
    stream = open_shards(write_shards(broken=range(0, 96, 8), without_text=range(4, 96, 8)))
    count = 3 * stream.num_pages
    examples = partial(
        StreamedExamples,
        stream.page,
        count,
        RECIPE,
        tokenizer,
        on_error=lambda _: None,
        stride=stream.stride(count),
    )
    assert len(list(islice(examples(limit=SkipLimit(0.9)), 60))) == 60
    with pytest.raises(TooManySkipped, match=r"9 of the last [0-9]+ pages are left out: (image|inputs) "):
        list(examples(limit=SkipLimit(0.2)))


def test_nothing_but_broken_pages_is_an_error_of_its_own(write_shards, tokenizer):
    stream = open_shards(write_shards(broken=range(96)))
    told = []
    examples = StreamedExamples(stream.page, 96, RECIPE, tokenizer, on_error=told.append, stride=96)
    with pytest.raises(ImageError):
        examples[0]
    assert len(told) == MOST_TRIED - 1


def test_shards_without_a_page_are_an_error_that_says_why(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(SourceError, match="no header of a tar"):
        open_stream(f"webdataset:{tmp_path}")
    assert not issubclass(SourceError, InputsError)
