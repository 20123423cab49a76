"""The women at restaging: reproducible, calibrated, and confounded only where it is said."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import KaplanMeierFitter

from causal_s4.errors import UsageError
from causal_s4.simulate import simulate
from causal_s4.simulate.population import marginal_log_hazard_ratio
from causal_s4.simulate.stage4 import _STRENGTHS, World, _assign

LARGE = 60_000


@pytest.fixture(scope="module")
def large():
    return simulate("stage4", n=LARGE, seed=11)


def naive(frame, treatment="surgery"):
    arrays = (frame[name].to_numpy() for name in ("os_months", "death", treatment))
    return float(np.exp(marginal_log_hazard_ratio(*arrays, np.ones(len(frame)))))


def design(frame):
    """The analyst's matrix, in the order of the generating table."""
    response, therapy = frame["response"], frame["systemic_therapy"]
    return pd.DataFrame(
        {
            "age": (frame["age"] - 52) / 10,
            "ecog": frame["ecog"],
            "sites": frame["sites"],
            "visceral": frame["visceral"],
            "HER2": frame["subtype"] == "HER2-positive",
            "TN": frame["subtype"] == "triple-negative",
            "ER": frame["er_status"] == "positive",
            "PR": frame["pr_status"] == "positive",
            "endocrine": therapy == "endocrine",
            "anti-HER2": therapy == "chemotherapy and anti-HER2",
            "response": response == "response",
            "progression": response == "progression",
            "year": frame["year"] - 2005,
            "B": frame["centre"] == "B",
            "C": frame["centre"] == "C",
        }
    ).astype(float)


def test_same_seed_same_bytes_and_more_women_leave_the_first_alone():
    few, again, many = (simulate("stage4", n=n, seed=3) for n in (50, 50, 400))
    assert few.to_csv(index=False) == again.to_csv(index=False)
    pd.testing.assert_frame_equal(few, many.head(50))
    assert not few["age"].equals(simulate("stage4", n=50, seed=4)["age"])


def test_committed_cohort_is_what_the_command_makes():
    path = Path(__file__).parents[2] / "data" / "stage4.csv"
    made = simulate("stage4", n=157, seed=157, operated=66, irradiated=52)
    assert path.read_text(encoding="utf-8") == made.to_csv(index=False, lineterminator="\n")


@pytest.mark.parametrize("scenario", ["stage4", "benign", "unmeasured"])
def test_margins_are_met(scenario):
    frame = simulate(scenario, n=157, seed=1, operated=66, irradiated=52)
    assert frame["surgery"].sum() == 66
    assert frame["radiotherapy"].sum() == 52


@pytest.mark.parametrize("total", [0, 5])
def test_nobody_or_everybody_can_be_treated(total):
    assert simulate("stage4", n=5, seed=1, operated=total)["surgery"].sum() == total


def test_fixed_margins_keep_the_odds_of_every_choice():
    """Against enumeration of all choices of two among four women."""
    probability = np.array([0.2, 0.5, 0.6, 0.9])
    choices = [c for c in itertools.product((0, 1), repeat=4) if sum(c) == 2]
    likelihood = np.array([np.prod(np.where(c, probability, 1 - probability)) for c in choices])
    draws = np.random.default_rng(5).random((8_000, 4))
    seen = [tuple(_assign(probability, draw, 2)) for draw in draws]
    share = np.array([seen.count(c) for c in choices]) / len(seen)
    np.testing.assert_allclose(share, likelihood / likelihood.sum(), atol=4 * np.sqrt(0.25 / len(seen)))


def test_treated_shares_are_those_of_the_founding_study(large):
    """42% operated and 33% irradiated (10.1159/000488643), within three standard errors."""
    assert large["surgery"].mean() == pytest.approx(0.42, abs=3 * np.sqrt(0.42 * 0.58 / LARGE))
    assert large["radiotherapy"].mean() == pytest.approx(0.33, abs=3 * np.sqrt(0.33 * 0.67 / LARGE))


def test_survival_and_follow_up_are_as_published(large):
    """Median 35-60 months and 40% at five years (Chinese centres, ESME); follow-up 3-180, median 54.5 months."""
    survival = KaplanMeierFitter().fit(large["os_months"], large["death"])
    follow_up = KaplanMeierFitter().fit(large["os_months"], 1 - large["death"])
    assert 35 < survival.median_survival_time_ < 60
    assert survival.predict(60) == pytest.approx(0.40, abs=0.01)
    assert follow_up.median_survival_time_ == pytest.approx(54.5, abs=1.5)
    assert large.loc[large["death"] == 0, "os_months"].between(3, 180).all()
    assert (large["dpfs_months"] <= large["os_months"]).all()
    assert (large.loc[large["death"] == 1, "distant_progression"] == 1).all()


