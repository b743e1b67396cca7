"""One page, shown as the model is given it: facts, ids beside text, and a picture of the views."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocrtune.families import Family, Mode
from ocrtune.inputs.drawing import Captions, draw_views
from ocrtune.inputs.encode import IGNORED_LABEL, encode
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.inputs.views import make_views
from ocrtune.records import Example, ImageSource, ImageViews, ModelInputs
from ocrtune.sources import open_image


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownToken:
    """One position of the sequence.

    Attributes:
        id: Its token id.
        text: Its text; a part of a character is shown as the replacement character.
        in_loss: The loss has it as a target.
    """

    id: int
    text: str
    in_loss: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page as the model is given it.

    Attributes:
        name: What the page is called.
        size: (width, height) of the upright page in pixels.
        family: The model family.
        mode: How the page was cut.
        views: What the model sees.
        prompt: The text before the answer.
        target: The answer, if there is one.
        tokens: The whole sequence; empty without a tokenizer.
    """

    name: str
    size: tuple[int, int]
    family: Family
    mode: Mode
    views: ImageViews
    prompt: str
    target: str | None
    tokens: tuple[ShownToken, ...]

    @property
    def loss_tokens(self) -> int:
        """How many positions the loss has as targets."""
        return sum(token.in_loss for token in self.tokens)

    def as_dict(self) -> dict[str, object]:
        """The page for `--json`: hashes of the views, and with a tokenizer the sequence."""
        facts: dict[str, object] = {
            "family": self.family.name,
            "mode": self.mode.name,
            "grid": list(self.views.grid),
            "image_tokens": self.views.num_image_tokens,
            "global_view": view_sha256(self.views.global_view),
            "tiles": [view_sha256(tile) for tile in self.views.tiles],
        }
        if self.tokens:
            facts |= {
                "prompt": self.prompt,
                "target": self.target,
                "tokens": [asdict(token) for token in self.tokens],
                "loss_tokens": self.loss_tokens,
            }
        return facts

    def draw(self) -> Image.Image:
        """A picture of the global view and, beside it, the tiles in their grid."""
        return draw_views(self.views, self._captions())

    @property
    def global_view_tokens(self) -> int:
        """Positions of the global view and the separator; the tiles have the others."""
        return num_image_tokens(self.family, global_px=self.mode.global_px, tile_px=None, grid=(1, 1))

    def _captions(self) -> Captions:
        # Pillow's own font knows ASCII alone: no ×, and no name of the page, which may be in any script.
        columns, rows = self.views.grid
        width, height = self.size
        total, global_view = self.views.num_image_tokens, self.global_view_tokens
        return Captions(
            title=f"{self.family.title}, mode {self.mode.name}: {width} x {height} px in {total} image tokens",
            global_view=f"global view: {self.mode.global_px} x {self.mode.global_px} px, {global_view} tokens",
            tiles=f"{columns} x {rows} tiles of {self.mode.tile_px} px, {total - global_view} tokens",
        )


def show_page(
    page: ImageSource,
    recipe: InputsRecipe,
    *,
    target: str | None = None,
    tokenizer: Tokenizer | None = None,
    name: str = "",
) -> Shown:
    """One page encoded as training and prediction encode it.

    Args:
        page: The page.
        recipe: Family, mode and prompt.
        target: What it should answer; None to see what prediction gives the model.
        tokenizer: The model's; without it there are no tokens to show.
        name: What the page is called.

    Raises:
        InputsError: What `encode` raises, with a tokenizer.
        ImageError: The page cannot be opened.
    """
    image = open_image(page)
    tokens: tuple[ShownToken, ...] = ()
    if tokenizer is None:
        views = make_views(image, recipe.family, recipe.mode)
    else:
        example = Example(name=name, images=(image,), prompt=recipe.prompt, target=target)
        inputs = encode(example, recipe, tokenizer)
        (views,) = inputs.opened
        tokens = _shown_tokens(inputs, tokenizer)
    return Shown(
        name=name,
        size=image.size,
        family=recipe.family,
        mode=recipe.mode,
        views=views,
        prompt=recipe.prompt,
        target=target,
        tokens=tokens,
    )


def view_sha256(view: NDArray[np.uint8]) -> str:
    """The hash of a view's bytes: (H, W, 3) row by row, as `golden/views.json` has it."""
    return hashlib.sha256(np.ascontiguousarray(view).data).hexdigest()


def _shown_tokens(inputs: ModelInputs, tokenizer: Tokenizer) -> tuple[ShownToken, ...]:
    texts = {token: tokenizer.token_text(token) for token in set(inputs.input_ids.tolist())}
    return tuple(
        ShownToken(id=token, text=texts[token], in_loss=label != IGNORED_LABEL)
        for token, label in zip(inputs.input_ids.tolist(), inputs.labels.tolist(), strict=True)
    )
