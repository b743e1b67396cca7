"""SAM as transformers has it, computed with less: no bias as large as the scores, and little work for padding.

Parameters, their names and the submodules that hold them stay as they are, so that weights load and save as before and
adapters find the layers they look for. The classes bear the names transformers gives them, as those of `classes` do.

Shapes: B views, H×W patches of a view, C channels, A heads of D = C/A channels. A window is R×S patches; where all patches
attend to each other, the view is one window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2 as deepseek_ocr2
from transformers.models.unlimited_ocr import modeling_unlimited_ocr as unlimited_ocr

from ocrtune.models.relative_attention import attend

BAND_BYTES = 16 * 2**20
"""Most bytes of a layer's widest activation, the inside of its MLP, on a CPU: what is larger is fetched from memory, and
allocated, anew each time."""

MLP_FACTOR = 4
"""How much wider than a layer the inside of its MLP is in the published models."""


class _Attention(nn.Module):
    """What both families' attention is here; stands before transformers' class in the bases."""

    qkv: nn.Module
    proj: nn.Module
    num_attention_heads: int
    scale: float
    rel_pos_h: Tensor
    rel_pos_w: Tensor

    def forward(self, hidden_states: Tensor, *, window_size: int = 0) -> tuple[Tensor, None]:
        """(B, H, W, C) → the same, and no attention weights.

        Args:
            hidden_states: Whole views, or bands of them as high as a window or several.
            window_size: Patches along a window's side; 0 where all patches attend to each other.
        """
        height, width = hidden_states.shape[1:3]
        window = (window_size or height, window_size or width)
        projected = self._pad(self.qkv(hidden_states), hidden_states, window)
        query, key, value = _split(projected, window, self.num_attention_heads).unbind(0)
        rel_rows, rel_columns = self._relative_positions(query, window)
        attended = attend(query, key, value, rel_rows, rel_columns, scale=self.scale)
        joined = _join(attended, projected.shape, window)
        return self.proj(joined[:, :height, :width]), None

    def _pad(self, projected: Tensor, hidden_states: Tensor, window: tuple[int, int]) -> Tensor:
        """Whole windows; what is beyond the view has the keys and values of zeros, and is attended to."""
        views, height, width, channels = hidden_states.shape
        below, beside = -height % window[0], -width % window[1]
        if not below and not beside:
            return projected
        padding = self.qkv(hidden_states.new_zeros(1, 1, 1, channels))
        wide = torch.cat([projected, padding.expand(views, height, beside, -1)], dim=2)
        return torch.cat([wide, padding.expand(views, below, width + beside, -1)], dim=1)

    def _relative_positions(self, query: Tensor, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What each query says of each row and of each column of its window: (G, N, R) and (G, N, S)."""
        placed = query.view(len(query), *window, -1)
        of_rows = torch.einsum("grsd,rkd->grsk", placed, _by_distance(self.rel_pos_h, window[0]))
        of_columns = torch.einsum("grsd,skd->grsk", placed, _by_distance(self.rel_pos_w, window[1]))
        return of_rows.flatten(1, 2), of_columns.flatten(1, 2)


class _Layer(nn.Module):
    """What both families' layer is here; stands before transformers' class in the bases."""

    layer_norm1: nn.Module
    layer_norm2: nn.Module
    attn: nn.Module
    mlp: nn.Module
    window_size: int

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, H, W, C) → the same, a band of rows after the other where that is faster."""
        rows = band_rows(hidden_states, self.window_size)
        bands = torch.split(hidden_states, rows, dim=1)
        if self.window_size:
            # A window sees nothing beyond itself, so a band of them is complete.
            return torch.cat([self._transform(band, self._attend(band)) for band in bands], dim=1)
        attended = torch.split(self._attend(hidden_states), rows, dim=1)
        return torch.cat([self._transform(*pair) for pair in zip(bands, attended, strict=True)], dim=1)

    def _attend(self, hidden_states: Tensor) -> Tensor:
        attended: Tensor
        attended, _ = self.attn(self.layer_norm1(hidden_states), window_size=self.window_size)
        return attended

    def _transform(self, hidden_states: Tensor, attended: Tensor) -> Tensor:
        hidden_states = hidden_states + attended
        transformed: Tensor = hidden_states + self.mlp(self.layer_norm2(hidden_states))
        return transformed


class _PatchEmbeddings(nn.Module):
    """What both families' embedding of patches is here; stands before transformers' class in the bases."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, H, W, C), in memory in that order: in the convolution's own, each sum would rearrange it."""
        patches: Tensor = super().forward(pixel_values)
        return patches.contiguous()


class UnlimitedOcrSamVisionSdpaAttention(_Attention, unlimited_ocr.UnlimitedOcrSamVisionSdpaAttention):
    """Attention of DeepSeek-OCR and Unlimited-OCR."""


