"""Where a model lies: a folder, or the snapshot of a hub repository on this disk."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ocrtune.errors import CheckpointError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WANTED_FILES = ("*.json", "*.safetensors", "*.txt")


def locate_model(name: str) -> Path:
    """The folder of a model, fetched from the hub only if `name` is no folder but a hub id.

    Args:
        name: A folder, or `owner/name` on the Hugging Face hub. A folder goes first.

    Raises:
        CheckpointError: Neither, or the hub cannot be asked.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{name} is a file, not a model folder",
            hint="give the folder that holds config.json and the .safetensors files",
        )
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"no folder {name}, and no hub id either", hint="a hub id looks like owner/name"
        )
    return _fetch(name)


def _fetch(hub_id: str) -> Path:
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_WANTED_FILES)))
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise CheckpointError(
            f"no folder {hub_id}, and the hub's copy is not on this disk",
            hint="HF_HUB_OFFLINE keeps ocrtune off the network, or the network is down; "
            f"`hf download {hub_id}` on a machine that is online fetches it",
        ) from error
    except GatedRepoError as error:
        raise CheckpointError(
            f"{hub_id} asks for an agreement on its page first", hint="accept it there, then `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"the hub has no model {hub_id}, or not for you",
            hint="look at the spelling; a private one needs `hf auth login`",
        ) from error
    except HfHubHTTPError as error:
        raise CheckpointError(f"the hub did not give {hub_id}: {error}") from error
