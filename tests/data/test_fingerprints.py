from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from ocrtune.data import find_near_duplicates, fingerprints
from ocrtune.data.fingerprints import MOST_BITS, fingerprint, shape_of
from ocrtune.sources import open_image, read_pages, sample_path


def jpeg(image):
    file = BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def smaller(image):
    return image.resize((round(image.width * 0.7), round(image.height * 0.7)), Image.Resampling.BICUBIC)


def turned(image, degrees=1):
    paper = tuple(np.median(np.asarray(image).reshape(-1, 3), axis=0).astype(int).tolist())
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=paper)


def brighter(image):
    return ImageEnhance.Brightness(image).enhance(1.2)


def scanned_again(image):
    return jpeg(ImageEnhance.Brightness(smaller(turned(image, 0.5))).enhance(0.85))


@pytest.fixture(scope="module")
def lines():
    return [open_image(page.images[0]) for page in read_pages("builtin")]


@pytest.fixture(scope="module")
def halves():
    """Halves of pages of one book, which have one layout."""
    whole = [open_image(page.images[0]) for page in read_pages(str(sample_path("vicksburg_pages")))]
    return [page.crop((0, top, 1200, top + 900)) for page in whole for top in (0, 900)]


def bits(one, other) -> int:
    one, other = fingerprint(one), fingerprint(other)
    return int(np.bitwise_count(one.words ^ other.words).sum()) if one.shape == other.shape else 256


@pytest.mark.parametrize("change", [jpeg, smaller, turned, brighter, scanned_again])
def test_a_page_is_known_again_however_it_is_scanned(change, halves):
    assert all(bits(page, change(page)) <= MOST_BITS["page"] for page in halves)


@pytest.mark.parametrize(
    ("change", "share"), [(jpeg, 1), (smaller, 1), (brighter, 1), (scanned_again, 0.95), (turned, 0.75)]
)
def test_most_lines_of_print_are_known_again(change, share, lines):
    lines = [line for line in lines[::4] if shape_of(line.size) == "line"]
    known = [bits(line, change(line)) <= MOST_BITS["line"] for line in lines]
    assert sum(known) >= share * len(known)


def test_no_two_lines_or_pages_of_a_book_are_taken_for_one(lines, halves):
    for images, shape in ((lines, "line"), (halves, "page")):
        some = [image for image in images if shape_of(image.size) == shape]
        assert len(some) > 10
        assert (
            find_near_duplicates(np.array([fingerprint(image).words for image in some]), MOST_BITS[shape])
            == []
        )


WORDS = [
    "night",
    "fell",
    "upon",
    "town",
    "river",
    "armies",
    "bridge",
    "cannon",
    "siege",
    "captain",
    "orders",
    "march",
    "home",
    "fever",
    "trench",
    "camp",
]


def sparse_page(number, num_lines, size=(700, 990)):
    """Few lines in one place of the page, under one running head, above the number of the page."""
    chosen = np.random.default_rng(number)
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for line in range(num_lines):
        draw.text((80, 110 + 28 * line), " ".join(chosen.choice(WORDS, 7)), "black", font)
    draw.text((250, 50), "THE SIEGE OF VICKSBURG", "black", font)
    draw.text((340, 930), f"{100 + number}", "black", font)
    return page


def shifted(image):
    moved = Image.new(image.mode, image.size, "white")
    moved.paste(image, (7, 8))
    return moved


def dusty(image):
    grains = np.asarray(image).copy()
    for x, y in np.random.default_rng(0).integers(0, 690, (30, 2)):
        grains[y : y + 2, x : x + 2] = 90
    return Image.fromarray(grains)


def light_on_dark(image):
    return Image.fromarray(255 - np.asarray(image))


@pytest.mark.parametrize("num_lines", [1, 2, 5, 12])
def test_pages_with_little_on_them_are_told_apart_by_their_words(num_lines):
    found = [fingerprint(sparse_page(number, num_lines)) for number in range(8)]
    assert {each.shape for each in found} == {"sparse"}
    assert find_near_duplicates(np.array([each.words for each in found]), MOST_BITS["sparse"]) == []


@pytest.mark.parametrize("change", [jpeg, smaller, brighter, shifted, dusty, light_on_dark])
@pytest.mark.parametrize("num_lines", [1, 5, 12])
def test_a_page_with_little_on_it_is_known_again(change, num_lines):
    for number in range(3):
        page = sparse_page(number, num_lines)
        assert bits(page, change(page)) <= MOST_BITS["sparse"]


def test_a_page_with_several_lines_is_known_again_after_a_turn():
    assert all(
        bits(page, scanned_again(page)) <= MOST_BITS["sparse"] for page in map(sparse_page, range(4), [5] * 4)
    )


def test_blank_paper_has_no_fingerprint():
    assert fingerprint(Image.new("RGB", (300, 400), "white")) is None
    assert fingerprint(Image.new("L", (1, 1))) is None


def flipped(words, count, seed):
    chosen = np.random.default_rng(seed).permutation(words.size * 64)[:count]
    mask = np.zeros(words.size * 64, np.uint8)
    mask[chosen] = 1
    return words ^ np.packbits(mask).view(np.uint64)


@pytest.mark.parametrize("most", [10_000, 1], ids=["all pairs", "by keys"])
def test_groups_are_what_is_near_step_by_step(most, monkeypatch):
    monkeypatch.setattr(fingerprints, "MOST_COMPARED_WITH_ALL", most)
    words = np.random.default_rng(0).integers(0, 2**64, (3000, 4), dtype=np.uint64)
    words[10] = flipped(words[3], 12, 1)
    words[20] = flipped(words[10], 12, 2)
    words[2000] = words[7]
    words[30] = flipped(words[8], 60, 3)
    groups = find_near_duplicates(words, 16)
    assert [group.tolist() for group in groups] == [[3, 10, 20], [7, 2000]]


def test_nothing_is_near_nothing():
    assert find_near_duplicates(np.zeros((0, 4), np.uint64), 40) == []
    assert find_near_duplicates(np.zeros((1, 1), np.uint64), 40) == []


def test_a_crowd_of_alike_ones_is_one_group_and_takes_no_square_of_time(monkeypatch):
    monkeypatch.setattr(fingerprints, "MOST_COMPARED_WITH_ALL", 1)
    monkeypatch.setattr(fingerprints, "MOST_IN_BUCKET", 16)
    one = np.random.default_rng(0).integers(0, 2**64, 4, dtype=np.uint64)
    crowd = np.array([flipped(one, 6, seed) for seed in range(2000)])
    (group,) = find_near_duplicates(crowd, 16)
    assert len(group) == 2000
