"""Held-out pages: their loss, and the CER of what the model reads on them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from ocrtune.config import EvaluationSection
from ocrtune.evaluation import score_page, summarize, write_predictions
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.inputs.collate import collate
from ocrtune.models import OcrModel, supervised_loss
from ocrtune.models.known_features import FeatureSource, with_known
from ocrtune.models.precision import PrecisionPolicy
from ocrtune.prediction import answer
from ocrtune.prediction.confidence import find_unsure_span, mean_logprob
from ocrtune.prediction.pages import one_ahead
from ocrtune.records import Example, ModelInputs, Prediction

WINDOW_BATCHES = 4
"""Batches whose pages are encoded together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPages:
    """Scores a model on the same held-out pages each time.

    Attributes:
        examples: With targets; on several devices each works on its share.
        recipe: How pages become inputs.
        tokenizer: Of the base model.
        evaluation: How answers are decoded and compared.
        batch_size: Examples in a forward for the loss.
        policy: Dtypes of pixels and products, as in training.
        predictions: Folder for what was read at each step.
        features: Gives batches the vision features that are kept, and keeps others; None where none are.
    """

    examples: Sequence[Example]
    recipe: InputsRecipe
    tokenizer: Tokenizer
    evaluation: EvaluationSection
    batch_size: int
    policy: PrecisionPolicy
    predictions: Path
    features: FeatureSource | None = None

    def __call__(self, model: OcrModel, step: int) -> dict[str, float]:
        """Scores under the Trainer's names: `eval_cer`, `eval_loss` and others.

        Returns:
            `eval_cer`, `eval_wer`, `eval_ned` are micro; `eval_loss` is per token.
        """
        with PartialState().split_between_processes(list(self.examples)) as share:
            loss_sum, num_tokens, predictions = self._work_through(model, share)
        sums = gather_object([(loss_sum, num_tokens)])
        rows: list[Prediction] = gather_object(predictions)
        if PartialState().is_main_process:
            write_predictions(self.predictions / f"step-{step:06d}.jsonl", rows)
        scores = self._scores(rows)
        tokens = sum(count for _, count in sums)
        return {**scores, "eval_loss": sum(loss for loss, _ in sums) / max(tokens, 1)}

    def _work_through(
        self, model: OcrModel, examples: Sequence[Example]
    ) -> tuple[float, int, list[Prediction]]:
        """Summed loss, its tokens, and what was read; each page is encoded once for both, while those before it are read."""
        # Pixels of a few batches at a time: a hundred pages in the largest mode would take gigabytes.
        window = WINDOW_BATCHES * self.evaluation.decoding.batch_size
        kept = None if self.features is None else self.features.features
        windows = (
            [
                encode(example, self.recipe, self.tokenizer, kept)
                for example in examples[start : start + window]
            ]
            for start in range(0, len(examples), window)
        )
        loss_sum, num_tokens = 0.0, 0
        predictions: list[Prediction] = []
        # Closed here, so that an error leaves no thread behind.
        with closing(one_ahead(windows)) as ready:
            for inputs in ready:
                loss, tokens = self._loss(model, inputs)
                loss_sum, num_tokens = loss_sum + loss, num_tokens + tokens
                predictions += self._read(model, [with_known(given, kept) for given in inputs])
        return loss_sum, num_tokens, predictions

    @torch.no_grad()
    def _loss(self, model: OcrModel, inputs: Sequence[ModelInputs]) -> tuple[float, int]:
        was_training = model.training
        model.eval()
        loss_sum, num_tokens = 0.0, 0
        for start in range(0, len(inputs), self.batch_size):
            batch = collate(
                inputs[start : start + self.batch_size],
                self.recipe.family,
                pad_id=self.tokenizer.pad_id,
                dtype=self._pixel_dtype,
            )
            arguments = batch.to(model.device).native()
            if self.features is not None:
                arguments = self.features.complete(model, arguments)
            with self.policy.autocast():
                output = supervised_loss(model, arguments, num_items=1)
            loss_sum += float(output.loss)
            num_tokens += output.num_tokens
        model.train(was_training)
        return loss_sum, num_tokens

    def _read(self, model: OcrModel, inputs: Sequence[ModelInputs]) -> list[Prediction]:
        answers = answer(
            model,
            self.recipe.family,
            self.tokenizer,
            inputs,
            self.evaluation.decoding,
            pixel_dtype=self._pixel_dtype,
            autocast_dtype=None if self.policy.autocast_dtype is None else self.policy.torch_compute,
            features=self.features,
        )
        return [
            Prediction(
                image=row.name,
                text=found.text,
                num_tokens=found.num_tokens,
                truncated=found.truncated,
                stop=found.stop,
                mean_logprob=mean_logprob(found.logprobs),
                lowest_span=find_unsure_span(found.tokens, found.logprobs, self.tokenizer),
            )
            for row, found in zip(inputs, answers, strict=True)
        ]

    def _scores(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        references = {example.name: example.target or "" for example in self.examples}
        rule = self.evaluation.normalization
        scores = [score_page(references[row.image], row, rule) for row in predictions]
        card = summarize(scores, rule)
        return {
            "eval_cer": card.cer.micro,
            "eval_cer_clipped": card.cer.clipped,
            "eval_wer": card.wer.micro,
            "eval_ned": card.ned.micro,
            "eval_runaway_rate": card.runaway_rate,
        }

    @property
    def _pixel_dtype(self) -> torch.dtype:
        return self.policy.torch_dtype(self.policy.base_dtype)
