"""Markdown that pages include, and commands run for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
COPIED = ("analyses", "data")
_DOI = re.compile(r"\b(10\.\d{4,}/[^\s,;]+)")
_PROGRESS = re.compile(r"^\[ *[0-9.]+ s\] .*\n", re.MULTILINE)


def write(path: Path, text: str) -> None:
    """Write a text that a page includes."""
    path.write_text(text, encoding="utf-8")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Return a table; the columns numbered in ``right`` are numbers."""
    rule = ["---:" if column in right else "---" for column in range(len(headings))]
    lines = [headings, rule, *rows]
    return "".join(f"| {' | '.join(cell(each) for each in line)} |\n" for line in lines)


def cell(value: object) -> str:
    """Return a value as the text of one cell."""
    return str(value).replace("|", "\\|").replace("\n", "<br>")


_PLAIN = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]#<>"}


def plain(text: str) -> str:
    """Return text that Markdown and HTML take as it is."""
    return text.translate(_PLAIN)


def linked(text: str) -> str:
    """Return a text whose DOIs are links."""
    return _DOI.sub(r"[\1](https://doi.org/\1)", text)


def unbroken(text: str) -> str:
    """Return text that stays on one line."""
    return text.replace(" ", "\u00a0")


def fenced(text: str, language: str) -> str:
    """Return a block of text as it is."""
    return f"```{language}\n{text.rstrip()}\n```\n"


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a folder with the analyses and data of the repository, for commands to run in."""
    with TemporaryDirectory() as name:
        for part in COPIED:
            shutil.copytree(ROOT / part, Path(name) / part, ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(name)


def python(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder with arguments and return how it ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def console(command: str, folder: Path, *, status: int = 0) -> str:
    """Run a ``causal-s4`` command line and return it with what it printed, as one block.

    Raises
    ------
    RuntimeError
        When it ended otherwise than the page says.
    """
    program, *arguments = command.split()
    assert program == "causal-s4"
    done = python(["-m", "causal_s4.cli", *arguments], folder)
    if done.returncode != status:
        raise RuntimeError(f"{command} ended with {done.returncode}, not {status}:\n{done.stdout}{done.stderr}")
    printed = _PROGRESS.sub("", done.stderr) if status else done.stdout
    ending = f"\n(exit status {status})\n" if status else ""
    return fenced(f"$ {command}\n{printed.rstrip()}\n{ending}", "console")
