"""`ocrtune check`: what is wrong with pages, before a run is spent on them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.data import Budget, DatasetCheck, check_codes, check_uri, find_prompt, write_repaired
from ocrtune.data.repairs import REPAIRS, repair_text
from ocrtune.data.streams import read_some
from ocrtune.data.vocabulary import ScriptTokens
from ocrtune.errors import ModeError
from ocrtune.families import Family, get_family
from ocrtune.inputs import InputsRecipe, Tokenizer
from ocrtune.inputs.budget import TokenBudget
from ocrtune.inputs.recipe import parse_mode
from ocrtune.progress import say
from ocrtune.reports.data_page import write_data_page
from ocrtune.sources.image_paths import DATA_ROOT

INTERRUPTED = 130
"""What shells give back for a command that Ctrl-C stopped."""

MOST_SCRIPTS_TOLD = 8


def command(
    pages: Annotated[
        str,
        typer.Argument(
            help="A JSONL manifest, a CSV table, chats, a folder of images with .txt, PAGE XML, ALTO, hOCR, PDFs, one image, or builtin."
        ),
    ],
    *,
    family: Annotated[
        str | None,
        typer.Option(help="Check prompts and images for it: deepseek_ocr, deepseek_ocr2 or unlimited_ocr."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="The run's prompt: a short name of the family's, or a text.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="Count tokens in this mode of the family, or one of your own.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of a model, to count the tokens of texts too.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out pages, to be checked too and for leaks between both.")
    ] = None,
    images: Annotated[bool, typer.Option(help="Open every image; texts are checked either way.")] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core without it where there is much to do.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="A file that keeps what is done: a check that was stopped goes on from it."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Code of a finding whose errors are only warned of; may be given often."),
    ] = None,
    json_schema: Annotated[
        Path | None, typer.Option(help="A JSON Schema: every text must be JSON that satisfies it.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="JSONL of image and text that another OCR read, to compare texts with."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write findings, histograms and pictures of the worst pages as one file."),
    ] = None,
    fix_out: Annotated[
        Path | None,
        typer.Option(
            help="Write a manifest of the pages, texts repaired where that is safe, without doubles."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check pages before training: broken images, missing texts, stray tokens, double pages, leaks.

    Every image is opened, on all cores. Exits with 1 if there are errors.

    Example: ocrtune check scans/manifest.jsonl --family deepseek_ocr --prompt markdown
    """
    check_codes(allow or ())
    known = None if family is None else get_family(family)
    try:
        check = check_uri(
            pages,
            validation_uri=validation,
            family=known,
            prompt=prompt,
            open_images=images,
            workers=workers,
            budget=_find_budget(known, mode, tokenizer, prompt),
            baseline=baseline,
            json_schema=json_schema,
            journal=resume,
        ).allowing(allow or ())
    except KeyboardInterrupt:
        _tell_how_to_go_on(resume)
        raise typer.Exit(INTERRUPTED) from None
    _print(check, as_json=json)
    if html is not None:
        _write_html(pages, validation, check, html)
    if fix_out is not None:
        _write_repaired(pages, fix_out, check)
    if check.totals()["errors"]:
        raise typer.Exit(1)


def _print(check: DatasetCheck, *, as_json: bool) -> None:
    print_findings(check.findings)
    say(str(check.summary))
    if check.statistics is not None and check.statistics.vocabulary:
        say(f"tokens a character: {_tell_vocabulary(check.statistics.vocabulary)}")
    say(", ".join(f"{count} {name}" for name, count in check.totals().items()))
    if as_json:
        print_json(check.as_dict())


def _tell_vocabulary(scripts: Sequence[ScriptTokens]) -> str:
    told = [f"{each.script} {each.tokens_per_character:.2f}" for each in scripts[:MOST_SCRIPTS_TOLD]]
    more = len(scripts) - len(told)
    return ", ".join(told) + (f" and {more} more scripts" if more else "")


def _tell_how_to_go_on(resume: Path | None) -> None:
    if resume is None:
        say("stopped; with --resume FILE a check that is stopped goes on where it was")
    else:
        say(f"stopped; the same command goes on where it was, by {resume}")


def _write_html(uri: str, validation: str | None, check: DatasetCheck, path: Path) -> None:
    sources = [read_some(each).pages for each in (uri, validation) if each is not None]
    write_data_page(check, sources, path, title=uri)
    say(f"findings with pictures: {path}")


def _write_repaired(uri: str, path: Path, check: DatasetCheck) -> None:
    repaired = write_repaired(read_some(uri).pages, path, _repair, repeated=check.repeated)
    say(
        f"{repaired.num_pages} pages, {repaired.num_repaired} of them repaired, "
        f"{repaired.num_dropped} doubles left out: {repaired.manifest}; what is changed: {repaired.changes}"
    )
    if repaired.num_outside:
        say(f"images lie outside the folder of the manifest; {DATA_ROOT}=FOLDER allows them to be read")


def _find_budget(
    family: Family | None, mode: str | None, tokenizer: Path | None, prompt: str | None
) -> Budget | None:
    """What counts tokens, if a mode or a tokenizer is given."""
    if mode is None and tokenizer is None:
        return None
    if family is None:
        raise ModeError(
            "tokens are counted for a family, and none is given", hint="add --family deepseek_ocr"
        )
    recipe = InputsRecipe.default(family)
    recipe = replace(
        recipe,
        mode=recipe.mode if mode is None else parse_mode(family, mode),
        prompt=find_prompt(prompt, family),
    )
    return TokenBudget(recipe, None if tokenizer is None else Tokenizer.read(tokenizer))


def _repair(text: str) -> tuple[str, list[str]]:
    return repair_text(text, REPAIRS)
