"""`ocrtune demo`: the whole way, on data that come with the package or on a PDF of the user's."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrtune.cli.printing import print_json
from ocrtune.errors import require
from ocrtune.progress import say


class Language(StrEnum):
    """Which demo."""

    EN = "en"
    RU = "ru"


DEFAULT_RUNS = {Language.EN: Path("runs/demo"), Language.RU: Path("runs/demo-ru")}


def command(
    *,
    language: Annotated[
        Language,
        typer.Option(
            help="en learns from scanned lines that come with the package, ru from a typeset Russian book: --pdf."
        ),
    ] = Language.EN,
    pdf: Annotated[
        Path | None,
        typer.Option(
            help="The book for --language ru: a PDF with a text layer, or a .pdf.gz.", metavar="FILE"
        ),
    ] = None,
    pages: Annotated[
        str | None,
        typer.Option(
            help="Pages of the PDF to draw lines from, such as 9-60; all without it.", metavar="RANGE"
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="The run folder, runs/demo or runs/demo-ru without it; one that an earlier demo made is replaced."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Fine-tune a small DeepSeek-OCR on real lines, score it before and after, export it, write a report.

    It takes a few minutes on two CPU cores and needs no network: model and English lines come with the package. Russian
    lines are cut from a PDF that you name; some of its pages are learned from, later ones are scored.

    Example: ocrtune demo

    Example: ocrtune demo --language ru --pdf /usr/share/doc/debian/FAQ/debian-faq.ru.pdf.gz
    """
    chosen = _chosen_pages(language, pdf, pages)
    try:
        from ocrtune.demo import run_demo  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    result = run_demo(run or DEFAULT_RUNS[language], pdf=pdf, pages=chosen)
    say(f"CER on unseen lines: {result.cer_before:.1%} before, {result.cer_after:.1%} after")
    say(f"export, read again: {'the same text' if result.export_matches else 'other text'}: {result.export}")
    say(f"report: {result.report}")
    if json:
        print_json(result.as_dict())
    if not result.export_matches:
        raise typer.Exit(1)


def _chosen_pages(language: Language, pdf: Path | None, pages: str | None) -> range | None:
    """The pages named, once the options are known to go together."""
    if language is Language.RU and pdf is None:
        raise typer.BadParameter(
            "ru needs a Russian PDF with a text layer: --pdf FILE", param_hint="--language"
        )
    if language is Language.EN and (pdf is not None or pages is not None):
        raise typer.BadParameter("goes with --language ru", param_hint="--pages" if pdf is None else "--pdf")
    if pages is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", pages.strip())
    if found is None:
        raise typer.BadParameter(f"{pages!r} is no range such as 9-60", param_hint="--pages")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
