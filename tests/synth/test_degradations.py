import hashlib
import itertools
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrtune.errors import SynthError
from ocrtune.synth.config import DegradationSection
from ocrtune.synth.degradations import DEGRADATIONS, SETS, degrade, resolve
from ocrtune.synth.sheet import Block, Sheet

NAMES = (
    "blur",
    "noise",
    "ink-spread",
    "starved-ink",
    "uneven-ink",
    "threshold",
    "paper",
    "texture",
    "shadow",
    "skew",
    "perspective",
    "curve",
    "fold",
    "bleed-through",
    "jpeg",
    "downscale",
    "stains",
    "ruled-lines",
    "stamp",
)
MOVING = ("skew", "perspective", "curve", "fold", "downscale")
WORDS = "It was a quiet night, and the pickets talked across the lines until the moon rose. "


def text_sheet(width=620, height=440, em=30):
    font = ImageFont.load_default(em)
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    for row, top in enumerate(range(em // 3, max(height - int(1.3 * em), em // 3 + 1), int(1.3 * em))):
        words = WORDS[7 * row :] + WORDS
        shown = next(
            words[:end]
            for end in range(len(words), 0, -1)
            if draw.textlength(words[:end], font) < width - 2 * em
        )
        draw.text((em, top), shown, 255, font)
    outline = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    block = Block(kind="text", target=WORDS, outline=outline)
    ink = np.asarray(picture, np.float32) / 255
    return Sheet(
        ink=ink, blocks=(block,), letters=np.array([(em, height / 2)]), em_px=em, facts={"font": "x"}
    )


def line_sheet(em=40):
    return text_sheet(width=900, height=round(1.4 * em), em=em)


def dots_sheet(width, height, em, apart):
    """Round dots of about the size of a full stop, the letters' places in their middle."""
    xs = np.arange(apart / 2, width - apart / 3, apart)
    ys = np.arange(apart / 2, height, apart) if height > 3 * em else np.array([height / 2])
    places = np.array(list(itertools.product(xs, ys)))
    y, x = np.mgrid[:height, :width] + 0.5
    ink = np.zeros((height, width), np.float32)
    for place in places:
        ink = np.maximum(ink, np.clip(5.5 - np.hypot(x - place[0], y - place[1]), 0, 1))
    blocks = tuple(Block(kind="text", target="", outline=place + np.zeros((4, 2))) for place in places[:3])
    return Sheet(ink=ink.astype(np.float32), blocks=blocks, letters=places, em_px=em)


def found_dot(scan, place, radius=9):
    """The middle of the darkness around a place."""
    grey = np.asarray(scan.image.convert("L"), np.float64)
    top, left = (max(int(side) - radius, 0) for side in (place[1], place[0]))
    dark = 255 - grey[top : top + 2 * radius + 1, left : left + 2 * radius + 1]
    dark = np.where(dark > 150, dark, 0)  # a crease and dark paper are paler
    y, x = np.mgrid[: dark.shape[0], : dark.shape[1]] + 0.5
    return np.array([(dark * x).sum() + left * dark.sum(), (dark * y).sum() + top * dark.sum()]) / max(
        dark.sum(), 1e-9
    )


def happens(*names, strength=1.0):
    return [DegradationSection(name=name, strength=(strength, strength)) for name in names]


def pixels(scan):
    return np.asarray(scan.image.convert("L"), np.int16)


def digest(scan):
    sizes = repr((scan.image.mode, scan.image.size, scan.facts)).encode()
    points = scan.letters.tobytes() + b"".join(block.outline.tobytes() for block in scan.blocks)
    return hashlib.sha256(sizes + points + scan.image.tobytes()).hexdigest()


def test_every_degradation_is_there_and_says_what_it_is_in_a_sentence():
    assert set(DEGRADATIONS) == set(NAMES)
    for name, degradation in DEGRADATIONS.items():
        assert degradation.name == name
        assert degradation.description[0].isupper()
        assert degradation.description.endswith(".")
        assert degradation.kind in {"ink", "paper", "geometry", "scanner"}


def test_sets_name_only_what_there_is():
    assert set(SETS) == {"none", "light", "typical", "heavy", "old-print", "photo"}
    assert all(resolve(sections) == sections for sections in SETS.values())
    assert resolve("none") == ()


def test_the_typical_set_has_small_chances_of_everything_that_is_not_a_camera():
    assert {section.name for section in SETS["typical"]} == set(NAMES) - {"perspective"}


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("tipical", "did you mean 'typical'"),
        ("old_print", "did you mean 'old-print'"),
        ("blur", "stands in a list"),
        ("zzz", "sets: none, light"),
        ([DegradationSection(name="ink_spread")], "did you mean 'ink-spread'"),
        ([DegradationSection(name="zzz")], "degradations: blur"),
    ],
)
def test_unknown_names_are_answered_with_the_one_that_was_meant(wrong, hint):
    with pytest.raises(SynthError) as caught:
        resolve(wrong)
    assert hint in caught.value.hint


