"""A cohort the size of a registry: written to parquet with columns that nobody asks for, read by column, and analysed.

python -m benchmarks.registry PATIENTS   prints, as JSON, the seconds of each step and the peak memory of the process
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cohorts import COVARIATES

READ = ("id", "surgery", "os_months", "death", *COVARIATES)
OTHERS = 40
"""Columns of the file beside the simulated ones."""


def write_registry(file: Path, n: int) -> None:
    """Write simulated patients with columns that the study does not read."""
    import numpy as np

    import causal_s4 as s4

    frame = s4.simulate("stage4", n=n, seed=1)
    rng = np.random.default_rng(2)
    others = {f"laboratory_{k}": rng.normal(size=n) for k in range(OTHERS)}
    frame.assign(**others).to_parquet(file, index=False)


def analyse(file: Path) -> dict[str, float]:
    """Return the processor seconds of each step, and how much memory the process has had at most, in GiB."""
    spent: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        spent[step] = time.process_time() - begin

    with timed("imports"):
        from causal_s4 import Cohort, check_balance, estimate_effects, survival_curves, weigh
        from causal_s4.cohort import read_table
    with timed(f"reading {len(READ)} columns"):
        frame = read_table(file, READ)
    with timed("checking the cohort"):
        cohort = Cohort.from_frame(
            frame,
            id="id",
            treatment="surgery",
            treated=1,
            control=0,
            time="os_months",
            event="death",
            event_value=1,
            time_unit="months",
            covariates=COVARIATES,
        )
    with timed("propensity score and weights"):
        weights = weigh(cohort, population="ATE", stabilise=True)
    with timed("balance"):
        check_balance(cohort, weights)
    with timed("curves with bands"):
        survival_curves(cohort, weights)
    with timed("hazard ratio, survival, restricted mean, with influence intervals"):
        estimate_effects(cohort, weights, horizons=[12.0, 24.0])
    status = Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1]
    return {**spent, "peak": int(status.split()[0]) / 2**20}


def measure(n: int) -> dict[str, float]:
    """Write a registry, and analyse it in a process of its own that starts with nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "registry.parquet"
        write_registry(file, n)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.registry", str(file)], capture_output=True, text=True, check=True
        )
    return dict(json.loads(done.stdout))


def registry(head: Callable[..., None], line: Callable[..., None], n: int) -> None:
    """Print the table of one cohort, as markdown."""
    head(f"{n:,} patients from a parquet file of some sixty columns, in a new process", "step", "seconds")
    found = measure(n)
    peak = found.pop("peak")
    for step, seconds in found.items():
        line(step, f"{seconds:.2f}")
    line("all", f"{sum(found.values()):.2f}")
    print(f"\nPeak memory: {peak:.2f} GiB.")


if __name__ == "__main__":
    print(json.dumps(analyse(Path(sys.argv[1]))))
