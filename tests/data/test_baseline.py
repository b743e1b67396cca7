import json

import pytest

from ocrtune.data import check_uri
from ocrtune.data.baseline import Baseline
from ocrtune.errors import ManifestError
from ocrtune.sources import write_jsonl
from ocrtune.text import Normalization


@pytest.fixture
def texts(tmp_path):
    def write(texts):
        path = tmp_path / "m.jsonl"
        write_jsonl(path, [{"image": f"{n}.png", "text": text} for n, text in enumerate(texts)])
        return str(path)

    return write


def test_texts_far_from_another_reading_are_told_worst_first(texts, tmp_path):
    uri = texts(["the first line", "the second line", "quite another text", None, "nobody read this"])
    read = ["the first lime", "the  second line", "the third line", "x"]
    rows = [{"image": f"{n}.png", "text": text} for n, text in enumerate(read)]
    write_jsonl(tmp_path / "p.jsonl", reversed(rows))
    check = check_uri(uri, open_images=False, baseline=tmp_path / "p.jsonl")
    found = {finding.code: (finding.count, finding.where) for finding in check.findings}
    assert found["label-noise"] == (1, f"{uri}:3")
    assert found["baseline-missing"] == (1, f"{uri}:5")
    noisiest = check.statistics.noisiest
    assert [at.page for at in noisiest] == [2, 0]
    assert noisiest[1].value == pytest.approx(1 / 14, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "other", "rate"),
    [("two\nwords", "two  words", 0), ("abcd", "abxd", 0.25), ("", "", 0), ("", "ab", 2)],
)
def test_edits_are_counted_for_each_character_and_line_breaks_as_spaces(
    text, other, rate, make_page, tmp_path
):
    write_jsonl(tmp_path / "p.jsonl", [{"image": "a.png", "text": other}])
    found, _ = Baseline.read(tmp_path / "p.jsonl").compare(make_page("a.png", text), text, Normalization())
    assert found == rate


@pytest.mark.parametrize("line", ['{"image": "a"}', "[]", "no json"])
def test_a_broken_line_is_named(line, texts, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"image": "0.png", "text": "x"}) + "\n" + line + "\n")
    with pytest.raises(ManifestError) as caught:
        check_uri(texts(["a"]), open_images=False, baseline=path)
    assert caught.value.where == f"{path}:2"


def test_a_baseline_that_is_not_there_is_an_error(texts, tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        check_uri(texts(["a"]), open_images=False, baseline=tmp_path / "none.jsonl")
