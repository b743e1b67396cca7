"""How commands print: one JSON object on stdout for machines, words on stderr for people."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape

from ocrtune.progress import talk
from ocrtune.records import Finding

_COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout; nothing follows it. What is not UTF-8 in the name of a file becomes an escape of JSON."""
    text = json.dumps(value, ensure_ascii=False) + "\n"
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def print_findings(findings: Iterable[Finding]) -> None:
    """Findings for people on stderr: severity, code, message, where, hint."""
    console = talk()
    for finding in findings:
        times = f" ({finding.count} times)" if finding.count > 1 else ""
        colour = _COLOURS[finding.severity]
        console.print(f"[{colour}]{finding.severity}[/] {finding.code}: {escape(finding.message)}{times}")
        if finding.where:
            console.print(f"  where: {escape(finding.where)}")
        if finding.hint:
            console.print(f"  hint: {escape(finding.hint)}")
