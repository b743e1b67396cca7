"""Images that are missing, broken, dangerous or odd, and those that only look so."""

import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from fault_corpus.case import (
    BAD_TEXT,
    TEXTS,
    Case,
    bad,
    bad_bytes,
    encoded,
    good,
    good_bytes,
    noise,
    picture,
    with_files,
    with_image,
    with_rows,
    write_folder,
    write_manifest,
)

BYTES_LIMIT = 20_000
_IMAGES = "images"
_OTHER = "a second text"


def cases() -> list[Case]:
    """All of images."""
    return [*_missing(), *_broken(), *_not_files(), *_too_large(), *_odd(), *_ink(), *_fine()]


def _missing() -> list[Case]:
    return [
        bad(_IMAGES, "missing", with_image(None), "image"),
        bad(_IMAGES, "zero-bytes", with_image(b""), "image"),
        bad(_IMAGES, "url", with_image(None, "https://example.org/page.png"), "image-url"),
    ]


def _broken() -> list[Case]:
    jpeg = encoded(picture(BAD_TEXT), "JPEG")
    no_pixels = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 64, 8, 2, 0, 0, 0))
    not_finite = encoded(Image.fromarray(np.full((64, 240), np.nan, np.float32)), "TIFF")
    return [
        bad(_IMAGES, "jpeg-truncated", with_image(jpeg[: len(jpeg) // 2], "bad.jpg"), "image"),
        bad(_IMAGES, "jpeg-header-alone", with_image(jpeg[:20], "bad.jpg"), "image"),
        bad(_IMAGES, "png-truncated", with_image(bad_bytes()[: len(bad_bytes()) // 2]), "image"),
        bad(_IMAGES, "png-flipped-bytes", with_image(_flipped(bad_bytes())), "image"),
        bad(_IMAGES, "png-without-pixels", with_image(no_pixels), "image"),
        bad(_IMAGES, "tiff-not-finite", with_image(not_finite, "bad.tif"), "image"),
        bad(_IMAGES, "text-named-png", with_image(b"I am no image.\n"), "image"),
        bad(
            _IMAGES,
            "truncated-in-a-folder",
            with_files(bad__png=bad_bytes()[: len(bad_bytes()) // 2], bad__txt=BAD_TEXT),
            "image",
        ),
    ]


def _not_files() -> list[Case]:
    return [
        bad(_IMAGES, "directory", partial(_special, how="directory"), "image"),
        bad(_IMAGES, "fifo", partial(_special, how="fifo"), "image"),
        bad(_IMAGES, "unreadable", partial(_special, how="unreadable"), "image", for_root=False),
        good(
            _IMAGES, "directory-in-a-folder", partial(_special, how="directory", listed=False),
            "text-without-image", pages=6,
        ),
        good(
            _IMAGES, "fifo-in-a-folder", partial(_special, how="fifo", listed=False),
            "file-special", "text-without-image", pages=6,
        ),
        good(
            _IMAGES, "link-nowhere-in-a-folder", partial(_special, how="link", listed=False),
            "link-broken", "text-without-image", pages=6,
        ),
        bad(
            _IMAGES, "link-out-of-a-folder", partial(_special, how="link-out", listed=False),
            "link-outside", "text-without-image",
        ),
    ]  # fmt: skip


def _too_large() -> list[Case]:
    claims = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0))
    claims += _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 2**23, zip=True)
    return [
        bad(_IMAGES, "bomb-of-pixels", with_image(claims), "image-too-large"),
        bad(
            _IMAGES,
            "too-many-bytes",
            with_image(encoded(noise(1))),
            "image-too-large",
            environment={"OCRTUNE_MAX_IMAGE_BYTES": str(BYTES_LIMIT)},
        ),
        bad(
            _IMAGES,
            "bomb-in-a-note",
            with_image(encoded(picture(BAD_TEXT), pnginfo=info)),
            "image-too-large",
        ),
    ]


def _odd() -> list[Case]:
    strip = picture("i" * 120, (4000, 40))
    frames = [picture(BAD_TEXT), picture(_OTHER)]
    several = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    copy = {"image": "copy.png", "text": TEXTS[0]}
    return [
        good(_IMAGES, "png-named-jpg", with_image(bad_bytes(), "bad.jpg"), "image-suffix"),
        good(
            _IMAGES,
            "twice-with-one-text",
            with_rows(copy, images=[("copy.png", good_bytes(0))]),
            "image-repeated",
        ),
        good(
            _IMAGES,
            "twice-with-two-texts",
            with_rows({**copy, "text": _OTHER}, images=[("copy.png", good_bytes(0))]),
            "image-texts-differ",
        ),
        good(_IMAGES, "tiny", with_image(encoded(noise(2, (8, 8))), text="i"), "image-tiny"),
        good(_IMAGES, "strip", with_image(encoded(strip)), "image-shape"),
        good(_IMAGES, "animated-gif", with_image(moving, "bad.gif"), "image-animated"),
        good(_IMAGES, "tiff-of-two-pages", with_image(several, "bad.tif"), "image-frames"),
        good(
            _IMAGES,
            "tiff-with-a-text-for-each-page",
            with_files(bad__tif=several, bad__txt=f"{BAD_TEXT}\f{_OTHER}"),
            pages=8,
        ),
    ]


def _ink() -> list[Case]:
    lines = [picture(text).convert("RGB") for text in TEXTS]
    printed = Image.new("RGB", (240, 64 * len(lines)), "white")
    for row, line in enumerate(lines):
        printed.paste(line, (0, 64 * row))
    return [
        good(
            _IMAGES,
            "blank-with-text",
            with_image(encoded(Image.new("RGB", (240, 64), "white"))),
            "page-blank",
        ),
        good(
            _IMAGES,
            "ink-without-text",
            with_image(encoded(printed), text=""),
            "text-empty",
            "text-empty-but-ink",
        ),
    ]


def _fine() -> list[Case]:
    page = picture(BAD_TEXT)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    sideways = encoded(page.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned)
    grey = Image.fromarray(np.asarray(page.convert("L")).astype(np.uint16) * 257)
    see_through = page.convert("RGBA")
    see_through.putalpha(page.convert("L").point(lambda value: 255 - value))
    return [
        good(_IMAGES, "cmyk-jpeg", with_image(encoded(page.convert("CMYK"), "JPEG"), "bad.jpg")),
        good(_IMAGES, "grey-of-16-bits", with_image(encoded(grey))),
        good(_IMAGES, "one-bit", with_image(encoded(page.convert("1")))),
        good(_IMAGES, "turned-by-exif", with_image(sideways, "bad.jpg")),
        good(_IMAGES, "transparent", with_image(encoded(see_through))),
        good(_IMAGES, "palette", with_image(encoded(page.quantize(4), "GIF"), "bad.gif")),
    ]


def _special(folder: Path, *, how: str, listed: bool = True) -> str:
    """Something that is no readable file of this folder, called as an image, in a manifest or in a folder."""
    path = folder / "bad.png"
    if how == "directory":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to(folder / "nowhere.png")
    elif how == "link-out":
        (folder.parent / f"{folder.name}-outside.png").write_bytes(bad_bytes())
        path.symlink_to(folder.parent / f"{folder.name}-outside.png")
    else:
        path.write_bytes(bad_bytes())
        path.chmod(0)
    if listed:
        return write_manifest(folder, {"image": "bad.png", "text": BAD_TEXT})
    return write_folder(folder, {"bad.txt": BAD_TEXT})


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _flipped(content: bytes) -> bytes:
    """The file with some bytes of its pixels turned over."""
    place = content.index(b"IDAT") + 20
    return content[:place] + bytes(255 - byte for byte in content[place : place + 8]) + content[place + 8 :]
