"""Adapters on routed experts as two small products beside the large one.

PEFT adds an adapter to the weights of all experts before each forward, which takes memory and time of their size once
more, and its gradient goes through another tensor of that size.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from peft.tuners.lora.layer import ParamWrapper
from torch import nn

from ocrtune.models.experts import computes


class FactoredAdapter(ParamWrapper):
    """PEFT's adapter of a parameter of routed experts; names, files and merging are PEFT's.

    Source: PEFT's `ParamWrapper`, equal to 1e-5 in outputs and gradients (`tests/models/test_adapters.py`).
    """

    @contextmanager
    def _activate_lora(self, active_adapters: list[str]) -> Iterator[None]:
        """Called around the forward of the experts, inside those of adapters of their other parameters."""
        experts = self.get_base_layer()
        names = [name for name in active_adapters if name in self.lora_A]
        if len(names) != 1 or not computes(experts):
            with super()._activate_lora(active_adapters):
                yield
            return
        second, first, scale = self.get_delta_factors(names[0])
        outer = getattr(experts, "adapter_factors", {})
        experts.adapter_factors = {**outer, self.parameter_name: (first, second * scale)}
        try:
            yield
        finally:
            experts.adapter_factors = outer


def factor_adapters(model: nn.Module) -> None:
    """Have all adapters of routed experts of `model` computed so, in place."""
    for module in model.modules():
        if type(module) is ParamWrapper:
            module.__class__ = FactoredAdapter
