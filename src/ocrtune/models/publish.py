"""A model as the world knows it: published tensor names, published `config.json`."""

import json
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from ocrtune.models.classes import OcrModel
from ocrtune.models.configs import CONFIG_FILE
from ocrtune.models.tensors import INDEX_FILE, WEIGHTS_FILE, published_tensors, read_tensors, weight_files
from ocrtune.sources.writing import make_readable


def save_published(model: OcrModel, folder: str | Path, *, config_from: Path | None = None) -> None:
    """Write a model's weights and configuration so that anything made for the published model loads them.

    Other files of the folder stay. Weights are written beside it first, so that an interruption leaves either
    the old ones or the new ones.

    Args:
        model: Without adapters around its layers.
        folder: Made if it is not there.
        config_from: The folder of the base model. Its `config.json` is copied as it stands, and so are the tensors
            that no code reads and servers ask for. Without it the configuration is written in the native schema.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = published_tensors(model)
    if config_from is not None:
        unused = read_tensors(weight_files(config_from), model.family.unused_tensors)
        tensors |= {name: tensor.to(model.dtype) for name, tensor in unused.items()}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, Path(beside) / WEIGHTS_FILE, metadata={"format": "pt"})
        make_readable(Path(beside) / WEIGHTS_FILE)
        _write_config(model, Path(beside), config_from)
        _replace_weights(Path(beside), folder)


def _write_config(model: OcrModel, folder: Path, config_from: Path | None) -> None:
    if config_from is not None:
        shutil.copyfile(config_from / CONFIG_FILE, folder / CONFIG_FILE)
        return
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _replace_weights(new: Path, folder: Path) -> None:
    """Move the files of `new` into `folder`, then take away shards that lay there: their index would hide the new."""
    for path in new.iterdir():
        path.replace(folder / path.name)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    for shard in folder.glob("model-*-of-*.safetensors"):
        shard.unlink()
