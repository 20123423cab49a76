"""Clone-censor-weight: 200 replicates of 200 patients next to R, and one estimate of a large registry.

python -m benchmarks.clone_censor [PATIENTS]: time and memory of one estimate with its interval, 5,000 patients by
default, monthly visits, ten years.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import causal_s4 as s4
from benchmarks.peers import r_version
from causal_s4.design_matrix import build_design_matrix
from causal_s4.simulate import simulate_history
from causal_s4.simulate.timeline import ROLES

GRACE, HORIZON, TEN_YEARS = 9.0, 60.0, 120.0
OPTIONS = {"horizon": TEN_YEARS, "ecog_decline": 0.02, "effect": "null"}
R_SCRIPT = Path(__file__).with_name("peer_clones.R")
STRATEGIES: dict[str, dict[str, Any]] = {
    "as published": {"timing": "maringe"},
    "density": {},
    "density, changing response": {"time_varying": ["response"]},
    "density, changing response, loss": {"time_varying": ["response"], "loss_weights": True},
}


def registry(n: int, **options: Any) -> Any:
    """A simulated registry with its visits."""
    return s4.Cohort.from_frame(
        s4.simulate("stage4-timeline", n=n, seed=1, **OPTIONS),
        history=simulate_history("stage4-timeline", n=n, seed=1, **OPTIONS, **options),
        **ROLES,
    )


# --- next to R ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bootstrapped:
    """One line: seconds of all replicates, ours and R's (None where it is not installed)."""

    strategies: str
    rows: int
    ours: float
    theirs: float | None
    apart: float | None


def bootstrap(n: int = 200, replicates: int = 200, of_peer: int = 10) -> Iterator[Bootstrapped]:
    """Time the bootstrap of whole analyses; R's is that of published code, whatever ours is asked for."""
    cohort = registry(n)
    theirs, plain = _in_r(cohort, of_peer) if r_version() else (None, None)
    for name, options in STRATEGIES.items():

        def ours(options: dict[str, Any] = options) -> Any:
            table = s4.clone_censor(cohort, grace_period=GRACE, **options)
            return table, s4.estimate_effects(
                table, horizons=[HORIZON], variance="bootstrap", replicates=replicates, seed=1
            )

        table, effects = ours()
        spent = np.inf
        for _ in range(5):
            begin = time.process_time()
            ours()
            spent = min(spent, time.process_time() - begin)
        apart = None
        if plain is not None and name == "as published":
            found = [np.log(effects.one(measure="hazard ratio").value)]
            for arm in ("treated", "control"):
                found += [effects.one(measure=measure, arm=arm).value for measure in ("survival", "rmst")]
            apart = float(np.abs(np.array(found) / plain - 1).max())
        yield Bootstrapped(name, len(table), spent, None if theirs is None else theirs * replicates, apart)


def _in_r(cohort: Any, replicates: int) -> tuple[float, np.ndarray]:
    """Processor seconds a replicate, and estimates of the data as they are: log hazard ratio, survival and area by arm."""
    outcome, terms = cohort.outcome(), build_design_matrix(cohort.covariates).matrix
    frame = pd.DataFrame(terms, columns=[f"x{j}" for j in range(terms.shape[1])]).assign(
        id=range(len(cohort)), time=outcome.time, event=outcome.event, start=cohort.treatment_start
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patients.csv"
        frame.replace(np.inf, "Inf").to_csv(path, index=False)
        done = subprocess.run(
            ["Rscript", str(R_SCRIPT), str(path), str(GRACE), str(HORIZON), str(replicates)],
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, *plain = map(float, done.stdout.split())
    return seconds, np.array(plain)


# --- a large registry ---------------------------------------------------------------------------


def peak() -> float:
    """Return the most memory used so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    cohort = registry(n, visit_interval=1.0)
    deaths = int(cohort.outcomes[0].event.sum())
    print(f"{n:,} patients, {len(cohort.history):,} visits, {deaths:,} deaths: {peak():,.0f} MiB before")
    for options in ({}, {"loss_weights": True}):
        begin = time.perf_counter()
        table = s4.clone_censor(cohort, grace_period=GRACE, time_varying=["response", "ecog"], **options)
        cloned = time.perf_counter()
        effects = s4.estimate_effects(table, horizons=[HORIZON, TEN_YEARS - 1])
        done = time.perf_counter()
        s4.estimate_effects(table, horizons=[HORIZON], variance="bootstrap", replicates=100, seed=1)
        resampled = time.perf_counter()
        ratio = effects.one(measure="hazard ratio")
        print(
            f"{options or 'default'}: {len(table):,} rows, {table.weights.parts[0].information.shape[0]} coefficients, cloned in "
            f"{cloned - begin:.1f} s, estimated in {done - cloned:.1f} s, 100 replicates in {resampled - done:.1f} s, at most "
            f"{peak():,.0f} MiB; hazard ratio {ratio.value:.3f} (standard error of its logarithm {ratio.std_error:.3f})"
        )


if __name__ == "__main__":
    main()
