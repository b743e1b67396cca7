"""PAGE XML and ALTO that is broken, dangerous, or not beside its image."""

from collections.abc import Callable
from pathlib import Path

from fault_corpus.case import BAD_TEXT, Case, bad, bad_bytes, good, good_rows

_XML = "transcriptions"
_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_LAUGHS = (
    '<!DOCTYPE PcGts [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


def cases() -> list[Case]:
    """All of transcriptions."""
    whole = _page(_line(BAD_TEXT))
    reads_a_file = '<!DOCTYPE PcGts [<!ENTITY file SYSTEM "file:///etc/hostname">]>'
    return [
        bad(_XML, "billion-laughs", _with(_page(_line("&i;"), before=_LAUGHS)), "unsafe-xml"),
        bad(_XML, "external-entity", _with(_page(_line("&file;"), before=reads_a_file)), "unsafe-xml"),
        bad(
            _XML,
            "external-dtd",
            _with(_page(_line(BAD_TEXT), before='<!DOCTYPE PcGts SYSTEM "http://example.org/page.dtd">')),
            "unsafe-xml",
        ),
        bad(_XML, "unknown-namespace", _with(_page(_line(BAD_TEXT), namespace="http://example.org/31")), "transcript"),
        good(_XML, "of-another-format", _with(_alto()), "format-other", pages=6),
        good(_XML, "no-transcription", _with("<html><body>black ink</body></html>"), "transcript-none", pages=6),
        bad(_XML, "truncated", _with(whole[: len(whole) // 2]), "transcript"),
        bad(_XML, "too-deep", _with(_page("<TextRegion>" * 5000 + "</TextRegion>" * 5000)), "transcript"),
        bad(_XML, "missing-image", _with(_page(_line(BAD_TEXT), image="gone.png"), image=None), "image-missing"),
        bad(_XML, "broken-image", _with(whole, image=bad_bytes()[:100]), "image"),
        bad(_XML, "image-outside", _with(_page(_line(BAD_TEXT), image="../gone.png"), image=None), "image-outside"),
        good(_XML, "no-reading-order", _with(whole)),
        good(_XML, "empty-line", _with(_page(_line(""))), "line-empty", pages=6),
        bad(_XML, "line-outside-the-page", _with(_page(_line(BAD_TEXT, "900,900 990,900 990,990 900,990"))), "coordinates-outside"),
        good(
            _XML, "points-unreadable", _with(_page(_line(BAD_TEXT, "one,two three"))),
            "points-unreadable", "line-without-coordinates", pages=6,
        ),
        bad(_XML, "empty-file", _with(""), "transcript"),
        good(_XML, "utf-16-without-a-mark", _with(whole.encode("utf-16-le"))),
    ]  # fmt: skip


def _line(text: str, points: str = "8,14 230,14 230,50 8,50") -> str:
    return (
        f'<TextRegion id="r"><Coords points="0,0 240,0 240,64 0,64"/><TextLine id="l"><Coords points="{points}"/>'
        f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine></TextRegion>"
    )


def _page(inside: str, *, image: str = "bad.png", namespace: str = _NAMESPACE, before: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<PcGts xmlns="{namespace}"><Metadata/>'
        f'<Page imageFilename="{image}" imageWidth="240" imageHeight="64">{inside}</Page></PcGts>'
    )


def _alto() -> str:
    return '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description/><Layout><Page ID="p"/></Layout></alto>'


def _with(content: str | bytes, *, image: bytes | None = b"") -> Callable[[Path], str]:
    """A folder of PAGE XML with one more file; its image is good, other bytes, or None for no image."""

    def make(folder: Path) -> str:
        for row in good_rows(folder):
            stem = Path(row["image"]).stem
            (folder / f"{stem}.xml").write_text(
                _page(_line(row["text"]), image=row["image"]), encoding="utf-8"
            )
        (folder / "bad.xml").write_bytes(content.encode() if isinstance(content, str) else content)
        if image is not None:
            (folder / "bad.png").write_bytes(image or bad_bytes())
        return f"page:{folder}?level=line"

    return make
