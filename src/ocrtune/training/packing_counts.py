"""How full the rows of a run were, and how many examples of which source stood in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

PACKED = "packed"
"""The key of a batch under which its rows' capacity in tokens stands, and the names of their examples."""


class PackingCounts(TrainerCallback, ExportableState):
    """Counts packed rows of a run; checkpoints keep the counts, so that a resumed run goes on with them.

    Args:
        sources: Names of sources, with which names of examples begin; none where there is one source.
    """

    def __init__(self, sources: Sequence[str] = ()) -> None:
        self._sources = list(sources)
        # Tokens, capacity, examples, and examples of each source.
        self._own = self._nothing()
        self._since_log = self._nothing()
        self._before = self._nothing()
        self._total = self._nothing()

    @property
    def fill(self) -> float | None:
        """Share of the rows' capacity that held tokens, as of the last `gather`; None where nothing is packed."""
        return float(self._total[0] / self._total[1]) if self._total[1] else None

    @property
    def num_examples(self) -> int:
        """Examples learned from in packed rows, as of the last `gather`."""
        return int(self._total[2])

    @property
    def of_sources(self) -> list[int]:
        """The same of each source."""
        return [int(count) for count in self._total[3:]] or [self.num_examples]

    def count(self, inputs: dict[str, Any]) -> None:
        """Add a batch, and take from it what is no argument of the model."""
        packed = inputs.pop(PACKED, None)
        if packed is None:
            return
        lengths = inputs["segment_lengths"]
        counts = np.array([sum(lengths), packed["capacity"], len(lengths), *self._by_source(packed["names"])])
        self._own += counts
        self._since_log += counts

    def take(self) -> dict[str, float]:
        """`fill` since the last call, of this process; nothing where nothing is packed."""
        (tokens, capacity, *_), self._since_log = self._since_log, self._nothing()
        return {"fill": float(tokens / capacity)} if capacity else {}

    def gather(self, accelerator: Accelerator) -> None:
        """Sum up over processes and resumed parts; every process has to call it."""
        own = torch.from_numpy(self._own).to(accelerator.device, copy=True)
        self._total = self._before + accelerator.reduce(own).cpu().numpy()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"counts": self._total.tolist()}}

    def on_train_begin(  # noqa: D102  # the Trainer's hook
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        kept: Mapping[str, Any] = (state.stateful_callbacks or {}).get(type(self).__name__, {})
        counts = kept.get("attributes", {}).get("counts", [])
        if len(counts) == len(self._before):
            self._before = self._total = np.array(counts, dtype=np.int64)

    def _by_source(self, names: Sequence[str]) -> list[int]:
        of = [name.partition("/")[0] for name in names]
        return [of.count(source) for source in self._sources]

    def _nothing(self) -> NDArray[np.int64]:
        return np.zeros(3 + len(self._sources), dtype=np.int64)
