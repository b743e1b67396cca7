"""FLOPs of what is computed, and how many of them a second there can be."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

MATMUL_SIDE = 2048
MATMUL_REPEATS = 5


def count_flops(work: Callable[[], None]) -> int:
    """FLOPs of products, convolutions and attention that `work` computes."""
    aten = torch.ops.aten
    formulas = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,  # noqa: SLF001  # names of torch's operators
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward_flops,  # noqa: SLF001
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        work()
    return int(counter.get_total_flops())


def attention_flops(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    dropout: float = 0.0,  # noqa: ARG001  # torch's operator has it
    is_causal: bool = False,
    **_: Any,
) -> int:
    """Two products of (B, heads, L, D), half of them where attention is causal."""
    batch, heads, length, width = query
    pairs = length * key[2] // (2 if is_causal else 1)
    return 2 * batch * heads * pairs * (width + value[3])


def attention_backward_flops(_: Sequence[int], *forward: Any, **__: Any) -> int:
    """Twice the forward; what a kernel computes once more is no work.

    Args:
        forward: After the gradient: query, key, value, output, logsumexp, dropout, whether it is causal.
    """
    query, key, value, _out, _sums, *rest = forward
    return 2 * attention_flops(query, key, value, *rest[:2])


def matmul_rate() -> float:
    """FLOP/s of a large fp32 product with the threads of the run, the fastest of a few."""
    first, second = torch.rand(2, MATMUL_SIDE, MATMUL_SIDE)
    return 2 * MATMUL_SIDE**3 / fastest(lambda: torch.mm(first, second), MATMUL_REPEATS)


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds that `work` takes, the least of so many times."""
    times = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - began_s)
    return min(times)
