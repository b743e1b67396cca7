import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation.formulas import find_formulas, formula_ned, tokens_of

latex = st.lists(
    st.sampled_from(["x", "{", "}", "^", r"\frac", r"\left(", r"\,", " ", "2", r"\\"]), max_size=12
).map("".join)
formulas = st.lists(latex, max_size=4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a $x^2$ b", ["x^2"]),
        ("$$\na\\\\[2pt] b\n$$", [r"a\\[2pt] b"]),
        (
            r"\( \alpha \) and \[ \begin{array}{c} 1 \\[2pt] 2 \end{array} \]",
            [r"\alpha", r"\begin{array}{c} 1 \\[2pt] 2 \end{array}"],
        ),
        ("it costs $5 and $10", []),
        ("$5 or $x$", ["x"]),
        ("from $10, $x^2$ follows", ["x^2"]),
        ("$ 3x^2 $ and $ y $", ["3x^2", "y"]),
        ("it is $ five or so $ now", []),
        (r"\$1 and \$2", []),
        ("$a\n\nb$", []),
        ("$unclosed", []),
        (r"\[ open \[ x \]", ["x"]),
        ("$$ $$", []),
    ],
)
def test_formulas_are_found_between_their_delimiters_and_sums_of_money_are_none(text, found):
    assert find_formulas(text) == found


def test_dollars_can_be_left_alone():
    assert find_formulas(r"$a$ \(b\) $$c$$", dollars=False) == ["b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"x^{2}", "x^2"),
        (r"\left( a \right)", "(a)"),
        (r"a\,b\quad c", "abc"),
        (r"{{ab}}", "ab"),
        (r"\frac{a}{b}", r"\frac ab"),
        (r"\begin {array} x", r"\begin{array}x"),
    ],
)
def test_what_makes_no_difference_on_the_page_makes_none_here(one, other):
    assert tokens_of(one) == tokens_of(other)
    assert formula_ned([one], [other]) == 0


def test_braces_that_say_something_stay():
    assert tokens_of(r"x^{ab}") == ["x", "^", "{", "a", "b", "}"]
    assert tokens_of("{a}b{c") == ["a", "b", "{", "c"]
    assert tokens_of("}x{") == ["}", "x", "{"]


def test_edits_are_counted_in_tokens_over_all_formulas():
    assert formula_ned([r"\alpha + b"], [r"\beta + b"]) == pytest.approx(1 / 3)
    assert formula_ned(["abc", "xy"], ["xy"]) == pytest.approx(3 / 5)
    assert formula_ned(["abc"], ["abd", "abc"]) == pytest.approx(3 / 6)
    assert formula_ned(["abc"], []) == 1


@given(formulas, formulas)
def test_the_distance_is_between_0_and_1_and_0_for_the_same(one, other):
    assert formula_ned(one, one) == 0
    assert 0 <= formula_ned(one, other) <= 1


@given(latex, latex)
def test_the_distance_of_two_formulas_is_symmetric(one, other):
    assert formula_ned([one], [other]) == formula_ned([other], [one])


def test_a_formula_that_says_nothing_is_none():
    assert formula_ned(["{}", "x"], ["x", "{}"]) == 0


@given(latex)
def test_tokens_written_side_by_side_are_the_same_tokens(formula):
    assert tokens_of(" ".join(tokens_of(formula))) == tokens_of(formula)
