"""Any image a scanner, a phone or a web page makes → upright RGB."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from ocrtune.errors import HeicUnreadable, ImageError, ImageTooLarge
from ocrtune.records import Cut, EncodedImage, ImageSource, PdfPage, TiffPage
from ocrtune.sources.cutting import cut_out
from ocrtune.sources.kept import KeptImages
from ocrtune.sources.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, ImageLimits, image_limits, pillow_obeys
from ocrtune.sources.pdf.pictures import render_page
from ocrtune.sources.versions import file_version

SUFFIXES_OF: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "PNG": frozenset({".png"}),
        "JPEG": frozenset({".jpg", ".jpeg"}),
        "TIFF": frozenset({".tif", ".tiff"}),
        "WEBP": frozenset({".webp"}),
        "GIF": frozenset({".gif"}),
        "BMP": frozenset({".bmp"}),
        "JPEG2000": frozenset({".jp2", ".j2k", ".jpx"}),
        "HEIF": frozenset({".heic", ".heif"}),
    }
)
"""Format, as Pillow calls it → its suffixes, in lower case."""

IMAGE_SUFFIXES = frozenset().union(*SUFFIXES_OF.values())
"""Suffixes by which a folder's images are known, in lower case."""

MOST_KEPT_BYTES = 128 * 2**20
"""Pages stay decoded while parts are cut out of them; so many bytes hold two pages of 4000 px."""

_FORMATS = (*(name for name in SUFFIXES_OF if name != "HEIF"), "PPM")
"""What is tried on a file; Pillow's others, some of which run other programs, are no scans."""

_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})

_JPEG_WITH_MORE = "MPO"
"""A camera's JPEG with a preview or a map of brightness behind it, which are no pages."""

_SUBFILE_TYPE = 254
_NO_PAGE = 0b101
"""Bits of a TIFF's subfile type: a smaller copy of another frame, a mask of one."""

_BRANDS_FROM = 8
_BRANDS_TO = 64
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_ROWS_AT_ONCE = 256
_UPRIGHT = 1
_WHITE = (255, 255, 255)
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_GREY_RANGES = (255.0, 65535.0, 2.0**31 - 1)
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
)

