"""Pages of one document → examples of several images, for families that read pages together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ocrtune.data import find_prompt
from ocrtune.errors import InputsError
from ocrtune.inputs import InputsRecipe
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.models.checkpoint import LoadedCheckpoint
from ocrtune.prediction.answering import num_positions
from ocrtune.progress import say
from ocrtune.records import Page

PROMPT = "pages"
"""Short name of the prompt for several pages."""

ANSWER_TOKENS_OF_PAGE = 2048
"""Room that is left for the answer about each page; a page of a newspaper in BPE tokens has about that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """That pages of a document are read together.

    Attributes:
        max_pages: Most pages of an example; None for as many as leave 2048 tokens for the answer about each.
    """

    max_pages: int | None = None


def read_together(
    checkpoint: LoadedCheckpoint, pages: Sequence[Page], prompt: str | None, together: Together
) -> tuple[LoadedCheckpoint, list[Page]]:
    """The checkpoint with a recipe for several pages, and the pages in groups that fit it.

    Raises:
        InputsError: The family takes one image per example.
    """
    recipe = recipe_for_documents(checkpoint.recipe, prompt)
    positions = num_positions(checkpoint.model)
    groups = group_documents(pages, recipe, positions, max_pages=together.max_pages)
    say(
        f"{len(pages)} pages of {len({page.document or page.name for page in pages})} documents in {len(groups)} groups"
    )
    return replace(checkpoint, recipe=recipe), groups


def recipe_for_documents(recipe: InputsRecipe, prompt: str | None = None) -> InputsRecipe:
    """The recipe with the prompt for several pages and without tiles, which go with one image alone.

    Args:
        recipe: The checkpoint's.
        prompt: Instead of the published one: a short name or a text.

    Raises:
        InputsError: The family takes one image per example.
    """
    family = recipe.family
    if not family.several_images:
        raise InputsError(
            f"{family.name} reads one page at a time",
            hint="leave --documents out: `--format md` joins the pages of a document",
        )
    mode = replace(recipe.mode, tile_px=None, max_tiles=0)
    return replace(recipe, prompt=find_prompt(prompt or PROMPT, family), mode=mode)


def group_documents(
    pages: Sequence[Page], recipe: InputsRecipe, positions: int, *, max_pages: int | None = None
) -> list[Page]:
    """Pages that follow each other in one document as pages of several images, as many as fit the context.

    A group is named by its document, or by its first and last page if the document needs several groups:
    `book.pdf#1-14`. A page without a document, or with several images or a prompt of its own, stays by itself.

    Args:
        pages: In their order.
        recipe: As `recipe_for_documents` gives it.
        positions: Of the model.
        max_pages: Most pages of a group; without it as many as leave 2048 tokens for the answer about each.
    """
    most = max_pages or most_pages_together(recipe, positions)
    groups: list[Page] = []
    for (document, groupable), found in groupby(pages, key=_key):
        run = list(found)
        if not groupable:
            groups += run
            continue
        parts = [run[start : start + most] for start in range(0, len(run), most)]
        groups += [
            _group(document, part, is_whole=len(parts) == 1, first=most * place)
            for place, part in enumerate(parts)
        ]
    return groups


def most_pages_together(recipe: InputsRecipe, positions: int) -> int:
    """How many pages an example may have, at least 1."""
    image = num_image_tokens(recipe.family, global_px=recipe.mode.global_px, tile_px=None, grid=(1, 1))
    return max(1, min(positions, recipe.token_limit) // (image + ANSWER_TOKENS_OF_PAGE))


def _key(page: Page) -> tuple[str, bool]:
    return page.document, bool(page.document) and len(page.images) == 1 and page.prompt is None


def _group(document: str, pages: Sequence[Page], *, is_whole: bool, first: int) -> Page:
    return Page(
        name=document if is_whole else f"{document}#{first + 1}-{first + len(pages)}",
        images=tuple(page.images[0] for page in pages),
        document=document,
        where=pages[0].where,
    )
