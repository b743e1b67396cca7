"""Example → ModelInputs → Batch: tiling and token layout in integers, pixels in uint8.

Nothing imported here needs torch; the first tensors are made in `inputs.collate`.
"""

from ocrtune.inputs.encode import IGNORED_LABEL, EncodedExamples, count_tokens, encode, encode_all
from ocrtune.inputs.layout import choose_grid, count_image_tokens, num_image_tokens
from ocrtune.inputs.recipe import CARD_FILE, InputsRecipe, parse_mode, read_recipe, resolve_mode
from ocrtune.inputs.show import Shown, ShownToken, show_page, view_sha256
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.inputs.views import make_views
from ocrtune.sources import image_size

__all__ = [
    "CARD_FILE",
    "IGNORED_LABEL",
    "EncodedExamples",
    "InputsRecipe",
    "Shown",
    "ShownToken",
    "Tokenizer",
    "choose_grid",
    "count_image_tokens",
    "count_tokens",
    "encode",
    "encode_all",
    "image_size",
    "make_views",
    "num_image_tokens",
    "parse_mode",
    "read_recipe",
    "resolve_mode",
    "show_page",
    "view_sha256",
]
