"""A receipt: a narrow strip with a shop's name, prices and a total."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ocrtune.synth.chance import happens
from ocrtune.synth.config import PaperSection
from ocrtune.synth.drawing import Box, Canvas, Pen, bounds_of, make_block
from ocrtune.synth.fonts import Face, Fonts
from ocrtune.synth.languages import base_code, get_language, with_capital
from ocrtune.synth.layouts.galley import Word, put_line, width_of, words_of
from ocrtune.synth.sheet import Sheet
from ocrtune.synth.texts import TextSource

PLAIN = ("mono", "sans", "courier", "typewriter", "grotesk", "gothic", "carlito", "heros", "cursor")
"""Families that tills print in, or that look like it."""

DRAWS_OF_PLAIN = 8
ASCII_DIGITS, NATIVE_DIGITS = "0123456789", 0.5
NARROWEST_EM, WIDEST_EM = 14, 22
DECIMAL_COMMA = frozenset({"ru", "uk", "be", "bg", "el", "de", "fr", "es", "it", "pl", "pt", "sr"})
TOTALS = {
    "en": ("TOTAL", "Total", "Amount due"),
    "ru": ("ИТОГО", "Итого", "Сумма"),
    "el": ("ΣΥΝΟΛΟ", "Σύνολο", "Πληρωτέο"),
    "ar": ("المجموع", "الإجمالي"),
    "hi": ("कुल", "कुल योग"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a receipt.

    Attributes:
        text: At the start, or in the middle where there is no price; empty for a dashed line.
        price: At the end.
    """

    text: str
    price: str = ""

    @property
    def target(self) -> str:
        """What is to be read."""
        return f"{self.text} {self.price}".strip()


def make_receipt(source: TextSource, fonts: Fonts, paper: PaperSection, rng: random.Random) -> Sheet | None:
    """One receipt, as narrow and long as what is on it.

    Returns:
        The sheet; None if no font has the letters.
    """
    size = rng.randint(*paper.font_px)
    rows = draw_rows(source, rng)
    face = _draw_face(fonts, " ".join(row.target for row in rows), rng)
    if face is None:
        return None
    pen, leading = Pen(face, size, source.language), rng.uniform(1.15, 1.5)
    margin = round(rng.uniform(0.4, 1.5) * size)
    width = min(round(rng.uniform(NARROWEST_EM, WIDEST_EM) * size), paper.width_px - 2 * margin)
    set_rows = [(row, _shorten(pen, row, width)) for row in rows]
    kept = [(row, words) for row, words in set_rows if words or not row.text]
    canvas = Canvas(width + 2 * margin, round((len(kept) + 0.5) * leading * size) + 2 * margin)
    box, lines = _put_rows(canvas, pen, kept, leading * size, margin)
    if box is None:
        return None
    facts = {"font": face.family, "style": face.style, "size_px": size}
    spacing = {"leading_em": round(leading, 3), "width_em": round(width / size, 3)}
    block = make_block("text", "\n".join(lines), box)
    return Sheet(ink=canvas.ink, blocks=(block,), em_px=float(size), facts=facts | {"spacing": spacing})


def draw_rows(source: TextSource, rng: random.Random) -> list[Row]:
    """All lines of a receipt; the total is the sum of the prices."""
    language, facts = base_code(source.language), get_language(source.language)
    digits = facts.digits if happens(rng, NATIVE_DIGITS) else ASCII_DIGITS
    cents = [round(10 ** rng.uniform(1.7, 4.3)) for _ in range(rng.randint(2, 14))]
    name = " ".join(source.words(rng, rng.randint(1, 2)))
    rows = [Row(facts.upper(name) if happens(rng, 0.6) else with_capital(name))]
    rows += [Row(with_capital(" ".join(source.words(rng, 3)))) for _ in range(rng.randint(0, 2))]
    rows += [Row(_write_digits(_draw_time(rng), digits)), Row("")]
    capitals = happens(rng, 0.3)
    for amount in cents:
        item = " ".join(source.words(rng, rng.choice((1, 2, 2, 3))))
        rows.append(
            Row(facts.upper(item) if capitals else with_capital(item), _price(amount, language, digits))
        )
    total = rng.choice(TOTALS.get(language) or (with_capital(source.words(rng, 1)[0]),))
    rows += [Row(""), Row(total, _price(sum(cents), language, digits))]
    if happens(rng, 0.6):
        rows += [Row(""), Row(with_capital(" ".join(source.words(rng, rng.randint(2, 4)))))]
    return rows


def _draw_time(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1995, 2026)
    date = rng.choice((f"{day:02d}.{month:02d}.{year}", f"{day:02d}/{month:02d}/{year}"))
    return f"{date} {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def _price(cents: int, language: str, digits: str) -> str:
    mark = "," if language in DECIMAL_COMMA else "."
    return _write_digits(f"{cents // 100}{mark}{cents % 100:02d}", digits)


def _write_digits(text: str, digits: str) -> str:
    return text.translate(str.maketrans(ASCII_DIGITS, digits))


def _draw_face(fonts: Fonts, text: str, rng: random.Random) -> Face | None:
    """A plain face where one comes up in a few draws, else any; None if no face has the letters."""
    face = None
    for _ in range(DRAWS_OF_PLAIN):
        face = fonts.draw(rng, text)
        if face is None or (_is_upright(face) and any(kind in face.family.lower() for kind in PLAIN)):
            return face
    return face


def _is_upright(face: Face) -> bool:
    return not any(slant in face.style.lower() for slant in ("italic", "oblique", "slanted"))


def _shorten(pen: Pen, row: Row, width_px: int) -> tuple[Word, ...]:
    """As many words of a row as there is room for beside its price, as tills cut names; empty for none."""
    words = words_of(row.text, right_to_left=pen.right_to_left)
    price = words_of(row.price, right_to_left=pen.right_to_left)
    room = width_px - (width_of(pen, price) + pen.size_px if price else 0)
    while words and width_of(pen, words) > room:
        words = words[:-1]
    return words


def _put_rows(
    canvas: Canvas,
    pen: Pen,
    rows: Sequence[tuple[Row, tuple[Word, ...]]],
    leading_px: float,
    margin_px: int,
) -> tuple[Box | None, list[str]]:
    """Put rows below each other; the bounds of their ink, and what is to be read."""
    sides = (float(margin_px), float(canvas.grey.shape[1] - margin_px))
    baseline, boxes, lines = margin_px + leading_px, [], []
    for row, words in rows:
        if not words:
            y = round(baseline - 0.3 * pen.size_px)
            canvas.rule((margin_px, y, round(sides[1]), y + 2), period_px=pen.size_px // 2)
        else:
            price = words_of(row.price, right_to_left=pen.right_to_left)
            boxes.append(put_line(canvas, pen, words, sides, baseline, align="start" if price else "center"))
            boxes.append(put_line(canvas, pen, price, sides, baseline, align="end") if price else None)
            lines.append(Row(" ".join(word.text for word in words), row.price).target)
        baseline += leading_px
    return bounds_of(boxes), lines
