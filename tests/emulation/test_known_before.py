"""Changing covariates: the last value before counts, an old one does not, and a later one never."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from registries import registry

from causal_s4.cohort import Cohort
from causal_s4.emulation.clone_censor import clone_censor
from causal_s4.emulation.history import MISSING, carried_forward, carry_limit, check_time_varying
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.errors import DataError, UsageError
from causal_s4.protocol.vocabulary import TimeUnit

GRACE = 9.0


def cohort_with(visits, n=3, **columns):
    frame = pd.DataFrame(
        {"id": range(n), "treated": [1, 0, 1][:n], "start": [12.0, None, 20.0][:n], "time": [30.0] * n}
    )
    frame = frame.assign(died=[1, 1, 0][:n], **columns)
    return Cohort.from_frame(
        frame,
        id="id",
        treatment="treated",
        treated=1,
        control=0,
        time="time",
        event="died",
        event_value=1,
        time_unit="days",
        covariates=list(columns),
        treatment_start="start",
        history=visits,
    )


@pytest.fixture
def visits():
    return pd.DataFrame(
        {
            "id": [0, 0, 0, 1],
            "time": [2.0, 10.0, 25.0, 0.0],
            "state": ["stable", "response", "progression", "response"],
            "marker": [5.0, np.nan, 8.0, 3.0],
        }
    )


def known(cohort, name, patient, time, limit=np.inf):
    columns = carried_forward(cohort, [name], np.array([patient]), np.array([time]), limit)
    return columns[name][0]


def test_last_value_until_the_next(visits):
    cohort = cohort_with(visits)
    for time, state in (
        (2.0, "stable"),
        (9.9, "stable"),
        (10.0, "response"),
        (24.9, "response"),
        (25.0, "progression"),
    ):
        assert known(cohort, "state", 0, time) == state


def test_nothing_before_the_first_visit_and_for_those_never_seen(visits):
    cohort = cohort_with(visits)
    assert known(cohort, "state", 0, 1.9) == MISSING
    assert known(cohort, "state", 2, 15.0) == MISSING


def test_a_visit_without_the_value_leaves_the_value_before(visits):
    assert known(cohort_with(visits), "marker", 0, 12.0) == 5.0


def test_numbers_not_known_are_marked(visits):
    columns = carried_forward(cohort_with(visits), ["marker"], np.array([0, 0, 1]), np.array([1.0, 3.0, 1.0]), np.inf)
    assert columns["marker"].tolist() == [0.0, 5.0, 3.0]
    assert columns["marker missing"].tolist() == [1.0, 0.0, 0.0]


def test_values_grow_too_old(visits):
    cohort = cohort_with(visits)
    assert known(cohort, "state", 1, 6.9, limit=7.0) == "response"
    assert known(cohort, "state", 1, 7.0, limit=7.0) == MISSING


def test_a_column_of_time_zero_is_the_value_before_the_first_visit(visits):
    cohort = cohort_with(visits, marker=[1.0, 2.0, 4.0])
    assert [known(cohort, "marker", k, 1.0) for k in range(3)] == [1.0, 3.0, 4.0]
    assert known(cohort, "marker", 0, 2.0) == 5.0


def test_a_year_is_carried_unless_said_otherwise():
    assert carry_limit(None, TimeUnit.DAYS) == 365
    assert carry_limit(None, TimeUnit.MONTHS) == pytest.approx(365 / 30.4375)
    with pytest.raises(UsageError, match="above zero"):
        carry_limit(0.0, TimeUnit.DAYS)


def test_unknown_columns_are_named_at_once(visits):
    with pytest.raises(UsageError) as refused:
        check_time_varying(cohort_with(visits), ["stat", "grade"])
    assert len(refused.value.problems) == 2
    assert "state" in str(refused.value)


# --- in the model of starting treatment ---------------------------------------------------------


@pytest.fixture(scope="module")
def cohort():
    return registry(300, 21)


def weights_of(cohort, **options):
    table = clone_censor(cohort, grace_period=GRACE, time_varying=["response"], **options)
    return table.weights


def spoiled(cohort, later):
    """Shuffle, among themselves, the responses of rows that are marked."""
    history = cohort.history.copy()
    index = np.flatnonzero(later)
    order = np.random.default_rng(3).permutation(index)
    history.loc[history.index[index], "response"] = history["response"].to_numpy()[order]
    assert (history["response"] != cohort.history["response"]).sum() > 50
    return replace(cohort, history=history)


def test_what_comes_later_changes_nothing(cohort):
    """Rows at or after treatment, or at or after the end of the grace period, are never used; METHODS 5.1 and 13."""
    patient, time = cohort.history["patient"].to_numpy(), cohort.history["time"].to_numpy()
    later = time >= np.minimum(cohort.treatment_start[patient], GRACE)
    found, expected = weights_of(spoiled(cohort, later)), weights_of(cohort)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)


def test_what_comes_before_matters(cohort):
    patient, time = cohort.history["patient"].to_numpy(), cohort.history["time"].to_numpy()
    earlier = time < np.minimum(cohort.treatment_start[patient], GRACE)
    assert not np.array_equal(weights_of(spoiled(cohort, earlier)).values, weights_of(cohort).values)


def test_a_result_of_the_day_of_treatment_is_not_used(cohort):
    """A scan on the day of surgery may be its finding: METHODS 5.1."""
    operated = np.flatnonzero(cohort.treatment_start <= GRACE)
    same_day = pd.DataFrame(
        {"patient": operated, "time": cohort.treatment_start[operated], "response": "progression", "ecog": 1}
    )
    history = pd.concat([cohort.history, same_day]).sort_values(["patient", "time"], kind="stable")
    history["response"] = pd.Categorical(history["response"], cohort.history["response"].cat.categories)
    with_scans = replace(cohort, history=history.reset_index(drop=True))
    np.testing.assert_allclose(weights_of(with_scans).values, weights_of(cohort).values, rtol=1e-9)


def test_no_assessment_is_a_level_of_its_own(cohort):
    """Take away every visit of some patients: they count as missing, and a finding says so."""
    kept = cohort.history["patient"] % 4 != 0
    sparse = replace(cohort, history=cohort.history[kept].reset_index(drop=True))
    weights = weights_of(sparse)
    assert any(term.startswith("response=missing") or term == "response=progression" for term in weights.terms)
    (finding,) = [each for each in weights.findings if each.code == "no-recent-assessment"]
    assert finding.numbers["patients"] == (np.arange(300) % 4 == 0).sum()
    assert finding.severity == "caution"


def test_nobody_treated_at_a_level_is_a_rate_of_zero_there(cohort):
    """The likelihood has its maximum at minus infinity; the rate is zero, and the weights of others are as without them."""
    patient, time = cohort.history["patient"].to_numpy(), cohort.history["time"].to_numpy()
    treated_later = time < cohort.treatment_start[patient]
    progressed = cohort.history["response"] == "progression"
    history = cohort.history[~(progressed & treated_later & np.isfinite(cohort.treatment_start[patient]))]
    weights = weights_of(replace(cohort, history=history.reset_index(drop=True)))
    silent = [each for each in weights.findings if each.code == "no-starts-at-level"]
    assert [each.numbers["level"] for each in silent] == ["response=progression"]
    assert silent[0].severity == "serious"
    assert np.isfinite(weights.values).all()


# --- at a landmark ------------------------------------------------------------------------------


def test_landmark_takes_what_is_known_by_then_and_not_after(cohort):
    landmark = landmark_cohort(cohort, GRACE, time_varying=["response"])
    at_risk = np.flatnonzero(cohort.outcomes[0].time > GRACE)
    history = cohort.history[cohort.history["time"] <= GRACE]
    expected = history.groupby("patient")["response"].last()[at_risk]
    assert landmark.covariates["response"].tolist() == expected.tolist()


def test_landmark_needs_numbers_for_everyone(visits):
    with pytest.raises(DataError, match="not known for 1 of 3 patients"):
        landmark_cohort(cohort_with(visits), 15.0, time_varying=["marker"])


def test_landmark_refuses_a_carry_without_history(cohort):
    with pytest.raises(UsageError, match="max_carry would have no effect"):
        landmark_cohort(cohort, GRACE, max_carry=3.0)
