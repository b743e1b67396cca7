"""`ocrtune doctor`: what stands in the way, on this machine or in a batch; or what a run will take."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ocrtune.cli.plans import print_plan
from ocrtune.cli.printing import print_findings, print_json
from ocrtune.config import read_config
from ocrtune.doctor import MachineFacts, check_machine, inspect_machine
from ocrtune.errors import ConfigError, ModeError, require
from ocrtune.families import FAMILIES, get_family
from ocrtune.progress import say
from ocrtune.records import Finding


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN.yaml]",
            help="Plan this recipe, or a shipped one by name: memory, time, and settings that fit.",
            show_default=False,
        ),
    ] = None,
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given often."),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(
            help="Plan for a card: T4, L4, 4090, A100, A100-40, H100, or `this` machine, which is the default.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="A batch of your own pipeline: .pt from torch.save(dict(batch), path), or .safetensors.",
            show_default=False,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help=f"Model family of the batch: {', '.join(FAMILIES)}.", show_default=False),
    ] = None,
    image_token_id: Annotated[
        int | None,
        typer.Option(
            help="Id of <image> in the batch; the published tokenizer's without it.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Look at this machine, at one batch or at a recipe, and say what is wrong and how to mend it.

    With a recipe it forecasts memory and time on a card from the pages' sizes and texts, without loading
    the model, and prints the settings by which the run fits and is fastest. Exits with 1 if it cannot fit.

    With --batch it checks the inputs of any trainer against what the model expects: the mistakes it finds raise
    nothing in the published code, and the loss falls all the same. Exits with 1 if there is an error.

    Example: ocrtune doctor lora-gundam --card T4 --set data.uri=scans/manifest.jsonl
    """
    if recipe is not None:
        if batch is not None:
            raise ConfigError(
                ["a recipe and --batch at once"], hint="one after the other: they answer different questions"
            )
        _plan(recipe, overrides or (), card, json=json)
        return
    if overrides or card is not None:
        raise ConfigError(
            ["--set and --card are about a recipe, and none is given"],
            hint="ocrtune doctor RUN.yaml --card T4",
        )
    facts: dict[str, Any] = {}
    if batch is not None:
        findings = _check_batch(batch, family, image_token_id)
    else:
        facts, findings = _check_here(show=not json)
    print_findings(findings)
    counts = {f"{severity}s": _count(findings, severity) for severity in ("error", "warning")}
    say(
        ", ".join(
            f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in counts.items()
        )
    )
    if json:
        print_json({**facts, "findings": [finding.as_dict() for finding in findings], **counts})
    if counts["errors"]:
        raise typer.Exit(1)


def _plan(recipe: str, overrides: Sequence[str], card: str | None, *, json: bool) -> None:
    config = read_config(recipe, overrides)
    try:
        from ocrtune.planning import THIS, find_card, plan_run  # noqa: PLC0415  # `--help` works without torch
    except ModuleNotFoundError as error:
        raise require(error.name or "torch", "train") from error
    plan = plan_run(config, find_card(THIS if card is None else card)).as_dict()
    if json:
        print_json(plan)
    else:
        print_plan(plan)
    if not plan["plan"]["fits"]:
        raise typer.Exit(1)


def _check_batch(path: Path, family: str | None, image_token_id: int | None) -> list[Finding]:
    if family is None:
        raise ModeError("which family is the batch for?", hint=f"--family with one of {', '.join(FAMILIES)}")
    try:
        from ocrtune.doctor.batches import check_batch_file  # noqa: PLC0415  # `--help` works without torch
    except ImportError as error:
        raise require("torch", "train") from error
    return check_batch_file(path, get_family(family), image_id=image_token_id)


def _check_here(*, show: bool) -> tuple[dict[str, Any], list[Finding]]:
    machine = inspect_machine()
    facts, findings = machine.as_dict(), check_machine(machine)
    table = _table(machine)
    if machine.packages["torch"] is not None:
        from ocrtune.doctor.device import check_device, inspect_device  # noqa: PLC0415  # torch is there

        report = inspect_device()
        facts |= report.as_dict()
        findings += check_device(report.device)
        table.add_row("device", f"{report.device.kind} {report.device.name}".strip())
        for method, policy in zip(("lora", "full"), report.policies, strict=True):
            table.add_row(f"precision, {method}", policy.reason)
    if show:
        Console(file=sys.stdout, highlight=False).print(table)
    return facts, findings


def _table(machine: MachineFacts) -> Table:
    table = Table(title="this machine", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("python", f"{machine.python} on {machine.system}")
    memory = "" if machine.memory_bytes is None else f", {machine.memory_bytes / 2**30:.0f} GiB of memory"
    table.add_row("processor", f"{machine.cores} cores{memory}")
    table.add_row("free disk", f"{machine.free_disk_bytes / 10**9:.0f} GB in {machine.folder}")
    for name, version in machine.packages.items():
        table.add_row(name, version or "not installed")
    return table


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(finding.severity == severity for finding in findings)
