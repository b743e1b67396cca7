"""`docs/concepts/faults.md`: what `check` and `train` say of each case, as it was found by running both."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fault_corpus import CASES, Case, archives
from fault_corpus.judging import check, make
from ocrtune.errors import OcrtuneError
from ocrtune.families import get_family
from ocrtune.records import Finding
from ocrtune.sources.importing import import_pages

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "faults.md"

FAMILY = "deepseek_ocr"
"""The family that cases are checked for."""

_INTRODUCTION = f"""\
# Faults in data, and what becomes of them

Nobody's data are without faults. What ocrtune does about each kind is tested with a corpus of {len(CASES)} small sources: every one has
six good pages and one fault, made by a script. The promises that hold for all of them:

* `ocrtune check` and `ocrtune train` never crash and never hang: each fault is a finding, or an error with a code.
* One bad page costs no other page. What is left out is counted, and listed in `skipped.jsonl` of the run.
* Pages that only look odd give no finding at all.

What `train` does:

| word | meaning |
|---|---|
| learned | the run goes on; what warnings and notes leave out is told, and stops nothing; all is in `findings.json` of the run |
| skipped | with `data.on_error: stop`, the default, the run stops before its first step with the error named; with `skip` the page is left out |
| skipped as too long | the same, by `inputs.on_too_long` |
| skipped on the way | shards are read while the run goes on: with `stop` it stops with the error when it comes to the page |
| refused | the run stops with the error, whatever the recipe says |

The page is written by `PYTHONPATH=tests/support python -m fault_corpus --docs`; a test keeps it equal to the code. To look at the files
themselves: `PYTHONPATH=tests/support python -m fault_corpus FOLDER`.
"""

_LIBRARY = re.compile(
    r"((?:cannot be read|cannot be unpacked|is broken|no HTML|to its end|not JSON(?: at column \d+)?): ).*",
    re.DOTALL,
)
"""What other packages say differs from version to version."""

_MOST_TOLD = 110
_TITLES = {"pdfs": "PDFs", "webdataset": "Shards in tars", "parquet": "Shards in Parquet"}


def write_page(folder: Path) -> str:
    """The page, its cases made below `folder`."""
    lines = [_INTRODUCTION]
    for kind in dict.fromkeys(case.kind for case in CASES):
        lines += [f"## {_TITLES.get(kind, kind.capitalize())}", ""]
        lines += ["| case | code | severity | `check` says | `train` |", "|---|---|---|---|---|"]
        for case in CASES:
            if case.kind == kind:
                lines += _rows(case, folder)
        lines.append("")
    lines += ["## Archives", "", "| case | code | `import` says |", "|---|---|---|"]
    lines += [_archive_row(name, folder) for name in archives()]
    return "\n".join(lines).rstrip() + "\n"


def _rows(case: Case, folder: Path) -> Iterator[str]:
    name = case.name.replace("-", " ")
    if not case.can_be_made:
        # Found the same as what is missing: the image cannot be read.
        yield f"| {name} | `{case.codes[0]}` | error | the image cannot be read: … | {_does(case)} |"
        return
    findings = _told(case, folder)
    if not findings:
        yield f"| {name} | – | – | nothing | {_does(case)} |"
    for place, finding in enumerate(findings):
        message = _cell(finding.message.replace(str(folder), "…"))
        first = place == 0
        yield f"| {name if first else ''} | `{finding.code}` | {finding.severity} | {message} | {_does(case) if first else ''} |"


def _archive_row(name: str, folder: Path) -> str:
    make_archive, _ = archives()[name]
    own = folder / f"archives-{name}"
    own.mkdir()
    try:
        (told,) = import_pages([str(make_archive(own))], own / "out").findings
    except OcrtuneError as error:
        told = Finding.of_error(error)
    message = _cell(told.message.replace(str(folder), "…"))
    return f"| {name.replace('-', ' ')} | `{told.code}` | {message} |"


def _told(case: Case, folder: Path) -> Sequence[Finding]:
    found = check(case, make(case, folder), folder, get_family(FAMILY))
    return sorted(found, key=lambda finding: (finding.code not in case.codes[:1], finding.code))


def _does(case: Case) -> str:
    if case.outcome != "skipped":
        return case.outcome
    return {"": "skipped", "sequence-too-long": "skipped as too long"}.get(case.code, "skipped on the way")


def _cell(message: str) -> str:
    message = _LIBRARY.sub(r"\1…", message)
    printable = " ".join(message.split())
    shown = printable if len(printable) <= _MOST_TOLD else f"{printable[:_MOST_TOLD]}…"
    return shown.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
