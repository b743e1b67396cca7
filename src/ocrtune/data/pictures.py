"""What can be wrong with the images of a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from ocrtune.data.fingerprints import Fingerprint, fingerprint
from ocrtune.data.ink import look_for_ink
from ocrtune.errors import SourceError
from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources import open_image
from ocrtune.sources.images import FileFacts, file_facts

SMALLEST_SIDE_PX = 16
"""One patch of the vision encoder; what is smaller holds no letters."""

MOST_ASPECT_RATIO = 50
"""Lines of print have up to 30; beyond this an image is a rule or a strip."""

SMALLEST_PX = 2048
"""Pixels of the smallest image that is asked whether anything stands on it."""

FEWEST_INK_PX = 12
"""A page number of one digit has more."""

FEWEST_LETTERS = 20
"""Letters that an image seems to have before it is said to have some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is known of one image after it was opened.

    Attributes:
        digest: Of size and pixels as the model would see them; equal for equal pictures in other files.
        size: (width, height) in pixels, upright.
        file: What its file tells of itself; None where it is in no image file.
        ink_px: Pixels of ink when the image is made about 2 megapixels at most; None where nobody looked.
        letters: About how many letters stand in its lines; 0 where no lines are seen.
        x_height_px: Height of its small letters in its own pixels; None where no lines are seen.
        fingerprint: By which pictures are known that look alike; None where there is nothing to see.
    """

    digest: bytes
    size: tuple[int, int]
    file: FileFacts | None = None
    ink_px: int | None = None
    letters: int = 0
    x_height_px: float | None = None
    fingerprint: Fingerprint | None = None

    @property
    def num_frames(self) -> int:
        """Pages of a TIFF, frames of an animation."""
        return self.file.num_frames if self.file else 1


def look_at(source: ImageSource) -> Picture:
    """Open an image and keep what the checks need of it.

    Raises:
        ImageError: It cannot be opened.
    """
    image = open_image(source)
    digest = blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    grey = image.convert("L")
    ink = look_for_ink(grey)
    return Picture(
        digest=digest.digest(),
        size=image.size,
        file=file_facts(source),
        ink_px=ink.ink_px,
        letters=ink.letters,
        x_height_px=ink.x_height_px,
        fingerprint=fingerprint(grey),
    )


def check_images(page: Page) -> tuple[list[Picture], list[Finding]]:
    """The page's pictures as far as they open, and what is wrong with them."""
    pictures: list[Picture] = []
    findings: list[Finding] = []
    for source in page.images:
        try:
            picture = look_at(source)
        except SourceError as error:
            where = error.where if page.where in {"", error.where} else f"{error.where} ({page.where})"
            findings.append(replace(Finding.of_error(error), where=where))
        else:
            pictures.append(picture)
            findings.extend(_check_picture(picture, page.where))
    if len(pictures) == len(page.images):
        findings.extend(_check_ink(page, pictures))
    return pictures, findings


def _check_ink(page: Page, pictures: Sequence[Picture]) -> Iterator[Finding]:
    """Whether there is ink where there is text, and none where there is none."""
    if page.text is None or not pictures or any(_is_small(picture) for picture in pictures):
        return
    num_chars = len("".join(page.text.split()))
    ink_px = sum(picture.ink_px or 0 for picture in pictures)
    letters = sum(picture.letters for picture in pictures)
    if num_chars and ink_px < max(FEWEST_INK_PX, num_chars):
        yield Finding(
            code="page-blank",
            severity="warning",
            message=f"the image is blank, but the text has {num_chars} letters",
            where=page.where,
            hint='look whether the text belongs to another page; blank pages have the text ""',
        )
    if not num_chars and letters >= FEWEST_LETTERS:
        yield Finding(
            code="text-empty-but-ink",
            severity="warning",
            message=f"the text is empty, but about {letters} letters seem to stand on the image",
            where=page.where,
            hint="write the text, or leave the page out",
        )


def _is_small(picture: Picture) -> bool:
    width, height = picture.size
    return picture.ink_px is None or width * height < SMALLEST_PX


def _check_picture(picture: Picture, where: str) -> Iterator[Finding]:
    shorter, longer = sorted(picture.size)
    if shorter < SMALLEST_SIDE_PX:
        yield Finding(
            code="image-tiny",
            severity="warning",
            message=f"the image has a side of less than {SMALLEST_SIDE_PX} px",
            where=where,
            hint="scan at a higher resolution, or leave it out",
        )
    if longer > MOST_ASPECT_RATIO * shorter:
        yield Finding(
            code="image-shape",
            severity="warning",
            message=f"the image is more than {MOST_ASPECT_RATIO} times as long as it is wide",
            where=where,
            hint="cut it into pieces: resizing would press its letters flat",
        )
    if picture.file:
        yield from _check_file(picture.file, where)


def _check_file(file: FileFacts, where: str) -> Iterator[Finding]:
    if file.is_animated:
        yield Finding(
            code="image-animated",
            severity="warning",
            message="the image is animated, and only its first frame is used",
            where=where,
            hint="save the frame that is meant as an image without animation",
        )
    elif file.num_frames > 1:
        yield Finding(
            code="image-frames",
            severity="warning",
            message="the file holds several frames, of which only the first is used",
            where=where,
            hint="save each page as a file of its own, or part the text beside it by form feeds",
        )
    if file.has_other_suffix:
        yield Finding(
            code="image-suffix",
            severity="note",
            message=f"the image is {file.format} by its content, and its name ends otherwise",
            where=where,
            hint="it is read by its content; other programs may go by the name",
        )
