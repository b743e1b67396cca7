"""The recipe of a run: a frozen tree read from YAML, and shipped presets."""

from ocrtune.config.reading import (
    PRESETS,
    apply_overrides,
    parse_config,
    preset_text,
    read_config,
    write_config,
)
from ocrtune.config.tree import (
    Config,
    DataSection,
    DecodingSection,
    EvaluationSection,
    GuidanceSection,
    InputsSection,
    LoraSection,
    ModeSection,
    OptimizerSection,
    Part,
    RunSection,
    SourceSection,
    TrainingSection,
    TuningSection,
)

__all__ = [
    "PRESETS",
    "Config",
    "DataSection",
    "DecodingSection",
    "EvaluationSection",
    "GuidanceSection",
    "InputsSection",
    "LoraSection",
    "ModeSection",
    "OptimizerSection",
    "Part",
    "RunSection",
    "SourceSection",
    "TrainingSection",
    "TuningSection",
    "apply_overrides",
    "parse_config",
    "preset_text",
    "read_config",
    "write_config",
]
