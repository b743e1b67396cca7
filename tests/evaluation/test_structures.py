from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation.structures import HIGHER_IS_BETTER, score_structures

PAGE = (
    "<|ref|>title<|/ref|><|det|>[[10, 10, 500, 60]]<|/det|>\n# Heat\n\n"
    "<|ref|>text<|/ref|><|det|>[[10, 80, 500, 200]]<|/det|>\nAs \\(E=mc^2\\) says, all is one.\n\n"
    "<|ref|>table<|/ref|><|det|>[[10, 220, 500, 400]]<|/det|>\n<table><tr><td>a</td><td>1</td></tr></table>"
)
pieces = st.lists(
    st.sampled_from(
        [
            "<table>",
            "<td>",
            "|",
            "-",
            "\n",
            "$",
            "x",
            "\\(",
            "\\)",
            "<|det|>",
            "[1, 2, 3, 4]",
            "<|/det|>",
            "{",
            '"',
        ]
    ),
    max_size=14,
).map("".join)


def test_each_page_gets_the_measures_that_it_calls_for():
    assert score_structures("A line of text.", "A line.") == {}
    assert score_structures("", "<table><tr><td>$x$") == {}
    assert list(score_structures("a $x$ b", "")) == ["formula_ned"]
    assert list(score_structures("One.\n\nTwo.", "")) == ["order_ned"]
    assert list(score_structures("| a |\n|---|\n| b |", "")) == ["teds", "teds_structure"]
    assert list(score_structures('{"a": "One.\\n\\nTwo. $x$"}', "")) == ["json_accuracy"]
    assert set(score_structures(PAGE, PAGE)) == set(HIGHER_IS_BETTER) - {"json_accuracy"}


@given(pieces, pieces)
def test_any_two_texts_can_be_scored_and_the_same_is_best(reference, prediction):
    assert all(0 <= value <= 1 for value in score_structures(reference, prediction).values())
    for name, value in score_structures(reference, reference).items():
        if name in {"box_f1", "box_label_f1"} and "<|det|>" in reference:
            continue  # a broken box of a prediction is wrong, also where the reference has it
        assert value == float(HIGHER_IS_BETTER[name])


def test_an_empty_answer_gets_the_worst_of_each():
    for name, value in score_structures(PAGE, "").items():
        assert value == float(not HIGHER_IS_BETTER[name])
