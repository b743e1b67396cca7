import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import EvaluationError
from ocrtune.evaluation.fact_checks import Fact, simplify, why_not
from ocrtune.evaluation.fact_files import PageTexts
from ocrtune.evaluation.facts import FactOutcome, check_facts, rate_facts, write_failed

PAGE = """# The Siege

On the **4th of July**, the city’s garrison – thirty thousand men – laid down its arms.

| Corps | Men | Guns |
|---|---|---|
| XIII | 17,000 | 68 |
| XV | 15,500 | 46 |

By \\(v = \\frac{s}{t}\\) the march took $2t^{2}$ days.
"""


def fact(kind, **row) -> Fact:
    return Fact("a.pdf", 1, "a_1", kind, row)


def holds(kind, page=PAGE, **row) -> bool:
    return not why_not(fact(kind, **row), page)


def test_a_text_is_there_whatever_its_quotes_dashes_and_emphasis():
    assert holds("present", text="On the 4th of July, the city's garrison - thirty thousand men — laid")
    assert not holds("present", text="on the 4th of july")
    assert holds("present", text="on the 4th of july", case_sensitive=False)
    assert not holds("absent", text="On the 4th of July")
    assert holds("absent", text="page 17")


def test_as_many_differences_as_allowed_are_forgiven():
    assert not holds("present", text="the city's garrisom")
    assert holds("present", text="the city's garrisom", max_diffs=1)
    assert not holds("absent", text="the city's garrisom", max_diffs=1)
    assert not holds("present", text="the xity's garrisom", max_diffs=1)


def test_only_the_begin_and_the_end_are_looked_at_where_that_is_asked_for():
    assert holds("present", text="The Siege", first_n=12)
    assert holds("absent", text="The Siege", first_n=5)
    assert not holds("present", text="The Siege", last_n=20)
    assert holds("present", text="days.", last_n=6)
    assert holds("absent", text="laid down", first_n=20, last_n=20)


def test_a_page_shorter_than_the_text_does_not_have_it():
    assert not holds("present", page=" ", text="a long phrase")
    assert holds("absent", page=" ", text="a long phrase")


def test_one_text_comes_before_another():
    assert holds("order", before="The Siege", after="laid down")
    assert not holds("order", before="laid down", after="The Siege")
    assert holds("order", page="b a b", before="a", after="b")
    assert (
        why_not(fact("order", before="The Siege", after="gone"), PAGE)
        == "'gone' is not there with 0 differences or less"
    )
    assert holds("order", before="Tha Seige", after="lade down", max_diffs=3)
    assert not holds("order", before="lade down", after="Tha Seige", max_diffs=3)


@given(st.text("ab", min_size=3, max_size=5), st.text("ab ", max_size=30), st.integers(0, 2))
def test_a_text_that_stands_in_the_page_is_found_with_any_number_of_differences(wanted, around, max_diffs):
    page = f"{around}{wanted}{around[::-1]} END"
    assert holds("order", page=page, before=wanted, after="END", max_diffs=max_diffs)


def test_a_cell_has_the_neighbours_and_headings_that_a_fact_says():
    assert holds(
        "table", cell="15,500", up="17,000", left="XV", right="46", top_heading="Men", left_heading="XV"
    )
    assert holds("table", cell="XIII", down="XV", up="Corps")
    assert not holds("table", cell="15,500", up="Men")
    assert not holds("table", cell="15,501")
    assert holds("table", cell="15,501", max_diffs=1)
    assert not holds("table", cell="XV", ignore_markdown_tables=True)
    assert "`top_heading` of '46' is 'Guns', not 'Men'" in why_not(
        fact("table", cell="46", top_heading="Men"), PAGE
    )
    assert why_not(fact("table", cell="46"), "46") == "there is no table"


def test_cells_are_found_through_spans_of_html():
    page = '<table><tr><th colspan="2">Both</th></tr><tr><td>a</td><td>b</td></tr></table>'
    assert holds("table", page=page, cell="b", up="Both", left_heading="a")


def test_of_several_cells_with_the_text_one_must_fit():
    page = "<table><tr><td>a</td><td>1</td></tr><tr><td>b</td><td>1</td></tr></table>"
    assert holds("table", page=page, cell="1", left="b")
    assert not holds("table", page=page, cell="1", left="c")


def test_a_formula_is_there_as_a_whole_or_as_a_part_of_another():
    assert holds("math", math=r"v=\frac{s}{t}")
    assert holds("math", math=r"\frac st")
    assert holds("math", math="2 t^2")
    assert not holds("math", math="2 t^3")
    assert not holds("math", math="2 t^2", ignore_dollar_delimited=True)
    assert not holds("math", math=r"\fracst")


