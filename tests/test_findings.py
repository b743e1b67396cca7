import pytest

from ocrtune.errors import ImageError
from ocrtune.records import Finding
from ocrtune.text import shorten


@pytest.mark.parametrize(("own", "told"), [("", "m.jsonl:3"), ("a.png", "a.png")])
def test_an_error_becomes_a_finding_with_its_own_place_before_any_other(own, told):
    error = ImageError("the image is empty", where=own, hint="export it anew")
    found = Finding.of_error(error, where="m.jsonl:3", severity="warning")
    assert (found.code, found.severity, found.where) == ("image", "warning", told)
    assert (found.message, found.hint, found.count) == ("the image is empty", "export it anew", 1)


@pytest.mark.parametrize(("text", "shown"), [("abc", "abc"), ("abcd", "abc…"), ("", "")])
def test_a_long_text_is_shown_by_its_begin(text, shown):
    assert shorten(text, 3) == shown
