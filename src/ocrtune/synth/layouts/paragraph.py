"""A few lines of running text, cut close, perhaps under a title."""

import random

from ocrtune.synth.chance import happens
from ocrtune.synth.config import PaperSection
from ocrtune.synth.drawing import Canvas, Pen, make_block
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.languages import get_language, with_capital
from ocrtune.synth.layouts.galley import Galley, Habit, set_galley
from ocrtune.synth.sheet import Block, Sheet
from ocrtune.synth.texts import TextSource

LETTER_EM = 0.5
"""A letter's width on average, to guess how much text fills a space."""

NARROWEST_EM, WIDEST_EM = 12, 36


def make_paragraph(source: TextSource, fonts: Fonts, paper: PaperSection, rng: random.Random) -> Sheet | None:
    """One paragraph, at times with a title above.

    Returns:
        The sheet, as large as what is on it; None if no font has the letters.
    """
    size = rng.randint(*paper.font_px)
    margins = tuple(round(rng.uniform(0.35, 1.0) * size) for _ in range(4))
    room = paper.width_px - margins[0] - margins[2]
    if room < size:
        return None
    width = min(round(rng.uniform(NARROWEST_EM, WIDEST_EM) * size), room)
    text = source.paragraph(rng, round(rng.randint(2, 9) * width / (LETTER_EM * size)))
    title = draw_title(source, rng) if happens(rng, 0.25) else ""
    face = fonts.draw(rng, f"{title} {text.text}")
    if face is None:
        return None
    pen, habit = Pen(face, size, text.language), draw_habit(rng)
    galleys = [
        ("title", set_title(pen, title, width, rng)),
        ("text", set_galley(pen, text.text, width, habit)),
    ]
    kept = [(kind, galley) for kind, galley in galleys if galley is not None]
    if not kept:
        return None
    canvas, blocks = _put_below_each_other(kept, margins, paper.height_px, rng)
    if not blocks:
        return None
    facts = {"font": face.family, "style": face.style, "size_px": size, "spacing": facts_of(habit)}
    return Sheet(ink=canvas.ink, blocks=tuple(blocks), em_px=float(size), facts=facts)


def draw_habit(rng: random.Random) -> Habit:
    """How running text is set: ragged or justified, indented or not, tight or open."""
    justified = happens(rng, 0.55)
    return Habit(
        align="justify" if justified else "start",
        leading_em=rng.uniform(1.1, 1.6),
        indent_em=rng.choice((0.0, rng.uniform(0.8, 2.5))),
        space=rng.uniform(0.8, 1.2),
    )


def facts_of(habit: Habit) -> dict[str, object]:
    """A habit for the manifest."""
    return {
        "align": habit.align,
        "leading_em": round(habit.leading_em, 3),
        "indent_em": round(habit.indent_em, 3),
        "space": round(habit.space, 3),
    }


def draw_title(source: TextSource, rng: random.Random, most: int = 6) -> str:
    """A few words as a heading has them."""
    words = source.words(rng, rng.randint(1, most))
    if happens(rng, 0.3):
        return get_language(source.language).upper(" ".join(words))
    return " ".join([with_capital(words[0]), *words[1:]])


def set_title(pen: Pen, title: str, width_px: int, rng: random.Random) -> Galley | None:
    """A heading in larger type; None where it is empty or its words do not fit."""
    habit = Habit(align=rng.choice(("start", "center")), leading_em=1.2)
    return set_galley(pen.resized(pen.size_px * rng.uniform(1.15, 1.7)), title, width_px, habit)


def _put_below_each_other(
    galleys: list[tuple[str, Galley]], margins: tuple[int, ...], most_px: int, rng: random.Random
) -> tuple[Canvas, list[Block]]:
    """Galleys on a canvas cut close to them; lines that would make it higher than `most_px` are left out."""
    left, above, right, below = margins
    skip = rng.uniform(0.2, 1.0) * galleys[-1][1].pen.size_px
    height, placed = float(above), []
    for kind, galley in galleys:
        fitting = int((most_px - height - below) // galley.leading_px)
        if fitting < 1:
            continue
        head = galley.split(fitting)[0]
        placed.append((kind, head, height))
        height += head.height_px + skip
    canvas = Canvas(galleys[-1][1].width_px + left + right, max(1, int(height - skip + below) + 1))
    blocks = []
    for kind, galley, top in placed:
        box = galley.put(canvas, left, top)
        if box is not None:
            blocks.append(make_block(kind, galley.text, box))
    return canvas, blocks
