"""The `ocrtune` command and how it reports errors."""

import sys

import typer
from rich.markup import escape

from ocrtune.cli import (
    cache,
    check,
    compare,
    demo,
    doctor,
    evaluate,
    export,
    export_data,
    facts,
    importing,
    predict,
    report,
    review,
    sample,
    show,
    split,
    synth,
    train,
)
from ocrtune.cli.printing import print_json
from ocrtune.errors import OcrtuneError
from ocrtune.progress import talk

app = typer.Typer(
    name="ocrtune",
    help="Fine-tune DeepSeek-OCR, DeepSeek-OCR-2 and Unlimited-OCR on your own documents.",
    epilog="Start with: ocrtune demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.command)
app.command("show")(show.command)
app.command("synth")(synth.command)
app.command("import")(importing.command)
app.command("split")(split.command)
app.command("sample")(sample.command)
app.command("check")(check.command)
app.command("cache")(cache.command)
app.command("train")(train.command)
app.command("predict")(predict.command)
app.command("evaluate")(evaluate.command)
app.command("facts")(facts.command)
app.command("review")(review.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("export")(export.command)
app.command("export-data")(export_data.command)
app.command("doctor")(doctor.command)


def main() -> None:
    """Run the command line; a user's mistake is printed as `error:` and `hint:` and exits with 2."""
    try:
        app()
    except OcrtuneError as error:
        report_error(error, as_json="--json" in sys.argv)
        sys.exit(2)


def report_error(error: OcrtuneError, *, as_json: bool) -> None:
    """Print `error` for people on stderr and, if asked, as JSON on stdout."""
    console = talk()
    console.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.where:
        console.print(f"[dim]where:[/] {escape(error.where)}")
    if error.hint:
        console.print(f"[bold cyan]hint:[/] {escape(error.hint)}")
    if as_json:
        details = {"code": error.code, "message": error.message, "where": error.where, "hint": error.hint}
        print_json({"error": details})
