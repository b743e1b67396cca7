from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ocrtune.data.sampling import count_wanted, sample_pages, write_sample
from ocrtune.errors import SourceError
from ocrtune.records import Page
from ocrtune.sources import image_size, read_pages


def pages_of(count, documents, seed=0):
    """Pages of three shapes, with texts as skewed as those of real pages, in this many documents."""
    draws = np.random.default_rng(seed)
    shapes = [Image.new("L", size) for size in ((100, 100), (140, 200), (600, 40))]
    return [
        Page(
            name=f"{seed}-{number}.png",
            images=(shapes[draws.choice(3, p=[0.1, 0.3, 0.6])],),
            text="x" * int(draws.lognormal(4, 1)),
            document=f"d{int(documents * draws.random() ** 2)}",
        )
        for number in range(count)
    ]


def chosen_of(sources, count, **options):
    everything = [page for pages in sources for page in pages]
    places, findings = sample_pages(sources, count, **options)
    assert not findings
    return [everything[place] for place in sorted(places)]


@pytest.mark.parametrize("documents", [5, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_a_sample_keeps_documents_lengths_and_shapes(documents, seed):
    whole = pages_of(2000, documents)
    sample = chosen_of([whole], 200, seed=seed)
    assert len(sample) == 200
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        lengths = [np.quantile([len(page.text) for page in pages], quantile) for pages in (sample, whole)]
        assert lengths[0] == pytest.approx(lengths[1], rel=0.12)
    for key in (
        lambda page: image_size(page.images[0]),
        lambda page: page.document if documents == 5 else "",
    ):
        shares = [Counter(map(key, pages)) for pages in (sample, whole)]
        for value, count in shares[1].items():
            assert shares[0][value] == pytest.approx(count / 10, abs=5)


def test_each_source_has_its_share():
    sources = [pages_of(900, 400, 1), pages_of(100, 90, 2)]
    counts = Counter(page.name[0] for page in chosen_of(sources, 50))
    assert counts == {"1": 45, "2": 5}


def test_a_sample_depends_on_the_seed_alone():
    whole = pages_of(500, 20)
    assert chosen_of([whole], 40) == chosen_of([whole], 40)
    names = [{page.name for page in chosen_of([whole], 40, seed=seed)} for seed in (0, 1)]
    assert len(names[0] & names[1]) < 20


def test_more_than_there_are_is_everything():
    whole = pages_of(30, 3)
    for count in (30, 31, 10**9):
        assert chosen_of([whole], count) == whole


def test_whole_documents_are_taken_where_asked_for():
    sources = [pages_of(600, 100, 1), pages_of(300, 50, 2)]
    sources[1] = [Page(name=p.name, images=(), text="", document=f"e{p.document}") for p in sources[1]]
    sample = chosen_of(sources, 90, by="document")
    assert len(sample) == pytest.approx(90, abs=5)
    taken = {page.document for page in sample}
    whole = [page for pages in sources for page in pages]
    assert [page for page in whole if page.document in taken] == sample
    assert Counter(page.name[0] for page in sample)["2"] == pytest.approx(30, abs=4)


@pytest.mark.parametrize(("size", "count"), [("200", 200), ("5%", 50), ("0.5 %", 5), ("0.001%", 1)])
def test_a_size_is_a_number_or_a_share(size, count):
    assert count_wanted(size, 1000) == count


@pytest.mark.parametrize("size", ["0", "-3", "few", "%", "nan%", "inf%", "1.5", "1e400%"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(SourceError, match="no number of pages"):
        count_wanted(size, 1000)


def test_a_sample_is_a_source_of_its_own(tmp_path):
    sampled = write_sample(["builtin"], tmp_path / "out", size="10%")
    pages = read_pages(str(tmp_path / "out"))
    assert len(pages) == sampled.num_pages == 26
    assert (sampled.num_all, {page.document for page in pages}) == (257, set("123456"))
    texts = {page.name: page.text for page in read_pages("builtin")}
    assert all(texts[page.name] == page.text for page in pages)
    with pytest.raises(SourceError, match="lies there already"):
        write_sample(["builtin"], tmp_path / "out", size="10%")


def test_a_page_that_cannot_be_opened_is_not_chosen(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    sampled = write_sample([str(tmp_path)], tmp_path / "out", size="2")
    assert sampled.num_pages == 1
    assert [found.code for found in sampled.findings] == ["image"]
