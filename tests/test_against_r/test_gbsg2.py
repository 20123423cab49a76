"""Numbers printed beforehand for the GBSG2 cohort, to their last digit.

Where a package computes the quantity the number is R's: glm, coxph with robust variance, ipwCoxCSV, survfit with
``robust=TRUE``, survRM2, WeightIt and cobalt. The standard errors that account for the propensity score of the other
estimands come from a separate program, checked there against a leave-one-out jackknife.
"""

import math
from functools import cache

import numpy as np
import pytest
from gbsg2 import COVARIATES, gbsg2

from causal_s4.comparison import Comparison, effects_of, score_test
from causal_s4.kernels.balance import effective_sample_size
from causal_s4.propensity.balance import check_balance
from causal_s4.propensity.weights import summarise_weights, weigh
from causal_s4.results import EffectTable

HORIZON = 1825.0

# estimand: ESS treated, control; log HR, robust SE, SE with the score's estimation: Efron, then Breslow
HAZARD_RATIOS = {
    "ATE": (203.02205, 417.72179, (-0.37294118, 0.13727872, 0.12752227), (-0.37287074, 0.13723465, 0.12748041)),
    "ATT": (246, 310.89760, (-0.39447949, 0.13116219, 0.12228239), (-0.39434060, 0.13111504, 0.12223668)),
    "ATC": (162.41561, 440, (-0.35835303, 0.14969454, 0.14083163), (-0.35831741, 0.14964295, 0.14078125)),
    "ATO": (234.15659, 372.09038, (-0.37854160, 0.13070008, 0.12099239), (-0.37843758, 0.13065570, 0.12095093)),
    "ATM": (242.62313, 328.63369, (-0.37917737, 0.13042728, 0.12207797), (-0.37903866, 0.13037768, 0.12202973)),
}
# estimand: S(1825) of control, treated, difference, each with both standard errors; RMST of control, treated,
# difference, with the standard error of the difference
CURVES = {
    "ATE": (
        (0.42537035, 0.03115813, 0.03077442),
        (0.59060433, 0.03864539, 0.03719423),
        (0.16523398, 0.04964167, 0.04745960),
        (1265.544789, 1404.099467, 138.554677, 49.733686),
    ),
    "ATT": (
        (0.40605236, 0.03644620, 0.03689025),
        (0.58121007, 0.03622873, 0.03622873),
        (0.17515771, 0.05138916, 0.04952485),
        (1268.229799, 1413.422085, 145.192286, 47.871050),
    ),
    "ATC": (
        (0.43680577, 0.02974214, 0.02974214),
        (0.59494774, 0.04250310, 0.04151684),
        (0.15814197, 0.05187589, 0.04989259),
        (1264.118100, 1398.572501, 134.454402, 54.989915),
    ),
    "ATO": (
        (0.41687924, 0.03329138, 0.03308634),
        (0.58568659, 0.03659065, 0.03532699),
        (0.16880735, 0.04946910, 0.04727443),
        (1269.016498, 1410.275216, 141.258719, 47.283469),
    ),
    "ATM": (
        (0.40696765, 0.03540703, 0.03548977),
        (0.57734501, 0.03654314, 0.03581133),
        (0.17037736, 0.05088280, 0.04899857),
        (1267.946085, 1409.804459, 141.858374, 47.774177),
    ),
}
# term: SMD before and after; raw difference of proportions, or variance ratio and Kolmogorov-Smirnov distance, after
BALANCE = {
    "age": (0.574211, -0.005464, None, 1.030911, 0.037143),
    "meno": (0.613792, 0.000214, 0.000099, None, None),
    "tsize": (-0.057346, 0.009255, None, 1.151665, 0.036344),
    "g2": (0.050281, 0.005523, 0.002632, None, None),
    "g3": (-0.117086, -0.006431, -0.002692, None, None),
    "pnodes": (0.034312, 0.014175, None, 0.815419, 0.068297),
    "progrec": (0.104354, 0.014284, None, 1.419953, 0.054001),
    "estrec": (0.286043, 0.010855, None, 1.266459, 0.053367),
}


