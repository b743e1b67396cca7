import os
import pickle

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ocrtune.data.checks import check_splits
from ocrtune.data.pictures import look_at
from ocrtune.data.splits import Splits
from ocrtune.errors import ImageError
from ocrtune.records import Cut, Page
from ocrtune.reports.pictures import data_uri
from ocrtune.sources import count_frames, image_size, images, open_image

PAPER = (210, 200, 180)
SIZE = (400, 300)


def corners(left, top, right, bottom):
    return ((left, top), (right, top), (right, bottom), (left, bottom))


@pytest.fixture
def page(tmp_path):
    """Save a page of plain paper on which `draw` has drawn."""

    def save(draw=lambda _: None, name="page.png", **options):
        image = Image.new("RGB", SIZE, PAPER)
        draw(ImageDraw.Draw(image))
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def turned(points, degrees, about=(200, 150)):
    angle = np.radians(degrees)
    rotation = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return tuple(map(tuple, (np.asarray(points) - about) @ rotation.T + about))


def test_a_box_is_the_pages_own_pixels_with_a_margin_of_paper(page):
    def draw(pen):
        pen.rectangle((50, 60, 99, 79), fill="black")
        pen.rectangle((50, 84, 99, 90), fill="red")  # a neighbour, just below

    cut = open_image(Cut(path=page(draw), polygon=corners(50, 60, 100, 80), margin_px=6))
    assert (cut.mode, cut.size) == ("RGB", (62, 32))
    pixels = np.asarray(cut)
    assert (pixels[6:26, 6:56] == 0).all()
    assert (pixels[:6] == PAPER).all()
    assert (pixels[27:] == PAPER).all(), "the neighbour shows"


def test_what_is_outside_an_outline_is_paper_and_what_is_inside_is_kept(page):
    def draw(pen):
        pen.rectangle((0, 0, *SIZE), fill=PAPER)
        pen.rectangle((40, 40, 60, 50), fill="red")  # in the corner that the outline leaves out
        pen.rectangle((140, 60, 180, 70), fill="black")

    outline = ((40, 60), (120, 40), (200, 40), (200, 80), (40, 80))
    pixels = np.asarray(open_image(Cut(path=page(draw), polygon=outline)))
    assert pixels.shape == (40, 160, 3)
    assert not (pixels == (255, 0, 0)).all(axis=2).any()
    assert (pixels == 0).all(axis=2).sum() == 41 * 11


@pytest.mark.parametrize("degrees", [-30, -8, 3, 15, 40])
@pytest.mark.parametrize("has_baseline", [True, False])
def test_a_sloping_line_is_turned_upright(page, degrees, has_baseline):
    box = corners(100, 130, 300, 160)
    bar = corners(110, 135, 290, 155)
    outline = turned(box, degrees)
    path = page(lambda pen: pen.polygon(turned(bar, degrees), fill="black"))
    baseline = turned(((100, 155), (180, 155), (300, 155)), degrees) if has_baseline else None
    cut = Cut(path=path, polygon=outline, baseline=baseline, margin_px=5)
    image = open_image(cut)
    assert np.abs(np.subtract(image.size, (210, 40))).max() <= 2
    dark = np.asarray(image.convert("L")) < 60
    ys, xs = np.nonzero(dark)
    assert np.abs(np.subtract((np.ptp(xs), np.ptp(ys)), (180, 20))).max() <= 3, "the bar is not level"
    assert dark.sum() == pytest.approx(180 * 20, rel=0.1)
    assert image_size(cut) == image.size


def test_which_way_a_baseline_was_drawn_does_not_matter(page):
    outline, baseline = turned(corners(100, 130, 300, 160), 10), turned(((100, 155), (300, 155)), 10)
    path = page(lambda pen: pen.polygon(outline, fill="black"))
    there = open_image(Cut(path=path, polygon=outline, baseline=baseline))
    back = open_image(Cut(path=path, polygon=outline, baseline=baseline[::-1]))
    assert there.size == back.size
    assert np.abs(np.asarray(there).astype(int) - np.asarray(back)).max() <= 2


@pytest.mark.parametrize(
    ("outline", "baseline"),
    [
        (turned(corners(100, 130, 300, 160), 1), turned(((100, 155), (300, 155)), 1)),  # hardly sloping
        (corners(100, 20, 130, 280), ((125, 20), (125, 280))),  # vertical
        (corners(100, 20, 130, 280), None),
        (turned(corners(180, 130, 230, 160), 20), None),  # too short to tell
        (corners(100, 20, 130, 280), ((125, 20), (125, 20))),  # a baseline of one point
    ],
)
def test_level_vertical_and_short_parts_are_left_as_they_stand(page, outline, baseline):
    cut = open_image(Cut(path=page(), polygon=outline, baseline=baseline))
    spread = np.ptp(outline, axis=0)
    assert np.abs(np.subtract(cut.size, spread)).max() <= 2


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_move_pixels_and_change_none(page, turns):
    def draw(pen):
        pen.rectangle((30, 5, 60, 40), fill="red")
        pen.polygon([(40, 40), (80, 290), (60, 100)], fill="blue")

    path = page(draw)
    outline = (
        (0, 0),
        (90, 10),
        (80, 150),
        (90, 300),
        (0, 280),
    )  # at the edge of the page, where there is no margin
    as_it_stands = open_image(Cut(path=path, polygon=outline, margin_px=7))
    cut = Cut(path=path, polygon=outline, margin_px=7, quarter_turns=turns)
    assert image_size(cut) == open_image(cut).size
    np.testing.assert_array_equal(open_image(cut), np.rot90(as_it_stands, -turns))