def test_nothing_happening_leaves_black_on_white():
    sheet = text_sheet()
    scan = degrade(sheet, (), random.Random(0))
    assert scan.image.mode == "L"
    assert np.array_equal(pixels(scan), np.round(255 * (1 - sheet.ink)))
    assert scan.facts == {"font": "x", "degradations": {}}
    assert np.array_equal(scan.letters, sheet.letters)
    assert np.array_equal(scan.blocks[0].outline, sheet.blocks[0].outline)


@pytest.mark.parametrize("name", NAMES)
def test_strength_0_and_chance_0_leave_the_picture_as_it_is(name):
    sheet = line_sheet()
    untouched = digest(degrade(sheet, (), random.Random(1)))
    for section in (
        DegradationSection(name=name, strength=(0, 0)),
        DegradationSection(name=name, chance=0, strength=(1, 1)),
    ):
        assert digest(degrade(sheet, [section], random.Random(1))) == untouched


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [text_sheet, line_sheet])
def test_more_strength_changes_more_and_a_touch_of_it_hardly_anything(name, make):
    sheet = make()
    clean = pixels(degrade(sheet, (), random.Random(2)))
    if name in MOVING:
        outlines = [
            degrade(sheet, happens(name, strength=strength), random.Random(2)).blocks[0].outline
            for strength in (0.01, 1.0)
        ]
        weak, strong = (np.abs(outline - sheet.blocks[0].outline).max() for outline in outlines)
    else:
        weak, strong = (
            np.mean(
                [
                    np.abs(
                        pixels(degrade(sheet, happens(name, strength=s), random.Random(seed))) - clean
                    ).mean()
                    for seed in range(4)
                ]
            )
            for s in (0.01, 1.0)
        )
    # A canvas grows by whole pixels, and a share of a long one is some pixels.
    assert weak < (8 if name in MOVING else 1.5)
    assert strong > 2 * weak
    assert strong > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_ink_stays_darker_than_paper_at_full_strength(name):
    sheet = text_sheet()
    if name in MOVING:
        pytest.skip("ink is elsewhere afterwards; the dots below show where")
    for seed in range(5):
        grey = pixels(degrade(sheet, happens(name), random.Random(seed)))
        inked, bare = sheet.ink > 0.9, sheet.ink < 0.01
        # Most letters against most paper, not only their averages.
        assert np.quantile(grey[inked], 0.6) < np.quantile(grey[bare], 0.2) - 25


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name):
    sections, sheet = happens(name, strength=0.8), line_sheet()
    first, again = (digest(degrade(sheet, sections, random.Random(5))) for _ in range(2))
    assert first == again
    if name not in {"blur", "downscale", "jpeg"}:
        assert len({digest(degrade(sheet, sections, random.Random(seed))) for seed in range(6)}) > 1


