import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocrtune.data import check_splits
from ocrtune.data.splits import Splits
from ocrtune.data.splitting import PARTS, part_pages, write_split
from ocrtune.data.units import Likeness
from ocrtune.errors import SourceError
from ocrtune.records import EncodedImage, Page
from ocrtune.sources import read_pages, sample_path, write_jsonl


def source(sizes, prefix="d"):
    """Pages of documents of these sizes."""
    return [
        Page(name=f"{prefix}{number}-{page}.png", images=(), document=f"{prefix}{number}", text="x")
        for number, size in enumerate(sizes)
        for page in range(size)
    ]


def documents(parting, pages):
    found = {part: set() for part in PARTS}
    for page, part in zip(pages, parting.parts, strict=True):
        found[part].add(page.document)
    return found


@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=60),
    shares=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)),
    seed=st.integers(0, 99),
)
def test_no_document_is_cut_and_each_page_goes_somewhere(sizes, shares, seed):
    pages = source(sizes)
    parting = part_pages([pages], validation=shares[0], test=shares[1], seed=seed)
    assert None not in parting.parts
    assert sum(len(names) for names in documents(parting, pages).values()) == len(sizes)
    assert parting.num_pages["train"] > 0
    assert (parting.num_pages["validation"] > 0) == (shares[0] > 0)


def test_shares_count_pages_of_each_source():
    sizes = np.random.default_rng(0).integers(1, 12, 300)
    sources = [source(sizes), source(sizes[:120], "e")]
    parting = part_pages(sources, validation=0.1, test=0.2)
    start = 0
    for pages in sources:
        counts = Counter(parting.parts[start : start + len(pages)])
        assert counts["validation"] / len(pages) == pytest.approx(0.1, abs=0.01)
        assert counts["test"] / len(pages) == pytest.approx(0.2, abs=0.01)
        start += len(pages)


def test_a_large_document_is_passed_over_for_one_that_fits():
    pages = source([1000, *[1] * 1000])
    for seed in range(5):
        parting = part_pages([pages], validation=0.05, test=0.05, seed=seed)
        assert parting.num_pages == {"train": 1800, "validation": 100, "test": 100}


def test_documents_that_come_later_move_hardly_any_other():
    before, after = source([3] * 200), source([3] * 210)
    moved = 0
    for seed in range(10):
        old = documents(part_pages([before], seed=seed), before)
        new = documents(part_pages([after], seed=seed), after)
        moved += sum(len(old[part] - new[part]) for part in PARTS)
        assert not old["validation"] & new["test"]
        assert not old["test"] & new["validation"]
    assert moved <= 20


def test_the_seed_draws_and_the_order_of_pages_does_not():
    pages = source([2] * 50)
    drawn = {frozenset(documents(part_pages([pages], seed=seed), pages)["test"]) for seed in range(8)}
    assert len(drawn) == 8
    assert documents(part_pages([pages[::-1]]), pages[::-1]) == documents(part_pages([pages]), pages)


def test_pages_are_taken_each_by_itself_where_asked_for():
    pages = source([100])
    parting = part_pages([pages], by="page")
    assert parting.num_pages == {"train": 90, "validation": 5, "test": 5}
    with pytest.raises(SourceError, match="'d0' is the only document") as caught:
        part_pages([pages])
    assert "--by page" in caught.value.hint


def test_documents_with_an_equal_image_stay_together(picture, make_page):
    paths = [picture(f"{n}.png", seed=n) for n in range(20)]
    os.link(paths[3], paths[3].with_name("again.png"))
    pages = [make_page(path.name, images=[path], document=path.stem) for path in paths]
    pages.append(make_page("again.png", images=[paths[3].with_name("again.png")], document="other"))
    for seed in range(12):
        parting = part_pages([pages], validation=0.3, test=0.3, seed=seed)
        assert parting.parts[3] == parting.parts[20]
        parts = {
            part: [p for p, at in zip(pages, parting.parts, strict=True) if at == part] for part in PARTS
        }
        assert check_splits(Splits(**parts)).findings == []
        (finding,) = [found for found in parting.findings if found.code == "documents-alike"]
        assert finding.where == "3 = other"


def test_images_that_are_nearly_the_same_stay_together_by_whatever_tells_them(make_page):
    def brightness(source):
        if source.name == "blank":
            return "page", None
        return source.name[0], np.array([int(source.name[1:])], np.uint64)

    def near(prints, most):
        assert most == 5
        return [np.flatnonzero(abs(prints[:, 0].astype(int) - 50) < 20)]

    def image(name):
        return EncodedImage(name=name, read=bytes)

    likeness = Likeness(fingerprint=brightness, find_groups=near, most_bits={"p": 5})
    names = ["p45", "p90", "p55", "blank", "p1", "p52", "blank"]
    pages = [make_page(f"{n}", images=[image(name)], document=f"d{n}") for n, name in enumerate(names)]
    parting = part_pages([pages], validation=0.2, test=0.2, likeness=likeness)
    assert parting.alike == [("d0", "d2", "d5")]


def test_everything_alike_cannot_be_parted(picture, make_page):
    path = picture("a.png")
    pages = [make_page(str(n), images=[path], document=str(n)) for n in range(4)]
    with pytest.raises(SourceError, match="all 4 documents show the same"):
        part_pages([pages])


