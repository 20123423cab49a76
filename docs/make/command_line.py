"""Every command, its arguments and options, from the program itself."""

from __future__ import annotations

from pathlib import Path

import click

from causal_s4.cli import main
from docs.make.markdown import fenced, plain, table, write


def write_command_line(folder: Path) -> None:
    """Write one section a command."""
    context = click.Context(main, info_name="causal-s4")
    parts = [section(command, context) for _, command in sorted(main.commands.items())]
    write(folder / "commands.md", "\n".join([options_of(main, context), *parts]))


def section(command: click.Command, parent: click.Context) -> str:
    """Return a command's usage, its purpose and its options."""
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = command.get_usage(context).removeprefix("Usage: ")
    purpose = plain(" ".join((command.help or "").split()))
    return f"### `{command.name}`\n\n{purpose}\n\n{fenced(usage, 'text')}\n{options_of(command, context)}"


def options_of(command: click.Command, context: click.Context) -> str:
    """Return the options of a command as a table; nothing when it has none."""
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and "--help" not in record[0]:
            rows.append((f"`{record[0]}`", plain(record[1])))
    return table(("Option", "What it does"), rows) if rows else ""
