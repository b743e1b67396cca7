import json

import pytest
from PIL import Image, ImageEnhance

from ocrtune.data import Splits, check_dataset, check_splits, check_uri
from ocrtune.data.collecting import collect_facts
from ocrtune.data.facts import Rules
from ocrtune.data.repeats import same_pages
from ocrtune.records import Page
from ocrtune.sources import open_image, read_pages, sample_path, write_jsonl

PAGES = [open_image(page.images[0]) for page in read_pages(str(sample_path("vicksburg_pages")))[:3]]


def scanned_again(image):
    return ImageEnhance.Brightness(image.rotate(0.5, fillcolor="white")).enhance(0.9)


def page(image, name, text="one text", **rest) -> Page:
    return Page(name=name, images=(image,), text=text, where=f"m:{name}", **rest)


@pytest.mark.parametrize(("text", "told"), [("one text", "same text"), ("another", "different texts")])
def test_a_page_that_was_scanned_twice_is_found_with_what_its_texts_say(text, told):
    pages = [page(PAGES[0], "a"), page(PAGES[1], "b", "b"), page(scanned_again(PAGES[0]), "c", text)]
    (finding,) = check_dataset(pages)
    assert (finding.code, finding.severity, finding.where) == ("image-near-duplicate", "warning", "m:a = m:c")
    assert told in finding.message


def test_pages_that_are_the_very_same_are_told_once():
    pages = [page(PAGES[0], name) for name in "ab"]
    assert [finding.code for finding in check_dataset(pages)] == ["image-repeated"]


def test_of_many_groups_the_first_are_told_and_all_are_counted():
    colours = [(n, 255 - n, n // 2) for n in range(30)]
    pages = [
        page(Image.new("RGB", (40, 30), colour), f"{n}{twin}", f"{n}")
        for twin in "ab"
        for n, colour in enumerate(colours)
    ]
    (finding,) = check_dataset(pages)
    assert (finding.code, finding.count) == ("image-repeated", 30)
    assert finding.where.startswith("m:0a = m:0b; m:1a = m:1b; ")
    assert finding.where.endswith("and 25 more")


@pytest.fixture
def sources(tmp_path):
    def write(name, images):
        for number, image in enumerate(images):
            image.save(tmp_path / f"{name}{number}.png")
        rows = [
            {"image": f"{name}{number}.png", "text": f"{name}{number}", "document": f"{name}{number}"}
            for number in range(len(images))
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        return str(tmp_path / f"{name}.jsonl")

    return write


def test_held_out_pages_that_are_or_look_the_same_are_leaks(sources):
    train = sources("t", [PAGES[0], PAGES[1]])
    held_out = sources("v", [PAGES[0], scanned_again(PAGES[1]), PAGES[2]])
    check = check_uri(train, validation_uri=held_out)
    found = {finding.code: (finding.severity, finding.count, finding.where) for finding in check.findings}
    assert set(found) == {"image-leaked", "image-leaked-near"}
    assert found["image-leaked"][:2] == ("error", 1)
    assert found["image-leaked-near"][:2] == ("warning", 1)
    assert "t.jsonl:2 = " in found["image-leaked-near"][2]
    assert found["image-leaked-near"][2].endswith("v.jsonl:2")


def test_without_opened_images_files_are_compared(sources):
    train = sources("t", [PAGES[0], PAGES[1]])
    held_out = sources("v", [PAGES[0], scanned_again(PAGES[1])])
    check = check_uri(train, validation_uri=held_out, open_images=False)
    assert [finding.code for finding in check.findings] == ["image-leaked"]


def test_pages_without_a_document_share_none():
    splits = Splits(train=[page(PAGES[0], "a")], validation=[page(PAGES[1], "b")], test=())
    assert check_splits(splits).findings == []


def test_pages_that_say_nothing_new_are_those_behind_the_first():
    pages = [
        page(PAGES[0], "a"),
        page(PAGES[0], "b", " one  text"),
        page(PAGES[0], "c", "another"),
        page(PAGES[0], "d", prompt="<image>title"),
        page(PAGES[1], "e"),
        page(PAGES[0], "f"),
        page(PAGES[0], "g", None),
        page(PAGES[0], "h", None),
    ]
    facts = collect_facts(pages, Rules(), workers=1)
    assert same_pages(facts.pages).tolist() == [1, 5]


def test_statistics_count_images_texts_and_documents(sources):
    uri = sources("t", [PAGES[0], Image.new("RGB", (400, 100)), Image.new("RGB", (300, 300))])
    statistics = json.loads(json.dumps(check_uri(uri).as_dict()))["statistics"]
    ratios = statistics["aspect_ratios"]
    assert (ratios["num_values"], ratios["least"], ratios["most"]) == (3, pytest.approx(2 / 3), 4)
    assert sum(ratios["counts"]) == 3
    assert len(ratios["edges"]) == len(ratios["counts"]) + 1
    assert statistics["characters"]["mean"] == 2
    assert statistics["megapixels"]["most"] == pytest.approx(2.16)
    assert statistics["pages_per_document"]["num_values"] == 3
    assert statistics["largest_documents"] == {"t0": 1, "t1": 1, "t2": 1}
    assert statistics["suffixes"] == {".png": 3}
    assert statistics["text_tokens"]["num_values"] == 0
