from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.sources.naming import FileNames, folded


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("vol 1/a.png", "vol_1/a"),
        ("scan.tif#2", "scan_2"),
        ("shard-0.tar#vol1/page7", "shard-0_vol1/page7"),
        ("a#b.png", "a_b"),
        ("v1.d/a", "v1.d/a"),
        ("Dr. Smith", "Dr._Smith"),
        ("p. 1.5", "p._1.5"),
        ("A.PNG", "A"),
        ("../../etc/passwd", "etc/passwd"),
        ("/root/x.jpg", "root/x"),
        (".hidden", "hidden"),
        ("C:\\scans\\a.png", "C_scans_a"),
        ("con.png", "con_"),
        ("nul/LPT1.x.png", "nul_/LPT1.x_"),
        ("", "page"),
        ("?.png", "page"),
        ("#", "page"),
        ("Я.png", "Я"),
        ("हिन्दी.png", "हिन्दी"),
    ],
)
def test_a_name_becomes_a_path_that_every_disk_takes(name, path):
    assert FileNames().take(name, ".xml") == f"{path}.xml"


def test_names_that_differ_in_nothing_a_disk_knows_are_told_apart():
    names = FileNames()
    taken = [names.take(name, ".png") for name in ("a", "A", "a~2", "a.jpg", "é", "e\u0301", "a")]
    assert taken == ["a.png", "A~2.png", "a~2~2.png", "a~3.png", "é.png", "e\u0301~2.png", "a~4.png"]


def test_a_file_and_a_folder_of_one_name_are_told_apart():
    names = FileNames()
    assert [names.take(name, ".png") for name in ("a.png/b", "a", "c", "c.png/b")] == [
        "a.png/b.png",
        "a~2.png",
        "c.png",
        "c.png_b.png",
    ]


@given(names=st.lists(st.text("aA/.#~é\u0301漢\0: ", max_size=6) | st.text(max_size=300)))
def test_whatever_names_are_their_paths_differ_and_stay_below(names):
    taker = FileNames()
    paths = [taker.take(name, ".png") for name in names]
    assert len({folded(path) for path in paths}) == len(paths)
    files = {PurePosixPath(path) for path in paths}
    assert not files & {folder for path in files for folder in path.parents}
    for path in files:
        assert not path.is_absolute()
        assert all(0 < len(part.encode()) < 230 and not part.startswith(".") for part in path.parts)
