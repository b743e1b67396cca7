"""Synthetic pages by number: the same recipe and number give the same bytes, in whatever process."""

import random
from collections import Counter
from dataclasses import dataclass, field

import PIL

from ocrtune.errors import SynthError
from ocrtune.families import get_family
from ocrtune.records import Page, Places
from ocrtune.synth.config import LayoutName, LettersSection, SynthConfig
from ocrtune.synth.degradations import degrade, resolve
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.layouts import make_sheet
from ocrtune.synth.sheet import Scan, Sheet
from ocrtune.synth.targets import write_target
from ocrtune.synth.texts import Texts

MOST_DRAWS = 100
"""Texts drawn for a page before it is said that no font can set any."""

FEW_LETTERS = 8
SHARE_OF_SHORTER_GROUPS = 1 / 4
LEAST_OF_LONGEST = 0.7
"""Lines of a group have this share of its longest line at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One synthetic page.

    Attributes:
        number: Its number in the recipe.
        scan: Its image, and where everything stands on it.
        text: What is to be read, as the recipe's `target` writes it.
        document: Pages in a row share one.
        facts: Provenance: seed, number, layout, language, font, degradations and the like.
        misses: Texts drawn before this one that no font could set, or that did not fit their page, by language.
    """

    number: int
    scan: Scan
    text: str
    document: str
    facts: dict[str, object]
    misses: Counter[str] = field(default_factory=Counter)

    def page(self) -> Page:
        """The sample as a source of pages gives it, its image in memory."""
        return Page(
            name=f"{self.number:07d}",
            images=(self.scan.image,),
            text=self.text,
            document=self.document,
            where=f"synth:{self.number}",
            letters=self._places(),
        )

    def _places(self) -> Places | None:
        """Where letters stand as shares of the image; None unless each letter of the text has its place."""
        if not len(self.scan.letters) or len(self.scan.letters) != len(self.text):
            return None
        return self.scan.letters / self.scan.image.size


class Maker:
    """Makes the samples of a recipe, in any order; texts and fonts are read once.

    It is pickled as its recipe, and reads texts and fonts anew where it is unpickled.

    Args:
        config: The recipe.

    Raises:
        SynthError: Texts, fonts or degradations that the recipe names are missing or unknown.
    """

    def __init__(self, config: SynthConfig) -> None:
        self.config = config
        self.misses: Counter[str] = Counter()
        self._family = get_family(config.family)
        self.fonts = Fonts.find(config.fonts)
        self._degradations = resolve(config.degradations)
        self._texts = Texts.read(config.texts)

    def __reduce__(self) -> tuple[type["Maker"], tuple[SynthConfig]]:
        return Maker, (self.config,)

    def sample(self, number: int) -> Sample:
        """The sample of this number.

        Raises:
            SynthError: No font has the letters of any of the texts drawn.
        """
        rng = random.Random(f"{self.config.seed}/{number}")  # noqa: S311  # pages, no secrets
        # Sorted, because recipes are equal whatever the order of their keys.
        names, weights = zip(*sorted(self.config.layouts.items()), strict=True)
        layout: LayoutName = rng.choices(names, weights)[0]
        sheet, misses = self._set(layout, number, rng)
        self.misses += misses
        scan = degrade(sheet, self._degradations, rng)
        config = self.config
        text = write_target(scan.blocks, scan.image.size, target=config.target, family=self._family)
        document = f"synth-{config.seed}-{number // config.pages_per_document:06d}"
        facts = {"seed": config.seed, "number": number, **scan.facts}
        return Sample(number=number, scan=scan, text=text, document=document, facts=facts, misses=misses)

    def materials(self) -> dict[str, str]:
        """What the recipe leaves to the machine, in short: other fonts, texts or drawing give other pages."""
        return {
            "font_files": self.fonts.digest(),
            "text_contents": self._texts.digest(),
            "pillow": PIL.__version__,
        }

    def longest(self, number: int) -> float:
        """Letters of the longest lines when sample `number` is made, before its group shortens them."""
        return grown(self.config.letters, number)

    def _set(self, layout: LayoutName, number: int, rng: random.Random) -> tuple[Sheet, Counter[str]]:
        """The page before it is scanned, and the texts given up for want of a font."""
        misses: Counter[str] = Counter()
        for _ in range(MOST_DRAWS):
            source = self._texts.draw(rng)
            letters = self._letters(number, rng)
            sheet = make_sheet(layout, source, self.fonts, self.config, rng, longest=letters)
            if sheet is not None:
                return sheet, misses
            misses[source.language] += 1
        languages = ", ".join(sorted(misses))
        raise SynthError(
            f"no font has the letters of {MOST_DRAWS} texts in a row, in {languages}, or none of them fits the paper",
            where=f"sample {number}",
            hint="name fonts of the script in fonts.paths (`ocrtune synth --list` counts those of the system), "
            "or take larger paper or a smaller paper.font_px",
        )

    def _letters(self, number: int, rng: random.Random) -> int:
        """Letters of the line `number`; lines of a group are of like length."""
        group = number // self.config.letters.alike
        longest = self.longest(number)
        shared = random.Random(f"{self.config.seed}/group/{group}")  # noqa: S311  # pages, no secrets
        if shared.random() < SHARE_OF_SHORTER_GROUPS:
            longest = shared.uniform(min(FEW_LETTERS, longest), longest)
        return max(1, round(rng.uniform(LEAST_OF_LONGEST, 1) * longest))


def grown(letters: LettersSection, number: int) -> float:
    """Letters of the longest lines at sample `number`: each sample of the growth adds the same share."""
    if not letters.grows_over:
        return float(letters.longest)
    share = min(1.0, max(0.0, (number - letters.grows_after) / letters.grows_over))
    return float(letters.shortest * (letters.longest / letters.shortest) ** share)
