"""Where a run's numbers go: `metrics.jsonl`, TensorBoard and the screen."""

import json
import time
from typing import Any

from rich.progress import Progress, TextColumn
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ocrtune.progress import bar_columns, talk
from ocrtune.training.folder import RunFolder

_NAMES = {"eval_loss": "validation_loss", "eval_cer": "cer", "eval_wer": "wer", "eval_ned": "ned"}


def metrics_row(logs: dict[str, Any], step: int, elapsed_s: float) -> dict[str, Any]:
    """A line of `metrics.jsonl`: the Trainer's log under ocrtune's names."""
    named = {_NAMES.get(name, name.removeprefix("eval_")): _rounded(value) for name, value in logs.items()}
    return {"step": step, **named, "elapsed_s": round(elapsed_s, 2)}


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


class RunLog(TrainerCallback):
    """Writes each log line to `metrics.jsonl` and TensorBoard as it comes.

    Args:
        folder: The run folder.
        elapsed_s: Seconds that earlier parts of a resumed run took.
    """

    def __init__(self, folder: RunFolder, *, elapsed_s: float = 0.0) -> None:
        self._folder = folder
        self._start = time.monotonic() - elapsed_s
        self._tensorboard = SummaryWriter(str(folder.tensorboard))

    def on_log(  # noqa: D102  # the Trainer's hook
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or logs is None or "train_runtime" in logs:
            return
        row = metrics_row(logs, state.global_step, time.monotonic() - self._start)
        with self._folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            if name != "step":
                self._tensorboard.add_scalar(name, value, state.global_step)
        self._tensorboard.flush()

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: D102  # the Trainer's hook
        self._tensorboard.close()


class Screen(TrainerCallback):
    """Loss, rate, speed and time left: a bar on a terminal, a line for each log elsewhere."""

    def __init__(self) -> None:
        self._progress = Progress(
            *bar_columns(),
            TextColumn("{task.fields[numbers]}"),
            console=talk(),
            disable=not talk().is_terminal,
        )
        self._task = self._progress.add_task("training", total=None, numbers="")
        self._start = 0.0
        self._first_step = 0

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:  # noqa: D102
        self._start = time.monotonic()
        self._first_step = state.global_step
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)
        self._progress.start()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:  # noqa: D102
        self._progress.update(self._task, completed=state.global_step)

    def on_log(  # noqa: D102
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or logs is None:
            return
        if "eval_cer" in logs:
            self._say(
                f"step {state.global_step}: held-out CER {logs['eval_cer']:.4f}, loss {logs['eval_loss']:.4f}"
            )
        elif "loss" in logs:
            numbers = _numbers(logs)
            self._progress.update(self._task, numbers=numbers)
            if self._progress.disable:
                self._say(
                    f"step {state.global_step} of {state.max_steps}: {numbers}, {self._time_left(state)}"
                )

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self._progress.stop()

    def close(self) -> None:
        """Give the terminal back, also where training was broken off by an error."""
        self._progress.stop()

    def _say(self, message: str) -> None:
        # Through the bar's own console: from another one it would be written into the bar.
        self._progress.console.print(message, markup=False)

    def _time_left(self, state: TrainerState) -> str:
        done = state.global_step - self._first_step
        left_s = (time.monotonic() - self._start) / max(done, 1) * (state.max_steps - state.global_step)
        return f"{left_s:.0f} s left" if left_s < 120 else f"{left_s / 60:.0f} min left"  # noqa: PLR2004


def _numbers(logs: dict[str, Any]) -> str:
    return (
        f"loss {logs['loss']:.4f}, lr {logs['learning_rate']:.2e}, "
        f"{logs['tokens_per_s']:.0f} tokens/s, {logs['images_per_s']:.1f} images/s, "
        f"{logs['waiting_share']:.1%} waiting for pages"
    )
