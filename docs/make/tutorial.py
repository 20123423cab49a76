"""The tutorial's commands, run in its order, and the report they leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.make.markdown import ROOT, console, fenced, plain, python, table, workspace, write

STUDY = "analyses/rotterdam_hormone"
OUT = "out/rotterdam_hormone"
BEFORE = {
    "dag": f"causal-s4 dag {STUDY}/rotterdam.dag",
    "check": f"causal-s4 check {STUDY}/study.toml",
    "run": f"causal-s4 run {STUDY}/study.toml --out {OUT}",
    "narrower": f"causal-s4 run {STUDY}/node_positive.toml --out out/node_positive",
    "compare": f"causal-s4 compare {OUT} out/node_positive",
    "init": "causal-s4 init mine --data data/rotterdam.csv --no-ask",
}
DRAFTED = ("**Estimand.**", "**Weights.**", "**Confidence intervals.**")
SCRIPT = "docs/examples/rotterdam.py"


def write_tutorial(folder: Path) -> None:
    """Write each command with its output, and the report with its figures."""
    with workspace() as here:
        for name, command in BEFORE.items():
            write(folder / f"{name}.md", console(command, here))
        results = json.loads((here / OUT / "results.json").read_text(encoding="utf-8"))
        write(folder / "evalue.md", console(evalue_command(results), here))
        write(folder / "doubt.md", doubt(results))
        write(folder / "study.md", fenced((here / STUDY / "study.toml").read_text(encoding="utf-8"), "toml"))
        write(folder / "left.md", fenced(listing(here / OUT), "text"))
        write(folder / "drafted.md", drafted(here / OUT / "methods.md"))
        keep_report(here / OUT, folder / "report")
    done = python([SCRIPT], ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    write(folder / "script.md", fenced((ROOT / SCRIPT).read_text(encoding="utf-8"), "python"))
    write(folder / "script_output.md", fenced(done.stdout, "text"))


def keep_report(source: Path, target: Path) -> None:
    """Copy the page and the figures, for the site to show."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(source / "report.html", target)
    shutil.copytree(source / "figures", target / "figures", ignore=shutil.ignore_patterns("*.png"))


def evalue_command(results: Mapping[str, Any]) -> str:
    """Return the command that asks for the E-value of the primary answer."""
    estimates = results["estimates"]
    first = next(each for each in estimates if each["analysis"] == "weighted" and each["measure"] == "hazard ratio")
    return "causal-s4 evalue " + " ".join(f"{first[key]:.2f}" for key in ("value", "lower", "upper"))


def doubt(results: Mapping[str, Any]) -> str:
    """Return the first answer of each sensitivity analysis."""
    first: dict[str, Mapping[str, Any]] = {}
    for each in results["sensitivity"]:
        first.setdefault(each["method"], each)
    rows = [
        (name, each["unit"], number(each["value"]), between(each), plain(each["direction"]))
        for name, each in first.items()
    ]
    return table(("Analysis", "Measured in", "Answer", "From, to", "Which way"), rows, right=(2,))


def number(value: float | None) -> str:
    """Return a number to three digits; a dash where the answer is a grid."""
    return "–" if value is None else f"{value:.3g}"


def between(result: Mapping[str, Any]) -> str:
    """Return the range of an answer, or the answer for the interval's limit nearer to no effect."""
    if result["lower"] is not None:
        return f"{number(result['lower'])}, {number(result['upper'])}"
    return "" if result["bound"] is None else f"limit: {number(result['bound'])}"


def listing(folder: Path) -> str:
    """Return the files of a folder, those of one kind in a folder together."""
    found: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            inside = path.parent != folder
            name = f"{path.parent.name}/*{path.suffix}" if inside else path.name
            found[name] = found.get(name, 0) + 1
    return "\n".join(name + (f"   ({count} files)" if "*" in name else "") for name, count in found.items())


def drafted(path: Path) -> str:
    """Return some paragraphs of the drafted methods section, as quotations."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return "\n>\n".join(f"> {block.strip()}" for block in blocks if block.startswith(DRAFTED)) + "\n"