def to_digits(value, digits):
    """What agrees with a value printed to so many decimals."""
    return pytest.approx(value, abs=0.5001 * 10**-digits)


@cache
def weights(population, **options):
    return weigh(gbsg2(), population=population, **options)


def comparison(of_weights, account, ties="efron"):
    return Comparison(
        table=gbsg2().risk_table(), weights=of_weights, analysis="x", population="x", account=account, ties=ties
    )


@cache
def effects(population, account, ties="efron"):
    return EffectTable(estimates=tuple(effects_of(comparison(weights(population), account, ties), [HORIZON])))


def test_propensity_model():
    found = weights("ATE")
    assert found.terms == ("(intercept)", *COVARIATES)
    printed = (
        -2.23507260, 0.02274570, 0.83873734, -0.00188563, -0.15422332, -0.32124749, 0.00879927, 0.00016671, 0.00068293,
    )  # fmt: skip
    np.testing.assert_allclose(found.coefficients, printed, rtol=0, atol=0.501e-8)
    assert (found.propensity.min(), found.propensity.max()) == to_digits((0.130966, 0.798680), 6)


@pytest.mark.parametrize("population", HAZARD_RATIOS)
def test_hazard_ratio(population):
    ess_treated, ess_control, efron, breslow = HAZARD_RATIOS[population]
    summary = summarise_weights(gbsg2(), weights(population))
    assert (summary.ess_treated, summary.ess_control) == to_digits((ess_treated, ess_control), 5)
    for ties, (log_ratio, fixed, accounted) in (("efron", efron), ("breslow", breslow)):
        for account, std_error in ((False, fixed), (True, accounted)):
            found = effects(population, account, ties).one(measure="hazard ratio")
            assert math.log(found.value) == to_digits(log_ratio, 8)
            assert found.std_error == to_digits(std_error, 8)


@pytest.mark.parametrize("population", CURVES)
def test_survival_and_restricted_mean(population):
    *survival, rmst = CURVES[population]
    for account, column in ((False, 1), (True, 2)):
        table = effects(population, account)
        found = (
            table.one(measure="survival", arm="control"),
            table.one(measure="survival", arm="treated"),
            table.one(measure="survival difference"),
        )
        for estimate, numbers in zip(found, survival, strict=True):
            assert estimate.value == to_digits(numbers[0], 8)
            assert estimate.std_error == to_digits(numbers[column], 8)
    table = effects(population, True)
    difference = table.one(measure="rmst difference")
    values = [table.one(measure="rmst", arm=arm).value for arm in ("control", "treated")]
    assert (*values, difference.value, difference.std_error) == to_digits(rmst, 6)


def test_stabilised():
    """ipwCoxCSV, conventional and stabilised weights, to nine digits."""
    stabilised = weights("ATE", stabilise=True)
    found = effects_of(comparison(stabilised, True, "breslow"), [])[0]
    assert math.log(found.value) == to_digits(-0.374894621, 9)
    assert found.std_error == to_digits(0.127706142, 9)
    assert effects("ATE", True, "breslow").one(measure="hazard ratio").std_error == to_digits(0.127480414, 9)


def test_design_based_standard_error():
    """survey's svycoxph: the fixed-weight variance times n/(n - 1)."""
    found = effects("ATE", False).one(measure="hazard ratio").std_error
    assert found * math.sqrt(686 / 685) == to_digits(0.13737889, 8)


def test_score_test():
    fixed = score_test(comparison(weights("ATE"), False, "breslow"))
    accounted = score_test(comparison(weights("ATE"), True, "breslow"))
    assert fixed.z == to_digits(-2.855728, 6)
    assert fixed.z**2 == to_digits(8.15518, 5)
    assert accounted.z == to_digits(-3.071731, 6)


