"""What can be wrong with the images of a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from ocrtune.data.fingerprints import Fingerprints, fingerprint
from ocrtune.errors import SourceError
from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources import count_frames, open_image

SMALLEST_SIDE_PX = 16
"""One patch of the vision encoder; what is smaller holds no letters."""

MOST_ASPECT_RATIO = 50
"""Lines of print have up to 30; beyond this an image is a rule or a strip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is known of one image after it was opened.

    Attributes:
        digest: Of size and pixels as the model would see them; equal for equal pictures in other files.
        size: (width, height) in pixels, upright.
        num_frames: Pages of a TIFF, frames of an animation.
        fingerprint: By which pictures are known that look alike; None where there is nothing to see.
    """

    digest: bytes
    size: tuple[int, int]
    num_frames: int
    fingerprint: Fingerprints | None = None


def look_at(source: ImageSource) -> Picture:
    """Open an image and keep what the checks need of it.

    Raises:
        ImageError: It cannot be opened.
    """
    image = open_image(source)
    digest = blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    return Picture(
        digest=digest.digest(),
        size=image.size,
        num_frames=count_frames(source),
        fingerprint=fingerprint(image),
    )


def check_images(page: Page) -> tuple[list[Picture], list[Finding]]:
    """The page's pictures as far as they open, and what is wrong with them."""
    pictures: list[Picture] = []
    findings: list[Finding] = []
    for source in page.images:
        try:
            picture = look_at(source)
        except SourceError as error:
            findings.append(
                Finding(
                    code=error.code,
                    severity="error",
                    message=error.message,
                    where=f"{error.where} ({page.where})" if page.where else error.where,
                    hint=error.hint,
                )
            )
        else:
            pictures.append(picture)
            findings.extend(_check_picture(picture, page.where))
    return pictures, findings


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
    if picture.num_frames > 1:
        yield Finding(
            code="image-frames",
            severity="warning",
            message="the file holds several frames, of which only the first is used",
            where=where,
            hint="save each page as a file of its own",
        )
