"""Run the validation study: ``python -m analyses.validation [--quick] [--jobs N | --cluster ADDRESS]``.

The whole grid writes ``table.csv`` and ``README.md`` beside this file; a part of it, or a quick run, writes into
``out/validation``. Finished blocks are kept, so that a run that was interrupted goes on where it stopped. The exit
status is 1 when a result lies outside its band.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analyses.validation.bands import BANDS, broken
from analyses.validation.cells import finished, read, run_scenario, written
from analyses.validation.page import page_of
from analyses.validation.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
OUT = Path("out/validation")
QUICK = 20


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Run the study and return the exit status."""
    options = _options(arguments)
    if options.check:
        return _check(say)
    whole = not options.quick and options.only is None and options.replicates is None
    chosen = [SCENARIOS[name] for name in options.only or SCENARIOS]
    tables = []
    for scenario in chosen:
        replicates = options.replicates or (QUICK if options.quick else scenario.replicates)
        rows = _rows(scenario, replicates, options)
        done = 0 if rows is None else int(rows["replicates"].iloc[0])
        say(f"{scenario.name}: {done} of {replicates} cohorts of {scenario.n}")
        tables += [] if rows is None else [rows]
    if not tables:
        say(f"nothing is finished in {options.kept}")
        return 1
    table = pd.concat(tables, ignore_index=True)
    whole &= len(tables) == len(SCENARIOS)
    out = options.out or (HERE if whole else OUT)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.csv").write_text(written(table), encoding="utf-8")
    if len(tables) == len(SCENARIOS):
        (out / "README.md").write_text(page_of(table), encoding="utf-8")
    say(f"written: {out / 'table.csv'}, {len(table)} rows")
    return _judge(table, say, quick=not whole)


def _rows(scenario: Scenario, replicates: int, options: argparse.Namespace) -> pd.DataFrame | None:
    if options.finished:
        return finished(scenario, replicates, options.kept)
    return run_scenario(scenario, replicates, kept=options.kept, jobs=options.jobs, cluster=options.cluster)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m analyses.validation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cohorts of each scenario")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="SCENARIO", help="some scenarios")
    parser.add_argument("--replicates", type=int, help="cohorts of each scenario")
    parser.add_argument("--jobs", type=int, default=None, help="processes; all cores by default")
    parser.add_argument("--cluster", help="address of a Dask scheduler, instead of --jobs")
    parser.add_argument("--kept", type=Path, default=OUT / "kept", help="folder of finished blocks")
    parser.add_argument("--out", type=Path, help="folder of the table and the page")
    parser.add_argument("--finished", action="store_true", help="write what is finished so far, and run nothing")
    parser.add_argument(
        "--check", action="store_true", help="hold the committed table against bands and page; run nothing"
    )
    options = parser.parse_args(arguments)
    if options.cluster and options.jobs:
        parser.error("give --jobs or --cluster, not both")
    options.jobs = options.jobs or (1 if options.cluster else os.cpu_count() or 1)
    return options


def _check(say: Callable[[str], None]) -> int:
    table = read(HERE / "table.csv")
    status = _judge(table, say)
    if (HERE / "README.md").read_text(encoding="utf-8") != page_of(table):
        say("README.md is not what the table says; run the study again, or write the page anew")
        status = 1
    return status


def _judge(table: pd.DataFrame, say: Callable[[str], None], *, quick: bool = False) -> int:
    faults = broken(table, quick=quick)
    for fault in faults:
        say(f"outside its band: {fault}")
    held = [band for band in BANDS if band.scenario in set(table["scenario"])]
    say(f"{len(held) - len(faults)} of {len(held)} results lie within their bands")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