def test_a_page_is_not_blank_does_not_repeat_itself_and_keeps_its_script():
    assert holds("baseline")
    assert not holds("baseline", page="***\n--")
    assert not holds("baseline", page="a" + "ha " * 31)
    assert holds("baseline", page="a" + "ha " * 30)
    assert holds("baseline", page="a" + "ha " * 31, max_repeats=40)
    assert not holds("baseline", page="a 好 b")
    assert holds("baseline", page="a 好 b", check_disallowed_characters=False)
    assert holds("baseline", page="![a picture](a.png)", max_length=0, max_length_skips_image_alt_tags=True)
    assert not holds("baseline", page="![a picture](a.png)", max_length=3)


@given(st.text("a*_<b>/\n é’–", max_size=30))
def test_what_is_simplified_has_single_spaces_and_plain_signs(text):
    assert not set(simplify(text)) & set("\n’–")


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(number, kind="present", pdf="books/a.pdf", page=1, **rest):
    return {
        "pdf": pdf,
        "page": page,
        "id": f"f{number}",
        "type": kind,
        "max_diffs": 0,
        "checked": "verified",
        "url": None,
        **rest,
    }


@pytest.fixture
def facts(tmp_path):
    return write(
        tmp_path / "facts.jsonl",
        row(1, text="Siege"),
        row(2, text="July"),
        row(3, "absent", text="Siege"),
        row(4, "order", before="Siege", after="July", page=2),
        row(5, "footnote", marker="1"),
        row(6, text="x", checked="rejected"),
        row(7, "math", math="x", pdf="b.pdf"),
    )


def test_facts_are_rated_by_type_and_by_document_and_failed_ones_say_why(facts):
    result = check_facts(facts, {"books/a.pdf#1": PAGE, "books/a.pdf#2": PAGE})
    assert {kind: (rate.held, rate.count) for kind, rate in result.by_type().items()} == {
        "present": (2, 2),
        "absent": (0, 1),
        "order": (1, 1),
        "math": (0, 1),
    }
    assert {name: rate.rate for name, rate in result.by_document().items()} == {
        "books/a.pdf": 0.75,
        "b.pdf": 0,
    }
    assert [(outcome.fact.id, outcome.why) for outcome in result.failed()] == [
        ("f3", "'Siege' is there: a passage is 1.000 alike"),
        ("f7", "the page has no prediction"),
    ]
    assert {finding.code: finding.where for finding in result.findings} == {
        "prediction-missing": "b.pdf#1",
        "fact-type-unknown": "facts.jsonl: f5",
        "fact-rejected": "facts.jsonl: f6",
    }
    printed = json.loads(json.dumps(result.as_dict()))
    assert printed["overall"]["rate"] == 3 / 5
    assert printed["failed"][0]["why"] == "'Siege' is there: a passage is 1.000 alike"


def test_the_written_facts_that_failed_can_be_checked_again(facts, tmp_path):
    result = check_facts(facts, {"a.pdf#1": PAGE, "a.pdf#2": PAGE})
    write_failed(tmp_path / "failed.jsonl", result)
    again = check_facts(tmp_path / "failed.jsonl", {"a.pdf#1": "Nothing of it.", "b.md": "so $x$"})
    assert [outcome.holds for outcome in again.outcomes] == [True, True]


