import json
from dataclasses import replace

import pytest
from report_pages import page

from ocrtune.reports import read_report, render_report
from ocrtune.reports.explaining import explain_runaways, tell_verdict
from ocrtune.reports.markdown import markdown_summary
from ocrtune.reports.model_card import model_card
from ocrtune.reports.scores import Interval, Value, Verdict
from ocrtune.reports.summary_text import summary_text

LETTERS = "abcdefghij" * 10


def wrong(reference, edits):
    return "#" * edits + reference[edits:]


def test_one_runaway_page_of_200_lifts_15_to_48_percent_and_the_report_says_why(one_side):
    calm = [page(None, LETTERS, wrong(LETTERS, 15), name=f"{number}.png") for number in range(199)]
    wild = page(None, LETTERS, LETTERS + "and so on " * 657, name="wild.png")
    report = one_side(*calm, wild)
    card = report.cards[0]
    assert card.cer.micro.value == pytest.approx(0.478, abs=0.001)
    assert card.cer.clipped.value == pytest.approx(0.154, abs=0.001)
    [(side, sentence)] = explain_runaways(report)
    assert side == "read"
    told = sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 page of 200 ran away: 6,669 characters where 100 stand" in told
    assert "alone lifts it to 47.8 %; without it micro is 15.0 %" in told
    assert "The page in the middle has 15.0 %, and with no page above 100 % the mean is 15.4 %" in told


def test_nothing_is_explained_where_no_page_ran_away_or_most_did(one_side):
    calm = [page(None, LETTERS, wrong(LETTERS, 5), name=f"{number}.png") for number in range(9)]
    assert list(explain_runaways(one_side(*calm))) == []
    right = [page(None, LETTERS, LETTERS, name=f"r{number}.png") for number in range(9)]
    (reading,) = right[0].readings
    cut_but_right = replace(right[0], readings=(replace(reading, runaway=True),))
    assert list(explain_runaways(one_side(cut_but_right, *right[1:]))) == []
    wild = [page(None, "a", "and so on", name=f"w{number}.png") for number in range(9)]
    assert list(explain_runaways(one_side(*calm, *wild))) == []


def verdict(difference, low, high, probability, **drawn):
    return tell_verdict(
        Verdict(
            measure="micro CER",
            difference=Value(value=difference, interval=Interval(low=low, high=high)),
            probability=probability,
            **drawn,
        ),
        ("base", "tuned"),
    ).replace("\N{NO-BREAK SPACE}", " ")


def test_what_is_sure_is_said_plainly():
    assert verdict(-0.054, -0.088, -0.028, 1.0) == (
        "tuned is better than base by 5.4 points of micro CER (95 % interval 2.8 to 8.8). "
        "That tuned is the better one has a probability of more than 99.9 %."
    )
    assert verdict(0.02, 0.01, 0.03, 0.0).startswith("base is better than tuned by 2.0 points")


def test_what_is_not_sure_is_said_not_to_be():
    assert verdict(0.02, -0.01, 0.05, 0.2) == (
        "It is not sure which is better: tuned has 2.0 points more of micro CER than base "
        "(95 % interval \N{MINUS SIGN}1.0 to +5.0). That tuned is the better one has a probability of 20.0 %."
    )


def test_few_documents_that_agree_are_not_called_certain():
    told = verdict(-0.054, -0.088, -0.028, 1.0, unit="document", num_units=3)
    assert told == (
        "On these pages tuned is better than base by 5.4 points of micro CER (95 % interval 2.8 to 8.8). "
        "But 3 documents are few: intervals are wider and chances less sure than told, and others may tell otherwise."
    )
    many = verdict(-0.054, -0.088, -0.028, 1.0, unit="document", num_units=30)
    assert "more than 99.9 %" in many
    assert "better one on this document has" in verdict(-0.05, -0.08, -0.02, 1.0, unit="page", num_units=30)


def test_a_comparison_of_few_documents_boasts_in_no_format(comparison):
    path = comparison / "comparison.json"
    result = json.loads(path.read_text())
    result["differences"] |= {"unit": "document", "num_units": 2}
    result["differences"]["rates"]["cer"]["micro"]["b_is_better"] = 1.0
    path.write_text(json.dumps(result))
    report = read_report(comparison)
    for write in (render_report, summary_text, markdown_summary, model_card):
        told = write(report)
        assert "But 2 documents are few" in told
        assert "99.9" not in told
