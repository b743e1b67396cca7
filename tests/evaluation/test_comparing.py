import json
import random

import pytest

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import (
    compare,
    evaluate,
    find_normalization,
    read_side,
    write_comparison,
    write_evaluation,
    write_predictions,
)
from ocrtune.records import Prediction
from ocrtune.sources import read_pages, write_jsonl


def spoil(text: str, rate: float, chance: random.Random) -> str:
    return "".join(
        chance.choice(["", letter * 2, "e"]) if chance.random() < rate else letter for letter in text
    )


@pytest.fixture
def sides(tmp_path):
    """Two readings of the sample lines: B has fewer errors, but ran away on one page and lost another."""
    chance = random.Random(0)
    pages = read_pages("builtin")
    a = [Prediction(image=page.name, text=spoil(page.text, 0.08, chance)) for page in pages]
    b = [Prediction(image=page.name, text=spoil(page.text, 0.05, chance)) for page in pages]
    b[9] = Prediction(image=pages[9].name, text="the river " * 300, num_tokens=600, truncated=True)
    write_predictions(tmp_path / "base.jsonl", a[:-1])
    write_predictions(tmp_path / "tuned.jsonl", b[1:])
    return tmp_path / "base.jsonl", tmp_path / "tuned.jsonl"


def test_the_better_side_is_told_with_how_sure_that_is(sides):
    found = compare("builtin", *sides)
    assert found.names == ("base", "tuned")
    clipped = found.differences.rates["cer"]["clipped"]
    assert clipped.value == pytest.approx(found.b.cer.clipped - found.a.cer.clipped)
    assert clipped.interval.low < clipped.value < clipped.interval.high < 0
    assert clipped.b_is_better > 0.99
    assert found.differences.rates["cer"]["micro"].value > 0
    assert found.explanations[0] == ""
    assert found.explanations[1].startswith("1 of 255 pages ran away")


def test_pages_are_sorted_by_what_changed(sides):
    found = compare("builtin", *sides)
    assert found.worse[0].page.name == read_pages("builtin")[9].name
    for pages, sign in ((found.worse, 1), (found.better, -1)):
        changes = [sign * pair.difference for pair in pages]
        assert changes == sorted(changes, reverse=True)
        assert min(changes) > 0
    assert len(found.worse) + len(found.better) < len(found.pairs) == 255


def test_pages_that_one_side_has_alone_are_told_and_not_compared(sides):
    found = compare("builtin", *sides)
    names = [page.name for page in read_pages("builtin")]
    assert (found.only_a, found.only_b, found.neither) == ((names[0],), (names[-1],), ())
    told = [(finding.code, finding.severity, finding.where) for finding in found.findings]
    assert told == [
        ("prediction-missing", "warning", names[-1]),
        ("prediction-missing", "warning", names[0]),
    ]
    assert "'base' has not read the page" in found.findings[0].message


def test_swapped_sides_are_the_same_comparison_the_other_way_round(sides):
    there, back = (
        compare("builtin", *sides, by=["document"]),
        compare("builtin", *reversed(sides), by=["document"]),
    )
    assert (there.a, there.b) == (back.b, back.a)
    assert [pair.page.name for pair in there.worse] == [pair.page.name for pair in back.better]
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    for one, other in zip(there.slices, back.slices, strict=True):
        assert (one.value, one.a, one.b) == (other.value, other.b, other.a)
        macro, mirrored = (each.differences.rates["cer"]["macro"] for each in (one, other))
        assert macro.value == -mirrored.value
        if one.pages > 1:
            assert macro.b_is_better == pytest.approx(1 - mirrored.b_is_better)


def test_a_side_compared_with_itself_is_neither_better_nor_worse(sides):
    found = compare("builtin", sides[0], sides[0])
    assert len(set(found.names)) == 2
    assert found.better == found.worse == []
    for difference in found.differences.rates["cer"].values():
        assert (difference.value, difference.b_is_better) == (0, 0.5)


def test_any_engine_may_be_the_other_side(sides, tmp_path):
    (tmp_path / "tesseract").mkdir()
    for page in list(read_pages("builtin"))[:40]:
        stem = page.name.removeprefix("images/").removesuffix(".png")
        (tmp_path / "tesseract" / f"{stem}.txt").write_text(page.text + "\n", encoding="utf-8")
    found = compare("builtin", sides[0], read_side(tmp_path / "tesseract", name="Tesseract 5"))
    assert found.names == ("base", "Tesseract 5")
    assert (len(found.pairs), found.b.exact_rate) == (40, 1)
    assert [finding.count for finding in found.findings] == [1, 217]