def test_a_sheet_is_never_changed():
    sheet = text_sheet()
    before = digest(degrade(sheet, (), random.Random(0)))
    for name in NAMES:
        degrade(sheet, happens(name), random.Random(3))
    assert digest(degrade(sheet, (), random.Random(0))) == before


@pytest.mark.parametrize(
    "moving",
    [*((name,) for name in MOVING), MOVING, ("paper", "downscale", "fold", "curve", "perspective", "skew")],
)
@pytest.mark.parametrize(
    "shape", [(900, 1200, 28, 150), (1000, 60, 40, 125), (200, 240, 40, 66)], ids=["page", "line", "slip"]
)
def test_letters_and_outlines_move_with_the_ink(moving, shape):
    sheet = dots_sheet(*shape)
    # Two of the dots' size must be left to find them.
    sections = [
        DegradationSection(name=n, strength=(0.4, 0.4) if n == "downscale" else (1, 1)) for n in moving
    ]
    for seed in range(4):
        scan = degrade(sheet, sections, random.Random(seed))
        found = np.array([found_dot(scan, place) for place in scan.letters])
        assert np.hypot(*(found - scan.letters).T).max() < 1.5
        assert np.abs(scan.letters - sheet.letters).max() > 0.5
        for block, letter in zip(scan.blocks, scan.letters, strict=False):
            assert np.allclose(block.outline, letter)


@pytest.mark.parametrize("name", ["skew", "perspective", "curve", "fold"])
@pytest.mark.parametrize("before", [(), ("paper",)], ids=["ink", "paper"])
def test_nothing_is_cut_off_when_ink_reaches_the_edge(name, before):
    size = (1000, 48)
    frame = Image.new("L", size, 0)
    ImageDraw.Draw(frame).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=255, width=6)
    outline = np.array([(0, 0), (size[0], 0), size, (0, size[1])], np.float64)
    sheet = Sheet(
        ink=np.asarray(frame, np.float32) / 255,
        blocks=(Block(kind="text", target="", outline=outline),),
        em_px=40,
    )
    for seed in range(5):
        scan = degrade(sheet, happens(*before, name), random.Random(seed))
        points = scan.blocks[0].outline
        assert points.min() >= -0.01
        assert (points.max(axis=0) <= np.array(scan.image.size) + 0.01).all()
        dark = 255 - pixels(scan)[:, 40:-40]
        thickness = (dark > 127).sum(axis=0)
        # A fold wears off ink along its crease.
        assert np.quantile(thickness, 0.03 if name == "fold" else 0) >= 10


@pytest.mark.parametrize("name", ["skew", "perspective", "curve", "fold"])
@pytest.mark.parametrize("before", [(), ("paper",)], ids=["ink", "paper"])
def test_a_page_full_to_its_edges_grows_on_every_side_that_needs_it(name, before):
    width, height = 500, 700
    full = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    block = Block(kind="text", target="", outline=full)
    sheet = Sheet(ink=np.ones((height, width), np.float32), blocks=(block,), em_px=30)
    for seed in range(6):
        scan = degrade(sheet, happens(*before, name), random.Random(seed))
        points, (new_width, new_height) = scan.blocks[0].outline, scan.image.size
        assert points.min() >= -0.01
        assert points[:, 0].max() <= new_width + 0.01
        assert points[:, 1].max() <= new_height + 0.01
        assert new_width <= max(width, points[:, 0].max()) + 3 * 30
        assert new_height <= max(height, points[:, 1].max()) + 3 * 30


def test_a_skewed_line_stays_a_line_and_grows_by_what_it_needs():
    sheet = line_sheet()
    slopes = []
    for seed in range(12):
        scan = degrade(sheet, happens("skew"), random.Random(seed))
        left, right = scan.blocks[0].outline[0], scan.blocks[0].outline[1]
        slopes.append((right[1] - left[1]) / (right[0] - left[0]))
        assert scan.image.width == sheet.ink.shape[1]
        assert 0 < scan.image.height - sheet.ink.shape[0] <= 0.012 * scan.image.width + 2
    assert np.allclose(np.abs(slopes), 0.012, atol=1e-4)
    assert min(slopes) < 0 < max(slopes)


