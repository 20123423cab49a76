"""Firth's logistic regression against R's logistf, algebra, and a maximiser that knows nothing of scoring."""

import numpy as np
import pytest
from scipy.optimize import minimize

from causal_s4.kernels.firth import FirthReplicates, fit_firth
from causal_s4.kernels.logistic import fit_logistic

# The 239 women of ``sex2`` (urinary tract infection and contraceptives, Foxman et al. 1997, 10.1016/S0895-4356(97)00141-3),
# counted by case, age, oc, vic, vicl, vis, dia; all users of a diaphragm are cases.
SEX2 = """
0000010:1 0001000:2 0001010:1 0001100:8 0001110:18 0010000:42 0010010:1 0011000:1 0011100:5 0011110:6
0101100:2 0101110:4 0110000:14 0110010:1 0111000:1 0111110:2 1000010:1 1001000:14 1001010:3 1001100:10
1001110:12 1001111:1 1010000:44 1010001:3 1011000:15 1011001:1 1011010:2 1011100:7 1011110:3 1101000:2
1101010:1 1101011:1 1101100:1 1101111:1 1110000:5 1111000:3
"""
# Coefficients of logistf(case ~ age + oc + vic + vicl + vis + dia), as the tests of the R package logistf have them.
LOGISTF = [0.12025404, -1.10598130, -0.06881673, 2.26887464, -2.11140816, -0.78831694, 3.09601263]


def sex2():
    cells = [cell.split(":") for cell in SEX2.split()]
    rows = np.array([[int(digit) for digit in pattern] for pattern, count in cells for _ in range(int(count))])
    return np.column_stack([np.ones(len(rows)), rows[:, 1:]]), rows[:, 0]


def sample(n, q, strength, seed=0):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), 3 + rng.normal(size=(n, q)) * rng.uniform(0.1, 10, q)])
    chance = 1 / (1 + np.exp(-strength * (design[:, 1] - 3)))
    return design, (rng.random(n) < chance).astype(np.int64)


def test_logistf():
    design, response = sex2()
    assert len(response) == 239
    assert not fit_logistic(design, response).converged
    found = fit_firth(design, response)
    assert found.converged
    np.testing.assert_allclose(found.coefficient, LOGISTF, atol=1e-6)  # logistf stops at a step of 1e-5


def test_two_by_two_table_gets_half_a_patient_in_each_cell():
    """Of a saturated model, Firth's estimate is that of the table with 1/2 added (Haldane 1956, Anscombe 1956)."""
    x, y = np.repeat([1.0, 0.0, 0.0], [7, 5, 9]), np.repeat([1, 1, 0], [7, 5, 9])
    found = fit_firth(np.column_stack([np.ones(len(x)), x]), y)
    log_odds = np.log(5.5 / 9.5)
    np.testing.assert_allclose(found.coefficient, [log_odds, np.log(7.5 / 0.5) - log_odds], atol=1e-8)


@pytest.mark.parametrize(("n", "q", "strength"), [(40, 3, 1.0), (157, 16, 0.1), (30, 2, 8.0)])
def test_maximum_of_the_penalised_likelihood(n, q, strength):
    """By Nelder and Mead's simplex, begun elsewhere and begun again."""
    design, response = sample(n, q, strength)
    scale = np.abs(design).max(axis=0)

    def loss(scaled):
        eta = design @ (scaled / scale)
        p = 1 / (1 + np.exp(-eta))
        information = design.T @ ((p * (1 - p))[:, None] * design)
        return np.sum(np.logaddexp(0, eta) - response * eta) - np.linalg.slogdet(information)[1] / 2

    found = fit_firth(design, response)
    assert found.converged
    best = loss(found.coefficient * scale)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(40):
            assert loss(found.coefficient * scale + size * rng.normal(size=q + 1)) > best - 1e-10
    if q < 5:
        options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 20_000, "maxfev": 20_000}
        begin = np.zeros(q + 1)
        for _ in range(3):
            begin = minimize(loss, begin, method="Nelder-Mead", options=options).x
        np.testing.assert_allclose(found.coefficient * scale, begin, atol=2e-5 * np.abs(begin).max())


@pytest.mark.parametrize(("n", "q", "strength"), [(60, 3, 0.5), (157, 16, 0.1), (30, 2, 8.0)])
def test_influence_is_how_the_coefficients_move_when_a_row_counts_a_little_more(n, q, strength):
    """By central differences of the whole refit, all rows together counting n."""
    design, response = sample(n, q, strength, seed=2)
    found, model = fit_firth(design, response), FirthReplicates.prepare(design[:, 1:], response)
    phi = found.score @ np.linalg.inv(found.information).T
    step = 1e-4
    more, less = (np.full((n, n), 1 - sign * step / n) + sign * step * np.eye(n) for sign in (1, -1))
    to_design = np.linalg.lstsq(design, model.design, rcond=None)[0]
    moved = (model.fit(more)[0] - model.fit(less)[0]) @ to_design.T / (2 * step)
    np.testing.assert_allclose(phi, moved, atol=1e-7 * np.abs(moved).max())
    np.testing.assert_allclose(phi.sum(axis=0), 0, atol=1e-9 * np.abs(phi).max() * n)


def test_counts_are_copies_of_rows():
    design, response = sample(80, 4, 0.3, seed=3)
    counts = np.random.default_rng(4).multinomial(80, np.ones(80) / 80, 6)
    model = FirthReplicates.prepare(design[:, 1:], response)
    beta, solved = model.fit(counts.astype(float))
    assert solved.all()
    predicted = model.predictors(beta)
    for count, eta in zip(counts, predicted, strict=True):
        copies = np.repeat(np.arange(80), count)
        own = fit_firth(design[copies], response[copies])
        np.testing.assert_allclose(eta, design @ own.coefficient, atol=1e-6)


def test_a_level_that_a_replicate_does_not_have():
    """Its coefficient is free and the others are those of the model without it."""
    design, response = sample(60, 2, 0.3, seed=5)
    rare = np.zeros(60)
    rare[:3] = 1
    counts = np.where(rare == 1, 0.0, 1.0)[None, :]
    with_level = FirthReplicates.prepare(np.column_stack([design[:, 1:], rare]), response)
    beta, solved = with_level.fit(counts)
    assert solved.all()
    without = fit_firth(design[3:], response[3:])
    np.testing.assert_allclose(with_level.predictors(beta)[0, 3:], design[3:] @ without.coefficient, atol=1e-7)


def test_large_samples_do_not_need_it():
    """The penalty is of order 1/n: with many patients both models are one."""
    design, response = sample(20_000, 3, 0.1, seed=6)
    ordinary, penalised = fit_logistic(design, response), fit_firth(design, response)
    np.testing.assert_allclose(penalised.probability, ordinary.probability, atol=2e-4)
