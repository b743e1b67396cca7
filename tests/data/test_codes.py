import re
from pathlib import Path

import pytest

import ocrtune
from ocrtune.data import CODES, severities
from ocrtune.errors import ConfigError
from ocrtune.records import Finding

PACKAGE = Path(ocrtune.__file__).parent
WRITTEN = re.compile(
    r'\bcode="([a-z0-9-]+)",?\s+severity|Finding\(\s*"([a-z0-9-]+)"'
    r'|(?:\badd|_note|_note_signs)\(\s*"([a-z]+(?:-[a-z]+)+)",\s*"(?:error|warning|note)"'
    r'|BrokenLine\([^()]*code="([a-z0-9-]+)"'
)


def test_every_code_that_the_package_writes_is_in_the_list():
    written = {
        code
        for path in PACKAGE.rglob("*.py")
        for found in WRITTEN.findall(path.read_text(encoding="utf-8"))
        for code in found
        if code
    }
    assert len(written) > 70
    assert written - set(CODES) == set()


def test_allowed_errors_become_warnings_and_nothing_else_changes():
    findings = [
        Finding(code="image", severity="error", message="a"),
        Finding(code="text-missing", severity="error", message="b"),
        Finding(code="image-repeated", severity="note", message="c"),
    ]
    allowed = severities(findings, ["image", "image-repeated"])
    assert [finding.severity for finding in allowed] == ["warning", "error", "note"]


def test_an_unknown_code_is_told_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"data\.allow: no finding has the code 'txt-missing', did you mean 'text-missing'"
    ):
        severities([], ["txt-missing"])
