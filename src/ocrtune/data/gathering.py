"""Findings of a kind gathered into one with a count."""

from collections.abc import Iterable
from dataclasses import replace

from ocrtune.records import Finding, Severity

MOST_PLACES_TOLD = 5
"""How many places a gathered finding names; the others are counted."""

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


def gather_findings(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each code and message, errors first, with the places of the first ones and the count of all."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.code, finding.message), []).append(finding)
    gathered = [_gather(kind) for kind in kinds.values()]
    return sorted(gathered, key=lambda finding: _ORDER[finding.severity])


def _gather(kind: list[Finding]) -> Finding:
    places = [finding.where for finding in kind if finding.where]
    told = "; ".join(places[:MOST_PLACES_TOLD])
    more = len(places) - MOST_PLACES_TOLD
    where = f"{told} and {more} more" if more > 0 else told
    return replace(kind[0], where=where, count=sum(finding.count for finding in kind))
