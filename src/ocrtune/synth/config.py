"""What synthetic pages are made of: a frozen tree like a run's recipe, unknown keys refused."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ocrtune.config.tree import NotNegative, Positive, Section, Share

Part = Literal["all", "train", "held-out"]
LayoutName = Literal["line", "paragraph", "columns", "table", "form", "receipt"]
Target = Literal["plain", "grounded"]
Weight = Annotated[float, Field(gt=0)]
NotNegativeWeight = Annotated[float, Field(ge=0)]


class TextsSection(Section):
    """One source of texts; a page draws one of the sources by weight.

    Attributes:
        language: `en`, `ru`, `el`, `ar`, `hi` or another code; tells direction and which invented words and numbers.
        samples: Take the built-in sample of the language too.
        files: Patterns of UTF-8 text files (also `.gz`); paragraphs are parted by empty lines.
        words: Patterns of word lists, one word a line.
        prose: How often a text is a piece of a paragraph.
        listed: How often it is words of the lists strung together.
        invented: How often it is words of no language, so that letters are read and not guessed.
        numbers: How often it is numbers, dates and sums.
        pre_reform: Share of Russian texts that are set in the spelling before 1918.
        part: `train` and `held-out` never share a paragraph, a listed word or an invented word.
        weight: How often this source is drawn, relative to the others.
    """

    language: str = "en"
    samples: bool = True
    files: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    prose: NotNegativeWeight = 0.5
    listed: NotNegativeWeight = 0.2
    invented: NotNegativeWeight = 0.2
    numbers: NotNegativeWeight = 0.1
    pre_reform: Share = 0.0
    part: Part = "all"
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _check(self) -> "TextsSection":
        if not self.prose + self.listed + self.invented + self.numbers:
            raise ValueError("prose, listed, invented and numbers are all 0: there is nothing to draw")
        return self


class FontsSection(Section):
    """Which fonts texts are set in.

    Attributes:
        paths: Font files, or folders searched for them; the system's folders without it.
        without: Patterns of file names that are left out, such as `*Mono*`.
        held_out: Patterns of file names that only pages of the part `held-out` are set in.
        part: Which of the two is used; `all` uses both.
        weights: Factors on how often fonts of a pattern are drawn; of several patterns that fit, all count.
    """

    paths: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    part: Part = "all"
    weights: dict[str, Weight] = Field(default={})


class LettersSection(Section):
    """How long lines are, and how they grow while a model learns.

    Attributes:
        shortest: Letters of the longest lines at the start.
        longest: Letters of the longest lines in the end.
        grows_after: Samples made before lines begin to grow.
        grows_over: Samples over which they grow to `longest`; 0 for lines of full length from the start.
        alike: Samples in a row whose lines are of like length, so that a batch has little padding.
    """

    shortest: Positive = 12
    longest: Positive = 70
    grows_after: NotNegative = 0
    grows_over: NotNegative = 0
    alike: Positive = 32

    @model_validator(mode="after")
    def _check(self) -> "LettersSection":
        if self.grows_over and self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}, which is more than longest, {self.longest}")
        return self


def _require_order(key: str, bounds: tuple[float, float]) -> None:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{key} is [least, most], not {list(bounds)}")


class PaperSection(Section):
    """The page that layouts other than `line` are set on.

    Attributes:
        width_px: Width.
        height_px: Height; paragraphs are cut close and receipts grow with what is on them.
        font_px: Smallest and largest em size.
    """

    width_px: Positive = 1240
    height_px: Positive = 1754
    font_px: tuple[Positive, Positive] = (24, 40)

    @model_validator(mode="after")
    def _check(self) -> "PaperSection":
        _require_order("font_px", self.font_px)
        return self


class DegradationSection(Section):
    """One thing that happens to a page between type and scan.

    Attributes:
        name: Such as `blur`; `ocrtune synth --list` names all.
        chance: How often it happens.
        strength: Least and most, 0 for nothing and 1 for as bad as a legible scan gets.
    """

    name: str
    chance: Share = 1.0
    strength: tuple[Share, Share] = (0.0, 1.0)

    @model_validator(mode="after")
    def _check(self) -> "DegradationSection":
        _require_order("strength", self.strength)
        return self


class SynthConfig(Section):
    """The whole recipe of synthetic pages.

    Attributes:
        seed: Together with a sample's number it fixes the sample to the byte.
        count: Pages that `ocrtune synth` writes; a stream has no end.
        texts: Sources of texts.
        fonts: Which fonts texts are set in.
        layouts: How often each kind of page is made.
        letters: How long lines are.
        paper: The page other layouts are set on.
        degradations: `none`, a set by name, or a list of one's own, done in this order.
        target: `plain` text, or `grounded`: boxes on the 0–999 scale before each block.
        family: Whose form of boxes `grounded` takes.
        pages_per_document: Pages in a row that share a document name.
    """

    seed: NotNegative = 0
    count: Positive = 1000
    texts: Annotated[tuple[TextsSection, ...], Field(min_length=1)] = (TextsSection(),)
    fonts: FontsSection = FontsSection()
    layouts: dict[LayoutName, Weight] = Field(default={"line": 1.0}, min_length=1)
    letters: LettersSection = LettersSection()
    paper: PaperSection = PaperSection()
    degradations: str | tuple[DegradationSection, ...] = "typical"
    target: Target = "plain"
    family: str = "deepseek_ocr"
    pages_per_document: Positive = 10
