"""What the pages of a run cost, read from their headers and texts: views, positions and targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ocrtune.config import Config
from ocrtune.data.mixed_stream import open_data_stream
from ocrtune.data.mixing import read_data
from ocrtune.data.streams import is_streamed
from ocrtune.errors import OcrtuneError, PlanningError
from ocrtune.inputs import InputsRecipe, Tokenizer
from ocrtune.inputs.budget import TokenBudget, TokenCounts
from ocrtune.progress import track
from ocrtune.records import Page
from ocrtune.sources import image_size

MOST_PAGES_MEASURED = 2000
STREAMED_PAGES_MEASURED = 100
"""Pages of a stream have to be made or read to be measured."""

CHARACTERS_OF_A_TOKEN = 2.5
PROMPT_TOKENS = 6
"""What is taken where there is no tokenizer to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What one example costs.

    Attributes:
        positions: Of the sequence.
        supervised: Of the answer, EOS included.
        features: Vision features, without row breaks and separators.
        sides: Sides of its views in pixels, one each.
    """

    positions: int
    supervised: int
    features: int
    sides: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Examples that stand for those of a run.

    Attributes:
        examples: The longest first.
        num_examples: Of an epoch; of a stream without end those of the run.
        unusable: Pages that could not be measured, or are too long.
        estimated: Texts were measured by their characters, for want of a tokenizer.
    """

    examples: tuple[Example, ...]
    num_examples: int
    unusable: int
    estimated: bool

    @property
    def longest(self) -> int:
        """Positions of the longest example."""
        return self.examples[0].positions

    @property
    def positions(self) -> float:
        """Positions of an example, in the mean."""
        return float(np.mean(self._column("positions")))

    @property
    def supervised(self) -> float:
        """Targets of an example, in the mean."""
        return float(np.mean(self._column("supervised")))

    @property
    def features(self) -> float:
        """Vision features of an example, in the mean."""
        return float(np.mean(self._column("features")))

    def views(self) -> dict[int, float]:
        """Views of an example by their side in pixels, in the mean."""
        sides = [side for example in self.examples for side in example.sides]
        return {side: sides.count(side) / len(self.examples) for side in sorted(set(sides))}

    def _column(self, name: str) -> NDArray[np.int64]:
        return np.array([getattr(example, name) for example in self.examples], dtype=np.int64)


def measure_pages(config: Config, recipe: InputsRecipe, tokenizer: Tokenizer | None) -> Sample:
    """Measures the pages of a recipe, or a sample of them.

    Args:
        config: Names the pages.
        recipe: How they become inputs.
        tokenizer: The model's; without it texts are measured by their characters.

    Raises:
        PlanningError: There is no page that could be learned from.
        OcrtuneError: The source cannot be read.
    """
    pages, num_examples = _read(config)
    budget = TokenBudget(recipe, tokenizer)
    examples: list[Example] = []
    unusable = 0
    for page in track(pages, "measuring pages"):
        try:
            example = _measure(page, budget)
        except OcrtuneError:
            unusable += 1
            continue
        if example.positions > recipe.token_limit or not example.supervised:
            unusable += 1
        else:
            examples.append(example)
    if not examples:
        raise PlanningError(
            f"none of {len(pages)} pages can be learned from",
            where=config.data.title,
            hint="`ocrtune check` says what is wrong with them",
        )
    share = len(examples) / len(pages)
    return Sample(
        examples=tuple(sorted(examples, key=lambda example: -example.positions)),
        num_examples=max(1, round(num_examples * share)),
        unusable=unusable,
        estimated=tokenizer is None,
    )


def _read(config: Config) -> tuple[Sequence[Page], int]:
    """Pages to measure, and how many examples an epoch has."""
    data, seed = config.data, config.run.seed
    if is_streamed(data):
        stream = open_data_stream(data, seed=seed, lanes=1, batch_size=config.training.batch_size)
        size = config.training.batch_size * config.training.accumulation_steps
        count = stream.num_pages or size * (config.training.max_steps or 1)
        return stream.first(min(STREAMED_PAGES_MEASURED, count)), count
    pages = read_data(data, seed).pages
    held_out = 0 if data.validation_uri or data.validation_documents else data.validation_fraction
    order = np.random.default_rng(seed).permutation(len(pages))[:MOST_PAGES_MEASURED]
    return [pages[int(place)] for place in np.sort(order)], max(1, round(len(pages) * (1 - held_out)))


def _measure(page: Page, budget: TokenBudget) -> Example:
    counts = budget.count(page, [image_size(image) for image in page.images])
    mode, text = budget.recipe.mode, page.text or ""
    sides = [mode.global_px] * len(counts.tiles)
    for columns, rows in counts.tiles:
        if (columns, rows) != (1, 1):
            sides += [cast(int, mode.tile_px)] * (columns * rows)
    supervised = _text_tokens(counts, text) + 1 if page.text is not None else 0
    prompt = PROMPT_TOKENS if counts.prompt_tokens is None else counts.prompt_tokens
    return Example(
        positions=1 + sum(counts.image_tokens) + prompt + supervised,
        supervised=supervised,
        features=sum((side // 64) ** 2 for side in sides),
        sides=tuple(sides),
    )


def _text_tokens(counts: TokenCounts, text: str) -> int:
    return round(len(text) / CHARACTERS_OF_A_TOKEN) if counts.text_tokens is None else counts.text_tokens