def test_documents_of_one_name_in_two_sources_are_one():
    parting = part_pages([source([1] * 9), source([2] * 3)], validation=0.3, test=0.3)
    assert parting.parts[:3] == parting.parts[9::2]
    assert sum(found.code == "document-in-sources" for found in parting.findings) == 3


def test_pages_of_text_alone_are_learned_from(picture, make_page):
    shown = [make_page(f"{n}.png", images=[picture(f"{n}.png", n)], document=f"{n}") for n in range(4)]
    texts = [make_page(f"t{n}", images=(), document=f"t{n}") for n in range(60)]
    parting = part_pages([[*texts, *shown]], validation=0.02, test=0.02)
    assert set(parting.parts[:60]) == {"train"}
    assert parting.num_pages["validation"] == parting.num_pages["test"] == 1


def test_a_share_that_whole_documents_miss_is_told():
    parting = part_pages([source([10, 10, 10])])
    told = [found.message for found in parting.findings if found.code == "share-missed"]
    assert told == [
        f"{part} has 33.3% of the pages, and 5.0% were asked for" for part in ("validation", "test")
    ]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.1), (0.1, float("nan"))])
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(SourceError):
        part_pages([source([1] * 5)], validation=shares[0], test=shares[1])


@pytest.fixture
def manifest(picture, tmp_path):
    rows = []
    for number in range(12):
        picture(f"scans/vol {number % 4}/{number}.png", number)
        rows.append({"image": f"vol {number % 4}/{number}.png", "text": f"t{number}", "document": number % 4})
    rows[0]["prompt"] = "<image>\nRead."
    write_jsonl(tmp_path / "scans" / "m.jsonl", rows)
    return tmp_path / "scans" / "m.jsonl"


def read_parts(folder):
    return {part: read_pages(str(folder / f"{part}.jsonl")) for part in PARTS}


@pytest.mark.parametrize("files", ["link", "copy", "refer"])
def test_manifests_load_with_all_that_the_pages_had(manifest, tmp_path, files, monkeypatch):
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(tmp_path) if files == "refer" else "")
    written = write_split([str(manifest)], tmp_path / "out", files=files, validation=0.25, test=0.25)
    assert written.num_pages == {"train": 6, "validation": 3, "test": 3}
    pages = [page for part in read_parts(tmp_path / "out").values() for page in part]
    whole = {page.text: page for page in read_pages(str(manifest))}
    assert {page.text for page in pages} == set(whole)
    for page in pages:
        same = whole[page.text]
        assert (page.document, page.prompt) == (same.document, same.prompt)
        assert page.images[0].read_bytes() == same.images[0].read_bytes()
        assert page.images[0].samefile(same.images[0]) == (files != "copy")
        assert page.name.startswith("../" if files == "refer" else "images/")
    assert ("images-outside" in {found.code for found in written.findings}) == (files == "refer")


def test_images_below_the_folder_stay_where_they_are(manifest, tmp_path):
    write_split([str(manifest)], tmp_path, validation=0.25, test=0.25)
    assert not (tmp_path / "images").exists()
    assert all(page.name.startswith("scans/vol ") for page in read_parts(tmp_path)["train"])


def test_the_split_is_told_in_a_file(manifest, tmp_path):
    write_split([str(manifest)], tmp_path / "out", validation=0.25, test=0.25, seed=7)
    told = json.loads((tmp_path / "out" / "split.json").read_text())
    assert told["seed"] == 7
    assert told["sources"] == [{"uri": str(manifest), "train": 6, "validation": 3, "test": 3}]
    assert sorted(name for names in told["documents"].values() for name in names) == ["0", "1", "2", "3"]


def test_a_page_without_its_image_is_left_out_and_listed(manifest, tmp_path):
    (manifest.parent / "vol 1" / "5.png").unlink()
    written = write_split([str(manifest)], tmp_path / "out", validation=0.25, test=0.25)
    assert sum(written.num_pages.values()) == 11
    (row,) = map(json.loads, (tmp_path / "out" / "findings.jsonl").read_text().splitlines())
    assert row["severity"] == "error"
    assert row["where"].endswith("5.png")


def test_nothing_is_written_over(manifest, tmp_path):
    write_split([str(manifest)], tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(SourceError, match="lies there already"):
        write_split([str(manifest)], tmp_path / "out", seed=1)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_a_run_that_was_cut_off_leaves_no_manifest_and_can_be_done_again(manifest, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ocrtune.data.part_files._require_pages", fail)
        with pytest.raises(KeyboardInterrupt):
            write_split([str(manifest)], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["images"]
    write_split([str(manifest)], tmp_path / "out", files="copy")
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 12


@pytest.mark.parametrize("seed", range(4))
def test_documents_that_show_a_page_saved_again_stay_together(seed, tmp_path):
    pages = sorted((sample_path("vicksburg_pages") / "images").glob("*.png"))
    names = [f"{number}.png" for number in range(len(pages))]
    for path, name in zip(pages, names, strict=True):
        shutil.copy(path, tmp_path / name)
    Image.open(pages[0]).convert("L").resize((900, 1350)).save(tmp_path / "again.jpg", quality=40)
    rows = [{"image": name, "text": name} for name in [*names, "again.jpg"]]
    (tmp_path / "all.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write_split([str(tmp_path / "all.jsonl")], tmp_path / "out", validation=0.3, test=0.3, seed=seed)
    parts = [{page.text for page in part} for part in read_parts(tmp_path / "out").values()]
    assert any({"0.png", "again.jpg"} <= part for part in parts)