def test_a_page_turns_by_up_to_1_point_2_degrees():
    outline = degrade(text_sheet(), happens("skew"), random.Random(0)).blocks[0].outline
    along = outline[1] - outline[0]
    assert abs(np.degrees(np.arctan2(along[1], along[0]))) == pytest.approx(1.2, abs=0.01)


def test_effects_are_as_large_in_large_print_as_in_small_print():
    def lost(em):
        sheet = text_sheet(width=20 * em, height=8 * em, em=em)
        scan = degrade(sheet, happens("blur", strength=0.7), random.Random(0))
        return np.abs(pixels(scan) - 255 * (1 - sheet.ink)).mean()

    assert lost(20) == pytest.approx(lost(60), rel=0.25)


def test_downscaling_stops_at_letters_that_can_still_be_read():
    for em in (16, 30, 60):
        sheet = text_sheet(width=20 * em, height=8 * em, em=em)
        scan = degrade(sheet, happens("downscale"), random.Random(0))
        assert scan.image.height / sheet.ink.shape[0] * em == pytest.approx(12, rel=0.05)


def test_a_threshold_after_dark_paper_and_shadow_finds_the_letters_again():
    sheet = text_sheet()
    scan = degrade(sheet, happens("paper", "shadow", "threshold", strength=0.9), random.Random(4))
    assert scan.image.mode == "L"
    black = pixels(scan) < 128
    assert (black & (sheet.ink > 0.9)).sum() > 0.9 * (sheet.ink > 0.9).sum()
    assert (black & (sheet.ink < 0.01)).mean() < 0.02


def test_coloured_paper_and_coloured_stamps_make_rgb_and_grey_steps_do_not():
    sheet = line_sheet()
    grey = [name for name in NAMES if name not in {"paper", "stamp"}]
    assert degrade(sheet, happens(*grey, strength=0.2), random.Random(0)).image.mode == "L"
    for name in ("paper", "stamp"):
        scans = [degrade(sheet, happens(name), random.Random(seed)) for seed in range(12)]
        assert {scan.image.mode for scan in scans} == {"L", "RGB"}
        coloured = next(np.asarray(scan.image, int) for scan in scans if scan.image.mode == "RGB")
        assert np.ptp(coloured, axis=2).max() > 5


def test_any_order_works():
    names = list(NAMES)
    for seed in range(12):
        rng = random.Random(seed)
        rng.shuffle(names)
        for sheet in (line_sheet(), text_sheet()):
            scan = degrade(sheet, happens(*names, strength=0.35), rng)
            assert scan.facts["degradations"] == dict.fromkeys(names, 0.35)
            assert scan.image.mode in {"L", "RGB"}
            grey = pixels(scan)
            assert np.quantile(grey, 0.8) - np.quantile(grey, 0.01) > 60


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_and_emptiest_sheets_come_through(name):
    for shape in ((1, 1), (3, 40), (40, 3)):
        empty = Sheet(ink=np.zeros(shape, np.float32), blocks=(), em_px=12)
        scan = degrade(empty, happens("paper", name), random.Random(0))
        assert 1 <= min(scan.image.size) <= max(scan.image.size) < 100
        assert degrade(empty, happens(name), random.Random(0)).letters.shape == (0, 2)


def test_chances_and_strengths_are_drawn_as_listed():
    sections = [DegradationSection(name="threshold", chance=0.3, strength=(0.2, 0.6))]
    sheet, rng = text_sheet(120, 60), random.Random(0)
    drawn = [degrade(sheet, sections, rng).facts["degradations"].get("threshold") for _ in range(600)]
    strengths = [strength for strength in drawn if strength is not None]
    assert 0.25 < len(strengths) / 600 < 0.35
    assert 0.2 <= min(strengths) < 0.23
    assert 0.57 < max(strengths) <= 0.6
    assert np.mean(strengths) == pytest.approx(0.4, abs=0.03)
