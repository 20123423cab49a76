"""Intervals that account for the estimation of the propensity score, against M-estimation put together in R.

The R script composes survival's weighted residuals with the score of the propensity model, and checks the
sum by brute force. Stabilised weights there have an estimated share of treated, as here.
"""

import math

import pytest
from golden import ARMS, FORMULAS, HORIZONS, OUTCOMES, effects, reference, rotterdam_numbers

ACCOUNTED = ("ate", "ate_stab", "att", "atc", "ato")
EXACT = 1e-8  # relative
COX = 3e-7  # relative; coxph stops once the log likelihood changes by less than 1e-9 of itself
EVERY = [
    pytest.param(formula, name, outcome, id=f"{formula}-{name}-{outcome}")
    for formula in FORMULAS
    for name in ACCOUNTED
    for outcome in OUTCOMES
]


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY)
def test_hazard_ratio(formula, name, outcome):
    numbers = reference("rotterdam_influence.json.gz")[formula][outcome][name]
    for ties in ("efron", "breslow"):
        for account, column in ((True, "se_mest"), (False, "se_fixed")):
            found = effects(formula, name, outcome, account, ties).one(measure="hazard ratio")
            assert math.log(found.value) == pytest.approx(numbers["estimate"][f"loghr_{ties}"], rel=COX)
            assert found.std_error == pytest.approx(numbers[column][f"loghr_{ties}"], rel=COX)


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY)
def test_survival_and_restricted_mean(formula, name, outcome):
    numbers = reference("rotterdam_influence.json.gz")[formula][outcome][name]
    asked = [("survival", "S", horizon) for horizon in HORIZONS]
    asked += [("rmst", "RMST", horizon) for horizon in HORIZONS[2:]]
    for account, column in ((True, "se_mest"), (False, "se_fixed")):
        table = effects(formula, name, outcome, account)
        for measure, short, horizon in asked:
            found = {
                **{f"{short}{code}": table.one(measure=measure, arm=arm, horizon=horizon) for code, arm in ARMS},
                f"{short}diff": table.one(measure=f"{measure} difference", horizon=horizon),
            }
            for label, estimate in found.items():
                key = f"{label}_{horizon:g}"
                assert estimate.value == pytest.approx(numbers["estimate"][key], rel=EXACT, abs=1e-12), key
                assert estimate.std_error == pytest.approx(numbers[column][key], rel=EXACT), key


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_package_for_weighted_cox(formula, outcome):
    """ipwCoxCSV 1.0, exact with Breslow's ties (its Efron row mixes the two)."""
    numbers = rotterdam_numbers()[formula][outcome]["ipwCoxCSV"]["breslow"]
    for name, row in (("ate", numbers["values"][0]), ("ate_stab", numbers["values"][1])):
        found = effects(formula, name, outcome, True, "breslow").one(measure="hazard ratio")
        assert math.log(found.value) == pytest.approx(row[0], rel=COX)
        assert found.std_error == pytest.approx(row[1], rel=COX)
        assert (found.value, found.lower, found.upper) == pytest.approx(row[2:5], rel=COX)


@pytest.mark.parametrize("formula", FORMULAS)
def test_bootstrap(formula):
    """2,000 bootstrap samples with the score refitted; the first-order variance may be a few per cent smaller."""
    numbers = reference("rotterdam_more.json")[formula]["bootstrap_OS"]["se"]
    for name in ("ate", "ato"):
        table = effects(formula, name, "OS", True)
        found = {
            f"loghr_{name}": table.one(measure="hazard ratio").std_error,
            f"S5diff_{name}": table.one(measure="survival difference", horizon=1826.25).std_error,
            f"RMST10diff_{name}": table.one(measure="rmst difference", horizon=3652.5).std_error,
        }
        for key, std_error in found.items():
            assert 0.92 < std_error / numbers[key] < 1.03, key
