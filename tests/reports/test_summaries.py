import re
from dataclasses import replace

import yaml
from report_pages import page

from ocrtune.records import Finding
from ocrtune.reports import read_report
from ocrtune.reports.markdown import markdown_summary, plain
from ocrtune.reports.model_card import front_matter, model_card
from ocrtune.reports.summary_text import summary_text

HOSTILE = "](http://x) <img src=x> | `a` @someone **b**\n# c\x1b[31m"


def spaced(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_text_tells_every_side_with_its_interval_and_the_worst_pages(comparison):
    text = summary_text(read_report(comparison))
    assert re.search(r"CER base +12\.3 % \(11\.2–14\.6 %\) +12\.4 % +12\.5 % +12\.6 %", text)
    assert re.search(r"CER tuned +4\.6 % \(3\.5–6\.8 %\)", text)
    assert "tuned is better than base by 7.8 points" in text
    assert "pages that tuned reads worse than base\n  0.0 % → 14.3 %  2.png" in text
    assert "normalised: unicode NFC, whitespace trim, case keep" in text


def test_a_terminal_gets_no_control_characters(one_side):
    report = replace(one_side(page(None, "ab", "x", name="\x1b[31m.png")), title="a\x1b]0;b")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", summary_text(report))


def test_markdown_tells_the_change_and_folds_the_rest(comparison):
    text = spaced(markdown_summary(read_report(comparison)))
    assert "**CER 12.3 % (11.2–14.6 %) → 4.6 % (3.5–6.8 %)**" in text
    assert text.count("<details>") == text.count("</details>") > 1
    assert "| CER | tuned | 4.6 % (3.5–6.8 %) | 4.7 % | 4.8 % | 4.9 % |" in text
    for row in (line for line in text.splitlines() if line.startswith("|")):
        assert row.endswith("|")


def test_hostile_texts_make_no_links_html_rows_or_mentions_in_markdown(one_side):
    report = replace(
        one_side(page(None, HOSTILE, f"{HOSTILE}x", name=HOSTILE)),
        title=HOSTILE,
        findings=(Finding(code="x", severity="note", message=HOSTILE),),
    )
    for text in (markdown_summary(report), model_card(report).split("---\n\n")[1]):
        assert "<img" not in text.replace("\\<img", "")
        assert not re.search(r"(?<!\\)\]\(", text)
        assert "@someone" not in text
        assert "http://" not in text
        assert "\n# c" not in text
        assert "\x1b" not in text
    assert plain("a|b") == "a\\|b"


def test_a_card_is_valid_yaml_with_the_numbers_and_leaves_the_licence_to_the_user(report):
    card = model_card(report)
    front = yaml.safe_load(card.split("---\n")[1])
    assert front == front_matter(report)
    assert front["license"] == "CHOOSE"
    assert "license: CHOOSE  # yours to choose" in card
    assert front["base_model"] == "deepseek-ai/DeepSeek-OCR"
    [result] = front["model-index"][0]["results"]
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]][:1] == [
        ("cer", round(report.cards[-1].cer.micro.value, 6))
    ]
    assert "unicode NFC, whitespace trim, case keep" in result["metrics"][0]["name"]


def test_a_card_has_the_prompt_that_was_learned_and_no_path_of_a_machine(comparison, report):
    assert '"<image>\\nFree OCR."' in model_card(report)
    card = model_card(read_report(comparison))
    assert str(comparison.parent) not in card
    assert "95 % interval 0.0345 to 0.0678" in card
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "CHOOSE"


def test_a_card_with_hostile_names_is_still_valid_yaml(report):
    hostile = replace(report, title='a: "b\n---\n\x00', dataset="- x: {", base_model="a/b\n: c")
    front = yaml.safe_load(model_card(hostile).split("\n---\n")[0].removeprefix("---\n"))
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == "- x: {"
