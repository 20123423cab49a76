"""The same estimate with every interval, on a large cohort and on one of the founding study's size."""

from __future__ import annotations

from pathlib import Path

import causal_s4 as s4
from causal_s4.protocol.sections import Inference
from causal_s4.results import EffectEstimate
from docs.make import rotterdam
from docs.make.estimands import ratio
from docs.make.markdown import table, write

VARIANCES = ("influence", "fixed", "jackknife", "bootstrap")
REPLICATES = 1_000
WORDS = {
    "influence": "influence functions, weights estimated",
    "fixed": "influence functions, weights taken as known",
    "jackknife": "jackknife, everything refitted without each patient",
    "bootstrap": f"bootstrap of {REPLICATES:,} resamples, everything refitted, percentiles",
}


def write_intervals(folder: Path) -> None:
    """Write the intervals of two cohorts."""
    large, small = rotterdam.cohort(), founding_size()
    rows = []
    for variance in VARIANCES:
        usual = " (the default)" if variance == Inference().method else ""
        rows.append((WORDS[variance] + usual, answer(large, variance, **rotterdam.model()), answer(small, variance)))
    headings = ["Interval", f"{len(large):,} women of Rotterdam", f"{len(small):,} simulated women"]
    write(folder / "intervals.md", table(headings, rows))


def founding_size() -> s4.Cohort:
    """Return simulated women, as many as in the founding study; surgery does nothing."""
    adjustment = sorted(s4.Dag.read(rotterdam.ROOT / "analyses/stage4_surgery/stage4.dag").adjustment_sets()[0])
    return s4.Cohort.from_frame(
        s4.simulate("stage4", n=157, seed=20190514),
        id="id",
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=adjustment,
    )


def answer(cohort: s4.Cohort, variance: str, **model: object) -> str:
    """Return the hazard ratio of the overlap population with one kind of interval."""
    weights = s4.weigh(cohort, population="ATO", **model)  # type: ignore[arg-type]
    resampling = {"replicates": REPLICATES, "seed": 1} if variance == "bootstrap" else {}
    effects = s4.estimate_effects(cohort, weights, variance=variance, **resampling)  # type: ignore[arg-type]
    found: EffectEstimate = effects.one(analysis="weighted", measure="hazard ratio")
    return ratio(found)
