from dataclasses import replace

import pytest
from PIL import Image

from ocrtune.data import Splits, check_dataset, check_page, check_splits, check_uri
from ocrtune.families import FAMILIES, get_family
from ocrtune.records import Finding
from ocrtune.sources import read_pages, sample_path
from ocrtune.text import Normalization

V1 = get_family("deepseek_ocr")


def codes(findings: list[Finding]) -> dict[str, int]:
    return {finding.code: finding.count for finding in findings}


@pytest.fixture
def page(picture, make_page):
    def make(name="a.png", text="words", *, seed=0, size=(40, 30), **rest):
        return make_page(name, text, images=[picture(name, seed, size)], **rest)

    return make


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_the_sample_data_have_no_findings(family):
    assert check_dataset(read_pages("builtin"), family) == []
    assert check_dataset(read_pages(str(sample_path("vicksburg_pages"))), family) == []


def test_missing_and_broken_images_are_errors_that_name_file_and_line(page, tmp_path):
    gone, broken = page("gone.png"), page("broken.png", seed=1)
    (tmp_path / "gone.png").unlink()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    findings = check_dataset([gone, broken, page("fine.png", seed=2)])
    assert [(finding.code, finding.severity, finding.count) for finding in findings] == [
        ("image", "error", 1),
        ("image", "error", 1),
    ]
    assert findings[0].where == f"{tmp_path / 'gone.png'} (m.jsonl:gone.png)"


def test_findings_of_a_kind_are_one_with_a_count(page, tmp_path):
    pages = [page(f"{n}.png", f"text {n}", seed=n) for n in range(8)]
    for one in pages:
        one.images[0].unlink()
    (finding,) = check_dataset(pages)
    assert finding.count == 8
    assert finding.where.endswith("; " + f"{tmp_path / '4.png'} (m.jsonl:4.png)" + " and 3 more")


@pytest.mark.parametrize(
    ("text", "code", "severity"),
    [
        (None, "text-missing", "error"),
        ("", "text-empty", "warning"),
        (" \n", "text-empty", "warning"),
        ("caf\ufffd", "replacement-character", "warning"),
        ("a\x07b", "control-character", "warning"),
        ("a\x85b", "control-character", "warning"),
        ("\ue001", "private-use-character", "warning"),
        ("co\u00adop", "invisible-character", "note"),
        ("\ufeffa", "invisible-character", "note"),
        ("read <image>", "control-token", "error"),
        ("end<｜end▁of▁sentence｜>", "control-token", "error"),
        ("<｜begin▁of▁sentence｜>a", "control-token", "error"),
        ("<｜▁pad▁｜>", "control-token", "error"),
        ("<｜User｜>read<｜Assistant｜>", "role-marker", "warning"),
        ("<|User|>read", "role-marker", "warning"),
        ("x" * (8192 * 3 + 1), "text-very-long", "warning"),
    ],
)
def test_what_is_wrong_with_a_text_is_found(text, code, severity, page):
    (finding,) = check_dataset([page(text=text)], V1)
    assert (finding.code, finding.severity) == (code, severity)
    assert finding.where == "m.jsonl:a.png"
    assert finding.hint


@pytest.mark.parametrize(
    "text",
    [
        "tabs\tand\nlines\r\n",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>",
        "<table><tr><td>1</td></tr></table>",
        "a < b | c > d",
        "\u0915\u094d\u200d\u0937",
        "x" * 8192 * 3,
    ],
)
def test_what_is_right_in_a_text_is_not_found(text, page):
    assert check_dataset([page(text=text)], V1) == []


@pytest.mark.parametrize(
    ("size", "code"), [((40, 15), "image-tiny"), ((1020, 20), "image-shape"), ((20, 1020), "image-shape")]
)
def test_images_that_hold_no_readable_text_are_found(size, code, page):
    assert codes(check_dataset([page(size=size)])) == {code: 1}


def test_a_line_of_print_is_no_strange_shape(page):
    assert check_dataset([page(size=(1000, 20))]) == []


def test_frames_that_would_be_dropped_are_found(page, tmp_path):
    frame = Image.new("RGB", (40, 30))
    frame.save(tmp_path / "book.tif", save_all=True, append_images=[frame])
    two_pages = replace(page(), images=(tmp_path / "book.tif",))
    assert codes(check_dataset([two_pages])) == {"image-frames": 1}


def test_the_same_picture_with_other_words_is_a_warning(page):
    findings = check_dataset([page("a.png", "one"), page("b.png", "two")])
    assert [(finding.code, finding.severity) for finding in findings] == [("image-texts-differ", "warning")]
    assert findings[0].where == "m.jsonl:a.png = m.jsonl:b.png"


def test_the_same_picture_in_another_format_is_the_same(page, picture, tmp_path):
    Image.open(picture("a.png")).save(tmp_path / "b.bmp")
    other = replace(page("b.png", "two"), images=(tmp_path / "b.bmp",))
    assert codes(check_dataset([page("a.png", "one"), other])) == {"image-texts-differ": 1}


def test_the_same_picture_under_another_prompt_may_have_another_text(page):
    pages = [page("a.png", "one"), page("b.png", "two", prompt="<image>title")]
    assert codes(check_dataset(pages)) == {"image-repeated": 1}


