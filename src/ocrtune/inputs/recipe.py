"""What a checkpoint carries about its inputs, so that prediction makes them as training did."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ocrtune.config import Config, ModeSection
from ocrtune.data import find_prompt
from ocrtune.errors import CheckpointError, InputsError, ModeError
from ocrtune.families import Family, Mode, check_mode, family_of, get_family, get_mode
from ocrtune.text import Normalization

CARD_FILE = "ocrtune.json"
"""The file of a checkpoint folder that holds the recipe under `inputs`."""

OWN_MODE = "custom"
"""What a mode is called that a run defines itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsRecipe:
    """How a page becomes model inputs.

    Attributes:
        family: The model family.
        mode: Views and tiles; one of the family's or a run's own.
        prompt: The prompt's text, for pages without one of their own.
        normalization: What is made equal in targets.
        max_tokens: Longest sequence, image tokens and EOS included; None for what the decoder was trained for.
    """

    family: Family
    mode: Mode
    prompt: str
    normalization: Normalization = field(default_factory=Normalization)
    max_tokens: int | None = None

    @property
    def token_limit(self) -> int:
        """The longest sequence in tokens."""
        return self.family.max_positions if self.max_tokens is None else self.max_tokens

    @classmethod
    def default(cls, family: Family) -> "InputsRecipe":
        """The family's own mode and prompt."""
        return cls(family=family, mode=resolve_mode(family, None), prompt=find_prompt(None, family))

    @classmethod
    def from_config(
        cls, config: Config, family: Family, *, base: "InputsRecipe | None" = None
    ) -> "InputsRecipe":
        """The recipe of a run.

        Args:
            config: Says mode, prompt, normalisation and longest sequence.
            family: Of the base model.
            base: The recipe the base model carries, if it was tuned before: gives mode and prompt where `config`
                names none.

        Raises:
            ModeError: The family has no such mode, or cannot see it.
            InputsError: The prompt is a single word and no short name of the family.
        """
        known = base if base is not None and base.family is family else cls.default(family)
        mode, prompt = config.inputs.mode, config.data.prompt
        return cls(
            family=family,
            mode=known.mode if mode is None else resolve_mode(family, mode),
            prompt=known.prompt if prompt is None else find_prompt(prompt, family),
            normalization=config.data.normalization,
            max_tokens=config.inputs.max_tokens,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InputsRecipe":
        """The recipe that `as_dict` wrote.

        Raises:
            InputsError: A key is missing or unknown, or a value cannot be read.
            ModeError: There is no such family, or it cannot see the mode.
        """
        _check_keys(values, {known.name for known in fields(cls)})
        family = get_family(values["family"])
        try:
            return cls(
                family=family,
                mode=check_mode(family, Mode(**values["mode"])),
                prompt=str(values["prompt"]),
                normalization=Normalization.model_validate(values["normalization"]),
                max_tokens=None if values["max_tokens"] is None else int(values["max_tokens"]),
            )
        except (TypeError, ValueError) as error:
            raise InputsError(f"the inputs recipe cannot be read: {error}") from error

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; the family stands there by name."""
        return {
            "family": self.family.name,
            "mode": asdict(self.mode),
            "prompt": self.prompt,
            "normalization": self.normalization.model_dump(),
            "max_tokens": self.max_tokens,
        }


def read_recipe(folder: Path) -> InputsRecipe:
    """The recipe of a checkpoint folder; of a plain model folder the defaults of its family.

    Raises:
        CheckpointError: The folder holds neither `ocrtune.json` nor the `config.json` of a known family.
        InputsError: The recipe cannot be read.
    """
    card = folder / CARD_FILE
    if card.is_file():
        return InputsRecipe.from_dict(_read_json(card).get("inputs", {}))
    config = folder / "config.json"
    if config.is_file():
        return InputsRecipe.default(family_of(_read_json(config)))
    raise CheckpointError(
        f"neither {CARD_FILE} nor config.json",
        where=str(folder),
        hint="give the folder of a model or a checkpoint",
    )


def resolve_mode(family: Family, mode: str | ModeSection | None) -> Mode:
    """The mode a configuration means: one of the family's by name, the run's own, or the family's default.

    Raises:
        ModeError: The family has no such mode, or cannot see it.
    """
    if isinstance(mode, ModeSection):
        return check_mode(family, Mode(name=OWN_MODE, **mode.model_dump()))
    return get_mode(family, family.default_mode if mode is None else mode)


def parse_mode(family: Family, text: str) -> Mode:
    """The mode written on a command line: a name, or a mapping such as `{global_px: 256, tile_px: 128, max_tiles: 9}`.

    Raises:
        ModeError: The family has no such mode or cannot see it, or the mapping is not one of a mode.
    """
    if not text.lstrip().startswith("{"):
        return resolve_mode(family, text)
    try:
        section = ModeSection.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise ModeError(
            f"mode {text!r} cannot be read",
            hint="write it as {global_px: 1024, tile_px: 640, max_tiles: 9, fit: pad}, the last three by need",
        ) from error
    return resolve_mode(family, section)


def _check_keys(values: Mapping[str, Any], known: set[str]) -> None:
    missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
    if missing or unknown:
        problems = [f"missing {', '.join(missing)}"] if missing else []
        problems += [f"unknown {', '.join(unknown)}"] if unknown else []
        raise InputsError(
            f"the inputs recipe has keys {'; '.join(problems)}",
            where=CARD_FILE,
            hint="the checkpoint may be of another version of ocrtune",
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"a JSON object is wanted, not {type(content).__name__}", where=str(path))
    return content
