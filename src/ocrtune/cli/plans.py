"""How a plan is printed: what memory holds with bars, time, the decision, its reasons and the settings."""

from collections.abc import Mapping
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

_BAR_CELLS = 12
_GIB = 2**30
_WORDS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "AdamW's moments",
    "decoder": "decoder's activations",
    "logits": "logits and loss",
    "vision": "vision and pixels",
    "overhead": "libraries, allocator",
}
_MINUTE_S = 60
_HOUR_S = 3600


def print_plan(plan: Mapping[str, Any]) -> None:
    """A plan as `RunPlan.as_dict` gives it, for people."""
    console = Console(highlight=False)
    console.print(_memory_table(plan))
    console.print(_time_table(plan))
    verdict = "fits" if plan["plan"]["fits"] else "does not fit"
    console.print(f"\n[bold]{verdict}[/] on {plan['card']['title']}:", soft_wrap=True)
    for reason in plan["reasons"]:
        console.print(f"  - {reason}", markup=False, soft_wrap=True)
    for remedy in plan["remedies"]:
        verdict = "fits" if remedy["fits"] else "does not fit either"
        console.print(
            f"  - with {remedy['change']}: {_gib(remedy['needed_bytes'])}, {verdict}",
            markup=False,
            soft_wrap=True,
        )
    if plan["plan"]["fits"]:
        _print_settings(console, plan["settings"])
    console.print("\nmemory and time are forecasts, by these assumptions:")
    for assumption in plan["card"]["assumptions"]:
        console.print(f"  - {assumption}", markup=False, soft_wrap=True)
    if plan["pages"]["estimated"]:
        told = "texts were measured by their letters: the model's tokenizer is not on this disk"
        console.print(f"  - {told}", soft_wrap=True)


def _memory_table(plan: Mapping[str, Any]) -> Table:
    pages, card, model = plan["pages"], plan["card"], plan["model"]
    most = round(card["memory_bytes"] * card["most_of_memory"])
    table = Table(
        title=f"{model['parameters']:,} parameters, {model['learning']:,} learn; {pages['measured']:,} pages measured, "
        f"{pages['mean_positions']:.0f} tokens in the mean, {pages['longest_positions']:,} at most",
        title_justify="left",
    )
    for heading in ("memory", "the recipe as it is", "the plan", f"of {_gib(most)} allowed"):
        table.add_column(
            heading, justify="left" if heading == "memory" or heading.startswith("of ") else "right"
        )
    asked, chosen = plan["asked"]["memory_bytes"], plan["plan"]["memory_bytes"]
    for name, word in _WORDS.items():
        table.add_row(word, _gib(asked[name]), _gib(chosen[name]), _bar(chosen[name] / most))
    table.add_section()
    table.add_row(
        "all together",
        _gib(asked["total"]),
        _gib(chosen["total"]),
        f"{_bar(chosen['total'] / most)} {chosen['total'] / most:.0%}",
    )
    return table


def _time_table(plan: Mapping[str, Any]) -> Table:
    table = Table()
    for heading in ("time", "the recipe as it is", "the plan"):
        table.add_column(heading, justify="left" if heading == "time" else "right")
    asked, chosen = plan["asked"], plan["plan"]
    table.add_row("first epoch", _duration(asked["first_epoch_s"]), _duration(chosen["first_epoch_s"]))
    table.add_row("each later one", _duration(asked["epoch_s"]), _duration(chosen["epoch_s"]))
    count = plan["pages"]["examples_of_an_epoch"]
    table.add_row("pages a second", f"{count / asked['epoch_s']:.2g}", f"{count / chosen['epoch_s']:.2g}")
    table.add_row(f"{plan['epochs']:g} epochs", "", _duration(plan["run_s"]))
    return table


def _print_settings(console: Console, settings: Mapping[str, Any]) -> None:
    console.print("\ntake it over:")
    for key, value in settings.items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
        quoted = f"'{key}={text}'" if "[" in text else f"{key}={text}"
        console.print(f"  --set {quoted}", markup=False, soft_wrap=True)


def _bar(share: float) -> str:
    return "█" * round(min(share, 1.0) * _BAR_CELLS)


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < 2 * _HOUR_S else f"{seconds / _HOUR_S:.1f} h"
