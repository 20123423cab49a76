"""Every edge case of cloned strategies, on twelve patients whose weights can be written down.

Without covariates the rate of starting treatment is one number, l: five treatments within the ten days over the days at
risk of it. The expected weights are formulas of METHODS in l, evaluated by hand below.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_cohorts import DENSITY, GRACE, cohort_of

from causal_s4.cohort import build_cohort
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.errors import NoEventsError, UsageError

# treated on day, followed until day, died
PATIENTS = {
    "treated at time zero": (0.0, 30.0, 1),
    "dies on the day of treatment": (4.0, 4.0, 1),
    "dies untreated within": (None, 6.0, 1),
    "treated on the last day": (10.0, 25.0, 1),
    "treated just after": (10.5, 28.0, 1),
    "dies untreated on the last day": (None, 10.0, 1),
    "lost on the last day": (None, 10.0, 0),
    "lost untreated within": (None, 5.0, 0),
    "treated early": (3.0, 20.0, 1),
    "never treated, dies late": (None, 35.0, 1),
    "never treated, lost late": (None, 40.0, 0),
    "treated late within": (7.0, 33.0, 0),
}
WHO = list(PATIENTS)
# a patient treated at time zero is at risk of treatment for a quarter of a day
AT_RISK = 0.25 + 4 + 6 + 10 + 10 + 10 + 10 + 5 + 3 + 10 + 10 + 7
L = 5 / AT_RISK


def hand(patients=PATIENTS, visits=()):
    """None of them is treated otherwise."""
    return cohort_of({who: (start, None, end, died) for who, (start, end, died) in patients.items()}, visits)


@pytest.fixture(scope="module")
def cohort():
    return hand()


@pytest.fixture(scope="module")
def density(cohort):
    return clone_censor(cohort, grace_period=GRACE)


def weight(table, who, arm, day):
    """Weight of a clone at a day of death; None when it is not at risk then."""
    rows = (table.patient == WHO.index(who)) & (table.arm == arm) & (table.start < day) & (table.stop >= day)
    assert rows.sum() <= 1
    return float(table.weights.values[rows][0]) if rows.any() else None


def deaths(table, who, arm):
    rows = (table.patient == WHO.index(who)) & (table.arm == arm) & (table.event == 1)
    return table.stop[rows].tolist()


def test_rate_of_starting_treatment(density):
    assert density.weights.terms == ("(intercept)",)
    assert math.exp(density.weights.coefficients[0]) == pytest.approx(L, rel=1e-9)


def test_treated_at_time_zero(density):
    who = "treated at time zero"
    assert not ((density.patient == WHO.index(who)) & (density.arm == 0)).any()
    assert weight(density, who, 1, 4.0) == pytest.approx(DENSITY / L * math.exp(0.25 * L), rel=1e-9)
    assert deaths(density, who, 1) == [30.0]


def test_death_on_the_day_of_treatment_belongs_to_treatment(density):
    who = "dies on the day of treatment"
    assert deaths(density, who, 0) == []
    assert weight(density, who, 0, 4.0) is None
    assert deaths(density, who, 1) == [4.0]
    assert weight(density, who, 1, 4.0) == pytest.approx(DENSITY / L * math.exp(4 * L), rel=1e-9)


def test_death_untreated_within_the_grace_period_counts_in_both_arms(density):
    who = "dies untreated within"
    assert deaths(density, who, 0) == deaths(density, who, 1) == [6.0]
    assert weight(density, who, 0, 6.0) == pytest.approx(math.exp(6 * L), rel=1e-9)
    assert weight(density, who, 1, 6.0) == pytest.approx(0.4 * math.exp(6 * L), rel=1e-9)


def test_treated_on_the_last_day_adheres_to_treatment(density):
    who = "treated on the last day"
    assert weight(density, who, 0, 6.0) == pytest.approx(math.exp(6 * L), rel=1e-9)
    assert weight(density, who, 0, 10.0) is None
    assert weight(density, who, 1, 6.0) == pytest.approx(0.4 * math.exp(6 * L), rel=1e-9)
    assert weight(density, who, 1, 10.0) == pytest.approx(DENSITY / L * math.exp(10 * L), rel=1e-9)
    assert deaths(density, who, 0) == []
    assert deaths(density, who, 1) == [25.0]


def test_treated_just_after_adheres_to_no_treatment(density):
    who = "treated just after"
    assert weight(density, who, 0, 28.0) == pytest.approx(math.exp(10 * L), rel=1e-9)
    assert deaths(density, who, 0) == [28.0]
    assert weight(density, who, 1, 6.0) == pytest.approx(0.4 * math.exp(6 * L), rel=1e-9)
    assert weight(density, who, 1, 20.0) is None
    assert deaths(density, who, 1) == []


def test_death_untreated_on_the_last_day_counts_in_the_control_arm_only(density):
    who = "dies untreated on the last day"
    assert weight(density, who, 0, 10.0) == pytest.approx(math.exp(10 * L), rel=1e-9)
    assert deaths(density, who, 0) == [10.0]
    assert weight(density, who, 1, 10.0) is None
    assert deaths(density, who, 1) == []


def test_death_untreated_on_the_last_day_counts_once_in_the_published_treated_arm(cohort):
    table = clone_censor(with_a_covariate(cohort), grace_period=GRACE, timing="maringe")
    who = "dies untreated on the last day"
    assert deaths(table, who, 1) == deaths(table, who, 0) == [10.0]
    assert weight(table, who, 1, 10.0) == 1.0


def test_death_on_the_day_of_treatment_is_not_lost_in_the_published_arms(cohort):
    """Published code keeps both clones at risk that day; the death stays with treatment."""
    table = clone_censor(with_a_covariate(cohort), grace_period=GRACE, timing="maringe")
    who = "dies on the day of treatment"
    assert (deaths(table, who, 1), deaths(table, who, 0)) == ([4.0], [])


def test_death_untreated_on_the_last_day_has_no_weight_under_any_timing(cohort):
    """(g - s) / (g - a) is nothing at g; one day before, 1 / 5."""
    for options in ({"timing": "natural", "natural_until": 5.0}, {"timing": "uniform"}):
        table = clone_censor(cohort, grace_period=GRACE, **options)
        assert weight(table, "dies untreated on the last day", 1, 10.0) is None
        assert deaths(table, "dies untreated on the last day", 1) == []


def test_last_follow_up_on_the_day_of_treatment():
    """Treated and lost, or treated on the last day of the grace period and dead: treatment comes first each time."""
    further = {"treated and lost": (6.0, 6.0, 0), "treated on the last day, dies": (10.0, 10.0, 1)}
    patients = PATIENTS | further
    table = clone_censor(hand(patients), grace_period=GRACE)
    for who, died in (("treated and lost", []), ("treated on the last day, dies", [10.0])):
        number = list(patients).index(who)
        own = (table.patient == number) & (table.event == 1)
        assert table.stop[own & (table.arm == 1)].tolist() == died
        assert table.stop[own & (table.arm == 0)].tolist() == []
        assert table.stop[table.patient == number].max() == patients[who][1]


def test_lost_on_the_last_day_is_lost_to_both(density):
    who = "lost on the last day"
    assert weight(density, who, 0, 10.0) == pytest.approx(math.exp(10 * L), rel=1e-9)
    for arm in (0, 1):
        assert weight(density, who, arm, 20.0) is None
        assert deaths(density, who, arm) == []


def test_lost_untreated_within_is_lost_to_both(density):
    who = "lost untreated within"
    assert weight(density, who, 0, 4.0) == pytest.approx(math.exp(4 * L), rel=1e-9)
    assert weight(density, who, 1, 4.0) == pytest.approx(0.6 * math.exp(4 * L), rel=1e-9)
    assert weight(density, who, 0, 6.0) is weight(density, who, 1, 6.0) is None


def test_weights_stay_after_treatment_and_after_the_grace_period(density):
    for day in (4.0, 10.0, 20.0):
        assert weight(density, "treated early", 1, day) == pytest.approx(DENSITY / L * math.exp(3 * L), rel=1e-9)
    for day in (20.0, 35.0):
        expected = pytest.approx(math.exp(10 * L), rel=1e-9)
        assert weight(density, "never treated, lost late", 0, day) == expected


def test_natural_timing_leaves_practice_alone_until_its_time(cohort):
    table = clone_censor(cohort, grace_period=GRACE, timing="natural", natural_until=5.0)
    for who in ("treated at time zero", "dies on the day of treatment", "treated early"):
        assert weight(table, who, 1, 4.0) == 1.0
    assert weight(table, "treated early", 1, 20.0) == 1.0
    assert weight(table, "never treated, dies late", 1, 4.0) == 1.0
    assert weight(table, "never treated, dies late", 1, 6.0) == pytest.approx(4 / 5 * math.exp(L), rel=1e-9)
    assert weight(table, "treated late within", 1, 20.0) == pytest.approx(math.exp(2 * L) / (5 * L), rel=1e-9)
    assert weight(table, "never treated, dies late", 0, 6.0) == pytest.approx(math.exp(6 * L), rel=1e-9)


def test_uniform_timing_is_a_density_of_the_whole_period(cohort, density):
    """With one level of time the observed timing is uniform as well."""
    uniform = clone_censor(cohort, grace_period=GRACE, timing="uniform")
    np.testing.assert_allclose(uniform.weights.values, density.weights.values, rtol=1e-12)


def test_a_given_density(cohort):
    """Two halves with masses 3 and 1: remaining 1 - 0.15 s, then 0.5 - 0.05 s; density 0.15, then 0.05."""
    table = clone_censor(cohort, grace_period=GRACE, timing_density=([0, 5, 10], [3, 1]))
    assert weight(table, "never treated, dies late", 1, 4.0) == pytest.approx(0.4 * math.exp(4 * L), rel=1e-9)
    assert weight(table, "never treated, dies late", 1, 6.0) == pytest.approx(0.2 * math.exp(6 * L), rel=1e-9)
    assert weight(table, "treated early", 1, 6.0) == pytest.approx(0.15 / L * math.exp(3 * L), rel=1e-9)
    assert weight(table, "treated late within", 1, 20.0) == pytest.approx(0.05 / L * math.exp(7 * L), rel=1e-9)


def test_treated_when_the_strategy_never_treats_does_not_count(cohort):
    table = clone_censor(cohort, grace_period=GRACE, timing_density=([5, 10], [1]))
    assert weight(table, "treated early", 1, 4.0) is None


def test_progression_is_no_departure(cohort, density):
    """Strategies do not depend on the course: a history that no model uses changes nothing."""
    visits = [(WHO[2], 1.0, "progression"), (WHO[9], 1.0, "stable"), (WHO[9], 8.0, "progression")]
    table = clone_censor(hand(visits=visits), grace_period=GRACE)
    np.testing.assert_array_equal(table.weights.values, density.weights.values)


def test_rows_of_an_arm_never_overlap(density):
    order = np.lexsort((density.start, density.arm, density.patient))
    key = density.patient[order] * 2 + density.arm[order]
    same = key[1:] == key[:-1]
    assert (density.start[order][1:][same] >= density.stop[order][:-1][same]).all()
    assert (density.stop > density.start).all()


def test_unweighted_clones_leave_at_the_same_times(cohort):
    table = clone_unweighted(cohort, grace_period=GRACE)
    assert table.weights is None
    assert table.analysis == "clone-censor-unweighted"
    assert deaths(table, "dies untreated within", 1) == [6.0]
    assert deaths(table, "dies untreated on the last day", 1) == [10.0]
    assert deaths(table, "dies on the day of treatment", 0) == []


def test_treatment_after_the_end_of_an_outcome_does_not_count():
    """Progression on day 6 and treatment on day 8: for progression-free survival, untreated."""
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "treated": [1, 1, 0, 0],
            "start": [8.0, 2.0, None, None],
            "pfs": [6.0, 20.0, 30.0, 25.0],
            "pfs_event": [1, 1, 1, 1],
            "os": [40.0, 40.0, 40.0, 40.0],
            "os_event": [1, 0, 1, 0],
        }
    )
    cohort = build_cohort(
        frame,
        id="id",
        treatment="treated",
        treated=1,
        control=0,
        outcomes=[{"name": name, "time": name, "event": f"{name}_event", "event_value": 1} for name in ("pfs", "os")],
        time_unit="days",
        covariates=[],
        treatment_start="start",
    )
    progression = clone_unweighted(cohort, grace_period=10.0)
    assert sorted(progression.arm[(progression.patient == 0) & (progression.event == 1)].tolist()) == [0, 1]
    survival = clone_unweighted(cohort, grace_period=10.0, outcome="os")
    assert survival.arm[(survival.patient == 0) & (survival.event == 1)].tolist() == [1]


# --- what is refused ----------------------------------------------------------------------------


def with_a_covariate(cohort):
    return replace(cohort, covariates=pd.DataFrame({"age": np.linspace(40, 70, len(cohort))}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timing": "soon"}, "timing must be"),
        ({"natural_until": 3.0}, "natural_until would have no effect"),
        ({"timing": "natural"}, "needs natural_until"),
        ({"timing": "natural", "natural_until": 10.0}, "needs natural_until"),
        ({"timing": "uniform", "timing_density": ([0, 10], [1])}, "timing_density would have no effect"),
        ({"timing_density": ([0, 11], [1])}, "rising edges"),
        ({"timing_density": ([0, 5, 10], [1])}, "rising edges"),
        ({"timing_density": ([0, 5, 4], [1, 1])}, "rising edges"),
        ({"max_carry": 3.0}, "max_carry would have no effect"),
        ({"time_varying": ["response"]}, "need a history"),
        ({"covariates": ["age"]}, "not in the cohort"),
        ({"interval": 11.0}, "at most a month and the grace period"),
        ({"interval": 0.0}, "at most a month and the grace period"),
        ({"timing": "maringe", "loss_weights": True}, "loss_weights would have no effect"),
        ({"timing": "maringe", "interval": 2.0}, "interval would have no effect"),
        ({"truncate": (0.9, 0.1)}, "two quantiles in order"),
        ({"truncate": (0.0, 1.0)}, "two quantiles in order"),
        ({"grace_period": 0.0}, "within the follow-up"),
        ({"grace_period": 41.0}, "within the follow-up"),
        ({"grace_period": float("nan")}, "within the follow-up"),
        ({"outcome": "relapse"}, "no outcome"),
    ],
)
def test_options_without_sense_are_refused(cohort, options, message):
    with pytest.raises(UsageError, match=message):
        clone_censor(cohort, **({"grace_period": GRACE} | options))


def test_a_strategy_that_nobody_followed_is_refused():
    patients = {"treated late": (8.0, 30.0, 1), "never": (None, 30.0, 1), "never too": (None, 20.0, 0)}
    with pytest.raises(NoEventsError, match="0 were treated within the grace period of 5 days"):
        clone_censor(hand(patients), grace_period=5.0)


def test_times_of_treatment_are_needed(cohort):
    with pytest.raises(UsageError, match="needs the time from time zero to treatment"):
        clone_censor(replace(cohort, treatment_start=None), grace_period=GRACE)
