"""Synthetic pages: texts and fonts → sheets → scans, by number, the same bytes each time."""

from ocrtune.synth.config import SynthConfig
from ocrtune.synth.contact_sheet import contact_sheet
from ocrtune.synth.files import write_pages
from ocrtune.synth.listing import list_choices
from ocrtune.synth.making import Maker, Sample
from ocrtune.synth.reading import RECIPES, parse_synth_config, read_synth_config

__all__ = [
    "RECIPES",
    "Maker",
    "Sample",
    "SynthConfig",
    "contact_sheet",
    "list_choices",
    "parse_synth_config",
    "read_synth_config",
    "write_pages",
]
