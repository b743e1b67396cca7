# ruff: noqa: RUF001 - letters that look alike are what this is about
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.config import Config
from ocrtune.errors import EvaluationError
from ocrtune.evaluation import evaluate_predictions, find_normalization, score_page
from ocrtune.evaluation.normalizations import PARTS
from ocrtune.records import Page, Prediction
from ocrtune.text import Normalization, normalize

MINIMAL = {"model": "builtin", "data": {"uri": "builtin"}}


def edits(reference: str, prediction: str, name: str) -> int:
    return score_page(reference, Prediction(image="a", text=prediction), find_normalization(name)).char_edits


@pytest.mark.parametrize(
    ("name", "reference", "prediction"),
    [
        ("collapse", "a\nb", "a b"),
        ("fold", "STRASSE", "straße"),
        ("compatible", "m²", "m2"),
        ("long-s", "Congreſs", "Congress"),
        ("u-v", "vniuersal", "universal"),
        ("i-j", "Iohn", "John"),
        ("ligatures", "ﬁne œconomy", "fine oeconomy"),
        ("dashes", "1861—65", "1861-65"),
        ("quotes", "“it’s” ‘so’", "\"it's\" 'so'"),
        ("quotes", "''so''", '"so"'),
        ("modern", "“Loue’s Labour’s loſt” – ﬂy", "\"Love's Labour's lost\" - fly"),
        ("fold+modern", "VNIVERSAL", "universal"),
        ("collapse+quotes+dashes", "“a”\n–", '"a" -'),
    ],
)
def test_each_name_makes_equal_what_it_says(name, reference, prediction):
    assert edits(reference, prediction, name) == 0
    assert edits(reference, prediction, "none") > 0


@pytest.mark.parametrize("name", sorted(PARTS))
@given(text=st.text("aſuvijVJﬁﬀĳæœÆŒ–—“”‘’''``\"'\n ß\u0301"))
def test_normalising_twice_by_a_name_changes_nothing_more(name, text):
    once = normalize(text, find_normalization(name))
    assert normalize(once, find_normalization(name)) == once


@given(st.text())
def test_trim_is_the_default_and_none_is_nothing(text):
    assert normalize(text, find_normalization("trim")) == normalize(text, Normalization())
    assert normalize(text, find_normalization("none")) == text


def test_a_user_has_pairs_and_patterns_of_his_own(tmp_path):
    (tmp_path / "own.tsv").write_text("# of 1750\nvnd\tund\n\nꝛc\tetc\n§\t\n", encoding="utf-8")
    (tmp_path / "rules.tsv").write_text(r"(\d) (\d)" + "\t" + r"\1\2" + "\n", encoding="utf-8")
    name = f"fold+pairs:{tmp_path}/own.tsv+regex:{tmp_path}/rules.tsv"
    assert edits("vnd § 10 000 ꝛc", "UND 10000 etc", name) == 0
    told = str(find_normalization(name))
    assert told.startswith(name)
    assert "pairs 3" in told
    assert r"'\\1\\2'" in told


def test_the_longest_pair_counts_and_nothing_is_replaced_twice(tmp_path):
    (tmp_path / "p+q.tsv").write_text("a\tb\nb\tc\nab\tx\n")
    assert normalize("ab a B", find_normalization(f"pairs:{tmp_path}/p+q.tsv+fold")) == "x b b"


@pytest.mark.parametrize(
    ("content", "problem"),
    [("a\n", "has no tab"), ("\tb\n", "has no tab"), ("(\tb\n", "no regular"), ("a\t\\1\n", "no regular")],
)
def test_a_broken_table_is_told_with_its_line(content, problem, tmp_path):
    (tmp_path / "t.tsv").write_text("ok\tfine\n" + content)
    with pytest.raises(EvaluationError, match=problem) as caught:
        find_normalization(f"regex:{tmp_path}/t.tsv")
    assert caught.value.where.endswith("t.tsv:2")


def test_an_unknown_name_or_file_is_an_error_that_helps(tmp_path):
    with pytest.raises(EvaluationError, match="no normalisation 'modren'") as caught:
        find_normalization("fold+modren")
    assert "did you mean 'modern'?" in caught.value.hint
    with pytest.raises(EvaluationError, match="cannot be read"):
        find_normalization(f"pairs:{tmp_path}/none.tsv")


def test_several_normalisations_are_rows_of_one_evaluation():
    found = evaluate_predictions(
        [Prediction(image="a", text="ABC")],
        [Page(name="a", images=(), text="abc")],
        normalization=find_normalization("trim"),
        also=[find_normalization("fold"), find_normalization("none")],
    )
    assert found.scorecard.cer.micro == 1
    rows = found.as_dict()["normalizations"]
    assert [(row["normalization"]["name"], row["cer"]["micro"]) for row in rows] == [
        ("fold", 0.0),
        ("none", 1.0),
    ]


def test_training_keeps_its_plain_normalisation():
    assert type(Config.model_validate(MINIMAL).evaluation.normalization) is Normalization
    assert set(Normalization().model_dump()) == {"unicode", "whitespace", "case"}


def test_a_pattern_that_runs_away_is_an_error_that_names_page_and_pattern(tmp_path, monkeypatch):
    monkeypatch.setattr("ocrtune.text.LONGEST_PATTERN_S", 0.05)
    (tmp_path / "t.tsv").write_text("(x+x+)+y\t\n")
    rule = find_normalization(f"regex:{tmp_path}/t.tsv")
    with pytest.raises(EvaluationError, match=r"'\(x\+x\+\)\+y' takes longer than 0.05 s") as caught:
        score_page("x" * 2000, Prediction(image="scans/7.png", text="x"), rule)
    assert caught.value.where == "scans/7.png"
