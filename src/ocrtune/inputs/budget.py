"""What a page costs in tokens, and whether the text on it can be read at the size the model sees."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ocrtune.data import build_example, find_prompt
from ocrtune.data.pictures import Picture
from ocrtune.data.prompts import is_known_prompt
from ocrtune.data.scripts import COMMON, script_of
from ocrtune.data.vocabulary import Vocabulary
from ocrtune.errors import OcrtuneError
from ocrtune.families import Mode
from ocrtune.inputs.layout import choose_grid, num_image_tokens
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.records import Finding, Page
from ocrtune.text import normalize

MOST_COMPRESSION = 10
"""Text tokens for each image token up to which DeepSeek-OCR reads nearly all letters, as its paper reports."""

FAR_TOO_MUCH_COMPRESSION = 20
"""Here it reads about six letters of ten."""

SMALL_PX = 6.0
SMALLEST_PX = 4.0
"""Heights of small letters as the model sees them: below the first a note, below the second a warning."""

MOST_OF_CAPACITY = 3
FEWEST_OF_LETTERS = 1 / 10
FEWEST_LETTERS_SEEN = 300
"""A text is called too long above so many times what fits, too short below such a share of the letters seen."""

_SPECIAL = 2
_TRANSCRIBING = ("free", "markdown", "grounded", "document", "pages")
_BOXES = re.compile(r"<\|(?:ref|det)\|>.*?<\|/(?:ref|det)\|>|</?(?:table|tr|td|th)[^<>]*>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Positions that a page takes in a sequence.

    Attributes:
        image_tokens: Of each image.
        tiles: (columns, rows) of each image's tiles; (1, 1) for one without.
        prompt_tokens: Of the prompt's words; None without a tokenizer.
        text_tokens: Of the normalised text, without EOS; None without a tokenizer or a text.
    """

    image_tokens: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    prompt_tokens: int | None
    text_tokens: int | None

    @property
    def total(self) -> int | None:
        """Length of the whole sequence with BOS, and with EOS behind a text; None without a tokenizer."""
        if self.prompt_tokens is None:
            return None
        answer = 0 if self.text_tokens is None else self.text_tokens + 1
        return 1 + sum(self.image_tokens) + self.prompt_tokens + answer


class TokenBudget:
    """Counts and checks the tokens of pages, one at a time; goes to other processes.

    Args:
        recipe: How pages become model inputs.
        tokenizer: The model's; without it only what needs no tokens of text is counted and checked.
    """

    def __init__(self, recipe: InputsRecipe, tokenizer: Tokenizer | None = None) -> None:
        self.recipe = recipe
        self.tokenizer = tokenizer
        self._can_write: dict[str, bool] = {}
        self._last: tuple[str, int] = ("", 0)

    def __reduce__(self) -> tuple[Callable[..., "TokenBudget"], tuple[dict[str, object], Tokenizer | None]]:
        # A family is not pickled but looked up by its name.
        return _restore, (self.recipe.as_dict(), self.tokenizer)

    def count(self, page: Page, sizes: Sequence[tuple[int, int]]) -> TokenCounts:
        """The tokens of a page.

        Args:
            page: The page.
            sizes: (width, height) in pixels of each of its images.

        Raises:
            InputsError: The page's prompt is unknown or has not one `<image>` for each image.
        """
        recipe = self.recipe
        example = build_example(
            page, recipe.family, prompt=recipe.prompt, normalization=recipe.normalization, with_targets=False
        )
        tiles = tuple(choose_grid(size, recipe.mode) for size in sizes)
        mode = recipe.mode
        return TokenCounts(
            image_tokens=tuple(
                num_image_tokens(recipe.family, global_px=mode.global_px, tile_px=mode.tile_px, grid=grid)
                for grid in tiles
            ),
            tiles=tiles,
            prompt_tokens=self._num_prompt_tokens(example.prompt),
            text_tokens=self._num_text_tokens(page.text),
        )

    def check(self, page: Page, pictures: Sequence[Picture]) -> Iterator[Finding]:
        """What a page costs too much, or shows too small; nothing for one with a wrong prompt or missing pictures.

        Args:
            page: The page.
            pictures: Its images as far as they could be opened.
        """
        if len(pictures) != len(page.images):
            return
        try:
            counts = self.count(page, [picture.size for picture in pictures])
        except OcrtuneError:
            # Said by the checks of prompts, in their own words.
            return
        yield from self._check_length(page, counts)
        yield from _check_compression(page, counts)
        yield from self._check_resolution(page, pictures)
        if page.text and pictures and self._is_transcribed(page):
            yield from _check_capacity(page, pictures)

    def count_vocabulary(self, text: str) -> Vocabulary | None:
        """Characters and tokens of a page's text, normalised, by script, and what gets lost; None without a tokenizer."""
        if self.tokenizer is None:
            return None
        text = normalize(text, self.recipe.normalization)
        counted = Vocabulary()
        for script, run in _by_script(text):
            counted.characters[script] += len(run)
            counted.tokens[script] += len(self.tokenizer.encode(run))
        counted.lost.update(
            {
                character: count
                for character, count in Counter(text).items()
                if not self._writes(character, self.tokenizer)
            }
        )
        return counted

    def _writes(self, character: str, tokenizer: Tokenizer) -> bool:
        if character not in self._can_write:
            written = tokenizer.decode(tokenizer.encode(character))
            self._can_write[character] = written.strip() == character.strip()
        return self._can_write[character]

    def _num_prompt_tokens(self, prompt: str) -> int | None:
        if self.tokenizer is None:
            return None
        pieces = prompt.strip().split(self.recipe.family.vocabulary.image)
        return sum(len(self.tokenizer.encode(piece)) for piece in pieces)

    def _num_text_tokens(self, text: str | None) -> int | None:
        if self.tokenizer is None or text is None:
            return None
        if text != self._last[0]:
            # A page is both counted and checked, and its text may be long.
            self._last = (text, len(self.tokenizer.encode(normalize(text, self.recipe.normalization))))
        return self._last[1]

    def _is_transcribed(self, page: Page) -> bool:
        """Whether the prompt asks for all that stands on the page."""
        family = self.recipe.family
        text = find_prompt(page.prompt or self.recipe.prompt, family).strip()
        wanted = [family.prompts[name] for name in _TRANSCRIBING if name in family.prompts]
        return is_known_prompt(text, family) and any(
            text.endswith(one.removeprefix("<image>")) for one in wanted
        )

    def _check_length(self, page: Page, counts: TokenCounts) -> Iterator[Finding]:
        limit, total = self.recipe.token_limit, counts.total
        least = sum(counts.image_tokens) + _SPECIAL if total is None else total
        if least > limit:
            told = "" if counts.text_tokens is None else f" and {counts.text_tokens} of the text"
            yield Finding(
                code="sequence-too-long",
                severity="error",
                message=f"{least} tokens where {limit} are allowed: {sum(counts.image_tokens)} image tokens{told}",
                where=page.where,
                hint="raise inputs.max_tokens, take a smaller mode, or let inputs.on_too_long: skip count such pages",
            )

    def _check_resolution(self, page: Page, pictures: Sequence[Picture]) -> Iterator[Finding]:
        seen = [
            picture.x_height_px * view_scale(picture.size, self.recipe.mode)
            for picture in pictures
            if picture.x_height_px is not None
        ]
        if not seen or min(seen) >= SMALL_PX:
            return
        yield Finding(
            code="resolution-low",
            severity="warning" if min(seen) < SMALLEST_PX else "note",
            message=f"small letters are {min(seen):.1f} px high as mode {self.recipe.mode.name!r} shows them to the model",
            where=page.where,
            hint="take a mode with larger views or tiles, scan at a higher resolution, or cut the page",
        )


