"""The base model of an export: where its configuration, tokenizer files and unused tensors come from."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from ocrtune.errors import CheckpointError, ExportError
from ocrtune.families import Family
from ocrtune.models import locate_model
from ocrtune.models.checkpoint import CheckpointCard
from ocrtune.models.configs import CONFIG_FILE, read_raw_config
from ocrtune.models.precision import Dtype
from ocrtune.models.tensors import read_shapes, weight_files
from ocrtune.records import Finding
from ocrtune.sources.writing import write_text_atomically

BASE_FILES = (
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.py",
    "LICENSE*",
)
"""What is copied from the base beside its weights: what loaders read, and the code its `auto_map` names."""

_DTYPES: dict[str, Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base model as far as an export needs it.

    Attributes:
        name: As the checkpoint or the caller names it.
        folder: None where it is no longer there, and the checkpoint is whole without it.
        dtype: Of its weights.
        is_published: Its `config.json` is the published one.
        missing: Published tensors no code reads, which it does not have either.
    """

    name: str
    folder: Path | None
    dtype: Dtype
    is_published: bool
    missing: tuple[str, ...]

    def findings(self, family: Family) -> list[Finding]:
        """What an export lacks because its base does."""
        found = []
        if self.folder is None:
            found.append(
                Finding(
                    code="base-missing",
                    severity="warning",
                    message=f"the base model {self.name!r} is not there, so nothing is copied from it",
                    hint="give the folder it is in now with --base",
                )
            )
        if not self.is_published:
            found.append(
                Finding(
                    code="config-native",
                    severity="warning",
                    message=f"config.json is in transformers' form and names {family.architectures[0]}: "
                    "vLLM, SGLang and llama.cpp read the published form",
                    hint="give a base in the published layout with --base",
                )
            )
        if self.missing:
            found.append(
                Finding(
                    code="unused-tensor-missing",
                    severity="warning",
                    message=f"the base has no {', '.join(self.missing)}: no code reads it, but vLLM very likely "
                    "refuses an export without it",
                    hint="give the published base model with --base",
                )
            )
        return found


def find_base(checkpoint: Path, card: CheckpointCard, base: str | Path | None) -> Base:
    """The base of a checkpoint: the one given, the one its card names, or the model folder itself.

    Raises:
        CheckpointError: The base that was given is not there.
        ExportError: It is not of the checkpoint's family.
    """
    name = str(base or card.base or checkpoint)
    folder: Path | None
    try:
        folder = locate_model(name)
    except CheckpointError:
        if base is not None or card.needs_base:
            raise
        folder = None
    family = card.inputs.family
    source = checkpoint if folder is None else folder
    unused = family.unused_tensors
    present = set() if folder is None else read_shapes(weight_files(folder)).keys()
    return Base(
        name=name,
        folder=folder,
        dtype=stored_dtype(source),
        is_published=folder is not None and "language_config" in read_raw_config(folder),
        missing=tuple(tensor for tensor in unused if tensor not in present),
    )


def stored_dtype(folder: Path) -> Dtype:
    """The dtype of the largest part of a folder's weights.

    Raises:
        ExportError: They are of another kind, such as 8-bit integers.
    """
    sizes: dict[str, int] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118  # no mapping
                part = handle.get_slice(name)
                count = 1
                for side in part.get_shape():
                    count *= side
                sizes[part.get_dtype()] = sizes.get(part.get_dtype(), 0) + count
    most = max(sizes, key=lambda kind: sizes[kind])
    if most not in _DTYPES:
        raise ExportError(
            f"weights of dtype {most} are no dtype of an export",
            where=str(folder),
            hint=f"choose one with --dtype: {', '.join(_DTYPES.values())}",
        )
    return _DTYPES[most]


def copy_base_files(base: Path, folder: Path) -> None:
    """Copy what loaders read beside weights and configuration; files already in `folder` stay."""
    for pattern in BASE_FILES:
        for path in sorted(base.glob(pattern)):
            if path.is_file() and not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)


def name_published_architecture(folder: Path, family: Family) -> None:
    """Have a native `config.json` name the architecture that servers look for, before the native one."""
    config = read_raw_config(folder)
    config["architectures"] = list(family.architectures)
    config["model_type"] = family.name
    write_text_atomically(folder / CONFIG_FILE, json.dumps(config, ensure_ascii=False, indent=1) + "\n")
