"""Synthetic pages as a source: made by number when they are asked for, without end."""

from dataclasses import dataclass

from ocrtune.config import DataSection
from ocrtune.progress import say, track
from ocrtune.records import Page
from ocrtune.sources.reading import SYNTH, SourcePages, read_source
from ocrtune.synth import Maker, read_synth_config

MOST_LOOKED_AT = 200
"""Pages of a stream that stand for it where an end is needed."""


@dataclass(frozen=True, slots=True)
class PageStream:
    """Pages by number, 0 and up; the same number gives the same page in whatever process.

    Attributes:
        maker: Makes them.
    """

    maker: Maker

    def page(self, number: int) -> Page:
        """The page of this number, its image in memory."""
        return self.maker.sample(number).page()

    def first(self, count: int) -> list[Page]:
        """The first pages."""
        return [self.page(number) for number in track(range(count), "making pages")]


def is_stream(uri: str) -> bool:
    """Whether pages of this uri are made and not read."""
    return uri.startswith(SYNTH)


def is_streamed(data: DataSection) -> bool:
    """Whether pages of the run's data are made while it goes on."""
    return any(is_stream(source.uri) for source in data.mixed)


def open_stream(uri: str) -> PageStream:
    """The pages of a `synth:` uri.

    Raises:
        ConfigError: The recipe has mistakes.
        SynthError: Its texts or fonts are not there.
    """
    return PageStream(Maker(read_synth_config(uri.removeprefix(SYNTH))))


def read_some(uri: str) -> SourcePages:
    """The pages of a source and its findings; of a stream the first `MOST_LOOKED_AT` pages, which is said.

    Raises:
        OcrtuneError: As `read_source` and `open_stream` do.
    """
    if not is_stream(uri):
        return read_source(uri)
    say(f"{uri} has no end: its first {MOST_LOOKED_AT} pages stand for it")
    return SourcePages(pages=open_stream(uri).first(MOST_LOOKED_AT), findings=[])