_File = Path | EncodedImage | TiffPage


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What an image file tells of itself besides its pixels.

    Attributes:
        format: As Pillow calls it, such as `PNG`, whatever the suffix says.
        num_frames: Pages of a TIFF, without smaller copies of them, or frames of an animation; else 1.
        is_animated: The frames are those of an animation.
        has_other_suffix: The name ends as that of another format.
    """

    format: str
    num_frames: int
    is_animated: bool
    has_other_suffix: bool


def open_image(source: ImageSource) -> Image.Image:
    """The image, turned as its EXIF data say, in mode RGB; an upright RGB image is returned as it is.

    Transparency is laid over white. Grey of more than 8 bits is scaled by the range it is stored in: `I;16`
    by 65535; `I` and `F`, which tell no range, by the smallest of 1 (`F` alone), 255, 65535 and 2³¹-1
    that holds the brightest pixel. Of a file with several frames it is the first, of a `TiffPage` its own.

    Of a `Cut` it is the part along its polygon, upright, with the paper's colour around; the page it is cut out
    of stays decoded for the next one. A `PdfPage` is rendered.

    Args:
        source: A path, an image in memory, which is never changed, a page of a PDF or TIFF, a part of an image on
            disk or of such a page, or an image file inside something bigger.

    Raises:
        ImageTooLarge: It has more pixels or bytes than `sources.limits` allows; none was decoded.
        HeicUnreadable: It is HEIC, and the package for that is not installed.
        ImageError: The file is missing, empty, broken or no image, or the image has no pixels, or grey values
            below 0.
    """
    if isinstance(source, Image.Image):
        return _upright_rgb(source, where="an image in memory")
    if isinstance(source, Cut):
        page = _kept_page(source.path)
        with pillow_obeys(page.width * page.height):  # cropping asks Pillow's limit once more
            return cut_out(page, source)
    if isinstance(source, PdfPage):
        return render_page(source)
    with _naming_errors(source), open_file(source) as image:
        image.load()
        return _upright_rgb(image, where=str(source))


def keep_pages(most_bytes: int) -> None:
    """Keep pages decoded up to so many bytes in this process and those forked from it, instead of `MOST_KEPT_BYTES`.

    Lines in random order each cost the decoding of a page that is not kept.
    """
    _PAGES.most_bytes = most_bytes


def count_frames(source: ImageSource) -> int:
    """Pages of a TIFF or frames of an animation, also of one that a part is cut out of; 1 for any other image.

    Raises:
        ImageError: As `open_image`.
    """
    facts = file_facts(source)
    return facts.num_frames if facts else 1


def file_facts(source: ImageSource) -> FileFacts | None:
    """What the file of an image tells of itself; None for what is no image file: images in memory, pages of PDFs.

    Raises:
        ImageError: As `open_image`.
    """
    file = source.path if isinstance(source, Cut) else source
    if isinstance(file, Image.Image | PdfPage):
        return None
    with _naming_errors(file), open_file(file) as image:
        name = "JPEG" if image.format == _JPEG_WITH_MORE else str(image.format)
        num_frames = 1 if isinstance(file, TiffPage) else len(_frames_of(image))
        return FileFacts(
            format=name,
            num_frames=num_frames,
            is_animated=name in _ANIMATED and num_frames > 1,
            has_other_suffix=_suffix_of(file) in IMAGE_SUFFIXES - SUFFIXES_OF.get(name, frozenset()),
        )


def frame_numbers(path: Path) -> tuple[int, ...]:
    """The frames of a TIFF that are pages, from 1; smaller copies of pages and masks are none. Else (1,).

    Raises:
        ImageError: As `open_image`.
    """
    with _naming_errors(path), open_file(path) as image:
        return _frames_of(image) if image.format == "TIFF" else (1,)


@contextmanager
def open_file(source: _File) -> Iterator[Image.Image]:
    """The image file as Pillow opens it: the header is read, the pixels are not.

    Raises:
        ImageTooLarge: It has more bytes or pixels than `sources.limits` allows.
        HeicUnreadable: It is HEIC, and the package for that is not installed.
        Exception: Whatever Pillow raises about a broken file.
    """
    limits = image_limits()
    file = source if isinstance(source, EncodedImage) else _path_of(source)
    content = _checked(file, limits)
    with pillow_obeys(limits.most_pixels), _identified(content, str(source)) as image:
        if isinstance(source, TiffPage):
            _go_to_frame(image, source)
        if image.width * image.height > limits.most_pixels:
            raise _too_many_pixels(str(source), limits)
        yield image


def _checked(file: Path | EncodedImage, limits: ImageLimits) -> Path | BytesIO:
    """What Pillow is to open, if it is not too long."""
    content = file if isinstance(file, Path) else BytesIO(file.read())
    num_bytes = _regular_size(content) if isinstance(content, Path) else content.getbuffer().nbytes
    if num_bytes > limits.most_bytes:
        raise ImageTooLarge(
            f"the image file has more than {limits.most_bytes:,} bytes",
            where=str(file),
            hint=f"save it smaller, or set {MAX_IMAGE_BYTES}={num_bytes}",
        )
    return content


def _regular_size(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is no file")  # a pipe would be waited for, a device has no end
    return status.st_size


def _identified(content: Path | BytesIO, where: str) -> Image.Image:
    try:
        return Image.open(content, formats=_FORMATS)
    except UnidentifiedImageError:
        return Image.open(content, formats=(_container_format(content, where),))


def _container_format(content: Path | BytesIO, where: str) -> str:
    """`HEIF` or `AVIF` of a file that may be either, by the brands at its begin.

    Raises:
        UnidentifiedImageError: It is neither.
        HeicUnreadable: It is HEIC, and the package for that is not installed.
    """
    if isinstance(content, Path):
        with content.open("rb") as file:
            begin = file.read(_BRANDS_TO)
    else:
        begin = content.getvalue()[:_BRANDS_TO]
    brands = begin[_BRANDS_FROM : int.from_bytes(begin[:4], "big")] if begin[4:8] == b"ftyp" else b""
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    if not brands.startswith(_HEIF_BRANDS):
        raise UnidentifiedImageError
    _learn_heif(where)
    return "HEIF"


def _learn_heif(where: str) -> None:
    """Make Pillow read HEIC, which it does not by itself."""
    try:
        from pi_heif import register_heif_opener  # noqa: PLC0415 - an extra, needed for such files alone
    except ImportError as error:
        raise HeicUnreadable(
            "the image is HEIC, and pi-heif is not installed", where=where, hint="pip install 'ocrtune[heic]'"
        ) from error
    register_heif_opener()


def _go_to_frame(image: Image.Image, source: TiffPage) -> None:
    try:
        image.seek(source.number - 1)
    except EOFError as error:
        raise ImageError(f"the file has no frame {source.number}", where=str(source.path)) from error


def _frames_of(image: Image.Image) -> tuple[int, ...]:
    """Numbers of the frames that are pages, or frames of an animation."""
    if image.format == _JPEG_WITH_MORE:
        return (1,)
    numbers = range(1, int(getattr(image, "n_frames", 1)) + 1)
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or len(numbers) == 1:
        return tuple(numbers)
    return tuple(number for number in numbers if number == 1 or _is_page(image, number))


def _is_page(image: TiffImagePlugin.TiffImageFile, number: int) -> bool:
    image.seek(number - 1)
    return not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _NO_PAGE


def _suffix_of(file: _File) -> str:
    return PurePosixPath(file.name if isinstance(file, EncodedImage) else _path_of(file)).suffix.lower()


def _path_of(file: Path | TiffPage) -> Path:
    return file.path if isinstance(file, TiffPage) else file


_PAGES = KeptImages(MOST_KEPT_BYTES)


def _kept_page(page: Path | PdfPage | TiffPage) -> Image.Image:
    # A changed file is another page.
    return _PAGES.find((page, _version(page)), lambda: open_image(page))


def _version(page: Path | PdfPage | TiffPage) -> tuple[int, int, int]:
    path = page if isinstance(page, Path) else page.path
    with _naming_errors(path):
        return file_version(path)


@contextmanager
def _naming_errors(file: _File) -> Iterator[None]:
    """Whatever Pillow raises about a file, as an ImageError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(
            "the image does not exist",
            where=str(file),
            hint="a manifest's paths are relative to the manifest's own folder",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(str(file), image_limits()) from error
    except UnidentifiedImageError as error:
        raise _unidentified(file) from error
    except _BROKEN as error:
        raise _broken(error, str(file)) from error


def _broken(error: Exception, where: str) -> ImageError:
    # Pillow's own limits for the notes and the colour profile of a PNG, which are packed like its pixels.
    if "MAX_TEXT_CHUNK" in str(error) or "MAX_TEXT_MEMORY" in str(error):
        return ImageTooLarge(
            "notes or the colour profile in the image are too large to be opened safely",
            where=where,
            hint="save the image without them",
        )
    return ImageError(
        f"the image cannot be read: {_in_one_line(error)}",
        where=where,
        hint="the file may be cut off; fetch or export it once more",
    )


def _too_many_pixels(where: str, limits: ImageLimits) -> ImageTooLarge:
    return ImageTooLarge(
        f"the image has more than {limits.most_pixels:,} pixels",
        where=where,
        hint=f"scale it down or cut it into pages; if it is no bomb, set {MAX_IMAGE_PIXELS} to more",
    )


def _upright_rgb(image: Image.Image, *, where: str) -> Image.Image:
    if 0 in image.size:
        raise ImageError(f"the image has no pixels: {image.width} × {image.height}", where=where)
    if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
        image = ImageOps.exif_transpose(image)
    return _to_rgb(image, where=where)


def _to_rgb(image: Image.Image, *, where: str) -> Image.Image:
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    if image.mode == "RGB":
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = _grey_of_8_bits(image, where=where)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    paper = Image.new("RGB", image.size, _WHITE)
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def _grey_of_8_bits(image: Image.Image, *, where: str) -> Image.Image:
    values = np.asarray(image)
    # NaN compares as false with everything, and is what min() gives if there is any.
    if not (values.min() >= 0 and values.max() < np.inf):
        raise ImageError(
            f"grey values of mode {image.mode} are below 0 or not finite",
            where=where,
            hint="save it with 8 bits a channel",
        )
    scale = 255 / _brightest(image.mode, values)
    grey = np.empty(values.shape, np.uint8)
    # In bands: as float64 a large scan would not fit.
    for top in range(0, len(values), _ROWS_AT_ONCE):
        grey[top : top + _ROWS_AT_ONCE] = np.rint(
            values[top : top + _ROWS_AT_ONCE].astype(np.float64) * scale
        )
    return Image.fromarray(grey)


def _brightest(mode: str, values: NDArray[np.generic]) -> float:
    """The value that stands for white."""
    if mode.startswith("I;16"):
        return 65535.0
    ranges = (1.0, *_GREY_RANGES) if mode == "F" else _GREY_RANGES
    brightest = float(values.max())
    return next((white for white in ranges if brightest <= white), brightest)


def _unidentified(file: _File) -> ImageError:
    is_empty = not (file.read() if isinstance(file, EncodedImage) else _path_of(file).stat().st_size)
    if is_empty:
        return ImageError("the image file is empty", where=str(file), hint="fetch or export it once more")
    return ImageError(
        "the file is not an image that can be read",
        where=str(file),
        hint=f"known suffixes: {' '.join(sorted(IMAGE_SUFFIXES))}; the content decides, not the suffix",
    )


def _in_one_line(error: Exception) -> str:
    # What the system says names the path once more.
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(told.split()) or type(error).__name__