def test_a_folder_of_facts_has_the_mean_of_its_files_and_baselines_of_its_documents(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    write(folder / "one.jsonl", row(1, text="Siege"), row(2, text="gone"), row(3, text="gone"))
    write(folder / "two.jsonl", row(1, text="July"))
    result = check_facts(folder, {"a.md": PAGE}, add_baseline=True)
    assert {name: rate.rate for name, rate in result.by_file().items()} == {
        "one": 1 / 3,
        "two": 1,
        "baseline": 1,
    }
    assert result.mean_of_files == pytest.approx(7 / 9)
    assert result.overall.rate == 3 / 5


def test_predictions_are_read_from_jsonl_and_from_folders_as_olmocr_bench_has_them(tmp_path, facts):
    write(
        tmp_path / "p.jsonl",
        {"image": "books/a.pdf#1", "text": PAGE},
        {"image": "books/a.pdf#2", "text": PAGE},
    )
    folder = tmp_path / "engine"
    for number in (1, 2):
        path = folder / "books" / f"a_pg{number}_repeat1.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE, encoding="utf-8")
    rates = [check_facts(facts, predictions).by_type() for predictions in (tmp_path / "p.jsonl", folder)]
    assert rates[0] == rates[1]


def test_a_fact_is_kept_if_most_attempts_keep_it(tmp_path):
    facts = write(tmp_path / "f.jsonl", row(1, text="yes", pdf="a.pdf"))
    texts = {f"a_pg1_repeat{number}.md": text for number, text in enumerate(["yes", "no", "yes"])}
    assert check_facts(facts, texts).overall.rate == 1
    texts["a_pg1_repeat9.md"] = "no"
    assert check_facts(facts, texts).overall.rate == 0


def test_pages_are_found_by_their_names():
    texts = PageTexts(
        [
            ("vol/a.pdf#3", "one"),
            ("a_pg2.png", "two"),
            ("x/b.png", "three"),
            ("y/b.png", "four"),
            ("c.d.md", "five"),
        ]
    )
    assert texts.of("vol/a.pdf", 3) == texts.of("a.pdf", 3) == ["one"]
    assert texts.of("a.pdf", 2) == ["two"]
    assert texts.of("b.pdf", 1) == []  # two folders have it, and nobody knows which is meant
    assert texts.of("x/b.pdf", 1) == ["three"]
    assert texts.of("c.d.pdf", 1) == ["five"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"page": 0}, "`page` is 0"),
        ({"pdf": None}, "no `pdf`"),
        ({"text": None}, "no `text`"),
        ({"text": " "}, "is blank"),
        ({"max_diffs": -1}, "`max_diffs` is -1"),
        ({"case_sensitive": "no"}, "`case_sensitive` is a string"),
        ({"type": "order", "before": "ab", "after": "cd", "max_diffs": 2}, "more than half"),
        ({"type": "table", "cell": "a", "up": 3}, "`up` is a number"),
    ],
)
def test_broken_facts_are_told_with_their_lines(tmp_path, broken, message):
    path = write(tmp_path / "f.jsonl", row(1, text="a"), {**row(2, text="a"), **broken})
    with pytest.raises(EvaluationError, match="line 2") as error:
        check_facts(path, {"a.md": "a"})
    assert message in str(error.value)


def test_files_that_are_not_there_and_pages_that_do_not_match_are_errors(tmp_path, facts):
    for path in (tmp_path / "none.jsonl", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(EvaluationError, match="no file of facts"):
            check_facts(path, {"a.md": "a"})
        with pytest.raises(EvaluationError):
            check_facts(facts, path)
    with pytest.raises(EvaluationError, match="none of 1 predictions"):
        check_facts(facts, {"z.md": "a"})
    with pytest.raises(EvaluationError, match="no fact that can be checked"):
        check_facts(write(tmp_path / "f.jsonl", row(1, "footnote")), {"a.md": "a"})


def outcomes(*documents: str):
    return [
        FactOutcome(Fact(f"{number}.pdf", 1, "a", "present", {}), "" if sign == "+" else "no")
        for number, signs in enumerate(documents)
        for sign in signs
    ]


def test_intervals_are_those_of_wilson_where_documents_agree():
    # 8 of 10: the interval that tables of Wilson's score give.
    rate = rate_facts(outcomes("++++++++--"))
    assert (rate.low, rate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    sure = rate_facts(outcomes("+" * 10))
    assert (sure.low, sure.high) == pytest.approx((0.7225, 1), abs=1e-4)


def test_intervals_are_wider_where_documents_hold_together():
    mixed, apart = rate_facts(outcomes(*["+-"] * 20)), rate_facts(outcomes(*["++", "--"] * 10))
    assert mixed.rate == apart.rate == 0.5
    assert apart.high - apart.low > 1.3 * (mixed.high - mixed.low)


@given(st.lists(st.text("+-", min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_rate_lies_in_its_interval(documents):
    rate = rate_facts(outcomes(*documents))
    assert 0 <= rate.low <= rate.rate <= rate.high <= 1


def test_a_fact_with_what_json_cannot_keep_is_told_before_anything_is_checked(tmp_path):
    row = '{"pdf": "a.pdf", "page": 1, "id": "x", "type": "present", "text": "siege", "score": NaN}'
    (tmp_path / "f.jsonl").write_text(row)
    with pytest.raises(EvaluationError, match="NaN"):
        check_facts(tmp_path / "f.jsonl", {"a.md": "nothing"})


def test_pictures_are_left_out_of_the_count_in_time_that_grows_with_the_text_alone():
    limit = {"max_length": 2, "max_length_skips_image_alt_tags": True}
    assert holds("baseline", "![a](b.png)ab![many [words](c.png)", **limit)
    assert not holds("baseline", "![a](" * 20_000, **limit)
