"""The Rotterdam cohort against further R packages: trimming by hand, adjustedCurves, survey's svykm, survRM2."""

import math

import numpy as np
import pytest
from golden import ARMS, FORMULAS, HORIZONS, SKEWED, effects, reference, rotterdam, weights

from causal_s4.estimation import estimate_effects
from causal_s4.propensity.weights import weigh
from causal_s4.survival.functionals import fit_arms


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("trim", [0.05, 0.10])
def test_trimming_refits_the_score(formula, trim):
    expected = reference("rotterdam_more.json")[formula]["ps_trim"][f"fixed_{trim:.2f}_{1 - trim:.2f}"]
    found = weigh(rotterdam(), population="ATE", trim=trim, log1p=SKEWED if formula == "F2" else ())
    kept = found.values > 0
    assert (kept.sum(), (rotterdam().treatment[kept] == 1).sum()) == (expected["n_kept"], expected["treated_kept"])
    assert found.trimmed == len(rotterdam()) - expected["n_kept"]
    effect = estimate_effects(rotterdam(), found).one(analysis="weighted", measure="hazard ratio")
    assert math.log(effect.value) == pytest.approx(expected["loghr_efron_refit"], rel=1e-6)
    assert effect.n == expected["n_kept"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_adjusted_curves(formula):
    """adjustedCurves 0.11.3, method iptw_km: curves, and areas under them."""
    expected = reference("rotterdam_more.json")[formula]["adjustedCurves"]
    curve = expected["iptw_km"]
    table = effects(formula, "ate", "OS", True)
    for time, group, survival in zip(curve["time"], curve["group"], curve["surv"], strict=True):
        arm = dict(ARMS)[int(group)]
        found = table.one(measure="survival", arm=arm, horizon=time)
        assert found.value == pytest.approx(survival, rel=1e-9)
    for area in expected["rmst"]:
        for horizon, group, rmst in zip(area["to"], area["group"], area["rmst"], strict=True):
            found = table.one(measure="rmst", arm=dict(ARMS)[int(group)], horizon=horizon)
            assert found.value == pytest.approx(rmst, rel=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
def test_weighted_numbers_at_risk(formula):
    """Two functions of the weighted risk sets that other packages print and this one does not.

    adjustedCurves' standard error is S times the root of the sum of d / (M (Y - d)) with M = (sum w)^2 / sum w^2
    and d, Y as shares of the weight at risk (Xie & Liu 2005); svykm's curve with standard errors is exp(-sum d / Y).
    """
    more = reference("rotterdam_more.json")[formula]
    weight = weights(formula, "ate").values
    curves = fit_arms(rotterdam().risk_table("OS"), weight)
    for code, arm in ARMS:
        curve = curves[arm]
        fit, w = curve.fit, weight[curve.rows]
        at = np.searchsorted(fit.sets.times, HORIZONS, side="right") - 1
        hazard = fit.deaths / fit.at_risk
        patients = fit.at_risk**2 / fit.sets.at_risk(w**2)
        xie_liu = fit.survival * np.sqrt(np.cumsum(hazard / (patients * (1 - hazard))))
        printed = more["adjustedCurves"]["iptw_km"]
        group = np.array(printed["group"]) == str(code)
        np.testing.assert_allclose(xie_liu[at], np.array(printed["se"])[group], rtol=1e-8)
        np.testing.assert_allclose(np.exp(-np.cumsum(hazard))[at], more["svykm_ate"][str(code)]["surv"], rtol=1e-9)
