"""What a run leaves behind."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Where a run's results lie, and how it went.

    Attributes:
        run: The run folder.
        best: The checkpoint with the lowest CER on held-out pages; the last one where none were held out.
        last: The checkpoint of the last step.
        steps: Optimizer steps done.
        best_cer: Micro CER of `best` on the held-out pages; None where none were held out.
        final_loss: Training loss per token in the last logged steps.
        elapsed_s: Seconds in this call.
        num_train_pages: Pages learned from.
        num_validation_pages: Pages held out and decoded.
        num_skipped: Pages skipped; each is listed in `skipped.jsonl`.
        skipped_by_reason: How many of them by the code of the reason.
        num_processes: Processes that learned together.
        pack_fill: Share of packed rows that held tokens; None where none were packed.
        waiting_share: Share of the time of the steps that the first process spent waiting for pages; None without steps.
        feature_cache: Where vision features were kept, how many images were read from it and how many computed, by
            epoch; None where none were kept.
    """

    run: Path
    best: Path
    last: Path
    steps: int
    best_cer: float | None
    final_loss: float | None
    elapsed_s: float
    num_train_pages: int
    num_validation_pages: int
    num_skipped: int
    skipped_by_reason: dict[str, int] = field(default_factory=dict)
    num_processes: int = 1
    pack_fill: float | None = None
    waiting_share: float | None = None
    feature_cache: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, object]:
        """The result for `--json` and `summary.json`."""
        return {
            "run": str(self.run),
            "best": str(self.best),
            "last": str(self.last),
            "steps": self.steps,
            "best_cer": self.best_cer,
            "final_loss": self.final_loss,
            "elapsed_s": round(self.elapsed_s, 1),
            "train_pages": self.num_train_pages,
            "validation_pages": self.num_validation_pages,
            "skipped": self.num_skipped,
            "skipped_by_reason": self.skipped_by_reason,
            "processes": self.num_processes,
            "pack_fill": self.pack_fill,
            "waiting_share": None if self.waiting_share is None else round(self.waiting_share, 4),
            "feature_cache": self.feature_cache,
        }
