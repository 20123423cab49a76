"""The package's own simulator with a confounder it does not record: at its true strength the truth is found.

Surgery does nothing there unless told to. Biology, present in half of the women, halves the odds of surgery and doubles
the hazard. Bounds of the marginal sensitivity model suppose the worst confounder of a strength, which biology is not:
those of half its strength exclude the truth only where biology decides the outcome, and it is made to.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import causal_s4 as s4
from causal_s4.cohort import Cohort
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.probe.asking import estimator, weigh_by
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.protocol import Protocol
from causal_s4.results import Floats
from causal_s4.sensitivity.arm_models import fit_arm_models, standardised_terms
from causal_s4.sensitivity.confounder import adjust_for_confounder
from causal_s4.sensitivity.marginal_model import ArmModels, marginal_sensitivity, marginal_tipping
from causal_s4.sensitivity.question import Question, Recipe
from causal_s4.sensitivity.simulated_confounder import RecordedCohort, simulated_confounder
from causal_s4.simulate.stage4 import World

RECORDED = (
    "age", "ecog", "subtype", "er_status", "pr_status", "sites", "visceral", "systemic_therapy", "response", "year",
    "centre",
)  # fmt: skip
MONTHS = 12.0
PROTOCOL = """
[data]
file = "x.csv"
time_unit = "months"
[dag]
file = "x.dag"
[treatment]
column = "surgery"
treated = 1
control = 0
[[outcome]]
time = "os_months"
event = "death"
event_value = 1
[estimand]
population = "ATE"
"""


def as_cohort(frame: pd.DataFrame) -> Cohort:
    """Return what is recorded of women."""
    return Cohort.from_frame(
        frame,
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=RECORDED,
    )


def women(n: int, seed: int) -> tuple[Cohort, Floats]:
    """Return what is recorded of women, and the biology that is not."""
    return as_cohort(s4.simulate("unmeasured", n=n, seed=seed)), World.draw("unmeasured", n, seed).biology


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


# --- bounds: the true odds factor is the most by which biology moves a woman's odds of surgery --------

HORIZON = 36.0
STRONG = 10
"""Times that the logarithm of biology's hazard ratio is multiplied by where it decides the outcome."""


def bounded_world(strength: float, hazard_ratio: float) -> tuple[ArmModels, dict[str, float], float]:
    """Return models of a cohort by what is recorded, its true effects, and the true odds factor."""
    n = 10_000
    world = World.draw("unmeasured", n, 1)
    surgery, radiotherapy = world.treat()
    # biology decides about surgery as ever, and about the outcome so many times as strongly
    fates = replace(world, biology=0.5 + strength * (world.biology - 0.5))

    def months(operated: np.ndarray) -> Floats:
        return fates.outcomes(operated, radiotherapy, hazard_ratio=hazard_ratio, radiotherapy_hazard_ratio=1.0)["death"]

    death = months(surgery)
    frame = s4.simulate("unmeasured", n=n, seed=1).assign(
        os_months=np.minimum(death, world.last_contact), death=(death <= world.last_contact).astype(int)
    )
    cohort, estimate = as_cohort(frame), estimator(Protocol.parse(PROTOCOL))
    weights = weigh(cohort, population="ATE")
    question = Question(
        cohort=cohort,
        outcome=cohort.outcome().name,
        horizon=HORIZON,
        recipe=Recipe(population="ATE"),
        answered=estimate(cohort, cohort.outcome().name, weights, HORIZON),
        weigh=weigh_by,
        estimate=estimate,
    )
    treated, control = (np.minimum(months(np.full(n, arm)), HORIZON) for arm in (1, 0))
    truth = {
        "survival difference": float((treated >= HORIZON).mean() - (control >= HORIZON).mean()),
        "rmst difference": float((treated - control).mean()),
    }
    recorded, everything = world.propensity("surgery"), world._surgery(world.biology)
    moved = np.log(everything / (1 - everything)) - np.log(recorded / (1 - recorded))
    assert weights.propensity is not None
    return fit_arm_models(question, cohort, weights.propensity), truth, float(np.exp(np.abs(moved).max()))


def holds(models: ArmModels, measure: str, odds_factor: float, truth: float) -> bool:
    """Return whether the bounds of an effect, without allowance for chance, hold its true value."""
    (result,) = marginal_sensitivity(models, horizon=HORIZON, measure=measure, odds_factors=[odds_factor])
    assert result.lower is not None
    assert result.upper is not None
    return result.lower < truth < result.upper


@pytest.mark.parametrize("hazard_ratio", [1.0, 0.75])
def test_bounds_hold_the_truth_at_the_true_odds_factor_and_not_at_half_of_it(hazard_ratio: float) -> None:
    models, truth, odds_factor = bounded_world(STRONG, hazard_ratio)
    # biology's odds ratio is 2, and the odds given what is recorded lie between those with it and without
    assert math.sqrt(2) < odds_factor < 2
    for measure, value in truth.items():
        assert holds(models, measure, odds_factor, value)
        assert not holds(models, measure, math.sqrt(odds_factor), value)


def test_bounds_hold_the_truth_with_much_to_spare_where_the_confounder_is_not_the_worst() -> None:
    models, truth, odds_factor = bounded_world(1, 1.0)
    assert truth == {"survival difference": 0.0, "rmst difference": 0.0}
    for measure in truth:
        assert holds(models, measure, odds_factor, 0.0)
        tipping = marginal_tipping(models, horizon=HORIZON, measure=measure).value
        # a worst confounder would have done as much with less than half of biology's strength
        assert tipping is not None
        assert 1 < tipping < odds_factor**0.5