def test_texts_are_compared_as_normalised(page):
    pages = [page("a.png", "Two  words"), page("b.png", "Two words")]
    assert codes(check_dataset(pages)) == {"image-repeated": 1}
    folded = [page("a.png", "TWO"), page("b.png", "two")]
    assert codes(check_dataset(folded)) == {"image-texts-differ": 1}
    assert codes(check_dataset(folded, normalization=Normalization(case="fold"))) == {"image-repeated": 1}


def test_a_text_on_many_pages_is_found_once_with_its_count(page):
    pages = [page(f"{n}.png", "draft" if n < 5 else f"text {n}", seed=n) for n in range(20)]
    (finding,) = check_dataset(pages)
    assert (finding.code, finding.count) == ("text-repeated", 5)
    assert finding.message == "5 of 20 pages have the text 'draft'"
    assert check_dataset(pages[1:]) == []


def test_a_text_on_a_small_share_of_the_pages_is_not_found(make_page):
    pages = [make_page(str(n), "Page 1" if n < 5 else f"text {n}", images=[]) for n in range(100)]
    assert check_dataset(pages) == []
    assert codes(check_dataset(pages[:99])) == {"text-repeated": 5}


def test_blank_pages_of_other_sizes_are_other_pictures(make_page):
    sizes = [(40, 30), (30, 40)]
    pages = [make_page(str(size), str(size), images=[Image.new("RGB", size)]) for size in sizes]
    assert check_dataset(pages) == []


def test_empty_texts_are_not_called_repeated(page):
    pages = [page(f"{n}.png", "", seed=n) for n in range(10)]
    assert codes(check_dataset(pages)) == {"text-empty": 10}


def test_prompts_are_checked_for_a_family(page):
    pages = [page("a.png", prompt="no mark"), page("b.png", seed=1, prompt="markdwon")]
    assert codes(check_dataset(pages)) == {}
    findings = check_dataset(pages, V1)
    assert [finding.code for finding in findings] == ["prompt", "prompt"]
    assert all(finding.severity == "error" for finding in findings)
    assert "write <image>" in findings[0].hint


def test_several_images_are_an_error_for_a_family_that_takes_one(picture, make_page):
    page = make_page(images=[picture("a.png"), picture("b.png", 1)])
    assert codes(check_dataset([page], V1)) == {"several-images": 1}
    assert check_dataset([page], get_family("unlimited_ocr")) == []


def test_errors_come_first(page):
    findings = check_dataset(
        [page("a.png", "co\u00adop"), page("b.png", "", seed=1), page("c.png", None, seed=2)]
    )
    assert [finding.severity for finding in findings] == ["error", "warning", "note"]


def test_images_may_be_left_aside(make_page):
    gone = make_page("gone.png", None)
    assert codes(check_dataset([gone])) == {"image": 1, "text-missing": 1}
    assert codes(check_dataset([gone], open_images=False)) == {"text-missing": 1}


def test_one_page_is_checked_as_in_a_dataset(page, make_page):
    for one in (page(), make_page("gone.png", "\ufffd", prompt="no mark")):
        assert {finding.code for finding in check_page(one, V1)} == set(codes(check_dataset([one], V1)))
    assert [finding.code for finding in check_page(make_page("gone.png"), open_images=False)] == []


def splits(train, validation=(), test=()) -> Splits:
    return Splits(train=tuple(train), validation=tuple(validation), test=tuple(test))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_same_image_in_two_splits_is_an_error(part, page):
    findings = check_splits(
        splits([page("a.png", document="1")], **{part: [page("b.png", document="2")]})
    ).findings
    assert [(finding.code, finding.severity) for finding in findings] == [("image-leaked", "error")]
    assert findings[0].message == f"the same image is in train and {part}: scores would praise memory"
    assert findings[0].where == "m.jsonl:a.png = m.jsonl:b.png"


def test_an_image_in_memory_leaks_as_one_on_disk_does(make_page):
    pages = [make_page(name, images=[Image.new("RGB", (4, 4), "red")], document=name) for name in "ab"]
    assert codes(check_splits(splits(pages[:1], pages[1:])).findings) == {"image-leaked": 1}


def test_a_document_in_two_splits_is_a_warning(page):
    findings = check_splits(
        splits([page("a.png", document="7")], [page("b.png", seed=1, document="7")])
    ).findings
    assert codes(findings) == {"document-shared": 1}


def test_clean_splits_have_no_findings(page):
    one, other = page("a.png", document="1"), page("b.png", seed=1, document="2")
    assert check_splits(splits([one, replace(one, name="again")], [other])).findings == []


def test_a_file_that_is_gone_is_left_to_the_other_check(make_page):
    gone = make_page("gone.png", document="1")
    assert check_splits(splits([gone], [replace(gone, document="2")])).findings == []


def test_stray_texts_are_counted(picture, tmp_path):
    picture("a.png")
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("x")
    (finding,) = (found for found in check_uri(str(tmp_path)).findings if found.code == "text-without-image")
    assert (finding.severity, finding.count) == ("warning", 2)
