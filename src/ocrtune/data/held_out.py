"""Which pages a run is scored on while it learns."""

from collections.abc import Sequence

from ocrtune.config import Config
from ocrtune.data.mixing import split_data
from ocrtune.data.streams import is_endless, is_streamed, open_stream
from ocrtune.records import Page
from ocrtune.sources import SourcePages, read_source


def held_out_pages(config: Config) -> Sequence[Page]:
    """The pages that choose a run's best checkpoint, `evaluation.max_pages` at most; the same ones each time.

    Of a stream no document can be held out: beside it there are those of `data.validation_uri`, or none.

    Raises:
        OcrtuneError: A source cannot be read or split.
    """
    return held_out_source(config).pages


def held_out_source(config: Config) -> SourcePages:
    """The pages of `held_out_pages`, and what was odd about their source if they have one of their own.

    Raises:
        OcrtuneError: As `held_out_pages`.
    """
    uri, most = config.data.validation_uri, config.evaluation.max_pages
    if not is_streamed(config.data):
        splits = split_data(config.data, config.run.seed)
        return SourcePages(pages=spread(splits.validation, most), findings=list(splits.findings))
    if uri is None:
        return SourcePages(pages=[], findings=[])
    if is_endless(uri):
        return SourcePages(pages=open_stream(uri).first(most), findings=[])
    source = read_source(uri)
    return SourcePages(pages=spread(source.pages, most), findings=source.findings)


def spread(pages: Sequence[Page], most: int) -> list[Page]:
    """At most `most` of the pages, evenly over their order, so that no document is preferred."""
    if len(pages) <= most:
        return list(pages)
    return [pages[index * len(pages) // most] for index in range(most)]
