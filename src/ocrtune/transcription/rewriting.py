"""A file of PAGE XML, ALTO or hOCR with other texts: everything else stays as it is in the file."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from lxml import etree

from ocrtune.records import Finding
from ocrtune.sources.transcripts.layout import Format, Layout, Line, Region, one_line
from ocrtune.sources.transcripts.xml import Element, children, descendants, first, local, number

_BEFORE_TEXT = frozenset({"AlternativeImage", "Coords", "Baseline", "Word", "Graphemes", "Glyph", "TextLine"})
_OF_OLD_TEXT = ("WC", "CC", "SUBS_TYPE", "SUBS_CONTENT")
_VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "col", "base", "area"})
_CHARSET = re.compile(r"charset\s*=\s*(?!utf-8)[^;\s]+", re.IGNORECASE)
_WORD_CLASSES = frozenset({"ocrx_word", "ocr_word"})


class Rewriter:
    """Puts texts, of signs that XML can hold, into the elements that lines were read from.

    Args:
        format: Of the file.
        where: The file, for findings.
    """

    def __init__(self, format: Format, where: str) -> None:  # noqa: A002 - a format is called so everywhere
        self.findings: list[Finding] = []
        self._write = _WRITERS[format]
        self._format = format
        self._where = where

    def put(self, old: Layout, new: Layout) -> bool:
        """Write each text of `new` that differs from that of `old`, region by region and line by line.

        False, with nothing changed, where the format cannot hold it: a text of a region with other lines.
        """
        pairs = list(zip(old.regions, new.regions, strict=True))
        if not all(self._can_hold(before, after) for before, after in pairs):
            return False
        for before, after in pairs:
            self._put_region(before, after)
        return True

    def _can_hold(self, before: Region, after: Region) -> bool:
        if len(before.lines) != len(after.lines):
            return False
        # The schema of PAGE has text in regions of text alone, not in tables and pictures.
        is_text_region = self._format == "page" and local(before.element) == "TextRegion"
        return is_text_region or not _is_of_region(before, after)

    def _put_region(self, before: Region, after: Region) -> None:
        if _is_of_region(before, after):
            for line in before.lines:
                _drop_text(line.element)
            _set_page_text(after.element, after.text or "")
            return
        is_changed = [self._put_line(*lines) for lines in zip(before.lines, after.lines, strict=True)]
        # Some programs repeat the lines in their region, and the old text must not stay there.
        if self._format == "page" and any(is_changed) and first(after.element, "TextEquiv") is not None:
            own = [line for line in after.lines if line.element.getparent() is after.element]
            _set_page_text(after.element, "\n".join(line.text or "" for line in own))

    def _put_line(self, before: Line, after: Line) -> bool:
        if after.text is None or before.text == after.text:
            return False
        if not self._write(after.element, one_line(after.text) or ""):
            self.findings.append(
                Finding(
                    code="words-dropped",
                    severity="note",
                    message="the line has another number of words than before, so the places of its words are left out",
                    where=self._where,
                )
            )
        return True


def serialize(root: Element) -> str:
    """The text of the file that an element is of, with what stands before and behind its root, in UTF-8."""
    tree = root.getroottree()
    _tell_encoding(root)
    if local(root) == "html":
        return _serialize_html(tree)
    written: bytes = etree.tostring(tree, encoding="UTF-8", xml_declaration=True)
    return _ended(written.decode())


def _tell_encoding(root: Element) -> None:
    """Let HTML that names an encoding name the one that it is written in."""
    for meta in descendants(root, "meta"):
        if (meta.get("charset") or "utf-8").lower() != "utf-8":
            meta.set("charset", "utf-8")
        if (meta.get("http-equiv") or "").lower() == "content-type":
            meta.set("content", _CHARSET.sub("charset=utf-8", meta.get("content") or ""))


def _serialize_html(tree: Element) -> str:
    facts = tree.docinfo
    if facts.xml_version is None or etree.QName(tree.getroot()).namespace is None:
        return _ended(etree.tostring(tree, encoding="UTF-8", method="html").decode())
    for element in tree.iter(etree.Element):
        # Browsers that read it as HTML take <span/> for a begin without end.
        if not len(element) and not element.text and local(element) not in _VOID:
            element.text = ""
    doctype = facts.doctype
    # libxml2 would add xml:lang to all that has lang, if it knew that this is XHTML.
    facts.system_url = facts.public_id = None
    written: bytes = etree.tostring(tree, encoding="UTF-8", xml_declaration=True, doctype=doctype or None)
    return _ended(written.decode())


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _is_of_region(before: Region, after: Region) -> bool:
    """Whether the text is new and of the region alone."""
    return after.text is not None and after.text != before.text


def _write_page_line(element: Element, text: str) -> bool:
    """Whether its words, if any, could keep their places."""
    words = list(children(element, "Word"))
    parts = text.split()
    is_same = len(words) == len(parts)
    for place, word in enumerate(words):
        if is_same:
            for glyph in list(children(word, "Glyph")):
                _remove(glyph)
            _set_page_text(word, parts[place])
        else:
            _remove(word)
    _set_page_text(element, text)
    return is_same or not words


def _set_page_text(element: Element, text: str) -> None:
    """The text of the TextEquiv that counts; of an own one where there is none yet."""
    texts = list(children(element, "TextEquiv"))
    chosen = min(texts, key=_index, default=None)
    if chosen is None:
        namespace = etree.QName(element).namespace
        chosen = etree.Element(f"{{{namespace}}}TextEquiv")
        before = [place for place, child in enumerate(element) if _comes_before(child)]
        element.insert(before[-1] + 1 if before else 0, chosen)
    # The old confidence is that of the old text.
    chosen.attrib.pop("conf", None)
    for plain in list(children(chosen, "PlainText")):
        _remove(plain)
    unicode = first(chosen, "Unicode")
    if unicode is None:
        unicode = etree.SubElement(chosen, f"{{{etree.QName(element).namespace}}}Unicode")
    unicode.text = text


def _comes_before(child: Element) -> bool:
    """Whether the schema has a child before the text of its element."""
    return local(child) in _BEFORE_TEXT or local(child).endswith("Region") or local(child) == "Roles"


def _drop_text(element: Element) -> None:
    for child in [*children(element, "TextEquiv"), *children(element, "Word")]:
        _remove(child)


def _index(text: Element) -> float:
    value = number(text.get("index", "0"))
    return float("inf") if value is None else value


def _write_alto_line(element: Element, text: str) -> bool:
    """Whether its words could keep their places; otherwise one String has the line's."""
    strings = list(children(element, "String"))
    parts = text.split()
    is_same = len(strings) == len(parts) and bool(strings)
    if not is_same:
        _merge_strings(element, strings)
        strings, parts = list(children(element, "String")), [" ".join(parts)]
    for string, part in zip(strings, parts, strict=True):
        string.set("CONTENT", part)
        _drop_old_facts(string)
    for hyphen in list(children(element, "HYP")):
        _remove(hyphen)
    return is_same


