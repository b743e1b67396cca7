"""What was odd about shards, counted by kind: a shard may hold a million members that are odd in the same way."""

from ocrtune.records import Finding, Severity


class Notes:
    """Gathers findings of a kind into one that names the first place."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Finding] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, code: str, severity: Severity, message: str, *, where: str, hint: str = "") -> None:
        """Note one place; the first one of each code and message is named."""
        key = code, message
        self._counts[key] = self._counts.get(key, 0) + 1
        if key not in self._first:
            self._first[key] = Finding(code=code, severity=severity, message=message, where=where, hint=hint)

    def findings(self) -> list[Finding]:
        """One for each kind, in the order in which they came."""
        return [
            Finding(
                code=finding.code,
                severity=finding.severity,
                message=finding.message,
                where=finding.where,
                hint=finding.hint,
                count=self._counts[key],
            )
            for key, finding in self._first.items()
        ]