@pytest.mark.parametrize("has_baseline", [True, False])
def test_a_vertical_line_that_slopes_is_turned_by_both(page, has_baseline):
    bar, line = corners(110, 135, 290, 155), ((100, 155), (300, 155))
    degrees = -90 + 7
    path = page(lambda pen: pen.polygon(turned(bar, degrees), fill="black"))
    outline = turned(corners(100, 130, 300, 160), degrees)
    baseline = turned(line, degrees) if has_baseline else None
    image = open_image(Cut(path=path, polygon=outline, baseline=baseline, margin_px=5, quarter_turns=1))
    assert np.abs(np.subtract(image.size, (210, 40))).max() <= 2
    ys, xs = np.nonzero(np.asarray(image.convert("L")) < 60)
    assert np.abs(np.subtract((np.ptp(xs), np.ptp(ys)), (180, 20))).max() <= 3, "the bar is not level"


def test_a_part_whose_corners_are_farther_off_than_pillow_draws_keeps_its_pixels(page):
    path = page(lambda pen: pen.rectangle((0, 0, 50, 300), fill="black"))
    cut = Cut(path=path, polygon=corners(-9e13, -9e13, 9e13, 9e13))
    np.testing.assert_array_equal(open_image(cut), open_image(path))


def test_a_part_that_reaches_far_beyond_the_page_stays_as_small_as_the_page(page):
    outline = turned(corners(-90_000, 100, 90_000, 900_000), 10)
    cut = Cut(path=page(), polygon=outline, baseline=turned(((0, 200), (400, 200)), 10), margin_px=8)
    assert max(open_image(cut).size) < 600
    assert image_size(cut) == open_image(cut).size


def test_beyond_the_page_there_is_no_black(page):
    outline = turned(corners(-20, 5, 150, 40), 10, about=(0, 0))
    image = open_image(Cut(path=page(), polygon=outline, margin_px=8))
    np.testing.assert_allclose(np.asarray(image), np.broadcast_to(PAPER, (*image.size[::-1], 3)), atol=2)
    assert open_image(Cut(path=page(), polygon=corners(-50, 280, 60, 400))).size == (60, 20)


@pytest.mark.parametrize(
    "outline", [corners(500, 10, 600, 50), corners(-90, 10, 0, 50), corners(10, 10, 60, 10)]
)
def test_a_part_outside_the_page_is_an_image_error(page, outline):
    cut = Cut(path=page(), polygon=outline)
    for look in (open_image, image_size):
        with pytest.raises(ImageError, match="outside its 400 × 300 pixels"):
            look(cut)


def test_a_part_of_a_missing_image_is_an_image_error(tmp_path):
    cut = Cut(path=tmp_path / "gone.png", polygon=corners(0, 0, 9, 9))
    for look in (open_image, image_size, count_frames, look_at):
        with pytest.raises(ImageError):
            look(cut)


def test_coordinates_are_of_the_upright_image(page):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = page(lambda pen: pen.rectangle((0, 280, 29, 299), fill="black"), exif=exif)
    cut = Cut(path=path, polygon=corners(0, 0, 20, 30))
    assert (np.asarray(open_image(cut)) == 0).all()
    assert image_size(cut) == (20, 30)


def test_parts_of_one_page_decode_it_once(page, monkeypatch):
    path, decoded = page(), []
    upright = images._upright_rgb
    monkeypatch.setattr(
        images, "_upright_rgb", lambda image, where: decoded.append(where) or upright(image, where=where)
    )
    for top in range(0, 250, 5):
        open_image(Cut(path=path, polygon=corners(10, top, 90, top + 20)))
    assert len(decoded) == 1


def test_a_page_that_changed_is_read_again(page):
    cut = Cut(path=page(), polygon=corners(10, 10, 90, 40))
    before = open_image(cut).getpixel((5, 5))
    path = page(lambda pen: pen.rectangle((0, 0, 400, 300), fill="blue"))
    stamp = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))
    assert before == PAPER
    assert open_image(cut).getpixel((5, 5)) == (0, 0, 255)


def test_a_part_does_everything_an_image_does(page):
    path = page(lambda pen: pen.rectangle((20, 20, 60, 30), fill="black"))
    cut = pickle.loads(pickle.dumps(Cut(path=path, polygon=corners(10, 10, 90, 40))))
    assert count_frames(cut) == 1
    assert look_at(cut).size == (80, 30)
    assert data_uri(cut).startswith("data:image/png")


def test_two_parts_of_one_page_are_two_images_and_the_same_part_is_one(page):
    path = page(lambda pen: pen.rectangle((20, 20, 60, 30), fill="black"))

    def part(top, document):
        cut = Cut(path=path, polygon=corners(10, top, 90, top + 30))
        return Page(name=f"{top}", images=(cut,), text="x", document=document)

    splits = Splits(train=(part(10, "a"),), validation=(part(50, "b"),), test=())
    assert check_splits(splits).findings == []
    splits = Splits(train=(part(10, "a"),), validation=(part(10, "b"),), test=())
    assert [finding.code for finding in check_splits(splits).findings] == ["image-leaked"]
