"""Synthetic pages as a source: made by number when they are asked for, without end."""

from dataclasses import dataclass

from ocrtune.records import Page
from ocrtune.synth import Maker, read_synth_config

SYNTH = "synth:"
"""What the uri of synthetic pages begins with; a recipe's file or its short name follows."""


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
        return [self.page(number) for number in range(count)]


def is_stream(uri: str) -> bool:
    """Whether pages of this uri are made and not read."""
    return uri.startswith(SYNTH)


def open_stream(uri: str) -> PageStream:
    """The pages of a `synth:` uri.

    Raises:
        ConfigError: The recipe has mistakes.
        SynthError: Its texts or fonts are not there.
    """
    return PageStream(Maker(read_synth_config(uri.removeprefix(SYNTH))))
