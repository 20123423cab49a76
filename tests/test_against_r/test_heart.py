"""Rows that start late and change arm: the Stanford heart transplant programme, 103 patients in 172 rows.

Expected numbers: coxph of survival 3.8-6 on its data frame ``heart``, which lifelines ships too.
"""

import math

import numpy as np
import pytest
from lifelines.datasets import load_stanford_heart_transplants

from causal_s4.cohort import RiskTable
from causal_s4.estimation import estimate_effects
from causal_s4.kernels.cox import fit_cox
from causal_s4.survival.functionals import row_sets
from causal_s4.survival.regression import multivariable_cox

BASELINE = ["age", "year", "surgery"]


@pytest.fixture(scope="module")
def heart():
    return RiskTable.from_frame(
        load_stanford_heart_transplants(),
        id="id", start="start", stop="stop", event="event", arm="transplant", covariates=BASELINE,
    )  # fmt: skip


def test_rows_and_patients(heart):
    assert (len(heart), heart.n_patients, int(heart.event.sum())) == (172, 103, 75)


@pytest.mark.parametrize(("ties", "coefficient"), [("efron", 0.127141126615498), ("breslow", 0.125666891633481)])
def test_time_dependent_hazard_ratio(heart, ties, coefficient):
    """A patient whose arm changes is counted once."""
    found = estimate_effects(heart, ties=ties).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(coefficient, rel=1e-7)
    assert (found.n, found.events) == (103, 75)


@pytest.mark.parametrize(
    ("ties", "std_error", "chi_square"),
    [("efron", 0.301141104252631, 0.178317820792657), ("breslow", 0.30107653774255, 0.174279925110912)],
)
def test_model_based_standard_error_and_score(heart, ties, std_error, chi_square):
    (row,) = multivariable_cox(heart, np.empty((103, 0)), [], ties=ties, level=0.95, treatment="transplant").rows
    assert row.std_error == pytest.approx(std_error, rel=1e-8)
    sets, rows = row_sets(heart, np.ones(172))
    at_zero = fit_cox(sets, heart.arm[rows, None].astype(float), np.ones(172), efron=ties == "efron", max_iterations=0)
    score = at_zero.score_gradient.sum()
    assert score**2 / at_zero.information[0, 0] == pytest.approx(chi_square, rel=1e-9)


def test_adjusted(heart):
    terms = heart.covariates[BASELINE].to_numpy(dtype=float)
    found = multivariable_cox(heart, terms, BASELINE, ties="efron", level=0.95, treatment="transplant")
    printed = {
        "transplant": (-0.0102507724, 0.3137548),
        "age": (0.0271666410, 0.0137141),
        "year": (-0.1463463457, 0.0704680),
        "surgery": (-0.6372098900, 0.3672260),
    }
    assert [row.term for row in found.rows] == list(printed)
    for row in found.rows:
        coefficient, std_error = printed[row.term]
        assert math.log(row.hazard_ratio) == pytest.approx(coefficient, abs=1e-9)
        assert row.std_error == pytest.approx(std_error, abs=0.51e-7)
