"""`ocrtune show`: one page as the model is given it."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ocrtune.cli.printing import print_json
from ocrtune.data import find_prompt
from ocrtune.errors import InputsError, ModeError
from ocrtune.families import FAMILIES, get_family
from ocrtune.inputs import (
    InputsRecipe,
    Shown,
    ShownToken,
    Tokenizer,
    parse_mode,
    read_recipe,
    show_page,
    view_sha256,
)
from ocrtune.progress import say

_LOSS_MARK = "◀ loss"
_PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


def command(
    page: Annotated[Path, typer.Argument(help="An image of a page.", show_default=False)],
    *,
    family: Annotated[
        str | None,
        typer.Option(
            help=f"Model family: {', '.join(FAMILIES)}. Read from --model without it.", show_default=False
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="A mode of the family such as base or gundam, or one of your own as "
            "'{global_px: 1024, tile_px: 640, max_tiles: 9}'. The model's or family's own without it.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="A prompt of the family by its short name, or a text with <image>.", show_default=False
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The answer to learn; shows which tokens the loss sees.", show_default=False),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a model or checkpoint: its tokenizer, and its family, mode and prompt.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Draw the views into this picture.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show a page as the model is given it: grid, image tokens, views, loss.

    Training and prediction make their inputs with the same code, so this is
    the first thing to look at when an answer is wrong. Needs no torch.

    Example: ocrtune show page.png --family deepseek_ocr -o views.png
    """
    recipe = _recipe(family, mode, prompt, model)
    tokenizer = None if model is None else Tokenizer.read(model)
    shown = show_page(page, recipe, target=target, tokenizer=tokenizer, name=page.name)
    if output is not None:
        _write_picture(shown, output)
    if tokenizer is None and (prompt is not None or target is not None):
        say("without --model there is no tokenizer: prompt and target are not shown")
    if as_json:
        print_json(shown.as_dict())
    else:
        _print_for_people(shown)


def _recipe(family: str | None, mode: str | None, prompt: str | None, model: Path | None) -> InputsRecipe:
    """The model's own recipe, with what the command line says put over it."""
    if model is not None:
        recipe = read_recipe(model)
        if family is not None and family != recipe.family.name:
            raise InputsError(
                f"--family {family}, but the model is {recipe.family.name}",
                where=str(model),
                hint="leave --family out",
            )
    elif family is not None:
        recipe = InputsRecipe.default(get_family(family))
    else:
        raise ModeError("which family?", hint=f"give --model, or --family with one of {', '.join(FAMILIES)}")
    if mode is not None:
        recipe = replace(recipe, mode=parse_mode(recipe.family, mode))
    if prompt is not None:
        recipe = replace(recipe, prompt=find_prompt(prompt, recipe.family))
    return recipe


def _write_picture(shown: Shown, output: Path) -> None:
    if output.suffix.lower() not in _PICTURE_SUFFIXES:
        raise InputsError(
            f"no picture can be written to {output.name!r}",
            hint=f"end it in one of {' '.join(sorted(_PICTURE_SUFFIXES))}",
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.stem}.tmp{output.suffix}")
    shown.draw().save(temporary)
    temporary.replace(output)
    say(f"views drawn into {output}")


def _print_for_people(shown: Shown) -> None:
    console = Console(file=sys.stdout, highlight=False)
    console.print(_facts(shown))
    if shown.tokens:
        console.print(_tokens(shown))


def _facts(shown: Shown) -> Table:
    columns, rows = shown.views.grid
    total, global_view = shown.views.num_image_tokens, shown.global_view_tokens
    tiles = f"{columns} columns × {rows} rows of {shown.mode.tile_px} px, {total - global_view} tokens"
    table = Table(title=escape(shown.name), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("page", f"{shown.size[0]} × {shown.size[1]} px")
    table.add_row("family", f"{shown.family.name} ({shown.family.title})")
    table.add_row("mode", shown.mode.name)
    table.add_row("image tokens", str(total))
    table.add_row("global view", f"{shown.mode.global_px} × {shown.mode.global_px} px, {global_view} tokens")
    table.add_row("", _short_hash(shown.views.global_view))
    table.add_row("tiles", tiles if len(shown.views.tiles) else "none")
    for number, tile in enumerate(shown.views.tiles):
        table.add_row(f"tile {number + 1}", _short_hash(tile))
    return table


def _short_hash(view: NDArray[np.uint8]) -> str:
    """Enough of the hash to compare by eye; `--json` has all of it."""
    return f"sha256 {view_sha256(view)[:16]}…"


def _tokens(shown: Shown) -> Table:
    table = Table(
        title=f"{len(shown.tokens)} tokens, {shown.loss_tokens} of them seen by the loss",
        title_justify="left",
    )
    table.add_column("position", justify="right")
    table.add_column("id", justify="right")
    table.add_column("text")
    table.add_column("loss")
    for position, token, count in _runs(shown):
        several = count > 1
        style = "bold green" if token.in_loss else "dim"
        table.add_row(
            f"{position}–{position + count - 1}" if several else str(position),
            str(token.id),
            Text(_visible(token.text) + (f" × {count}" if several else ""), style=style),
            Text(_LOSS_MARK if token.in_loss else "", style=style),
        )
    return table


def _visible(text: str) -> str:
    """`text` in one line, with marks for what would not be seen."""
    return repr(text)[1:-1].replace(" ", "␣")


def _runs(shown: Shown) -> Iterator[tuple[int, ShownToken, int]]:
    """(position, token, count): an image's tokens together, every other token by itself."""
    image = shown.family.vocabulary.image
    position = 0
    for token, alike in groupby(shown.tokens):
        count = sum(1 for _ in alike)
        if token.text == image:
            yield position, token, count
        else:
            yield from ((position + offset, token, 1) for offset in range(count))
        position += count
