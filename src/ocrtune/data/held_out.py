"""Which pages a run is scored on while it learns."""

from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from ocrtune.config import Config
from ocrtune.data.facts import image_digest
from ocrtune.data.mixing import split_data
from ocrtune.data.streams import is_endless, is_streamed, open_stream
from ocrtune.errors import ImageLeaked
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


class NotHeldOut:
    """Makes pages of a stream by number, and refuses those with an image that is held out.

    Files are compared by their content; what is drawn on the way is no file, and passes.

    Args:
        make_page: Makes pages by number.
        held_out: The pages a run is scored on.
    """

    def __init__(self, make_page: Callable[[int], Page], held_out: Sequence[Page]) -> None:
        self._make_page = make_page
        self._digests = frozenset(digest for page in held_out for digest in _digests(page))

    def __call__(self, number: int) -> Page:
        """The page.

        Raises:
            ImageLeaked: An image of it is held out.
            OcrtuneError: It cannot be made.
        """
        page = self._make_page(number)
        if self._digests and not self._digests.isdisjoint(_digests(page)):
            raise ImageLeaked(
                "the same image is among the pages held out: scores would praise memory",
                where=page.where or page.name,
                hint="take it out of one of them",
            )
        return page


def _digests(page: Page) -> Iterator[bytes]:
    files = (image for image in page.images if not isinstance(image, Image.Image))
    return filter(None, map(image_digest, files))


def spread(pages: Sequence[Page], most: int) -> list[Page]:
    """At most `most` of the pages, evenly over their order, so that no document is preferred."""
    if len(pages) <= most:
        return list(pages)
    return [pages[index * len(pages) // most] for index in range(most)]
