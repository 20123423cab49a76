"""Logistic models under a weak prior, against a general optimiser, a known truth and separated patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from causal_s4.kernels.weak_prior import Posterior, standardised

# precision of a standardised column's coefficient, 1 / 2.5 squared, and of the intercept, 1 / 10 squared
PRIOR = np.array([0.01, 0.16, 0.16])
TRUTH = np.array([-0.4, 0.9, -0.6])


def patients(n: int, seed: int, sensitivity: float, specificity: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    design = standardised(generator.normal(size=(n, 2)))
    has = generator.random(n) < expit(design @ TRUTH)
    return design, generator.random(n) < np.where(has, sensitivity, 1 - specificity)


@pytest.mark.parametrize(("sensitivity", "specificity"), [(1.0, 1.0), (0.8, 0.95)])
def test_the_mode_is_where_an_optimiser_finds_it(sensitivity: float, specificity: float) -> None:
    design, record = patients(200, 1, sensitivity, specificity)

    def minus_log_posterior(beta: np.ndarray) -> float:
        recorded = 1 - specificity + (sensitivity + specificity - 1) * expit(design @ beta)
        seen = np.where(record, recorded, 1 - recorded)
        return float(0.5 * PRIOR @ beta**2 - np.log(seen).sum())

    found = minimize(minus_log_posterior, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    fit = Posterior.fit(design, record, sensitivity=sensitivity, specificity=specificity)
    assert fit.coefficient == pytest.approx(found.x, abs=1e-5)


def test_coefficients_are_of_the_truth_and_not_of_the_record() -> None:
    design, record = patients(40_000, 2, 0.8, 0.9)
    allowing = Posterior.fit(design, record, sensitivity=0.8, specificity=0.9)
    error = np.sqrt(np.diag(np.linalg.inv(allowing.information)))
    assert (np.abs(allowing.coefficient - TRUTH) < 3 * error).all()
    assert (np.abs(Posterior.fit(design, record).coefficient - TRUTH) > 5 * error).all()


def test_patients_that_a_column_separates_have_finite_coefficients() -> None:
    design = standardised(np.linspace(-1, 1, 30)[:, None])
    fit = Posterior.fit(design, design[:, 1] > 0)
    assert 3 < fit.coefficient[1] < 10
    assert np.isfinite(fit.information).all()


def test_draws_spread_as_the_inverse_information() -> None:
    design, record = patients(300, 3, 1.0, 1.0)
    fit, generator = Posterior.fit(design, record), np.random.default_rng(4)
    draws = np.array([fit.draw(generator) for _ in range(20_000)])
    covariance = np.linalg.inv(fit.information)
    assert draws.mean(axis=0) == pytest.approx(fit.coefficient, abs=4 * np.sqrt(covariance.max() / 20_000))
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.05 * covariance.max())


def test_a_column_that_does_not_vary_is_left_out() -> None:
    made = standardised(np.column_stack([np.full(4, 7.0), [1.0, 2.0, 3.0, 4.0]]))
    assert made.shape == (4, 2)
    assert made.mean(axis=0) == pytest.approx([1, 0])
    assert made.std(axis=0) == pytest.approx([0, 1])
