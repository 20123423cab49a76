"""Bad inputs, what the program says of each, and the exit status it ends with: each from the real command.

The studies are those of ``tests/test_malformed_inputs.py``, which checks what is said of each.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from click.testing import CliRunner

from causal_s4.cli import main
from docs.make.markdown import ROOT, plain, table, write

HEADINGS = ("What is wrong", "What the program says", "Exit status")
GROUPS = {
    "TOML": "The study file",
    "GRAPHS": "The causal graph",
    "FILES": "The file of the cohort",
    "VALUES": "Its values",
    "QUESTIONS": "Questions that the cohort cannot answer",
}
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a study file that is not there", ("run", "studdy.toml", "--out", "out")),
    ("no output folder named", ("run", "study.toml")),
    ("an option that does not exist", ("run", "study.toml", "--out", "out", "--sead", "3")),
    ("a command that does not exist", ("runn", "study.toml")),
    ("a graph that is not there", ("dag", "graf.dag")),
    ("a node that the graph has not", ("dag", "small.dag", "--adjust", "agee")),
    ("a scenario that does not exist", ("simulate", "stage5", "--n", "10", "--seed", "1", "--out", "x.csv")),
    ("no patients to simulate", ("simulate", "stage4", "--n", "0", "--seed", "1", "--out", "x.csv")),
    ("an option of the scenario that is code", ("simulate", "stage4", "--n", "9", "--seed", "1", "--out", "x.csv", "--set", "f=g()")),
    ("a report of a folder without results", ("report", "nothing")),
    ("a comparison with what is no result", ("compare", "study.toml", "cohort.csv")),
    ("a study begun for a file that is not there", ("init", "mine", "--data", "kohort.csv", "--no-ask")),
    ("a negative hazard ratio", ("evalue", "-1")),
    ("limits in the wrong order", ("evalue", "0.6", "0.9", "0.4")),
    ("an interval that leaves its estimate out", ("evalue", "0.6", "0.7", "0.9")),
)  # fmt: skip


def write_bad_inputs(folder: Path, *, most: int | None = None) -> None:
    """Write one table a group.

    Parameters
    ----------
    folder : Path
    most : int, optional
        How many of each group; all by default.
    """
    cases = malformed()
    parts = [f"### {heading}\n\n{of_studies(cases, getattr(cases, group)[:most])}" for group, heading in GROUPS.items()]
    parts.append(f"### The command line\n\n{of_commands(cases, COMMANDS[:most])}")
    write(folder / "table.md", "\n".join(parts))


def malformed() -> ModuleType:
    """Return the module of the tests that holds the bad studies."""
    folder = ROOT / "tests"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("malformed_inputs", folder / "test_malformed_inputs.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def of_studies(cases: ModuleType, chosen: Sequence[Any]) -> str:
    """Run each bad study and return what was said of it."""
    rows = []
    for case in chosen:
        with TemporaryDirectory() as name:
            path = cases.lay_out(Path(name), case)
            rows.append((plain(case.name), *ending(["run", str(path), "--out", str(Path(name) / "out")], name)))
    return table(HEADINGS, rows)


def of_commands(cases: ModuleType, commands: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    """Run each bad command line beside a good study and return what was said of it."""
    rows = []
    with TemporaryDirectory() as name:
        cases.write_study(Path(name))
        for what, arguments in commands:
            placed = [
                str(Path(name) / each) if each.endswith((".toml", ".dag", ".csv")) else each for each in arguments
            ]
            typed = plain(f"causal-s4 {' '.join(arguments)}")
            rows.append((f"{what}<br><small>{typed}</small>", *ending(placed, name)))
    return table(HEADINGS, rows)


def ending(arguments: Sequence[str], folder: str) -> tuple[str, int]:
    """Run the command and return its message and its exit status.

    Raises
    ------
    RuntimeError
        When a bad input was taken as good.
    """
    done = CliRunner().invoke(main, list(arguments))
    if done.exit_code == 0:
        raise RuntimeError(f"causal-s4 {' '.join(arguments)} ended well, but should not have")
    return "<br>".join(plain(line) for line in message(done.stderr, folder)), done.exit_code


def message(printed: str, folder: str) -> Iterator[str]:
    """Yield the lines of a message, without progress and without the folder it was run in."""
    for line in printed.splitlines():
        if line.strip() and not line.startswith(("[", "Usage:", "Try ")):
            yield line.replace(f"{folder}/", "").removeprefix("causal-s4: ").removeprefix("Error: ").strip()
