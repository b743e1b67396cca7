"""XML and HTML of strangers → trees: nothing is fetched, no entity is expanded, no file is too large."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree, html

from ocrtune.errors import TranscriptError, UnsafeXml
from ocrtune.sources.transcripts.layout import FEWEST_CORNERS, NOWHERE, Format, Notes, Points
from ocrtune.text import shorten

MOST_BYTES = 64 * 2**20
"""A page of a newspaper with a box for every letter has about 20 MiB."""

_HEAD_BYTES = 2**16
_ENTITY = b"<!ENTITY"
_MARKS: tuple[tuple[Format, re.Pattern[bytes]], ...] = (
    ("page", re.compile(rb"<(\w+:)?PcGts\b")),
    ("alto", re.compile(rb"<(\w+:)?alto\b", re.IGNORECASE)),
    ("hocr", re.compile(rb"class\s*=\s*[\"'][^\"'>]*\bocr_page\b")),
)
_LARGEST_NUMBER = 1e7
"""No page has so many pixels, nor 1200ths of an inch, across; and no sum of such numbers overflows."""

_SEPARATORS = re.compile(r"[\s,;]+")

Element = Any
"""An element of lxml, which has no types."""


def recognise(path: Path) -> Format | None:
    """The format that the begin of a file speaks of, or None."""
    with path.open("rb") as file:
        # Without zeros UTF-16 reads like ASCII.
        head = file.read(_HEAD_BYTES).replace(b"\0", b"")
    return next((name for name, mark in _MARKS if mark.search(head)), None)


def parse_xml(path: Path) -> Element:
    """The root element.

    Raises:
        TranscriptError: The file is too large, missing or no XML.
        UnsafeXml: It declares entities or an external DTD.
    """
    root = _parse(_content(path), path)
    declared = root.getroottree().docinfo
    if declared.system_url or declared.public_id:
        raise UnsafeXml(
            f"the file names an external DTD, {declared.system_url or declared.public_id!r}",
            where=str(path),
            hint="delete the <!DOCTYPE …> line: neither PAGE nor ALTO has a DTD",
        )
    return root


def parse_html(path: Path) -> Element:
    """The root element of XHTML, or of HTML however it is written.

    Raises:
        TranscriptError: The file is too large, missing or empty.
        UnsafeXml: It declares entities.
    """
    content = _content(path)
    try:
        root = _parse(content, path)
    except UnsafeXml:
        raise
    except TranscriptError:
        return _parse_loosely(content, path)
    # XML knows &nbsp; only from a DTD, which is never loaded; HTML knows it by itself.
    return _parse_loosely(content, path) if next(root.iter(etree.Entity), None) is not None else root


def check_root(root: Element, name: str, versions: dict[str, str], path: Path) -> str:
    """The version of a format, if the root element is called `name` in one of its namespaces.

    Args:
        root: The root element.
        name: Its name, without a namespace.
        versions: Namespace → version.
        path: The file, for messages.

    Raises:
        TranscriptError: The root element is another one, or in an unknown namespace.
    """
    found, namespace = local(root), etree.QName(root).namespace or ""
    if found != name:
        raise TranscriptError(
            f"the root element is {found!r}, not {name!r}",
            where=str(path),
            hint="known are PAGE XML (page:), ALTO (alto:) and hOCR (hocr:)",
        )
    if namespace not in versions:
        known = ", ".join(sorted(filter(None, set(versions.values()))))
        raise TranscriptError(
            f"unknown namespace {namespace!r} of {name!r}", where=str(path), hint=f"known versions: {known}"
        )
    return versions[namespace]


def local(element: Element) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def children(element: Element, *names: str) -> Iterator[Element]:
    """The children of these names."""
    return (child for child in element if local(child) in names)


def descendants(element: Element, *names: str) -> Iterator[Element]:
    """All elements of these names below `element`, in the order of the file."""
    return (below for below in element.iterdescendants() if local(below) in names)


def first(element: Element, name: str) -> Element | None:
    """The first child of this name."""
    return next(children(element, name), None)


def number(text: str | None) -> float | None:
    """The number that a text is, or None for what no coordinate can be."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST_NUMBER else None


def nearest_number(element: Element, attribute: str) -> float:
    """The number that an element, or the nearest one around it that has any, has as an attribute; else 0."""
    chain = (element, *element.iterancestors())
    found = (value for each in chain if (value := number(each.get(attribute))) is not None)
    return next(found, 0.0)


def points(text: str | None, notes: Notes, *, at: str, fewest: int = FEWEST_CORNERS) -> Points:
    """`x,y x,y …` or `x y x y …` as points; none, with a finding, where it is neither.

    Args:
        text: The attribute; None and nothing are no points without any finding.
        notes: Where the finding goes.
        at: The id of the element.
        fewest: So many points are needed.
    """
    parts = [part for part in _SEPARATORS.split(text or "") if part]
    if not parts:
        return NOWHERE
    values = [number(part) for part in parts]
    if None in values or len(values) % 2 or len(values) < 2 * fewest:
        shown = None if text is None else shorten(text, 40)
        notes.add("points-unreadable", "warning", f"no list of points: {shown!r}", at=at)
        return NOWHERE
    return np.array(values, dtype=np.float64).reshape(-1, 2)


def _content(path: Path) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MOST_BYTES:
            raise TranscriptError(
                f"the file has {size_bytes} bytes, more than {MOST_BYTES}",
                where=str(path),
                hint="split it into a file for each page",
            )
        content = path.read_bytes()
    except OSError as error:
        raise TranscriptError(
            f"the file cannot be read: {(error.strerror or 'unknown').lower()}", where=str(path)
        ) from error
    if _ENTITY in content.replace(b"\0", b""):
        raise _declares_entities(path)
    return content


def _parse(content: bytes, path: Path) -> Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        line = error.lineno or 1
        raise TranscriptError(
            f"the XML is broken: {error.msg}", where=f"{path}:{line}", hint="export it once more"
        ) from error
    dtd = root.getroottree().docinfo.internalDTD
    # An encoding such as UTF-7 hides a declaration from a search in the bytes.
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise _declares_entities(path)
    return root


def _parse_loosely(content: bytes, path: Path) -> Element:
    parser = html.HTMLParser(encoding=_encoding(content), no_network=True, huge_tree=False)
    try:
        root = html.document_fromstring(content, parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise TranscriptError(f"no HTML: {error}", where=str(path), hint="export it once more") from error
    return root


def _encoding(content: bytes) -> str | None:
    """UTF-8 if it is, for without a <meta> HTML would count as Latin-1; else what the file says."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _declares_entities(path: Path) -> UnsafeXml:
    return UnsafeXml(
        "the file declares entities, which can read other files and fill the memory",
        where=str(path),
        hint="no PAGE, ALTO or hOCR file needs <!ENTITY …>; write the characters themselves",
    )