def _merge_strings(line: Element, strings: Sequence[Element]) -> None:
    """Leave one String, placed as its line is."""
    kept = (
        strings[0]
        if strings
        else etree.Element(f"{{{etree.QName(line).namespace or ''}}}String".replace("{}", ""))
    )
    for other in [*strings[1:], *children(line, "SP")]:
        _remove(other)
    if not strings:
        shape = first(line, "Shape")
        line.insert(0 if shape is None else line.index(shape) + 1, kept)
    for shape in list(children(kept, "Shape")):
        _remove(shape)
    for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"):
        if line.get(key) is not None:
            kept.set(key, line.get(key))
        else:
            kept.attrib.pop(key, None)


def _drop_old_facts(string: Element) -> None:
    for key in _OF_OLD_TEXT:
        string.attrib.pop(key, None)
    for child in list(children(string, "ALTERNATIVE", "Glyph")):
        _remove(child)


def _write_hocr_line(element: Element, text: str) -> bool:
    """Whether its words, if any, could keep their places."""
    words = [below for below in element.iterdescendants() if _WORD_CLASSES & _classes(below)]
    parts = text.split()
    if words and len(words) == len(parts):
        for word, part in zip(words, parts, strict=True):
            _empty(word)
            word.text = part
            word.set("title", _without_confidence(word.get("title") or ""))
        return True
    _empty(element)
    element.text = text
    return not words


def _classes(element: Element) -> frozenset[str]:
    return frozenset((element.get("class") or "").split()) if isinstance(element.tag, str) else frozenset()


def _without_confidence(title: str) -> str:
    return "; ".join(
        part
        for part in map(str.strip, title.split(";"))
        if part and not part.startswith(("x_conf", "x_wconf"))
    )


def _empty(element: Element) -> None:
    """Take out all that stands in an element, comments too; its attributes and what follows it stay."""
    for child in list(element):
        element.remove(child)
    element.text = None


def _remove(element: Element) -> None:
    """Take out an element, but not the text behind it."""
    parent, tail = element.getparent(), element.tail
    if tail and tail.strip():
        previous = element.getprevious()
        if previous is None:
            parent.text = (parent.text or "") + tail
        else:
            previous.tail = (previous.tail or "") + tail
    parent.remove(element)


_WRITERS: Mapping[Format, Callable[[Element, str], bool]] = MappingProxyType(
    {"page": _write_page_line, "alto": _write_alto_line, "hocr": _write_hocr_line}
)
