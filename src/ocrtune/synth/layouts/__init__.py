"""Layouts: texts and fonts → a sheet of ink with blocks whose place is known."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ocrtune.synth.config import LayoutName, PaperSection, SynthConfig
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.layouts.columns import make_columns
from ocrtune.synth.layouts.form import make_form
from ocrtune.synth.layouts.line import make_line
from ocrtune.synth.layouts.paragraph import make_paragraph
from ocrtune.synth.layouts.receipt import make_receipt
from ocrtune.synth.layouts.table import make_table
from ocrtune.synth.sheet import Sheet
from ocrtune.synth.texts import TextSource

__all__ = ["make_sheet"]

_ON_PAPER: Mapping[str, Callable[[TextSource, Fonts, PaperSection, random.Random], Sheet | None]] = (
    MappingProxyType(
        {
            "paragraph": make_paragraph,
            "columns": make_columns,
            "table": make_table,
            "form": make_form,
            "receipt": make_receipt,
        }
    )
)


def make_sheet(
    layout: LayoutName,
    source: TextSource,
    fonts: Fonts,
    config: SynthConfig,
    rng: random.Random,
    *,
    longest: float,
) -> Sheet | None:
    """Draw texts and fonts for a page, and set it.

    Args:
        layout: Which kind of page.
        source: What it says.
        fonts: What it is set in.
        config: The recipe; its paper is what layouts other than `line` are set on.
        rng: Where all that is random is drawn from; the same state gives the same bytes.
        longest: About how many letters a `line` has.

    Returns:
        The sheet; None if no font has all the letters of the texts drawn, or nothing of them fits on the paper.
    """
    if layout == "line":
        sheet = make_line(source, fonts, rng, max(1, round(longest)))
    else:
        sheet = _ON_PAPER[layout](source, fonts, config.paper, rng)
    if sheet is None:
        return None
    return replace(sheet, facts={"layout": layout, "language": source.language, **sheet.facts})
