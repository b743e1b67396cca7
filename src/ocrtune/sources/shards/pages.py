"""Pages of shards: a sequence that keeps where pages are, and makes each when it is asked for."""

from dataclasses import dataclass

from ocrtune.errors import ImageError
from ocrtune.records import EncodedImage, Page
from ocrtune.sequences import LazySequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is known of one shard.

    Attributes:
        name: Seen from the folder that all shards of the source are in.
        num_pages: That can be used.
        num_bytes: Of the file.
    """

    name: str
    num_pages: int
    num_bytes: int


class ShardPages(LazySequence[Page]):
    """Pages of several shards, one shard behind the other.

    Attributes:
        pieces: The shards, in order.

    Raises:
        ShardError: Of a page that is asked for: its shard cannot be read, or is another one than it was.
    """

    pieces: tuple[Piece, ...]

    def __len__(self) -> int:
        return sum(piece.num_pages for piece in self.pieces)


def no_image(name: str, message: str, hint: str = "") -> EncodedImage:
    """An image that is not there, told when it is read: whoever opens images tells which of them cannot be."""
    return EncodedImage(name=name, read=_Missing(message, name, hint))


@dataclass(frozen=True, slots=True)
class _Missing:
    """Raises instead of reading."""

    message: str
    name: str
    hint: str

    def __call__(self) -> bytes:
        raise ImageError(self.message, where=self.name, hint=self.hint)