def test_sides_without_a_common_page_or_name_are_errors(sides, tmp_path):
    pages = read_pages("builtin")
    write_predictions(tmp_path / "one.jsonl", [Prediction(image=pages[0].name, text="a")])
    write_predictions(tmp_path / "other.jsonl", [Prediction(image=pages[1].name, text="a")])
    write_predictions(tmp_path / "strange.jsonl", [Prediction(image="nowhere.png", text="a")])
    with pytest.raises(EvaluationError, match="'one' and 'other' have no page in common"):
        compare("builtin", tmp_path / "one.jsonl", tmp_path / "other.jsonl")
    with pytest.raises(EvaluationError, match="none of 1 predictions") as caught:
        compare("builtin", sides[0], tmp_path / "strange.jsonl")
    assert caught.value.where.endswith("strange.jsonl")


def test_a_comparison_is_written_with_all_that_a_report_needs(sides, tmp_path):
    names = [find_normalization(name) for name in ("trim", "fold")]
    found = compare("builtin", *sides, normalization=names[0], also=names[1:], by=["document"])
    write_comparison(
        tmp_path / "out", found, reference="builtin", a=sides[0], b=sides[1], command="ocrtune …"
    )
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (written["kind"], written["version"], written["pages"]) == ("comparison", 1, 255)
    assert [side["name"] for side in written["sides"]] == ["base", "tuned"]
    assert written["sides"][1]["confusions"]["pages_left_out"] >= 1
    assert written["normalizations"][0]["differences"]["rates"]["cer"]["clipped"]["value"] < 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "pages.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == [pair.page.name for pair in found.pairs]
    worst = max(rows, key=lambda row: row["difference"])
    assert worst["b"]["runaway"]
    assert worst["b"]["truncated"]
    assert worst["b"]["repeated"]
    assert worst["pictures"][0].endswith("images/p1_009.png")
    assert worst["columns"]["document"] == worst["document"] == "1"
    assert {"prediction", "char_edits", "num_reference_words", "cer", "grapheme_cer"} <= worst["a"].keys()


def test_an_evaluation_is_written_so_that_its_numbers_can_be_made_from_its_pages(sides, tmp_path):
    found = evaluate(sides[1], "builtin")
    write_evaluation(tmp_path / "out", found, reference="builtin", predictions=sides[1])
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "out" / "pages.jsonl").read_text().splitlines()]
    edits, chars = sum(row["char_edits"] for row in rows), sum(row["num_reference_chars"] for row in rows)
    assert written["cer"]["micro"] == pytest.approx(edits / chars)
    assert written["exact_rate"] == pytest.approx(sum(row["exact"] for row in rows) / len(rows))
    assert written["findings"][0]["code"] == "prediction-missing"
    assert set(written["versions"]) == {"ocrtune", "python", "rapidfuzz", "regex", "numpy"}


def test_a_reference_with_broken_json_columns_does_not_stop_a_comparison(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "a.png", "text": "abc", "shelf": {"x": 1}}])
    write_predictions(tmp_path / "p.jsonl", [Prediction(image="a.png", text="abd")])
    found = compare(str(tmp_path / "m.jsonl"), tmp_path / "p.jsonl", tmp_path / "p.jsonl", by=["shelf"])
    assert found.columns["shelf"] == [""]
    assert found.differences.rates["cer"]["micro"].b_is_better is None


def test_structures_are_compared_over_the_pages_that_have_them(tmp_path):
    table = "<table><tr><td>a</td><td>1</td></tr></table>"
    rows = [{"image": f"{n}.png", "text": f"{table}\n\nline {n}"} for n in range(12)]
    write_jsonl(tmp_path / "m.jsonl", [*rows, {"image": "plain.png", "text": "no table"}])
    spoilt = [{**row, "text": row["text"].replace("<td>1</td>", "")} for row in rows]
    swapped = [{**row, "text": "\n\n".join(row["text"].split("\n\n")[::-1])} for row in rows]
    for name, found in (("a", spoilt), ("b", swapped)):
        write_jsonl(tmp_path / f"{name}.jsonl", [*found, {"image": "plain.png", "text": "no"}])
    there = compare(str(tmp_path / "m.jsonl"), tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    back = compare(str(tmp_path / "m.jsonl"), tmp_path / "b.jsonl", tmp_path / "a.jsonl")
    teds, order = there.structures["teds"], there.structures["order_ned"]
    assert (teds.a, teds.b, teds.pages, teds.num_units) == (pytest.approx(2 / 3), 1.0, 12, 12)
    assert teds.difference.value == pytest.approx(1 / 3)
    assert teds.difference.interval.low == pytest.approx(1 / 3) == teds.difference.interval.high
    assert (teds.difference.b_is_better, order.difference.b_is_better) == (1.0, 0.0)
    assert (order.higher_is_better, order.difference.value) == (False, 1.0)
    assert back.structures["teds"].difference.b_is_better == 0.0
    assert back.structures["teds"].difference.value == -teds.difference.value
    assert there.as_dict()["structures"]["teds"]["pages"] == 12
