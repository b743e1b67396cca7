"""The small model by its name: `builtin` is read wherever a checkpoint is, and lies with the files of the hub."""

import tempfile
from hashlib import sha256
from pathlib import Path

from huggingface_hub import cached_assets_path

from ocrtune import __version__
from ocrtune.models.tiny import WEIGHTS, build_tiny_checkpoint

BUILTIN = "builtin"
"""The name of the small model of the demo."""

BUILTIN_RANDOM = "builtin-random"
"""The name of its shape with random weights."""


def find_builtin(place: str | Path) -> str | Path:
    """The folder of the small model for its name, and any other place as it is; a folder of the name goes first.

    It is made once, among the assets that huggingface_hub keeps in `HF_HOME`: a run that is cut off goes on with the
    same folder. Where nothing can be written there it is made in a temporary folder.

    Args:
        place: `builtin`, `builtin-random` (its random weights are those of seed 0), or whatever names a checkpoint.
    """
    name = str(place)
    if name not in {BUILTIN, BUILTIN_RANDOM} or Path(place).is_dir():
        return place
    # Another version, or other weights, are another folder.
    key = f"{name}-{__version__}-{sha256(WEIGHTS.read_bytes()).hexdigest()[:8]}"
    try:
        return _made(cached_assets_path("ocrtune", "models", "builtin") / key, name)
    except (OSError, ValueError):  # the latter from huggingface_hub, where a file lies in the way
        return _made(Path(tempfile.mkdtemp(prefix="ocrtune-")) / key, name)


def _made(folder: Path, name: str) -> Path:
    """The folder, made if it is not there: another process that does the same finds it whole or not at all."""
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}.") as temporary:
        made = build_tiny_checkpoint(Path(temporary) / "model", seed=0 if name == BUILTIN_RANDOM else None)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder
