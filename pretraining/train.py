"""Teach the small model to read: `python pretraining/train.py --out runs/base --minutes 45`.

See README.md beside this file.
"""

import json
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from batches import CLASSES, BatchFeed, LineSource, TaughtLine, line_maker
from exams import Exams, make_exams, read_exam
from guidance import LetterHeads, Watch, attention_term, garble, letter_terms, wanted_looks
from ocrtune.errors import OcrtuneError, TrainingError
from ocrtune.inputs import Tokenizer
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.checkpoint import CheckpointCard, save_checkpoint
from ocrtune.models.tiny import FAMILY, RECIPE, build_tiny_checkpoint
from ocrtune.progress import say
from ocrtune.sources import write_jsonl
from texts import FONT_FOLDERS, PROSE_FILES, WORD_LIST, LineTexts, find_fonts, read_prose, read_words

STATE_FILE = "state.pt"
METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the model is taught.

    Attributes:
        minutes: How long; None to count steps.
        steps: How many; only without `minutes`.
        seed: Of weights, lines and garbling.
        learning_rate: Its peak, behind a warm-up and before a cosine.
        last_share: What is left of the peak at the end.
        warmup_steps: Steps to the peak.
        weight_decay: Of matrices.
        letters_weight: Of the losses of each letter head.
        attention_weight: Of the loss of guided attention.
        garbled: Most of an answer that is spoiled.
        shortest: Letters of the longest lines at the start.
        longest: Letters of the longest lines in the end.
        growth: Lines grow by this factor after `log_every` steps …
        grows_below: … whose token loss was lower than this.
        log_every: Steps between rows of metrics.
        evaluate_every: Steps between checkpoints, each with its exams.
        bf16: Matrix products are computed in bf16.
    """

    minutes: float | None = None
    steps: int = 10_000
    seed: int = 0
    learning_rate: float = 1.5e-3
    last_share: float = 0.03
    warmup_steps: int = 60
    weight_decay: float = 0.01
    letters_weight: float = 0.7
    attention_weight: float = 0.5
    garbled: float = 0.2
    shortest: float = 12
    longest: float = 66
    growth: float = 1.12
    grows_below: float = 1.7
    log_every: int = 20
    evaluate_every: int = 200
    bf16: bool = True

    def rate(self, step: int, done: float) -> float:
        """The learning rate of a step, counted from 0, when this share of the run is done."""
        warmth = min(1.0, (step + 1) / self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        return self.learning_rate * warmth * (self.last_share + (1 - self.last_share) * cosine)

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """What matrix products are computed in, where that is not float32."""
        return torch.bfloat16 if self.bf16 else None


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Steps taken.
        elapsed_s: Time taken, over all sittings.
        lines: Lines seen.
        tokens: Tokens learned.
        longest: Letters of the longest lines now.
    """

    step: int = 0
    elapsed_s: float = 0.0
    lines: int = 0
    tokens: int = 0
    longest: float = 12

    def done(self, recipe: Recipe) -> float:
        """Share of the run, by time or by steps."""
        if recipe.minutes is not None:
            return self.elapsed_s / (60 * recipe.minutes)
        return self.step / recipe.steps


