import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_pages import block_of, page

from ocrtune.evaluation import diff_spans
from ocrtune.reports.page_data import PACKED_ABOVE_BYTES, edit_ops, json_block
from ocrtune.reports.wording import show_controls

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def spans_of(reference, ops):
    """What the page's script makes of differences, as (kind, reference, prediction)."""
    found, at = [], 0
    for kept, left_out, put_in in zip(ops[::3], ops[1::3], ops[2::3], strict=True):
        if kept:
            found.append((reference[at : at + kept],) * 2)
        at += kept + left_out
        found.append((reference[at - left_out : at], put_in))
    if reference[at:]:
        found.append((reference[at:],) * 2)
    return found


@given(st.one_of(st.tuples(texts, texts), st.tuples(*[st.text("ab", min_size=6, max_size=14)] * 2)))
@example(("abcdefgh", "abxfgh"))
def test_differences_are_those_of_diff_spans(pair):
    reference, text = pair
    reading = page(None, reference, text).readings[0]
    ops = edit_ops(reference, reading)
    if isinstance(ops, str):
        assert ops == reading.text
        assert reading.cer > 0.5 or not reading.text
    else:
        wanted = page(None, reference, text)
        spans = [(span.reference, span.prediction) for span in diff_spans(wanted.reference, reading.text)]
        assert spans_of(wanted.reference, edit_ops(wanted.reference, reading)) == spans


@pytest.mark.parametrize(
    ("reference", "text", "ops"),
    [
        ("of Vicksburg", "of Vicksbung", [10, 1, "n"]),
        ("the siege", "the siege", []),
        ("abcdef", "xbxxxx", "xbxxxx"),
        ("abcdef", "xbcdxx", [0, 1, "x", 3, 2, "xx"]),
        ("abc", "", ""),
    ],
)
def test_a_reading_that_is_mostly_wrong_is_kept_whole(reference, text, ops):
    assert edit_ops(reference, page(None, reference, text).readings[0]) == ops


@given(st.text(st.characters(), max_size=60))
def test_no_text_ends_its_block(text):
    html = str(json_block("x", [show_controls(text)]))
    assert html.count("<") == 2
    assert block_of(html, "x") == [show_controls(text)]
    assert len(show_controls(text)) == len(text)


def test_a_large_block_is_packed_and_holds_the_same():
    value = ["</script>", "a day " * (PACKED_ABOVE_BYTES // 6)]
    html = str(json_block("x", value))
    assert len(html) < PACKED_ABOVE_BYTES / 50
    assert block_of(html, "x") == value
    assert block_of(str(json_block("x", value, pack=False)), "x") == value
