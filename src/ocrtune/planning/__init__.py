"""A run before it runs: what memory and time it will take on a card, and the settings by which it fits."""

from ocrtune.planning.cards import CARDS, THIS, Card, find_card
from ocrtune.planning.deciding import plan_run
from ocrtune.planning.reasons import describe_part, in_gib
from ocrtune.planning.run_plan import RunPlan

__all__ = ["CARDS", "THIS", "Card", "RunPlan", "describe_part", "find_card", "in_gib", "plan_run"]