class Pupil:
    """A model with all that it takes to teach it.

    Args:
        folder: A checkpoint; one with a state goes on from it.
        recipe: How.

    Attributes:
        model: In training mode.
        tokenizer: Its tokenizer.
        progress: How far it is.
        lengths: Longest lines of the batches that were ordered and not used when the state was saved.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.model = load_model(folder).train()
        self.tokenizer = Tokenizer.read(folder)
        self.progress = Progress(longest=recipe.shortest)
        self.lengths: list[float] = []
        self._heads = LetterHeads(self.model.config.text_config.hidden_size)
        self._watch = Watch.of(self.model)
        self._letters = torch.tensor([self.tokenizer.encode(letter)[0] for letter in CLASSES[1:]])
        self._parameters = [*self.model.parameters(), *self._heads.parameters()]
        self._optimizer = _make_optimizer(self._parameters, recipe)
        if (folder / STATE_FILE).is_file():
            self._read_state(folder / STATE_FILE)

    def learn(self, lines: list[TaughtLine]) -> dict[str, float]:
        """One optimizer step; losses and accuracies."""
        recipe, progress = self.recipe, self.progress
        rate = recipe.rate(progress.step, progress.done(recipe))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss, row, num_tokens = self._loss(lines)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()}", where=f"step {progress.step}")
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        progress.step += 1
        progress.lines += len(lines)
        progress.tokens += num_tokens
        return {**row, "learning_rate": rate}

    def _loss(self, lines: list[TaughtLine]) -> tuple[torch.Tensor, dict[str, float], int]:
        """The loss to differentiate, what it is made of, and the number of tokens that were asked for."""
        recipe = self.recipe
        batch = collate([line.inputs for line in lines], FAMILY, pad_id=self.tokenizer.pad_id)
        generator = torch.Generator().manual_seed((recipe.seed << 32) + self.progress.step)
        garble(batch, self._letters, generator, most=recipe.garbled)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            output = supervised_loss(self.model, batch.native())
            attention = attention_term(self.model, self._watch, wanted_looks(batch, lines))
        vision, decoder = letter_terms(self._heads, self._watch, batch, lines)
        loss = (
            output.loss
            + recipe.letters_weight * (vision.loss + decoder.loss)
            + recipe.attention_weight * attention.loss
        )
        row = {"loss": output.loss.item()}
        for name, term in (("vision", vision), ("decoder", decoder), ("attention", attention)):
            row |= {f"{name}_loss": term.loss.item(), f"{name}_accuracy": term.accuracy}
        return loss, row, output.num_tokens

    def save(self, folder: Path, lengths: list[float], scores: dict[str, float]) -> None:
        """Write a checkpoint that predicts, fine-tunes and resumes; its state comes last."""
        card = CheckpointCard(inputs=RECIPE, step=self.progress.step, scores=scores)
        save_checkpoint(self.model, folder, card=card, tokenizer=self.tokenizer)
        state = {
            "heads": self._heads.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
            "lengths": lengths,
        }
        temporary = folder / f"{STATE_FILE}.tmp"
        torch.save(state, temporary)
        temporary.replace(folder / STATE_FILE)

    def _read_state(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self._heads.load_state_dict(state["heads"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        self.lengths = state["lengths"]


def _make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), foreach=True)


class Metrics:
    """Rows of `metrics.jsonl`; those behind the step a run resumes from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._rows = [row for row in map(json.loads, lines) if row["step"] <= step]
        self._recent: dict[str, list[float]] = defaultdict(list)

    def add(self, row: dict[str, float]) -> None:
        """Keep a step's values for the next mean."""
        for name, value in row.items():
            self._recent[name].append(value)

    def means(self) -> dict[str, float]:
        """Means of what was added since the last call."""
        means = {name: round(sum(values) / len(values), 6) for name, values in self._recent.items()}
        self._recent.clear()
        return means

    def write(self, row: dict[str, object]) -> None:
        """Append a row, and tell people."""
        self._rows.append(row)
        write_jsonl(self._path, self._rows)
        say(json.dumps(row, ensure_ascii=False))