def _restore(recipe: dict[str, object], tokenizer: Tokenizer | None) -> TokenBudget:
    return TokenBudget(InputsRecipe.from_dict(recipe), tokenizer)


def view_scale(size: tuple[int, int], mode: Mode) -> float:
    """Pixels of the sharpest view for each pixel of an image of (width, height), along the side that loses most."""
    width, height = size
    whole = min(mode.global_px / width, mode.global_px / height)
    columns, rows = choose_grid(size, mode)
    if mode.tile_px is None or (columns, rows) == (1, 1):
        return whole
    return max(whole, min(columns * mode.tile_px / width, rows * mode.tile_px / height))


def _check_compression(page: Page, counts: TokenCounts) -> Iterator[Finding]:
    if not counts.text_tokens or not sum(counts.image_tokens):
        return
    ratio = counts.text_tokens / sum(counts.image_tokens)
    if ratio > MOST_COMPRESSION:
        lost = "most of it is lost" if ratio > FAR_TOO_MUCH_COMPRESSION else "letters get lost"
        yield Finding(
            code="compression-high",
            severity="warning",
            message=f"{ratio:.0f} text tokens for each image token, {MOST_COMPRESSION} can be read well: {lost}",
            where=page.where,
            hint="take a mode with more image tokens, or cut the page into pieces",
        )


def _check_capacity(page: Page, pictures: Sequence[Picture]) -> Iterator[Finding]:
    num_chars = len("".join(_BOXES.sub("", page.text or "").split()))
    capacity = [_capacity(picture) for picture in pictures]
    letters = sum(picture.letters for picture in pictures)
    if all(capacity) and num_chars > MOST_OF_CAPACITY * sum(capacity):
        yield Finding(
            code="text-too-long-for-image",
            severity="warning",
            message=f"the text has {num_chars} letters, and about {sum(capacity):.0f} of this size fit on the image",
            where=page.where,
            hint="look whether the text belongs to more pages than this one",
        )
    if letters >= FEWEST_LETTERS_SEEN and num_chars < FEWEST_OF_LETTERS * letters:
        yield Finding(
            code="text-too-short-for-image",
            severity="warning",
            message=f"the text has {num_chars} letters, and about {letters} seem to stand on the image",
            where=page.where,
            hint="write the whole text, or ask for its part with a prompt of its own",
        )


def _capacity(picture: Picture) -> float:
    """Letters of the size seen that fill a picture, set as close as print is: two heights high, one wide."""
    width, height = picture.size
    return 0.0 if picture.x_height_px is None else width * height / (2 * picture.x_height_px**2)


def _by_script(text: str) -> Iterator[tuple[str, str]]:
    """Runs of a text in one script; what belongs to none goes with the script before it."""
    script = COMMON
    scripts: list[str] = []
    for character in text:
        own = script_of(character)
        script = script if own == COMMON else own
        scripts.append(script)
    place = 0
    for name, run in groupby(scripts):
        length = sum(1 for _ in run)
        yield name, text[place : place + length]
        place += length
