"""Findings of a kind gathered into one with a count, of however many pages they are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ocrtune.records import Finding, Severity

MOST_PLACES_TOLD = 5
"""How many places a gathered finding names; the others are counted."""

MOST_KINDS = 50
"""Messages of a code that are kept apart while findings stream in; what else there is becomes one kind."""

MOST_WORST = 20
"""Pages that are kept of each code, to be shown as pictures."""

OTHER_MESSAGES = "and more of this code, with other messages"

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


def gather_findings(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each code and message, errors first, with the places of the first ones and the count of all."""
    gatherer = Gatherer(most_kinds=None)
    gatherer.add_all(findings)
    return gatherer.findings()


@dataclass(slots=True)
class _Kind:
    """Findings of one code and message."""

    first: Finding
    places: list[str] = field(default_factory=list)
    num_places: int = 0
    count: int = 0

    def add(self, places: Iterable[str], num_places: int, count: int) -> None:
        for place in places:
            if len(self.places) < MOST_PLACES_TOLD:
                self.places.append(place)
        self.num_places += num_places
        self.count += count

    def finding(self) -> Finding:
        return replace(self.first, where=tell_places(self.places, self.num_places), count=self.count)


class Gatherer:
    """Findings as they come: each kind is counted, and keeps its first places and pages, so memory stays as it is.

    Args:
        most_kinds: Messages of a code kept apart; None for all.
    """

    def __init__(self, most_kinds: int | None = MOST_KINDS) -> None:
        self._most_kinds = most_kinds
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._messages: Counter[str] = Counter()
        self._worst: dict[str, list[int]] = {}

    def add(self, finding: Finding, *, page: int | None = None) -> None:
        """Count one finding.

        Args:
            finding: What was found.
            page: Index of the page it is about.
        """
        places = [finding.where] if finding.where else []
        self._kind(finding).add(places, len(places), finding.count)
        if page is not None:
            self._keep_worst(finding.code, [page])

    def add_all(self, findings: Iterable[Finding], *, page: int | None = None) -> None:
        """Count several."""
        for finding in findings:
            self.add(finding, page=page)

    def add_groups(
        self, finding: Finding, places: Iterable[str], count: int, pages: Sequence[int] = ()
    ) -> None:
        """Count findings that are alike but for their places.

        Args:
            finding: One of them.
            places: Of the first `MOST_PLACES_TOLD`.
            count: Of all.
            pages: Index of a page of each.
        """
        self._kind(finding).add(places, count, count)
        if pages:
            self._keep_worst(finding.code, pages[: 2 * MOST_WORST])

    def merge(self, other: "Gatherer", *, offset: int = 0) -> None:
        """Add what another one gathered of later pages, whose indices begin at `offset`."""
        for kind in other._kinds.values():  # noqa: SLF001 - of the same class
            self._kind(kind.first).add(kind.places, kind.num_places, kind.count)
        for code, pages in other._worst.items():  # noqa: SLF001
            self._keep_worst(code, [page + offset for page in pages])

    def findings(self) -> list[Finding]:
        """One for each kind, errors first, else in the order they came."""
        found = [kind.finding() for kind in self._kinds.values()]
        return sorted(found, key=lambda finding: _ORDER[finding.severity])

    def worst(self) -> dict[str, tuple[int, ...]]:
        """Of each code the first pages it was found on, by index."""
        return {code: tuple(pages) for code, pages in self._worst.items()}

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"kinds": [asdict(kind) for kind in self._kinds.values()], "worst": self._worst}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Gatherer":
        """The gatherer that `as_dict` wrote."""
        gatherer = cls()
        for row in values["kinds"]:
            kind = gatherer._kind(Finding(**row["first"]))
            kind.add(row["places"], row["num_places"], row["count"])
        gatherer._worst = {code: list(pages) for code, pages in values["worst"].items()}
        return gatherer

    def _kind(self, finding: Finding) -> _Kind:
        key = (finding.code, finding.message)
        if key not in self._kinds:
            if self._most_kinds is not None and self._messages[finding.code] >= self._most_kinds:
                key = (finding.code, OTHER_MESSAGES)
                finding = replace(finding, message=OTHER_MESSAGES)
            self._messages[finding.code] += 1
            self._kinds.setdefault(key, _Kind(first=finding))
        return self._kinds[key]

    def _keep_worst(self, code: str, pages: Iterable[int]) -> None:
        kept = self._worst.setdefault(code, [])
        for page in pages:
            if len(kept) < MOST_WORST and page not in kept:
                kept.append(page)


def tell_places(places: Iterable[str], num_places: int) -> str:
    """The first places in words, and how many more there are."""
    told = list(places)[:MOST_PLACES_TOLD]
    more = num_places - len(told)
    return f"{'; '.join(told)} and {more} more" if more > 0 else "; ".join(told)