def test_without_effect_the_naive_comparison_says_benefit(large):
    """Confounding by indication alone: hazard ratio 0.45 to 0.65."""
    assert 0.45 < naive(large) < 0.65
    assert 0.45 < naive(large, "radiotherapy") < 0.75


def test_operated_women_differ_as_published(large):
    means = large.groupby("surgery")[["age", "ecog", "sites", "visceral", "year"]].mean()
    assert (means.loc[1] < means.loc[0]).all()
    responded = (large["response"] == "response").groupby(large["surgery"]).mean()
    assert responded[1] > 1.5 * responded[0]


def test_propensity_is_logistic_in_what_is_recorded(large):
    """A logistic fit finds the generating coefficients, within four standard errors."""
    fitted = sm.Logit(large["surgery"], sm.add_constant(design(large))).fit(disp=0)
    truth = np.array([strength.surgery for strength in _STRENGTHS.values()])
    z = (fitted.params.to_numpy()[1:] - truth) / fitted.bse.to_numpy()[1:]
    assert np.abs(z).max() < 4


def test_overlap_allows_weights_for_everybody():
    world = World.draw("stage4", LARGE, 2)
    e = world.propensity("surgery")
    assert np.quantile(e, [0.01, 0.99]) == pytest.approx([0.045, 0.86], abs=0.03)


def test_weighting_by_the_true_score_removes_the_confounding(large):
    e = World.draw("stage4", LARGE, 11).propensity("surgery")
    arm = large["surgery"].to_numpy()
    weight = np.where(arm == 1, 1 - e, e)
    found = marginal_log_hazard_ratio(large["os_months"].to_numpy(), large["death"].to_numpy(), arm, weight)
    assert found == pytest.approx(0, abs=3 * 0.0125)


def test_randomised_treatment_is_not_confounded():
    frame = simulate("benign", n=LARGE, seed=11)
    assert np.log(naive(frame)) == pytest.approx(0, abs=3 * 0.0115)
    balanced = design(frame)
    arm = frame["surgery"] == 1
    gap = (balanced[arm].mean() - balanced[~arm].mean()) / balanced.std()
    assert gap.abs().max() < 4 / np.sqrt(LARGE * 0.42 * 0.58)


def test_unmeasured_biology_survives_adjustment_for_what_is_recorded():
    frame = simulate("unmeasured", n=LARGE, seed=11)
    e = World.draw("unmeasured", LARGE, 11).propensity("surgery")
    arm = frame["surgery"].to_numpy()
    assert arm.mean() == pytest.approx(e.mean(), abs=3 * np.sqrt(0.24 / LARGE))
    weight = np.where(arm == 1, 1 - e, e)
    found = marginal_log_hazard_ratio(frame["os_months"].to_numpy(), frame["death"].to_numpy(), arm, weight)
    assert found < -0.05


def test_the_first_effect_is_on_the_hazard():
    """Randomised, so that a proportional hazard of one covariate pattern shows the ratio asked for."""
    world = World.draw("benign", 1000, 3)
    none = np.zeros(1000, dtype=int)
    arms = [
        world.outcomes(given, none, hazard_ratio=0.5, radiotherapy_hazard_ratio=1.0)["death"]
        for given in (none + 1, none)
    ]
    # Weibull of shape 1.2: halving the hazard stretches time by 2 ** (1 / 1.2).
    np.testing.assert_allclose(arms[0] / arms[1], 2 ** (1 / 1.2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": "good"}, "unknown effect 'good'"),
        ({"hazard_ratio": 0}, "hazard_ratio must be a number above zero"),
        ({"hazard_ratio": True}, "hazard_ratio must be a finite number"),
        ({"effect": "null", "hazard_ratio": 0.8}, "not both"),
        ({"operated": 11}, "operated must not exceed n"),
        ({"operated": 2.5}, "operated must be a whole number"),
        ({"efect": "null"}, "did you mean 'effect'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        simulate("stage4", n=10, seed=1, **options)


def test_wrong_sizes_are_named():
    with pytest.raises(UsageError, match="n must be a whole number of 1 or more"):
        simulate("stage4", n=0, seed=1)
    with pytest.raises(UsageError, match="seed must be a whole number"):
        simulate("stage4", n=5, seed=-1)
    with pytest.raises(UsageError, match="up to 5000 women"):
        simulate("stage4", n=6000, seed=1, operated=1)


def test_radiotherapy_score_needs_surgery():
    with pytest.raises(UsageError, match="depends on surgery"):
        World.draw("stage4", 5, 1).propensity("radiotherapy")
