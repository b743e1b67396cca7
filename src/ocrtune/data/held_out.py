"""Which pages a run is scored on while it learns."""

from collections.abc import Sequence

from ocrtune.config import Config
from ocrtune.data.splits import split_by_document
from ocrtune.data.streams import is_stream, open_stream
from ocrtune.records import Page
from ocrtune.sources import read_pages


def held_out_pages(config: Config) -> list[Page]:
    """The pages that choose a run's best checkpoint, `evaluation.max_pages` at most; the same ones each time.

    Of a stream no document can be held out: beside it there are those of `data.validation_uri`, or none.

    Raises:
        OcrtuneError: A source cannot be read or split.
    """
    uri, most = config.data.validation_uri, config.evaluation.max_pages
    if not is_stream(config.data.uri):
        splits = split_by_document(read_pages(config.data.uri), config.data, config.run.seed)
        return spread(splits.validation, most)
    if uri is None:
        return []
    return open_stream(uri).first(most) if is_stream(uri) else spread(read_pages(uri), most)


def spread(pages: Sequence[Page], most: int) -> list[Page]:
    """At most `most` of the pages, evenly over their order, so that no document is preferred."""
    if len(pages) <= most:
        return list(pages)
    return [pages[index * len(pages) // most] for index in range(most)]
