import pytest

from ocrtune.transcription.answers import read_answer, read_boxes

SIZE = (999, 999)


@pytest.mark.parametrize(
    "loop",
    [
        "<|ref|>a<|/ref|><|det|>",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]",
        "<|ref|>a<|/ref|>",
        "<|ref|>",
        "<|det|>",
    ],
)
def test_an_answer_that_loops_over_marks_without_an_end_is_read_at_once(loop):
    # Each mark once looked for its end behind all the others: time went with the cube of the length, hours of this one.
    found = read_answer(loop * 5000, SIZE)
    assert found.is_grounded
    assert all("<|" not in (line.text or "") for region in found.regions for line in region.lines)


def test_a_whole_mark_behind_a_torn_one_is_read():
    torn = "<|ref|>title<|/ref|><|det|>[[1, 2,\n<|ref|>text<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>\nRain"
    (box,) = read_boxes(torn, SIZE)
    assert (box.label, box.text, box.box) == ("text", "Rain", (10, 20, 30, 40))
    same_line = torn.replace("\n<|ref|>text", "<|ref|>text")
    assert read_boxes(same_line, SIZE) == (box,)
