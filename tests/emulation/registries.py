"""Simulated registries of the stage4-timeline world, where surgery follows response, and how they are analysed."""

import numpy as np

from causal_s4.cohort import Cohort
from causal_s4.emulation.clone_censor import clone_censor
from causal_s4.estimation import estimate_effects
from causal_s4.ladder import bias_ladder
from causal_s4.simulate import simulate, simulate_history
from causal_s4.simulate.timeline import ROLES, USUAL_EDGES, USUAL_MASSES

GRACE, HORIZON = 9.0, 60.0
USUAL = (USUAL_EDGES, USUAL_MASSES)
MEASURES = ("hazard ratio", "survival difference", "rmst difference")


def registry(n: int, seed: int, **options) -> Cohort:
    """A cohort with its history of visits."""
    return Cohort.from_frame(
        simulate("stage4-timeline", n=n, seed=seed, **options),
        history=simulate_history("stage4-timeline", n=n, seed=seed, **options),
        name="Overall survival",
        **ROLES,
    )


def weighted(cohort: Cohort, *, variance: str = "influence", **options) -> dict[str, tuple[float, float]]:
    """Log hazard ratio, survival and RMST difference at five years, each with its standard error."""
    options = {"time_varying": ["response"], "timing_density": USUAL} | options
    table = clone_censor(cohort, grace_period=GRACE, **options)
    effects = estimate_effects(table, horizons=[HORIZON], variance=variance)
    return {measure: as_pair(effects.one(measure=measure)) for measure in MEASURES}


def as_pair(estimate) -> tuple[float, float]:
    value = np.log(estimate.value) if estimate.measure == "hazard ratio" else estimate.value
    return float(value), float(estimate.std_error)


def rungs(cohort: Cohort):
    """The ladder as the figures of the null world were made: grace period and landmark of nine months."""
    return bias_ladder(
        cohort,
        landmarks=[GRACE],
        grace_periods=[GRACE],
        time_varying=["response"],
        timing_density=USUAL,
    )