def test_unadjusted():
    """survRM2's difference and ratio with their intervals, survfit's curves."""
    found = EffectTable(estimates=tuple(effects_of(comparison(None, True), [HORIZON])))
    control, treated = (found.one(measure="survival", arm=arm) for arm in ("control", "treated"))
    assert (control.value, treated.value) == to_digits((0.436805772, 0.581210067), 9)
    assert (control.std_error, treated.std_error) == to_digits((0.0297421355, 0.0362287269), 10)
    difference = found.one(measure="rmst difference")
    assert (difference.value, difference.lower, difference.upper) == to_digits((149.303986, 53.730523, 244.877448), 6)
    ratio = found.one(measure="rmst ratio")
    assert (ratio.value, ratio.lower, ratio.upper) == to_digits((1.118109, 1.041595, 1.200245), 6)
    lost = [found.one(measure="rmst", arm=arm) for arm in ("treated", "control")]
    assert (lost[0].value, lost[1].value) == to_digits((1413.422085, 1264.118100), 6)
    assert (lost[0].std_error, lost[1].std_error) == to_digits((37.906792, 30.673968), 6)
    assert (HORIZON - lost[0].value) / (HORIZON - lost[1].value) == to_digits(0.733805, 6)


def test_entropy_balancing():
    balanced = weights("ATE", method="entropy-balancing")
    arm = gbsg2().treatment
    ess = [effective_sample_size(balanced.values[arm == code]) for code in (0, 1)]
    assert ess == to_digits([417.66543, 203.64877], 5)
    for account, std_error in ((True, 0.04702370), (False, 0.04951502)):
        found = EffectTable(estimates=tuple(effects_of(comparison(balanced, account), [HORIZON])))
        survival = [found.one(measure="survival", arm=each).value for each in ("control", "treated")]
        difference = found.one(measure="survival difference")
        assert [*survival, difference.value] == to_digits([0.42777994, 0.59494091, 0.16716097], 8)
        assert difference.std_error == to_digits(std_error, 8)


def test_balance():
    table = check_balance(gbsg2(), weights("ATE"))
    assert [row.term for row in table.rows] == list(BALANCE)
    for row in table.rows:
        before, after, raw, ratio, distance = BALANCE[row.term]
        assert (row.smd_before, row.smd_after) == to_digits((before, after), 6), row.term
        if raw is not None:
            assert row.mean_treated_after - row.mean_control_after == to_digits(raw, 6)
            assert row.variance_ratio_after is None
        else:
            assert (row.variance_ratio_after, row.ks_after) == to_digits((ratio, distance), 6), row.term


def test_discrimination_before_and_after():
    summary = summarise_weights(gbsg2(), weights("ATE"))
    assert (summary.c_statistic, summary.c_statistic_weighted) == to_digits((0.673808, 0.505263), 6)


def test_overlap_weights_leave_nothing_to_discriminate():
    """Exact balance of every term: the refitted score is a constant, and all pairs are ties."""
    assert summarise_weights(gbsg2(), weights("ATO")).c_statistic_weighted == pytest.approx(0.5, abs=1e-12)


# Leave-one-out with the score refitted: standard errors of the difference in S, in RMST, and of log HR (Efron)
JACKKNIFE = {
    "ATE": (0.0488463, 51.312695, 0.1321465),
    "ATT": (0.0506915, 48.996985, 0.1248096),
    "ATO": (0.0481699, 48.124986, 0.1233885),
}


@pytest.mark.slow
@pytest.mark.parametrize("population", JACKKNIFE)
def test_jackknife(population):
    """686 refits; the influence function's variance is a few per cent smaller, with the same patients in the lead."""
    cohort, n = gbsg2(), len(gbsg2())
    rows = []
    for left_out in range(n):
        part = cohort.take(np.arange(n) != left_out)
        table = EffectTable(
            estimates=tuple(
                effects_of(
                    Comparison(
                        table=part.risk_table(),
                        weights=weigh(part, population=population),
                        analysis="x",
                        population="x",
                    ),
                    [HORIZON],
                )
            )
        )
        rows.append(
            [
                table.one(measure="survival difference").value,
                table.one(measure="rmst difference").value,
                math.log(table.one(measure="hazard ratio").value),
            ]
        )
    left = np.array(rows)
    found = np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(found, JACKKNIFE[population], rtol=2e-6)
    table = effects(population, True)
    measures = ("survival difference", "rmst difference", "hazard ratio")
    ratios = [table.one(measure=measure).std_error / jack for measure, jack in zip(measures, found, strict=True)]
    assert 0.95 < min(ratios) <= max(ratios) < 1
