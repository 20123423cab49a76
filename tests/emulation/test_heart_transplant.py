"""The classic of immortal time: a patient has to live until a donor heart is found.

Expected numbers: R's survival 3.8-6 on its data frames ``jasa`` and ``heart``, and a plain clone-censor-weight script
(tests/reference/scripts/clone_censor.R); tests/reference/heart.json. Patients from lifelines' copy of ``heart``, or as
that script had them.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_stanford_heart_transplants

from causal_s4.cohort import Cohort
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.emulation.time_dependent import mantel_byar, time_dependent_table
from causal_s4.estimation import estimate_effects
from causal_s4.survival.regression import multivariable_cox

REFERENCE = Path(__file__).parents[1] / "reference"
R = json.loads((REFERENCE / "heart.json").read_text(encoding="utf-8"))["heart"]
COVARIATES = ["age", "surgery", "year"]


def cohort_of(frame, *, id, time, event, treated, start):
    return Cohort.from_frame(
        frame,
        id=id,
        treatment=treated,
        treated=1,
        control=0,
        time=time,
        event=event,
        event_value=1,
        time_unit="days",
        covariates=COVARIATES,
        treatment_start=start,
    )


@pytest.fixture(scope="module")
def patients():
    """One row a patient from the (start, stop] rows that lifelines ships."""
    rows = load_stanford_heart_transplants()
    frame = rows.groupby("id").agg(
        day=("stop", "max"),
        death=("event", "max"),
        transplant=("transplant", "max"),
        **{name: (name, "first") for name in COVARIATES},
    )
    frame["transplant_day"] = rows[rows["transplant"] == 1].set_index("id")["start"]
    return cohort_of(
        frame.reset_index(), id="id", time="day", event="death", treated="transplant", start="transplant_day"
    )


@pytest.fixture(scope="module")
def accepted():
    """The patients of ``jasa`` as the script for landmarks and clones had them."""
    frame = pd.read_csv(REFERENCE / "heart_patients.csv")
    frame["tx"] = frame["wt"].notna().astype(int)
    return cohort_of(frame, id="sid", time="ft", event="fustat", treated="tx", start="wt")


def adjusted(table, cohort, **options):
    terms = cohort.covariates[COVARIATES].to_numpy(dtype=float)
    found = multivariable_cox(table, terms, COVARIATES, ties="efron", level=0.95, treatment="treatment", **options)
    return {row.term: (math.log(row.hazard_ratio), row.std_error) for row in found.rows}


def log_hazard_ratio(source, **options):
    return math.log(estimate_effects(source, **options).one(measure="hazard ratio").value)


def test_ever_against_never_transplanted(patients):
    assert log_hazard_ratio(patients) == pytest.approx(R["naive_ever_transplant"]["coef"]["transplant"], abs=1e-9)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_transplant_as_it_changes(patients, ties):
    table = time_dependent_table(patients)
    expected = R[f"td_heart_unadj_{ties}"]
    assert len(table) == expected["n"]
    assert log_hazard_ratio(table, ties=ties) == pytest.approx(expected["coef"]["transplant1"], abs=1e-9)
    assert mantel_byar(table, ties=ties).z ** 2 == pytest.approx(expected["score_test"], rel=1e-9)


def test_transplant_as_it_changes_adjusted(patients):
    expected = R["td_heart_adj"]
    found = adjusted(time_dependent_table(patients), patients)
    for term, name in (("treatment", "transplant1"), *((name, name) for name in COVARIATES)):
        assert found[term] == pytest.approx((expected["coef"][name], expected["se_naive"][name]), abs=1e-9)


def test_interval_of_changing_treatment_counts_patients(patients):
    """Two routes to one interval: the effect's influence by patient, and the clustered covariance of the model."""
    table = time_dependent_table(patients)
    effects = estimate_effects(table).one(measure="hazard ratio")
    found = multivariable_cox(
        table, np.empty((len(patients), 0)), [], ties="efron", level=0.95, treatment="treatment", clustered=True
    )
    assert found.rows[0].std_error == pytest.approx(effects.std_error, rel=1e-9)
    assert (effects.n, effects.events) == (103, 75)


