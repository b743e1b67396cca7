"""Checkpoints: exactly what learned, how pages became inputs, and how to have the model again.

A full checkpoint is a model folder of its own in the published layout. An adapter checkpoint holds the tensors
that learned, by their names in the tuned model, and the name of its base. `ocrtune.json`, the card, tells them
apart and is written last: a folder without it is no whole checkpoint.

Decision 0001 in the docs says why tensors are restored by name and not through PEFT or the Trainer.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ocrtune import __version__
from ocrtune.config import TuningSection
from ocrtune.errors import CheckpointError, TensorMismatch, TuningError
from ocrtune.inputs.recipe import CARD_FILE, InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.models.classes import OcrModel
from ocrtune.models.configs import read_family
from ocrtune.models.load import load_model, restore_weights
from ocrtune.models.locate import locate_model
from ocrtune.models.precision import (
    Dtype,
    PrecisionPolicy,
    RequestedDevice,
    choose_inference_dtype,
    detect_device,
)
from ocrtune.models.publish import save_published
from ocrtune.models.tuning import ADAPTER_NAME, apply_tuning, has_adapters, learning_names
from ocrtune.sources.writing import make_readable, write_text_atomically

FORMAT = 1
"""Raised when an older ocrtune could not read what is written."""

BEST_FILE = "best.json"
"""In a run folder: which checkpoint read the held-out pages best."""
RUN_FILE = "config.yaml"
"""What makes a folder a run folder: its recipe."""
LEARNED_FILE = "learned.safetensors"
_LISTED_TENSORS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCard:
    """What a checkpoint says about itself, in `ocrtune.json`.

    Attributes:
        inputs: How pages became inputs; prediction obeys it.
        tuning: What learned; None for a model that nobody tuned.
        base: The base model as the run named it, a folder or hub id; adapters need it again.
        step: Optimizer steps taken.
        scores: Held-out scores at that step, by name.
        version: Of the ocrtune that wrote it.
    """

    inputs: InputsRecipe
    tuning: TuningSection | None = None
    base: str | None = None
    step: int = 0
    scores: Mapping[str, float] | None = None
    version: str = __version__

    @property
    def needs_base(self) -> bool:
        """The folder holds adapters; the model is its base with them."""
        return self.tuning is not None and self.tuning.method != "full"

    def as_dict(self) -> dict[str, object]:
        """Plain values for `ocrtune.json`."""
        return {
            "format": FORMAT,
            "version": self.version,
            "inputs": self.inputs.as_dict(),
            "tuning": None if self.tuning is None else self.tuning.model_dump(mode="json"),
            "base": self.base,
            "step": self.step,
            "scores": None if self.scores is None else dict(self.scores),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CheckpointCard":
        """The card that `as_dict` wrote.

        Raises:
            CheckpointError: It is of a later format, a key is missing, or what learned cannot be read.
            InputsError: The inputs recipe cannot be read.
        """
        if not isinstance(values.get("format"), int) or values["format"] > FORMAT:
            raise CheckpointError(
                f"the checkpoint has format {values.get('format')!r}, this ocrtune reads up to {FORMAT}",
                hint=f"it was written by ocrtune {values.get('version', 'of unknown version')}; install that or a later one",
            )
        try:
            return cls(
                inputs=InputsRecipe.from_dict(values["inputs"]),
                tuning=None if values["tuning"] is None else TuningSection.model_validate(values["tuning"]),
                base=values["base"],
                step=values["step"],
                scores=values["scores"],
                version=values["version"],
            )
        except KeyError as error:
            raise CheckpointError(f"the card has no key {error}") from error
        except ValidationError as error:
            raise CheckpointError(f"what learned cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """Everything prediction needs.

    Attributes:
        model: In eval mode; adapters are beside their layers, not merged.
        tokenizer: The checkpoint's own.
        recipe: How pages become inputs.
        card: Of a plain model folder one with the family's defaults.
    """

    model: OcrModel
    tokenizer: Tokenizer
    recipe: InputsRecipe
    card: CheckpointCard


def save_checkpoint(model: OcrModel, folder: Path, *, card: CheckpointCard, tokenizer: Tokenizer) -> None:
    """Writes a checkpoint into `folder`; files of others there, such as an optimizer's, stay.

    Args:
        model: As `apply_tuning` left it, or a plain model.
        folder: Made if it is not there.
        card: Its `tuning` decides what is written: a whole model, or what learned beside the base.
        tokenizer: Copied into the folder.

    Raises:
        CheckpointError: The card and the model do not go together.
    """
    if card.needs_base != has_adapters(model) and not _learns_projector_only(card):
        raise CheckpointError(
            f"the card says {card.tuning.method if card.tuning else 'no tuning'}, "
            f"the model {'has' if has_adapters(model) else 'has no'} adapters"
        )
    if card.needs_base and card.base is None:
        raise CheckpointError("the card of an adapter names no base model")
    folder.mkdir(parents=True, exist_ok=True)
    # Without its card the folder is no checkpoint while it is half written.
    (folder / CARD_FILE).unlink(missing_ok=True)
    if card.needs_base:
        _write_tensors(_learned_tensors(model), folder / LEARNED_FILE)
    else:
        save_published(model, folder)
    tokenizer.write(folder)
    write_text_atomically(folder / CARD_FILE, json.dumps(card.as_dict(), ensure_ascii=False, indent=1) + "\n")


def read_card(folder: Path) -> CheckpointCard | None:
    """The card of a checkpoint folder; None for a plain model folder.

    Raises:
        CheckpointError: The folder is none of both, or its card cannot be read.
    """
    path = folder / CARD_FILE
    if path.is_file():
        try:
            return CheckpointCard.from_dict(_read_json(path))
        except CheckpointError as error:
            raise CheckpointError(error.message, where=str(path), hint=error.hint) from error
    if (folder / LEARNED_FILE).is_file():
        raise CheckpointError(
            f"there is {LEARNED_FILE} but no {CARD_FILE}",
            where=str(folder),
            hint="the checkpoint was interrupted while it was written; take an earlier one",
        )
    return None


def find_checkpoint(place: str | Path) -> Path:
    """The folder of weights that `place` means: itself, the best checkpoint of a run folder, or a hub snapshot.

    Raises:
        CheckpointError: A run folder without a best checkpoint, or nothing of the name.
    """
    folder = Path(place)
    if not folder.is_dir():
        return locate_model(str(place))
    if not (folder / RUN_FILE).is_file():
        return folder
    best = folder / BEST_FILE
    if not best.is_file():
        raise CheckpointError(
            "the run has no best checkpoint yet",
            where=str(folder),
            hint="name one of its checkpoints, or let the run go on with run.resume=true",
        )
    return folder / str(json.loads(best.read_text(encoding="utf-8"))["checkpoint"])


def load_checkpoint(
    folder: str | Path,
    *,
    device: RequestedDevice = "auto",
    dtype: Dtype | None = None,
    base: str | Path | None = None,
) -> LoadedCheckpoint:
    """A model ready to predict, from a checkpoint or from any model folder.

    Args:
        folder: A checkpoint, a run folder (its best checkpoint is taken), a folder in published or native layout,
            or a hub id.
        device: `auto`, `cpu`, `cuda` or `mps`.
        dtype: Of all weights; without it float32 on a CPU and on MPS, on CUDA what the card computes fast.
        base: Where an adapter's base is, if no longer where the run found it.

    Raises:
        CheckpointError: Something is missing, the base among it, or is of another family.
        TensorMismatch: The tensors are not those of the model.
        PrecisionUnavailable: There is no such device.
    """
    folder = find_checkpoint(folder)
    facts = detect_device(device)
    chosen: Dtype = choose_inference_dtype(facts) if dtype is None else dtype
    card = read_card(folder)
    if card is not None and card.needs_base:
        model = _load_tuned(folder, card, base=base, dtype=chosen, device=facts.kind)
    else:
        family = None if card is None else card.inputs.family.name
        model = load_model(folder, dtype=chosen, device=facts.kind, family=family)
    model.requires_grad_(requires_grad=False)
    if card is None:
        card = CheckpointCard(inputs=InputsRecipe.default(model.family))
    return LoadedCheckpoint(model.eval(), Tokenizer.read(folder), card.inputs, card)


def restore_learned(model: OcrModel, folder: Path) -> None:
    """Puts what a checkpoint learned into a model set up the same way, bit by bit.

    Args:
        model: As `apply_tuning` made it, with the base and the recipe of the checkpoint's run.
        folder: The checkpoint.

    Raises:
        CheckpointError: The folder is no checkpoint, or one of another family.
        TensorMismatch: Other tensors learned there than learn here, or they have other shapes.
    """
    card = read_card(folder)
    if card is None:
        raise CheckpointError(f"no {CARD_FILE}", where=str(folder), hint="give the folder of a checkpoint")
    if card.inputs.family.name != model.family.name:
        raise CheckpointError(
            f"a checkpoint of {card.inputs.family.title} does not fit {model.family.title}", where=str(folder)
        )
    if not card.needs_base:
        restore_weights(model, folder)
        return
    learned = _read_tensors(folder / LEARNED_FILE)
    parameters = {name: model.get_parameter(name) for name in learning_names(model)}
    _check_fit(learned, parameters, where=folder / LEARNED_FILE)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(learned[name])


def merge(model: OcrModel) -> OcrModel:
    """Adds each adapter to the weights it stands beside and takes it away, in place.

    The sum is made in the dtype of the base: load in float32 what is to be merged exactly. An adapter that
    learned beside 4-bit weights is merged into the weights they were made of.

    Returns:
        The model given, without adapters and with nothing that learns.

    Raises:
        CheckpointError: A merged weight is not finite.
    """
    for path, layer in list(_adapted_layers(model)):
        inner = layer
        try:
            while isinstance(inner, BaseTunerLayer):
                inner.merge(safe_merge=True)
                inner = inner.base_layer
        except ValueError as error:
            raise CheckpointError("an adapter holds values that are not finite", where=path) from error
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, inner)
    if "peft_config" in vars(model):
        del model.peft_config
    return model.requires_grad_(requires_grad=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAdapter:
    """Adapters of the decoder as servers load them.

    Attributes:
        tensors: By published name, `base_model.model.model.layers.N.….lora_A.weight` and `lora_B`.
        config: What belongs into `adapter_config.json`.
        left_out: Tensors that learned and have no place in this form: vision, projector, newline, separator.
    """

    tensors: Mapping[str, Tensor]
    config: Mapping[str, object]
    left_out: tuple[str, ...]


def adapter_state_published(model: OcrModel) -> PublishedAdapter:
    """The decoder's adapters in PEFT's own layout, under the names of the published code.

    Adapters on routed experts, which learn on one tensor for all experts and one for gate and up, are written
    as a pair for each projection of each expert; the products are the same.

    Raises:
        TuningError: The decoder has no adapters.
    """
    tensors: dict[str, Tensor] = {}
    layers = dict(_decoder_layers(model))
    if not layers:
        raise TuningError("the decoder has no adapters", hint="export the merged model instead")
    for path, layer in layers.items():
        for module, first, second in _published_pairs(path, layer):
            tensors[f"base_model.model.{module}.lora_A.weight"] = first.detach().contiguous()
            tensors[f"base_model.model.{module}.lora_B.weight"] = second.detach().contiguous()
    any_layer = next(iter(layers.values()))
    rank, alpha = any_layer.r[ADAPTER_NAME], any_layer.lora_alpha[ADAPTER_NAME]
    return PublishedAdapter(
        tensors=tensors,
        config=_adapter_config(tensors, rank=rank, alpha=alpha),
        left_out=tuple(name for name in learning_names(model) if not name.startswith(_DECODER)),
    )


_DECODER = "model.language_model."


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"a JSON object is wanted, not {type(values).__name__}")
    return values


def _learns_projector_only(card: CheckpointCard) -> bool:
    """The one recipe of `lora` that adds no adapter."""
    return card.tuning is not None and set(card.tuning.parts) == {"projector"}


def _learned_tensors(model: OcrModel) -> dict[str, Tensor]:
    return {name: model.get_parameter(name).detach().contiguous() for name in learning_names(model)}


def _write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        save_file(tensors, temporary, metadata={"format": "pt", "ocrtune": __version__})
        make_readable(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f"no {path.name}", where=str(path.parent), hint="take another checkpoint of the run"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"not a safetensors file: {error}", where=str(path)) from error


def _check_fit(learned: Mapping[str, Tensor], parameters: Mapping[str, Tensor], *, where: Path) -> None:
    missing = sorted(parameters.keys() - learned.keys())
    unexpected = sorted(learned.keys() - parameters.keys())
    shaped = [
        f"{name} {tuple(learned[name].shape)}, wanted {tuple(parameters[name].shape)}"
        for name in sorted(learned.keys() & parameters.keys())
        if learned[name].shape != parameters[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("mis-shaped", shaped))
    problems = [f"  - {len(names)} {kind}: {_listed(names)}" for kind, names in kinds if names]
    if problems:
        raise TensorMismatch(
            "\n".join(["what learned there is not what learns here", *problems]),
            where=str(where),
            hint="take the base model and the tuning section of the run that wrote the checkpoint",
        )


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED_TENSORS
    return ", ".join(names[:_LISTED_TENSORS]) + (f" and {more} more" if more > 0 else "")


def _load_tuned(
    folder: Path, card: CheckpointCard, *, base: str | Path | None, dtype: Dtype, device: str
) -> OcrModel:
    assert card.tuning is not None
    base_folder = _find_base(folder, card, base)
    family = read_family(base_folder, None)
    if family.name != card.inputs.family.name:
        raise CheckpointError(
            f"the adapter is of {card.inputs.family.title}, the base model of {family.title}",
            where=str(base_folder),
            hint="give the adapter's own base model with --base",
        )
    model = load_model(base_folder, dtype=dtype, device=device, family=family.name)
    policy = PrecisionPolicy(device_kind="cpu", base_dtype=dtype, reason="loaded, not trained")
    apply_tuning(model, card.tuning, policy)
    restore_learned(model, folder)
    return model.to(dtype=PrecisionPolicy.torch_dtype(dtype))


def _find_base(folder: Path, card: CheckpointCard, base: str | Path | None) -> Path:
    name = card.base if base is None else str(base)
    if name is None:
        raise CheckpointError("the card names no base model", where=str(folder), hint="give it with --base")
    try:
        return locate_model(name)
    except CheckpointError as error:
        raise CheckpointError(
            f"the adapter's base model {name!r} is not there: {error.message}",
            where=str(folder),
            hint="give the folder it is in now with --base",
        ) from error


def _adapted_layers(model: OcrModel) -> Iterator[tuple[str, BaseTunerLayer]]:
    """The outermost adapted layers; on experts one wrapper stands in another."""
    outer = ""
    for path, module in model.named_modules():
        if isinstance(module, BaseTunerLayer) and not (outer and path.startswith(f"{outer}.")):
            outer = path
            yield path, module


def _decoder_layers(model: OcrModel) -> Iterator[tuple[str, LoraLayer]]:
    for path, module in model.named_modules():
        if path.startswith(_DECODER) and isinstance(module, LoraLayer):
            yield path, module


def _published_pairs(path: str, layer: LoraLayer) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(published module, lora_A (rank, in), lora_B (out, rank)) for each linear layer the adapter stands for."""
    module = path.replace(_DECODER, "model.", 1)
    first, second = layer.lora_A[ADAPTER_NAME].weight, layer.lora_B[ADAPTER_NAME].weight
    if not isinstance(layer, ParamWrapper):
        yield module, first, second
        return
    experts = module.removesuffix(".base_layer")
    rank = layer.r[ADAPTER_NAME]
    firsts = first.reshape(layer.num_experts, rank, -1)
    seconds = second.reshape(-1, rank, layer.num_experts)
    for index in range(layer.num_experts):
        whole = seconds[:, :, index]
        if layer.parameter_name == "down_proj":
            yield f"{experts}.{index}.down_proj", firsts[index], whole
        else:
            gate, up = whole.chunk(2)
            yield f"{experts}.{index}.gate_proj", firsts[index], gate
            yield f"{experts}.{index}.up_proj", firsts[index], up


def _adapter_config(tensors: Mapping[str, Tensor], *, rank: int, alpha: int) -> dict[str, object]:
    paths = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for name in tensors}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        # Full paths: bare names would also match modules that have no adapter.
        "target_modules": sorted(paths),
        "inference_mode": True,
    }
