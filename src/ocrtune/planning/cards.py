"""Cards that a run may be planned for, and what they are assumed to reach.

Memory, rates and bandwidth are the makers' numbers, dense and without sparsity. The shares of them that a run reaches
are assumptions, printed with every forecast: a time is a forecast, not a measurement.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType

import torch

from ocrtune.errors import PlanningError
from ocrtune.models.precision import TORCH_DTYPES, DeviceFacts, Dtype, PrecisionPolicy, detect_device
from ocrtune.planning.flops import Part

GIB = 2**30
THIS = "this"
"""The name of the machine that asks."""

_MEASURED_S = 0.5
_CPU_PRODUCT = 768
_CUDA_PRODUCT = 4096
_COPIED_NUMBERS = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What share of a card's numbers a run is assumed to reach.

    Attributes:
        dense: Of the peak rate, in large products.
        experts: The same in products of routed experts, which are many and small.
        bandwidth: Of the bandwidth.
        launch_s: Seconds that starting one kernel takes; nothing is faster than starting all of them.
    """

    dense: float = 0.45
    experts: float = 0.25
    bandwidth: float = 0.7
    launch_s: float = 6e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A device that a run is planned for.

    Attributes:
        name: What it is asked for by.
        device: What precision is decided by.
        memory_bytes: That a program can have.
        rates: Operations a second by dtype, of dense products.
        bandwidth: Bytes a second to its memory.
        reached: Shares of these.
        overhead_bytes: Taken by libraries before a run begins.
        overhead_share: Of activations, lost between blocks of the allocator.
        measured: Rates and bandwidth were measured here, not read in a data sheet.
    """

    name: str
    device: DeviceFacts
    memory_bytes: int
    rates: Mapping[Dtype, float]
    bandwidth: float
    reached: Reached = field(default_factory=Reached)
    overhead_bytes: int = GIB * 3 // 4
    overhead_share: float = 0.05
    measured: bool = False

    def rate(self, part: Part, policy: PrecisionPolicy) -> float:
        """Operations a second that products of a part are assumed to reach."""
        dtype = policy.autocast_dtype or policy.base_dtype
        share = self.reached.experts if part == "experts" else self.reached.dense
        return self.rates.get(dtype, self.rates["float32"]) * share

    @property
    def has_grouped_products(self) -> bool:
        """The experts of a layer are computed in one product, not one after another."""
        return self.device.kind != "cuda" or self.device.has_bf16

    def assumptions(self) -> list[str]:
        """What the forecast of time rests on, in sentences."""
        source = "measured here" if self.measured else "by its data sheet"
        rates = ", ".join(f"{rate / 1e12:.3g} TFLOPS in {dtype}" for dtype, rate in self.rates.items())
        reached = self.reached
        numbers = f"{self.device.name}: {rates}, {self.bandwidth / 1e9:,.0f} GB/s, {source}"
        shares = (
            f"reached: {reached.dense:.0%} of the rate in large products, {reached.experts:.0%} in those of experts, "
            f"{reached.bandwidth:.0%} of the bandwidth, {reached.launch_s * 1e6:.0f} µs to start a kernel"
        )
        return [numbers, shares]


def _cuda(
    name: str,
    title: str,
    capability: tuple[int, int],
    *,
    memory_gib: float,
    half: float,
    single: float,
    bandwidth: float,
    reached: Reached | None = None,
) -> Card:
    device = DeviceFacts(kind="cuda", capability=capability, name=title)
    rates: dict[Dtype, float] = {"float16": half * 1e12, "float32": single * 1e12}
    if device.has_bf16:
        rates = {"bfloat16": half * 1e12, **rates}
    return Card(
        name=name,
        device=device,
        memory_bytes=round(memory_gib * GIB),
        rates=rates,
        bandwidth=bandwidth * 1e9,
        reached=reached or Reached(),
    )


_SLOWER = Reached(dense=0.3, experts=0.12)
"""A T4 throttles under load, and its experts are computed one after another."""

_CARDS = (
    _cuda("T4", "Tesla T4", (7, 5), memory_gib=14.7, half=65, single=8.1, bandwidth=320, reached=_SLOWER),
    _cuda("L4", "L4", (8, 9), memory_gib=22.0, half=121, single=30.3, bandwidth=300),
    _cuda("4090", "GeForce RTX 4090", (8, 9), memory_gib=23.5, half=165.2, single=82.6, bandwidth=1008),
    _cuda("A100", "A100 80 GB", (8, 0), memory_gib=79.2, half=312, single=19.5, bandwidth=2039),
    _cuda("A100-40", "A100 40 GB", (8, 0), memory_gib=39.5, half=312, single=19.5, bandwidth=1555),
    _cuda("H100", "H100 80 GB SXM", (9, 0), memory_gib=79.1, half=989, single=67, bandwidth=3350),
)

CARDS: Mapping[str, Card] = MappingProxyType({card.name: card for card in _CARDS})
"""By name."""


def find_card(name: str) -> Card:
    """A card by its name, in letters of any size; `this` for the machine that asks.

    Raises:
        PlanningError: There is none of that name.
    """
    known = [*CARDS, THIS]
    wanted = next((one for one in known if one.lower() == name.lower()), None)
    if wanted is None:
        close = get_close_matches(name.upper(), known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise PlanningError(f"no card {name!r}", where="--card", hint=f"{meant}known: {', '.join(known)}")
    return measure_this() if wanted == THIS else CARDS[wanted]


def measure_this() -> Card:
    """This machine: its memory, and rates and bandwidth measured in about a second."""
    device = detect_device("auto")
    kind = "cuda" if device.kind == "cuda" else "cpu"
    dtypes: tuple[Dtype, ...] = ("float32",)
    if kind == "cuda":
        dtypes = ("bfloat16", "float16", "float32") if device.has_bf16 else ("float16", "float32")
    rates = {dtype: _measure_rate(kind, dtype) for dtype in dtypes}
    card = Card(
        name=THIS,
        device=device,
        memory_bytes=_memory_bytes(kind),
        rates=rates,
        bandwidth=_measure_bandwidth(kind),
        # Beside a measured product there is less to lose than beside a data sheet.
        reached=Reached(dense=0.7, experts=0.4, bandwidth=0.9, launch_s=1e-5),
        measured=True,
    )
    return card if kind == "cuda" else replace(card, overhead_bytes=GIB // 2, overhead_share=0.0)


def _memory_bytes(kind: str) -> int:
    if kind == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    if sys.platform == "win32":  # it has no sysconf
        raise PlanningError("the memory of this machine is not known", where="--card", hint="name a card")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _measure_rate(kind: str, dtype: Dtype) -> float:
    """Operations a second of a large product; the best of those that go into half a second."""
    size = _CUDA_PRODUCT if kind == "cuda" else _CPU_PRODUCT
    left = torch.randn(size, size, device=kind).to(TORCH_DTYPES[dtype])
    return 2 * size**3 / _fastest_s(kind, lambda: left @ left)


def _measure_bandwidth(kind: str) -> float:
    """Bytes a second that are read and written by a copy."""
    numbers = torch.zeros(_COPIED_NUMBERS, device=kind)
    target = torch.empty_like(numbers)
    return 2 * numbers.nbytes / _fastest_s(kind, lambda: target.copy_(numbers))


def _fastest_s(kind: str, work: Callable[[], object]) -> float:
    work()
    started, best = time.perf_counter(), float("inf")
    while time.perf_counter() - started < _MEASURED_S:
        begun = time.perf_counter()
        work()
        if kind == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return best