class UnlimitedOcrSamVisionLayer(_Layer, unlimited_ocr.UnlimitedOcrSamVisionLayer):
    """A layer of DeepSeek-OCR and Unlimited-OCR."""


class UnlimitedOcrSamPatchEmbeddings(_PatchEmbeddings, unlimited_ocr.UnlimitedOcrSamPatchEmbeddings):
    """Patches of DeepSeek-OCR and Unlimited-OCR."""


class DeepseekOcr2SamVisionSdpaAttention(_Attention, deepseek_ocr2.DeepseekOcr2SamVisionSdpaAttention):
    """Attention of DeepSeek-OCR-2."""


class DeepseekOcr2SamVisionLayer(_Layer, deepseek_ocr2.DeepseekOcr2SamVisionLayer):
    """A layer of DeepSeek-OCR-2."""


class DeepseekOcr2SamPatchEmbeddings(_PatchEmbeddings, deepseek_ocr2.DeepseekOcr2SamPatchEmbeddings):
    """Patches of DeepSeek-OCR-2."""


_OURS: dict[type[nn.Module], type[nn.Module]] = {
    ours.__bases__[1]: ours
    for ours in (
        UnlimitedOcrSamVisionSdpaAttention,
        UnlimitedOcrSamVisionLayer,
        UnlimitedOcrSamPatchEmbeddings,
        DeepseekOcr2SamVisionSdpaAttention,
        DeepseekOcr2SamVisionLayer,
        DeepseekOcr2SamPatchEmbeddings,
    )
}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_EAGER = {unlimited_ocr.UnlimitedOcrSamVisionAttention, deepseek_ocr2.DeepseekOcr2SamVisionAttention}


def speed_up_sam(model: nn.Module) -> None:
    """Have SAM computed by the classes here, which `OcrModel` does as it is made.

    A model asked for with `attn_implementation="eager"` stays transformers' own: its attention weights are wanted.
    """
    if any(type(module) in _EAGER for module in model.modules()):
        return
    for module in model.modules():
        module.__class__ = _OURS.get(type(module), type(module))


def restore_sam(model: nn.Module) -> None:
    """Have SAM computed by transformers' classes again: the other side of tests of equality and of benchmarks."""
    for module in model.modules():
        module.__class__ = _THEIRS.get(type(module), type(module))


def checkpoint_vision(tower: PreTrainedModel) -> None:
    """Keep of each layer of the vision encoder its input alone, and compute the layer again in the backward pass.

    It acts in training mode, and on no other part of the model.
    """
    tower.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def band_rows(hidden_states: Tensor, window_size: int) -> int:
    """Rows of patches in a band: all of them, but on a CPU that learns nothing so many that activations are small.

    Where gradients are wanted all activations are kept anyway, and the weights' gradients would be summed band by band.

    Args:
        hidden_states: (B, H, W, C).
        window_size: Bands of a layer with windows are multiples of it; 0 for none.
    """
    views, height, width, channels = hidden_states.shape
    if hidden_states.device.type != "cpu" or torch.is_grad_enabled():
        return height
    row_bytes = views * width * channels * MLP_FACTOR * hidden_states.element_size()
    step = window_size or 1
    return min(height, max(step, BAND_BYTES // row_bytes // step * step))


def _by_distance(table: Tensor, size: int) -> Tensor:
    """(size, size, D): the row of `table` for each query and key along one side, resized for sides it is not made for."""
    if len(table) != 2 * size - 1:
        table = functional.interpolate(table.t()[None], size=2 * size - 1, mode="linear")[0].t()
    return table[_distances(size, table.device)]


def _distances(size: int, device: torch.device) -> Tensor:
    # Made on the host, it would be a copy to the device, which waits for all work there.
    places = torch.arange(size, device=device)
    return places[:, None] - places[None, :] + size - 1


def _split(projected: Tensor, window: tuple[int, int], heads: int) -> Tensor:
    """(B, H, W, 3·C) → (3, G, R·S, D) with G = B·windows·A."""
    views, height, width, channels = projected.shape
    rows, columns = window
    width_of_head = channels // (3 * heads)
    windows = projected.view(views, height // rows, rows, width // columns, columns, 3, heads, width_of_head)
    return windows.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, -1, rows * columns, width_of_head)


def _join(attended: Tensor, shape: torch.Size, window: tuple[int, int]) -> Tensor:
    """Takes `_split` back: (G, R·S, D) → (B, H, W, C); `shape` is (B, H, W, 3·C)."""
    views, height, width, channels = shape
    rows, columns = window
    windows = attended.view(views, height // rows, width // columns, -1, rows, columns, attended.shape[-1])
    return windows.permute(0, 1, 4, 2, 5, 3, 6).reshape(views, height, width, channels // 3)