@pytest.mark.parametrize("landmark", [30, 60, 90])
def test_landmarks(accepted, landmark):
    expected = R[f"landmark_{landmark}"]
    cohort = landmark_cohort(accepted, landmark)
    assert (len(cohort), int(cohort.treatment.sum())) == (expected["n"], expected["n_tx"])
    assert log_hazard_ratio(cohort) == pytest.approx(expected["cox"]["coef"]["tx"], abs=1e-8)
    found = adjusted(cohort.risk_table(), cohort)
    for term, name in (("treatment", "tx"), *((name, name) for name in COVARIATES)):
        assert found[term][0] == pytest.approx(expected["cox_adj"]["coef"][name], abs=1e-8)


@pytest.fixture(scope="module", params=[30, 60])
def published(request, accepted):
    """Clones with the weights of published code, and R's numbers."""
    return clone_censor(accepted, grace_period=request.param, timing="maringe"), R[f"ccw_grace_{request.param}"]


def test_published_weights_censoring_models(published):
    table, expected = published
    found = dict(zip(table.weights.terms, table.weights.coefficients, strict=True))
    for arm, label in (("arm1", "treated"), ("arm0", "control")):
        for name in COVARIATES:
            term = f"leaving the {label} arm: {name}"
            assert found[term] == pytest.approx(expected[f"censor_coef_{arm}"][name], abs=1e-6)


def test_published_weights_largest(published):
    table, expected = published
    assert table.weights.values.max() == pytest.approx(expected["max_w"], abs=1e-6)


@pytest.mark.parametrize("horizon", [180, 365, 730])
def test_published_weights_curves(published, horizon):
    table, expected = published
    effects = estimate_effects(table, horizons=[horizon])
    wanted = expected["weighted"][f"h_{horizon}"]
    for measure, key in (("survival", "S"), ("rmst", "rmst")):
        for arm, code in (("treated", 1), ("control", 0)):
            assert effects.one(measure=measure, arm=arm).value == pytest.approx(wanted[f"{key}{code}"], abs=1e-6)
        assert effects.one(measure=f"{measure} difference").value == pytest.approx(wanted[f"{key}_diff"], abs=1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_published_weights_hazard_ratio(published, ties):
    table, expected = published
    found = estimate_effects(table, ties=ties).one(measure="hazard ratio")
    wanted = expected["weighted"][f"cox_{ties}"]
    assert math.log(found.value) == pytest.approx(wanted["loghr"], abs=1e-6)
    assert found.std_error == pytest.approx(wanted["se_robust_id"], abs=1e-6)
    assert "not accounted for" in found.variance


@pytest.mark.parametrize("grace", [30, 60, 90])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_clones_without_weights(accepted, grace, ties):
    """R's script has both clones at risk on the day of transplant."""
    table = clone_unweighted(accepted, grace_period=grace, treatment_first=False)
    expected = R[f"ccw_grace_{grace}"]["unweighted"]
    effects = estimate_effects(table, horizons=[365], ties=ties)
    hazard_ratio = effects.one(measure="hazard ratio")
    assert hazard_ratio.analysis == "clone-censor-unweighted"
    assert math.log(hazard_ratio.value) == pytest.approx(expected[f"cox_{ties}"]["loghr"], abs=1e-7)
    assert hazard_ratio.std_error == pytest.approx(expected[f"cox_{ties}"]["se_robust_id"], abs=1e-7)
    assert effects.one(measure="rmst difference").value == pytest.approx(expected["h_365"]["rmst_diff"], abs=1e-9)


def test_our_own_weights_reach_the_same_patients(accepted):
    """The published rule and ours differ in timing and model, not in the direction of what they find."""
    published = log_hazard_ratio(clone_censor(accepted, grace_period=60, timing="maringe"))
    ours = log_hazard_ratio(clone_censor(accepted, grace_period=60))
    naive = log_hazard_ratio(accepted)
    assert naive < -1.3
    assert abs(ours - published) < 0.35
