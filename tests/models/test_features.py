"""The order of vision features, and how views are encoded."""

import itertools

import pytest
import torch
from golden_batches import read_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ocrtune.families import FAMILIES
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.models import load_model
from ocrtune.models.features import arrange, encode_views, views_per_forward

NEWLINE, SEPARATOR = -1.0, -2.0


def picture_of(columns, rows, side):
    """(tiles, side·side, 1): each feature is its place in the joined picture, line by line."""
    width = columns * side
    places = torch.arange(columns * rows * side * side, dtype=torch.float32).reshape(rows * side, width)
    tiles = [
        places[r * side : (r + 1) * side, c * side : (c + 1) * side]
        for r in range(rows)
        for c in range(columns)
    ]
    return torch.stack(tiles).reshape(columns * rows, side * side, 1)


@settings(max_examples=60)
@given(columns=st.integers(1, 8), rows=st.integers(1, 8), side=st.integers(1, 4), view=st.integers(1, 4))
def test_with_row_breaks_tiles_are_one_picture_read_line_by_line(columns, rows, side, view):
    found = arrange(
        torch.zeros((view * view, 1)),
        picture_of(columns, rows, side),
        (columns, rows),
        separator=torch.tensor([SEPARATOR]),
        newline=torch.tensor([NEWLINE]),
    )
    width = columns * side
    lines = [(*range(line * width, (line + 1) * width), NEWLINE) for line in range(rows * side)]
    wanted = [*itertools.chain(*lines), *([0.0] * view + [NEWLINE]) * view, SEPARATOR]
    assert found.flatten().tolist() == wanted


def test_without_row_breaks_tiles_stand_one_after_another():
    found = arrange(
        torch.zeros((4, 1)),
        torch.arange(8.0).reshape(2, 4, 1),
        (2, 1),
        separator=torch.tensor([SEPARATOR]),
        newline=None,
    )
    assert found.flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, SEPARATOR]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (2, 3)])
def test_there_are_as_many_features_as_image_tokens(name, grid):
    family = FAMILIES[name]
    global_px, tile_px = 256, 128
    queries = {side: (side // 64) ** 2 for side in (global_px, tile_px)}
    tiles = None if grid == (1, 1) else torch.zeros((grid[0] * grid[1], queries[tile_px], 8))
    features = arrange(
        torch.zeros((queries[global_px], 8)),
        tiles,
        grid,
        separator=torch.zeros(8),
        newline=torch.zeros(8) if family.newline_after_row else None,
    )
    assert len(features) == num_image_tokens(family, global_px=global_px, tile_px=tile_px, grid=grid)


class Tower(nn.Module):
    """Makes a feature of each view's mean, and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = []

    def forward(self, views):
        self.calls.append(tuple(views.shape))
        output = nn.Module()
        output.last_hidden_state = views.mean(dim=(1, 2, 3))[:, None, None] * self.weight
        return output


class TestEncodeViews:
    stacks = tuple(
        torch.full((count, 3, side, side), float(side)) for count, side in ((2, 64), (3, 32), (1, 64))
    )

    def encode(self, chunk_views=None):
        tower, projector = Tower(), nn.Linear(1, 2)
        with torch.no_grad():
            return tower.calls, encode_views(tower, projector, self.stacks, chunk_views=chunk_views)

    def test_views_of_a_side_are_encoded_in_one_forward(self):
        calls, features = self.encode()
        assert calls == [(3, 3, 64, 64), (3, 3, 32, 32)]
        assert [tuple(stack.shape) for stack in features] == [(2, 1, 2), (3, 1, 2), (1, 1, 2)]

    def test_a_limit_cuts_forwards(self):
        calls, _ = self.encode(chunk_views=2)
        assert [shape[0] for shape in calls] == [2, 1, 2, 1]

    def test_features_come_back_in_the_order_of_the_stacks(self):
        _, (first, second, third) = self.encode()
        assert torch.equal(first[0], third[0])
        assert not torch.equal(first[0], second[0])

    @pytest.mark.parametrize(("tower_learns", "pixels_learn"), [(False, False), (True, False), (False, True)])
    def test_gradients_are_on_in_the_encoder_exactly_where_somebody_wants_them(
        self, tower_learns, pixels_learn
    ):
        tower, projector = Tower().requires_grad_(tower_learns), nn.Linear(1, 2)
        seen = []
        tower.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
        stack = self.stacks[0].clone().requires_grad_(pixels_learn)
        (features,) = encode_views(tower, projector, [stack], chunk_views=None)
        assert seen == [tower_learns or pixels_learn]
        assert features.requires_grad

    def test_views_get_the_dtype_of_the_encoder(self):
        tower, projector = Tower().to(torch.bfloat16), nn.Linear(1, 2)
        (features,) = encode_views(tower, projector, self.stacks[:1], chunk_views=None)
        assert features.dtype == torch.float32


@pytest.mark.parametrize("name", ["deepseek_ocr", "unlimited_ocr"])
@pytest.mark.parametrize("chunk_views", [1, 2, 5])
def test_a_limit_of_views_changes_no_logits(name, chunk_views):
    golden = read_golden(name)
    model = load_model(golden.folder)
    with torch.no_grad():
        whole = model(**golden.batch.native()).logits
        model.vision_chunk_views = chunk_views
        assert torch.allclose(model(**golden.batch.native()).logits, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "side", "dtype", "number"),
    [
        ("cpu", 1024, torch.float32, 1),
        ("cpu", 640, torch.float32, 3),
        ("cpu", 2048, torch.float32, 1),
        ("meta", 1024, torch.bfloat16, 21),
        ("meta", 640, torch.float16, 54),
    ],
)
def test_without_a_limit_bytes_say_how_many_views_go_together(device, side, dtype, number):
    assert views_per_forward(torch.empty(1, 3, side, side, device=device, dtype=dtype)) == number


def test_a_batch_takes_one_forward_for_global_views_and_one_for_tiles():
    golden = read_golden("deepseek_ocr")
    model = load_model(golden.folder)
    seen = []
    model.model.vision_tower.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    for form in (golden.batch.native(), golden.batch.published()):
        with torch.no_grad():
            model(**form)
    num_tiles = sum(golden.batch.num_local_patches)
    assert seen == [(3, 3, 256, 256), (num_tiles, 3, 128, 128)] * 2
