"""The configuration and the tokenizer of the model of a recipe, without its weights."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from transformers import PreTrainedConfig

from ocrtune.config import Config
from ocrtune.errors import CheckpointError, OcrtuneError
from ocrtune.families import FAMILIES, Family
from ocrtune.inputs import InputsRecipe, Tokenizer
from ocrtune.models import read_card, read_family
from ocrtune.models.builtin import find_builtin
from ocrtune.models.configs import CONFIG_FILE, read_config
from ocrtune.planning.published import PUBLISHED, published_config

_MORE_FILES = ("tokenizer.json", "tokenizer_config.json", "ocrtune.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """What planning needs of a model.

    Attributes:
        family: Of the model.
        config: Sizes.
        tokenizer: None where there is none on this disk.
        recipe: How pages become inputs.
    """

    family: Family
    config: PreTrainedConfig
    tokenizer: Tokenizer | None
    recipe: InputsRecipe


def find_model(config: Config) -> PlannedModel:
    """The model of a recipe: from its folder, the hub's small files, or the sizes it was published with.

    Raises:
        CheckpointError: The model is not on this disk, the hub cannot be asked, and it is none of `PUBLISHED`.
    """
    folder = _folder(config.model)
    if folder is None:
        name = config.family or PUBLISHED[config.model]
        family, native, tokenizer, card = FAMILIES[name], published_config(name), None, None
    else:
        family = read_family(folder, config.family)
        native, tokenizer, card = read_config(folder, family), _tokenizer(folder), read_card(folder)
    recipe = InputsRecipe.from_config(config, family, base=None if card is None else card.inputs)
    return PlannedModel(family=family, config=native, tokenizer=tokenizer, recipe=recipe)


def _folder(model: str) -> Path | None:
    place = Path(find_builtin(model))
    if place.is_dir():
        return place
    try:
        # Only what planning reads: the weights are gigabytes.
        folder = Path(hf_hub_download(model, CONFIG_FILE)).parent
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError, ValueError) as error:
        if model in PUBLISHED:
            return None
        raise CheckpointError(
            f"no folder {model}, and the hub does not give its {CONFIG_FILE}",
            hint=f"give the folder of the model; sizes of {', '.join(PUBLISHED)} are known without it",
        ) from error
    for name in _MORE_FILES:
        # Not every model has each of them.
        with suppress(OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError):
            hf_hub_download(model, name)
    return folder


def _tokenizer(folder: Path) -> Tokenizer | None:
    try:
        return Tokenizer.read(folder)
    except OcrtuneError:
        return None
