"""Pages by number while a run goes on: synthetic ones, made without end, and those of shards, read again and again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from ocrtune.config import DataSection
from ocrtune.data.shard_order import ShardOrder
from ocrtune.errors import SourceError
from ocrtune.progress import say, track
from ocrtune.records import Finding, Page
from ocrtune.sources.reading import SYNTH, SourcePages, read_source
from ocrtune.sources.shards.options import ShardRequest, parse_shard_request
from ocrtune.sources.shards.pages import ShardPages
from ocrtune.sources.shards.reading import is_streamed as are_streamed
from ocrtune.sources.shards.reading import read_shards
from ocrtune.synth import Maker, read_synth_config

MOST_LOOKED_AT = 200
"""Pages of a stream that stand for it where an end is needed."""


class Stream(Protocol):
    """Pages by number, 0 and up; the same number gives the same page in whatever process."""

    @property
    def num_pages(self) -> int | None:
        """Examples of an epoch; None without end."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was odd about where the pages are read from; an error is a page, or a shard of them, left out."""

    def page(self, number: int) -> Page:
        """The page that is the example of this number in a run.

        Raises:
            OcrtuneError: It cannot be made or read.
        """

    def first(self, count: int) -> list[Page]:
        """So many pages that stand for all."""

    def stride(self, count: int) -> int:
        """How far apart the numbers are of pages that stand in for each other, in a run of `count` examples."""

    def materials(self) -> dict[str, str]:
        """What pages and their order depend on beside the recipe, by kind."""


@dataclass(frozen=True, slots=True)
class PageStream:
    """Synthetic pages.

    Attributes:
        maker: Makes them.
        num_pages: None: there is no end.
        findings: None of them: pages that are made are right by their making.
    """

    maker: Maker
    num_pages: int | None = field(default=None, init=False)
    findings: Sequence[Finding] = field(default=(), init=False)

    def page(self, number: int) -> Page:
        """The page of this number, its image in memory."""
        return self.maker.sample(number).page()

    def first(self, count: int) -> list[Page]:
        """The first pages."""
        return [self.page(number) for number in track(range(count), "making pages")]

    def stride(self, count: int) -> int:
        """Numbers beyond the run's own are of pages that it never sees else."""
        return count

    def materials(self) -> dict[str, str]:
        """Fonts, texts and what draws them."""
        return self.maker.materials()


@dataclass(frozen=True, slots=True)
class ShardStream:
    """Pages of shards in the order in which a run learns from them.

    Attributes:
        pages: All of them, as they stand in the shards.
        order: Which one is the example of a number.
        findings: What was odd about the shards.
    """

    pages: ShardPages
    order: ShardOrder
    findings: Sequence[Finding] = ()

    @property
    def num_pages(self) -> int:
        """Examples of an epoch: each page once."""
        return self.order.num_pages

    def page(self, number: int) -> Page:
        """The page of this number, its image not read yet.

        Raises:
            ShardError: Its shard cannot be read, or is another one than it was.
        """
        return self.pages[self.order.place(number)]

    def first(self, count: int) -> list[Page]:
        """So many pages, evenly over all shards."""
        few = min(count, len(self.pages))
        return [self.pages[place * len(self.pages) // few] for place in range(few)]

    def stride(self, count: int) -> int:
        """A multiple of what all lanes take in turn, beyond the run's own numbers: each lane keeps to its shards."""
        turn = self.order.batch_size * self.order.lanes
        return -(-count // turn) * turn

    def materials(self) -> dict[str, str]:
        """A digest of the shards' names, sizes and pages, and what else their order depends on."""
        told = "\n".join(f"{each.name}\t{each.num_bytes}\t{each.num_pages}" for each in self.pages.pieces)
        return {
            "shards": sha256(told.encode("utf-8", errors="surrogatepass")).hexdigest()[:16],
            "workers_of_all_devices": str(self.order.lanes),
            "batch_size": str(self.order.batch_size),
        }


def is_stream(uri: str) -> bool:
    """Whether a run takes pages of this uri by number as it goes on, without measuring them all before.

    So it does with `synth:`, with `webdataset:`, and with `parquet:` where there are several files; `stream=true` or
    `stream=false` says otherwise.

    Raises:
        SourceError: The uri names shards that are not there, or has wrong options.
    """
    if is_endless(uri):
        return True
    request = parse_shard_request(uri)
    return request is not None and are_streamed(request)


def is_endless(uri: str) -> bool:
    """Whether pages of this uri are made and not read."""
    return uri.startswith(SYNTH)


def is_streamed(data: DataSection) -> bool:
    """Whether pages of the run's data are made while it goes on."""
    return any(is_stream(source.uri) for source in data.mixed)


def open_stream(
    uri: str, *, seed: int = 0, lanes: int = 1, batch_size: int = 1, shuffle_pages: int = 1000
) -> Stream:
    """The pages of a uri that `is_stream`.

    Args:
        uri: `synth:` and a recipe, which has a seed and an order of its own, or shards.
        seed: Shuffles shards.
        lanes: Processes that read, over all ranks: ranks × workers, workers counting 1 where there are none.
        batch_size: Examples of a forward, on each rank.
        shuffle_pages: Pages of shards that are shuffled with each other.

    Raises:
        ConfigError: The recipe has mistakes.
        SynthError: Its texts or fonts are not there.
        SourceError: Shards are not there, or hold no pages.
    """
    if is_endless(uri):
        return PageStream(Maker(read_synth_config(uri.removeprefix(SYNTH))))
    request = parse_shard_request(uri)
    if request is None:
        raise SourceError(f"{uri!r} is no stream of pages")
    return _open_shards(
        request, uri, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=shuffle_pages
    )


def _open_shards(
    request: ShardRequest, uri: str, *, seed: int, lanes: int, batch_size: int, shuffle_pages: int
) -> ShardStream:
    pages, findings = read_shards(request)
    if not pages:
        # The error that says why there are none.
        read_source(uri)
    sizes = [piece.num_pages for piece in pages.pieces]
    order = ShardOrder(sizes, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=shuffle_pages)
    return ShardStream(pages, order, findings)


def read_some(uri: str) -> SourcePages:
    """The pages of a source and its findings; of one without end the first `MOST_LOOKED_AT` pages, which is said.

    Raises:
        OcrtuneError: As `read_source` and `open_stream` do.
    """
    if not is_endless(uri):
        return read_source(uri)
    say(f"{uri} has no end: its first {MOST_LOOKED_AT} pages stand for it")
    return SourcePages(pages=open_stream(uri).first(MOST_LOOKED_AT), findings=[])