def pretrain(out: Path, source: LineSource, recipe: Recipe, exams: Exams, executor: Executor | None) -> Path:
    """Teach until the recipe is done, going on from the last checkpoint in `out` if there is one.

    Args:
        out: The run folder.
        source: Of lines to learn from.
        recipe: How.
        exams: What is asked at each checkpoint.
        executor: Makes the lines; None makes them in between.

    Returns:
        The folder of the last checkpoint.

    Raises:
        TrainingError: The loss is not finite.
    """
    start = last_checkpoint(out) or source.tokenizer_folder
    pupil = Pupil(start, recipe)
    progress = pupil.progress
    feed = BatchFeed(source, step=progress.step, lengths=pupil.lengths, executor=executor)
    metrics = Metrics(out / METRICS_FILE, progress.step)
    began = time.monotonic() - progress.elapsed_s
    while progress.done(recipe) < 1:
        metrics.add(pupil.learn(feed.take(progress.longest)))
        progress.elapsed_s = time.monotonic() - began
        if progress.step % recipe.log_every == 0:
            _log(metrics, progress, recipe)
        if progress.step % recipe.evaluate_every == 0 or progress.done(recipe) >= 1:
            start = _save(out, pupil, exams, metrics, feed.lengths)
    return start


def _log(metrics: Metrics, progress: Progress, recipe: Recipe) -> None:
    """Write the means of the last steps; lines grow where they were easy."""
    means = metrics.means()
    metrics.write({**asdict(progress), "elapsed_s": round(progress.elapsed_s), **means})
    if means["loss"] < recipe.grows_below:
        progress.longest = min(recipe.longest, progress.longest * recipe.growth)


def _save(out: Path, pupil: Pupil, exams: Exams, metrics: Metrics, lengths: list[float]) -> Path:
    """Hold the exams, write a checkpoint, remove the ones before it."""
    readings = {
        name: read_exam(pupil.model, pupil.tokenizer, examples, pupil.recipe.autocast_dtype)
        for name, examples in exams.items()
    }
    row: dict[str, object] = {"step": pupil.progress.step, "elapsed_s": round(pupil.progress.elapsed_s)}
    for name, reading in readings.items():
        row |= reading.as_dict(name)
    metrics.write(row)
    folder = out / "checkpoints" / f"step-{pupil.progress.step:06d}"
    pupil.save(folder, lengths, {f"{name}_cer": reading.cer for name, reading in readings.items()})
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
    return folder


def last_checkpoint(out: Path) -> Path | None:
    """The latest whole checkpoint of a run folder."""
    states = sorted((out / "checkpoints").glob(f"step-*/{STATE_FILE}"))
    return states[-1].parent if states else None


def main(
    *,
    out: Annotated[Path, typer.Option(help="The run folder; a run that is there goes on.")],
    minutes: Annotated[float | None, typer.Option(help="How long to train, exams included.")] = None,
    steps: Annotated[int, typer.Option(help="How many steps, where --minutes is not given.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of weights, lines and garbling.")] = 0,
    texts: Annotated[
        list[Path] | None, typer.Option(help="Folder of English .txt files; repeatable.")
    ] = None,
    words: Annotated[Path, typer.Option(help="A list of words, one a line.")] = WORD_LIST,
    fonts: Annotated[list[Path] | None, typer.Option(help="Folder of .ttf, .otf; repeatable.")] = None,
    bf16: Annotated[bool, typer.Option(help="Compute in bf16; --no-bf16 where a CPU lacks it.")] = True,
    threads: Annotated[int, typer.Option(help="Of torch; lines are made by a process of their own.")] = 1,
) -> None:
    """Teach the small model to read rendered lines.

    Example: python pretraining/train.py --out runs/base --minutes 45
    """
    torch.set_num_threads(threads)
    patterns = [str(folder / "**" / "*.txt") for folder in texts] if texts else PROSE_FILES
    try:
        source = LineSource(
            texts=LineTexts(read_prose(patterns), read_words(words)),
            fonts=find_fonts(fonts or FONT_FOLDERS),
            tokenizer_folder=build_tiny_checkpoint(out / "start", seed=seed),
            batch_size=32,
            seed=seed,
        )
        recipe = Recipe(minutes=minutes, steps=steps, seed=seed, bf16=bf16)
        with line_maker(source) as executor:
            say(str(pretrain(out, source, recipe, make_exams(source), executor)))
    except OcrtuneError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
