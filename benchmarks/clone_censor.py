"""Time and memory of one clone-censor-weight estimate with its interval: 5,000 patients, monthly visits, ten years.

python benchmarks/clone_censor.py [PATIENTS]
"""

import resource
import sys
import time

import numpy as np

from causal_s4.cohort import Cohort
from causal_s4.emulation.clone_censor import clone_censor
from causal_s4.estimation import estimate_effects
from causal_s4.simulate import simulate, simulate_history

TEN_YEARS = 120.0
OPTIONS = {"horizon": TEN_YEARS, "ecog_decline": 0.02, "effect": "null"}
COVARIATES = ["age", "subtype", "bone_only", "burden", "ecog"]


def peak() -> float:
    """Return the most memory used so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    women = simulate("stage4-timeline", n=n, seed=1, **OPTIONS)
    visits = simulate_history("stage4-timeline", n=n, seed=1, visit_interval=1.0, **OPTIONS)
    cohort = Cohort.from_frame(
        women,
        id="id",
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=COVARIATES,
        treatment_start="surgery_months",
        history=visits,
    )
    print(
        f"{n:,} patients, {len(visits):,} visits, {int(cohort.outcomes[0].event.sum()):,} deaths: {peak():,.0f} MiB before"
    )
    for options in ({}, {"loss_weights": True}):
        begin = time.perf_counter()
        table = clone_censor(cohort, grace_period=9.0, time_varying=["response", "ecog"], **options)
        cloned = time.perf_counter()
        effects = estimate_effects(table, horizons=[60.0, TEN_YEARS - 1])
        done = time.perf_counter()
        ratio = effects.one(measure="hazard ratio")
        print(
            f"{options or 'default'}: {len(table):,} rows, {table.weights.parts[0].information.shape[0]} coefficients, cloned in "
            f"{cloned - begin:.1f} s, estimated in {done - cloned:.1f} s, at most {peak():,.0f} MiB; hazard ratio {ratio.value:.3f} "
            f"(standard error of its logarithm {ratio.std_error:.3f}), log {np.log(ratio.value):+.3f}"
        )


if __name__ == "__main__":
    main()
