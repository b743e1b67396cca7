"""`ocrtune synth`: pages for a language or script that has none."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.errors import SynthError
from ocrtune.progress import say, track
from ocrtune.synth import (
    RECIPES,
    Maker,
    SynthConfig,
    contact_sheet,
    list_choices,
    read_synth_config,
    write_pages,
)

PREVIEW = "preview.png"


class Images(StrEnum):
    """The format of images."""

    AUTO = "auto"
    PNG = "png"
    JPEG = "jpeg"


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help=f"A YAML recipe, or a shipped one by name: {', '.join(RECIPES)}.", show_default=False
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("synthetic"),
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many pages; the recipe's `count` without it.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Other pages of the same kind; the recipe's `seed` without it.", show_default=False
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given often."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many make pages; one for each processor without it.", show_default=False
        ),
    ] = None,
    images: Annotated[
        Images, typer.Option(help="Format of images: auto is PNG for lines and JPEG for pages.")
    ] = Images.AUTO,
    preview: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Draw so many pages on one picture instead: --out if it ends in .png, else {PREVIEW} in it.",
            show_default=False,
        ),
    ] = None,
    list_all: Annotated[
        bool,
        typer.Option(
            "--list", help="Print what recipes can name: recipes, layouts, degradations, languages, fonts."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Make synthetic pages: texts set in fonts, printed, worn and scanned, with what is to be read on them.

    The same recipe and seed give the same bytes. A run that is cut off goes on where it stopped when the same command
    is given again. Look at a preview first.

    Example: ocrtune synth lines-en --count 5000 --set 'texts=[{language: el, files: [books/*.txt]}]' -o data/greek
    """
    if list_all:
        _print_choices(as_json=json)
        return
    if recipe is None:
        raise SynthError("which recipe?", hint=f"give a YAML file, or one of {', '.join(RECIPES)}")
    given = {"count": count, "seed": seed}
    more = [f"{key}={value}" for key, value in given.items() if value is not None]
    config = read_synth_config(recipe, [*(overrides or ()), *more])
    result = _write(config, out, processes, images) if preview is None else _preview(config, preview, out)
    if json:
        print_json(result)


def _write(config: SynthConfig, out: Path, processes: int | None, images: Images) -> dict[str, object]:
    written = write_pages(config, out, processes=processes, images=images.value)
    say(f"{written.num_pages} pages in {written.elapsed_s:.0f} s: {written.manifest}")
    if written.num_skipped:
        say(
            f"{written.num_skipped} texts were passed over because no font has their letters: {written.findings}"
        )
    return written.as_dict()


def _preview(config: SynthConfig, count: int, out: Path) -> dict[str, object]:
    path = out if out.suffix.lower() == ".png" else out / PREVIEW
    maker = Maker(config)
    samples = [maker.sample(number) for number in track(range(count), "making pages")]
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet([sample.scan.image for sample in samples]).save(path)
    say(f"{count} pages on one picture: {path}")
    return {"preview": str(path), "pages": count}


def _print_choices(*, as_json: bool) -> None:
    """To stdout: it is what was asked for."""
    choices = list_choices()
    if as_json:
        print_json(choices)
        return
    lines: list[str] = []
    for title, values in choices.items():
        lines += ["", title] if lines else [title]
        lines += _told(values)
    sys.stdout.write("\n".join(lines) + "\n")


def _told(values: object) -> list[str]:
    if isinstance(values, Mapping):
        width = max((len(str(name)) for name in values), default=0)
        return [f"  {name!s:{width}}  {value}" for name, value in values.items()]
    assert isinstance(values, list)
    return [f"  {', '.join(values)}"]
