import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from ocrtune.data import check_dataset, check_uri, collecting
from ocrtune.data.collecting import collect_facts
from ocrtune.data.facts import Rules
from ocrtune.data.journal import Journal
from ocrtune.data.vocabulary import Vocabulary
from ocrtune.errors import SourceError
from ocrtune.families import get_family
from ocrtune.records import EncodedImage, Finding, Page
from ocrtune.sources import read_pages, write_jsonl


@dataclass(frozen=True)
class Counts:
    image_tokens: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    text_tokens: int | None


@dataclass(frozen=True)
class ThreeLetters:
    """A budget in which three letters are a token."""

    most: int = 3

    def count(self, page, sizes):
        tiles = tuple((width // 20, height // 10) for width, height in sizes)
        return Counts((100,) * len(sizes), tiles, len(page.text or "") // 3)

    def check(self, page, pictures):
        if len(page.text or "") // 3 > self.most:
            yield Finding(code="sequence-too-long", severity="error", message="too long", where=page.where)

    def count_vocabulary(self, text):
        """Every digit is lost."""
        lost = Counter(letter for letter in text if letter.isdigit())
        return Vocabulary(
            characters=Counter(Latin=len(text)), tokens=Counter(Latin=len(text) // 3), lost=lost
        )


RULES = Rules(family=get_family("deepseek_ocr"), budget=ThreeLetters(), keyed=True)


@pytest.fixture
def at_once(monkeypatch):
    """Other processes are started behind the first chunk, however little there is to do."""
    monkeypatch.setattr(collecting, "STARTING_S", 0.0)
    monkeypatch.setitem(collecting.PAGES_A_CHUNK, "pixels", 4)


def same(one, other) -> bool:
    return (
        one.pages.tobytes() == other.pages.tobytes()
        and one.pictures.tobytes() == other.pictures.tobytes()
        and one.suffixes == other.suffixes
        and one.gathered.as_dict() == other.gathered.as_dict()
        and one.vocabulary == other.vocabulary
    )


@pytest.fixture
def mixed(picture, make_page):
    """Sound pages, repeated ones, one without image, one without text."""
    pages = [make_page(f"{n}.png", f"text {n}", images=[picture(f"{n}.png", n % 9)]) for n in range(12)]
    return [*pages, make_page("gone.png", "x"), make_page("t", None, images=[picture("t.png", 50)])]


def test_several_processes_find_what_one_finds(mixed, at_once):
    one = collect_facts(mixed, RULES, workers=1)
    assert len(one.pages) == 14
    assert sum(one.vocabulary.lost.values()) == 14
    assert [finding.code for finding in one.vocabulary.findings()] == ["character-unknown"]
    assert same(one, collect_facts(mixed, RULES, workers=2))


def test_a_page_that_ends_the_process_is_a_finding_and_the_others_are_looked_at(mixed, at_once):
    mixed[9] = Page(name="evil", images=(EncodedImage(name="evil", read=os.abort),), text="x", where="m:9")
    facts = collect_facts(mixed, RULES, workers=2)
    found = {finding.code: finding for finding in facts.gathered.findings()}
    assert found["page-crash"].where == "m:9"
    assert found["page-crash"].count == 1
    assert facts.gathered.worst()["image"] == (12,)
    assert (facts.pages["pictures"] != 0).sum() == 12


def test_where_no_process_can_be_started_this_one_does_it_all(mixed, at_once, monkeypatch, capsys):
    monkeypatch.setattr(collecting, "_ready", os.abort)
    facts = collect_facts(mixed, RULES, workers=2)
    assert same(facts, collect_facts(mixed, RULES, workers=1))
    assert "__main__" in capsys.readouterr().err


def test_each_page_is_asked_for_and_none_is_kept():
    @dataclass
    class Lazy:
        asked: int = 0

        def __len__(self):
            return 2000

        def __getitem__(self, index):
            self.asked += 1
            return Page(name=str(index), images=(), text=f"text {index}", document=str(index % 7))

    lazy = Lazy()
    assert check_dataset(lazy, open_images=False) == []
    assert lazy.asked == 2000


def journaled(pages, path, rules=RULES):
    return collect_facts(pages, rules, workers=1, journal=Journal(path, str(rules)))


def test_finished_pages_are_not_looked_at_again(mixed, tmp_path, at_once, monkeypatch):
    path = tmp_path / "j"
    whole = journaled(mixed, path)
    monkeypatch.setattr(collecting, "look_at_pages", None)
    assert same(whole, journaled(mixed, path))


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_line_that_was_cut_off_is_done_again(cut, mixed, tmp_path, at_once):
    path = tmp_path / "j"
    whole = journaled(mixed, path)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert len(Journal(path, str(RULES))) == 3
    assert same(whole, journaled(mixed, path))
    assert path.read_bytes() == content


def test_from_a_line_that_the_disk_spoiled_all_is_done_again(mixed, tmp_path, at_once):
    path = tmp_path / "j"
    whole = journaled(mixed, path)
    lines = path.read_bytes().splitlines(keepends=True)
    spoiled = lines[2].replace(b'"first": 4', b'"first": 5')
    path.write_bytes(b"".join([*lines[:2], spoiled, *lines[3:]]))
    assert len(Journal(path, str(RULES))) == 1
    assert same(whole, journaled(mixed, path))


def test_changed_pages_and_mended_images_are_looked_at_again(mixed, picture, tmp_path, at_once):
    path = tmp_path / "j"
    journaled(mixed, path)
    picture("gone.png", 77)
    mixed[12] = Page(name="gone.png", images=(tmp_path / "gone.png",), text="x", where="m")
    facts = journaled(mixed, path)
    assert "image" not in {finding.code for finding in facts.gathered.findings()}
    (tmp_path / "0.png").write_bytes(b"broken")
    assert facts.gathered.worst().get("image") is None
    assert journaled(mixed, path).gathered.worst()["image"] == (0,)


def test_the_journal_of_another_check_is_refused(mixed, tmp_path):
    path = tmp_path / "j"
    journaled(mixed, path)
    with pytest.raises(SourceError, match="belongs to a check of"):
        journaled(mixed, path, Rules(keyed=True))
    path.write_text("no journal\n")
    with pytest.raises(SourceError, match="no journal"):
        Journal(path, "")


CHECK = """
import json, sys, time
from ocrtune.data import check_uri, collecting
collecting.STARTING_S = 0
collecting.PAGES_A_CHUNK["pixels"] = 2
look = collecting.look_at_pages
def look_slowly(pages, rules):
    time.sleep(0.05)
    return look(pages, rules)
collecting.look_at_pages = look_slowly
if __name__ == "__main__":
    from pathlib import Path
    check = check_uri(sys.argv[1], journal=Path(sys.argv[2]), workers=int(sys.argv[3]))
    print(json.dumps(check.as_dict()))
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_check_that_was_killed_goes_on_and_finds_the_same(workers, tmp_path, picture):
    rows = [{"image": f"{n}.png", "text": f"text {n % 25}"} for n in range(60)]
    for n in range(60):
        picture(f"{n}.png", n % 55)
    write_jsonl(tmp_path / "m.jsonl", [*rows, {"image": "gone.png", "text": None}])
    script, journal = tmp_path / "check.py", tmp_path / "journal"
    script.write_text(CHECK)
    command = [sys.executable, str(script), str(tmp_path / "m.jsonl"), str(journal), workers]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 8):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = journal.read_bytes().count(b"\n")
    resumed = subprocess.run(command, capture_output=True, check=True)
    whole = check_uri(str(tmp_path / "m.jsonl"), workers=1)
    assert 8 <= done < 30
    assert json.loads(resumed.stdout) == json.loads(json.dumps(whole.as_dict()))


@pytest.mark.parametrize("open_images", [True, False])
def test_a_budget_counts_the_tokens_of_pages(open_images, tmp_path, picture):
    rows = [{"image": picture(f"{n}.png", n).name, "text": "x" * 3 * n} for n in range(1, 6)]
    write_jsonl(tmp_path / "m.jsonl", rows)
    check = check_uri(str(tmp_path / "m.jsonl"), budget=ThreeLetters(), open_images=open_images)
    assert [(finding.code, finding.count) for finding in check.findings] == [("sequence-too-long", 2)]
    statistics = check.statistics
    assert (statistics.vocabulary[0].characters, statistics.vocabulary[0].tokens) == (45, 15)
    assert (statistics.image_tokens.mean, statistics.tiles.mean) == (100, 6)
    assert (statistics.text_tokens.least, statistics.text_tokens.most) == (1, 5)
    assert [at.page for at in statistics.worst["sequence-too-long"]] == [3, 4]


def test_the_sample_pages_are_the_same_by_any_number_of_processes():
    pages = read_pages("builtin")[:64]
    facts = collect_facts(pages, Rules(), workers=1)
    assert np.array_equal(facts.pictures["page"], np.arange(64))
    assert facts.suffixes == {".png": 64}
