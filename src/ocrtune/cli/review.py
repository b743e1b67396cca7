"""`ocrtune review`: a page in the browser where a person corrects texts."""

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from ocrtune.cli.printing import print_findings, print_json
from ocrtune.errors import require
from ocrtune.progress import say
from ocrtune.review import Review, Rows, export_review, open_review


def command(
    target: Annotated[
        str,
        typer.Argument(
            help="A run folder, a file of predictions, or a source of pages to correct the texts of."
        ),
    ],
    *,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="The source of predicted pages: their images and, if it has them, texts.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where review.sqlite is kept; beside the target without it.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the link in the browser.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="OUT.jsonl", help="Write the corrected texts as a new manifest, and end."
        ),
    ] = None,
    rows: Annotated[
        Rows,
        typer.Option(
            help="What to export: `usable` leaves out predictions nobody looked at, `all` takes those too, `reviewed` "
            "only what was marked or corrected, `corrected` only texts that were changed."
        ),
    ] = "usable",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Correct texts in the browser: picture and text side by side, those likely wrong first.

    The page is for this machine only, by a link with a secret token; several people or windows may work at once. Each edit is
    kept in review.sqlite with its history, and the same command goes on where it was left. Stop it with Ctrl+C.

    Example: ocrtune review predictions.jsonl --reference scans/
    """
    review = open_review(target, reference=reference, folder=folder)
    print_findings(review.findings)
    try:
        if export is not None:
            _export(review, export, rows, as_json=json)
        else:
            _serve(review, port, as_json=json, in_browser=browser)
    finally:
        review.store.close()


def _export(review: Review, path: Path, rows: Rows, *, as_json: bool) -> None:
    exported = export_review(review, path, rows=rows)
    print_findings(exported.findings)
    say(f"{exported.told}: {exported.manifest}")
    if as_json:
        print_json(exported.as_dict())
    if exported.findings:
        raise typer.Exit(1)


def _serve(review: Review, port: int, *, as_json: bool, in_browser: bool) -> None:
    try:
        from ocrtune.review.serving import serve_review  # noqa: PLC0415  # an extra, which --export does not need
    except ModuleNotFoundError as error:
        raise require(error.name or "fastapi", "review") from error

    def tell(link: str) -> None:
        counts = review.store.count_states()
        say(
            f"{counts['all']} pages, {counts['all'] - counts['open']} of them reviewed; edits: {review.store.path}"
        )
        say(f"open {link}")
        if as_json:
            print_json(_facts(review, link, counts))
        if in_browser:
            webbrowser.open(link)

    serve_review(review, port=port, told=tell)


def _facts(review: Review, link: str, counts: dict[str, int]) -> dict[str, Any]:
    return {"link": link, "title": review.title, "edits": str(review.store.path), "counts": counts}
