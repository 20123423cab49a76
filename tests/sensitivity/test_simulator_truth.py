"""The package's own simulator with a confounder it does not record: at its true strength the truth is found.

Surgery does nothing there. Biology, present in half of the women, halves the odds of surgery and doubles the hazard.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import causal_s4 as s4
from causal_s4.cohort import Cohort
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.propensity.weights import weigh
from causal_s4.results import Floats
from causal_s4.sensitivity.arm_models import standardised_terms
from causal_s4.sensitivity.confounder import adjust_for_confounder
from causal_s4.sensitivity.question import Recipe
from causal_s4.sensitivity.simulated_confounder import RecordedCohort, simulated_confounder
from causal_s4.simulate.stage4 import World

RECORDED = (
    "age", "ecog", "subtype", "er_status", "pr_status", "sites", "visceral", "systemic_therapy", "response", "year",
    "centre",
)  # fmt: skip
MONTHS = 12.0


def women(n: int, seed: int) -> tuple[Cohort, Floats]:
    """Return what is recorded of women, and the biology that is not."""
    cohort = Cohort.from_frame(
        s4.simulate("unmeasured", n=n, seed=seed),
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=RECORDED,
    )
    return cohort, World.draw("unmeasured", n, seed).biology


def risk(cohort: Cohort, weight: Floats, members: np.ndarray) -> float:
    """Return the weighted risk of death within a year of some women."""
    outcome = cohort.outcome()
    sets = RiskSets.of(None, outcome.time[members], outcome.event[members] == 1)
    return 1 - KaplanMeier.fit(sets, weight[members]).survival_at(MONTHS)


def test_the_formula_finds_the_truth_at_the_true_strength_and_not_at_half_of_it() -> None:
    cohort, biology = women(40_000, 1)
    weight, arm, has = weigh(cohort, population="ATE").values, cohort.treatment, biology == 1
    observed = risk(cohort, weight, arm == 1) / risk(cohort, weight, arm == 0)
    prevalence = [float(np.average(biology[arm == code], weights=weight[arm == code])) for code in (1, 0)]
    links = [risk(cohort, weight, (arm == code) & has) / risk(cohort, weight, (arm == code) & ~has) for code in (1, 0)]
    full = adjust_for_confounder(
        effect=observed,
        prevalence_treated=prevalence[0],
        prevalence_control=prevalence[1],
        confounder_hazard_ratio=links[0],
        confounder_hazard_ratio_control=links[1],
    )
    middle, apart = sum(prevalence) / 2, (prevalence[0] - prevalence[1]) / 4
    half = adjust_for_confounder(
        effect=observed,
        prevalence_treated=middle + apart,
        prevalence_control=middle - apart,
        confounder_hazard_ratio=math.sqrt(links[0]),
        confounder_hazard_ratio_control=math.sqrt(links[1]),
    )
    assert full.value is not None
    assert half.value is not None
    # some 3,000 deaths an arm within the year: a standard error of about 0.025
    assert abs(math.log(full.value)) < 0.06
    assert math.log(observed) < math.log(half.value) < -0.06


@pytest.mark.slow
def test_a_simulated_confounder_finds_the_truth_at_the_true_strength_and_not_at_half_of_it() -> None:
    found: dict[float, list[float]] = {1.0: [], 0.5: []}
    errors = []
    for seed in (2, 5, 7):
        cohort, _ = women(8000, seed)
        outcome = cohort.outcome()
        recorded = RecordedCohort(
            covariates=standardised_terms(cohort, Recipe(population="ATE")),
            treatment=cohort.treatment,
            time=outcome.time,
            event=outcome.event,
        )
        for share, values in found.items():
            answer = simulated_confounder(
                recorded,
                log_odds_of_treatment=share * math.log(0.5),
                log_hazard_ratio=share * math.log(2.0),
                sweeps=8,
                burn_in=4,
                seed=3,
            )
            values.append(math.log(answer.value or 1))
            errors.append(math.log((answer.upper or 1) / (answer.lower or 1)) / (2 * 1.959964))
    error = float(np.mean(errors)) / math.sqrt(3)
    assert abs(np.mean(found[1.0])) < 3 * error
    assert np.mean(found[0.5]) < -3 * error
