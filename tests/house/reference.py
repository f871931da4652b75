"""Writes docs/reference from the code: `python -m tests.house.reference`. A test compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pierhead.cli.main import main
from pierhead.faces.ops.metrics import METRICS
from pierhead.faces.rest.problems import PROBLEMS
from pierhead.faces.rest.routes import ROOT, ROUTES
from tests.house.tree import ROOT as PROJECT

FOLDER = PROJECT / "docs" / "reference"
MARK = "<!-- From here on written by `python -m tests.house.reference`. -->"


def rest() -> str:
    """The tables of routes and problems."""
    lines = ["## Routes", "", f"All begin with `{ROOT}`.", "", "| route | needs | answers |", "|---|---|---|"]
    lines += [f"| `{route.method} {route.path}` | {route.need.value} | {route.says} |" for route in ROUTES]
    lines += ["", "## Parameters", ""]
    for route in ROUTES:
        if route.parameters:
            told = "; ".join(f"`{parameter.name}`: {parameter.says}" for parameter in route.parameters)
            lines.append(f"- `{route.method} {route.path}`: {told}.")
    lines += [
        "",
        "## Bodies",
        "",
        "JSON, sent with `Content-Type: application/json`; a key that is not listed is refused.",
        "",
    ]
    for route in ROUTES:
        if route.body:
            told = "; ".join(f"`{key.name}`: {key.says}" for key in route.body)
            lines.append(f"- `{route.method} {route.path}`: {told}.")
    lines += ["", "## Problems", "", "| code | status | title | what to do |", "|---|---|---|---|"]
    for problem in sorted(PROBLEMS, key=lambda one: (one.status, one.code)):
        lines.append(
            f"| `{problem.code}` | {problem.status} | {problem.title} | {problem.do or 'The message says it.'} |"
        )
    return "\n".join(lines)


def metrics() -> str:
    """The table of metrics."""
    lines = ["## Metrics", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.says} |")
    return "\n".join(lines)


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield f"{path} {name}", command
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def cli() -> str:
    """What each command says of itself with --help."""
    lines = ["## Commands", ""]
    settings = {**main.context_settings, "max_content_width": 100}
    for path, command in commands(main, "pierhead"):
        context = click.Context(command, info_name=path, terminal_width=100, **settings)
        lines += [f"### {path.removeprefix('pierhead ')}", "", "```", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(lines).rstrip()


PARTS = {"rest.md": rest, "metrics.md": metrics, "cli.md": cli}


def whole(path: Path) -> str:
    """What the file has to hold: its own introduction, then what comes from the code."""
    introduction = path.read_text().partition(MARK)[0].rstrip()
    return f"{introduction}\n\n{MARK}\n\n{PARTS[path.name]()}\n"


if __name__ == "__main__":
    for file in PARTS:
        (FOLDER / file).write_text(whole(FOLDER / file))
