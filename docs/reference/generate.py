"""Write `docs/reference/config.md` and `docs/reference/cli.md` from the code; a test keeps them equal to it."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ocrtune.cli.app import app
from ocrtune.config import PRESETS, Config, ModeSection, preset_text
from ocrtune.data import CODES

HERE = Path(__file__).parent
_ATTRIBUTE = re.compile(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)


def config_page() -> str:
    """Every key of a recipe with type, default and meaning; then the shipped recipes."""
    lines = [
        "# Configuration",
        "",
        "A recipe is YAML; unknown keys are errors. Any key is set on the command line by `--set section.key=value`.",
        "",
    ]
    for path, section in _sections("", Config):
        heading = path or "The top"
        lines += [f"## {heading}", "", _summary(section), "", "| key | default | meaning |", "|---|---|---|"]
        lines += _rows(section)
        lines.append("")
    lines += ["# Shipped recipes", ""]
    for name in PRESETS:
        lines += [f"## {name}", "", "```yaml", preset_text(name).rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def cli_page() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    lines = ["# Command line", ""]
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # typer gives a click group
        lines += [
            f"## ocrtune {name}",
            "",
            _unwrapped(command.help or ""),
            "",
            "| argument | default | meaning |",
        ]
        lines.append("|---|---|---|")
        for parameter in command.params:
            if parameter.name == "help":
                continue
            shown = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
            if parameter.param_type_name == "argument":
                shown = f"`{(parameter.name or '').upper()}`"
            default = (
                ""
                if parameter.required or parameter.default in (None, False, (), [])
                else f"`{parameter.default}`"
            )
            lines.append(f"| {shown} | {default} | {_cell(getattr(parameter, 'help', '') or '')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sections(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        below = f"{path}.{name}" if path else name
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _sections(below, annotation)
        elif name == "mode":
            yield below, ModeSection


def _rows(section: type[BaseModel]) -> Iterator[str]:
    meanings = dict(_meanings(section))
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        default = "required" if field.default is PydanticUndefined else f"`{_plain(field.default)}`"
        yield f"| `{name}` | {default} | {_cell(meanings[name])} |"


def findings_page() -> str:
    """Every code of a finding, with the gravest severity it comes with."""
    lines = [
        "# Findings",
        "",
        "Codes stay the same from version to version; `--allow CODE` and `data.allow` make warnings of errors.",
        "[What `ocrtune check` finds](../guides/check.md) tells more about those of texts, prompts and images.",
        "",
        "| code | severity | what it is |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{code}` | {known.severity} | {_cell(known.title)} |" for code, known in sorted(CODES.items())
    ]
    return "\n".join(lines) + "\n"


def _meanings(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    docstring = section.__doc__ or ""
    _, _, attributes = docstring.partition("Attributes:\n")
    body = "\n".join(line.removeprefix("    ") for line in attributes.splitlines())
    for match in _ATTRIBUTE.finditer(body + "\n"):
        yield match.group(1), _unwrapped(match.group(2))


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _plain(default: object) -> str:
    if default is None or isinstance(default, str):
        return default or "none"
    return json.dumps(default)  # as YAML would take it: true, 0.05, []


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write all pages."""
    for name, page in (
        ("config.md", config_page()),
        ("cli.md", cli_page()),
        ("findings.md", findings_page()),
    ):
        (HERE / name).write_text(page, encoding="utf-8")
        print(f"wrote docs/reference/{name}", file=sys.stderr)


if __name__ == "__main__":
    main()
