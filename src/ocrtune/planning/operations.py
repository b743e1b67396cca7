"""Bytes that single operations keep from the forward to the backward.

A linear layer keeps its inputs where its weights or an adapter learn, a norm its inputs in fp32, attention queries, keys,
values and outputs, a gated product all of its factors.
"""

from dataclasses import dataclass

from ocrtune.models.precision import TORCH_DTYPES, PrecisionPolicy

FLOAT = 4
INDEX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Bytes of a number.

    Attributes:
        stream: In the weights, and in what goes from layer to layer.
        compute: In products of matrices.
    """

    stream: int
    compute: int

    @classmethod
    def of(cls, policy: PrecisionPolicy) -> "Widths":
        """Those a precision policy leads to."""
        stream = TORCH_DTYPES[policy.base_dtype].itemsize
        return cls(stream=stream, compute=policy.torch_compute.itemsize)

    @property
    def casts(self) -> bool:
        """Autocast makes a shorter copy of whatever enters a product."""
        return self.compute < self.stream

    @property
    def casts_adapters(self) -> bool:
        """Inputs of an adapter are copied, because its matrices are in fp32."""
        return self.compute < FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Bytes that the operations of a layer keep.

    Attributes:
        widths: Bytes of a number.
        learns: Weights get gradients.
        rank: Of adapters.
        flows: The layer's inputs get gradients.
    """

    widths: Widths
    learns: bool
    rank: int
    flows: bool = True

    @property
    def active(self) -> bool:
        """Something of it runs backward."""
        return self.flows or self.learns or self.rank > 0

    def behind(self) -> "Operations":
        """The same behind the first thing that learns."""
        return Operations(widths=self.widths, learns=self.learns, rank=self.rank, flows=self.active)

    def rms_norm(self, rows: int, width: int) -> int:
        """Inputs and their scale in fp32, and the normalised ones where the weights learn."""
        if not (self.flows or self.learns):
            return 0
        return rows * (width * FLOAT + FLOAT + self.learns * width * self.widths.stream)

    def layer_norm(self, rows: int, width: int) -> int:
        """Inputs, means and deviations in fp32."""
        return rows * (width * FLOAT + 2 * FLOAT) if self.flows or self.learns else 0

    def linears(self, rows: int, inputs: int, outputs: tuple[int, ...], *, kept: bool = False) -> int:
        """Linear layers that share their inputs, with their adapters.

        Args:
            rows: Of the inputs.
            inputs: Width of them.
            outputs: Width of each layer.
            kept: The inputs are kept anyway, in the dtype of products.
        """
        widths, count = self.widths, len(outputs)
        size = rows * inputs * widths.compute
        total = 0
        if self.learns:
            total += 0 if kept else size * count if widths.casts else rows * inputs * widths.stream
        elif self.rank:
            total += size * count if widths.casts_adapters else 0 if kept else size
        if self.rank:
            total += count * rows * self.rank * widths.compute
            if widths.casts_adapters:
                total += self.rank * (count * inputs * self.flows + sum(outputs)) * widths.compute
        if widths.casts and self.flows:
            total += inputs * sum(outputs) * widths.compute
        return total

    def attention(
        self, queries: int, keys: int, pairs: int, *, heads: int, key_value_heads: int, head_width: int
    ) -> int:
        """Queries, keys, values, outputs and their normalisers; `pairs` of a query and a key of a mask, 0 for none."""
        if not self.active:
            return 0
        kept = queries * (2 * heads * head_width * self.widths.compute + heads * FLOAT)
        kept += keys * 2 * key_value_heads * head_width * self.widths.compute
        return kept + pairs * self.widths.compute

    def gated(self, rows: int, width: int, inner: int) -> int:
        """A gated MLP: both factors, the activation, and the product where something behind it learns."""
        if not self.active:
            return 0
        factors = 3 * rows * inner * self.widths.compute
        return self.linears(rows, width, (inner, inner)) + factors + self.linears(rows, inner, (width,))
