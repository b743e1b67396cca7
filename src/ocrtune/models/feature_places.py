"""Where vision features are kept on this machine."""

import os
from pathlib import Path

from huggingface_hub import cached_assets_path

FEATURES_FOLDER = "OCRTUNE_FEATURES"
"""The environment variable that names another folder than the usual one, such as a scratch disk of a cluster."""


def feature_folder(named: str | None, *, otherwise: Path) -> Path:
    """The folder of all caches of vision features.

    Args:
        named: The recipe's own, which goes before any other.
        otherwise: Where nothing can be written among the files of the hub.
    """
    place = named or os.environ.get(FEATURES_FOLDER)
    if place:
        return Path(place)
    try:
        return cached_assets_path("ocrtune", "features", "vision")
    except (OSError, ValueError):  # the latter from huggingface_hub, where a file lies in the way
        return otherwise
