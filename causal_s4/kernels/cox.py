"""Weighted Cox regression on (start, stop] rows, Efron or Breslow, with unit-weight derivatives.

Weights multiply a row's contribution; ties follow R's ``coxph``: with Efron the m deaths of one time
share their mean weight. Score residuals: Lin & Wei 1989, 10.1080/01621459.1989.10478874; Binder 1992,
10.1093/biomet/79.1.139. The same tie rule serves the coefficient and its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets

if TYPE_CHECKING:
    from causal_s4.kernels.cox_sweeps import SweptLikelihood

COMPILED_FROM = 20_000
"""Rows from which the sums are made by compiled loops: the same arithmetic, which takes a moment to load."""


@dataclass(frozen=True)
class _Ties:
    """The steps of the tied likelihood: one per death (Efron) or one per event time (Breslow)."""

    step: Ints  # event time of each step
    share: Floats  # how much of the dead has left the risk set before the step
    weight: Floats  # weight each step carries
    at_death: Floats  # weight of each step in the mean covariate of the dead

    @classmethod
    def of(cls, deaths: Floats, weight: Floats, efron: bool) -> _Ties:
        """Lay out the steps from the number of deaths and their summed weight at each time."""
        if not efron:
            step = np.flatnonzero(deaths > 0)
            return cls(step, np.zeros(step.size), weight[step], np.ones(step.size))
        count = deaths.astype(np.int64)
        step = np.repeat(np.arange(count.size), count)
        position = np.arange(step.size) - np.repeat(np.cumsum(count) - count, count)
        share = position / count[step]
        return cls(step, share, weight[step] / count[step], 1.0 / count[step])


@dataclass(frozen=True)
class CoxFit:
    """A fitted weighted Cox model.

    Attributes
    ----------
    coefficient : ndarray, shape (p,)
    information : ndarray, shape (p, p)
    score_gradient : ndarray, shape (rows, p)
        d score / d weight of each row, at the coefficient.
    converged : bool
    """

    coefficient: Floats
    information: Floats
    score_gradient: Floats
    converged: bool

    @property
    def gradient(self) -> Floats:
        """Return d coefficient / d weight of each row, shape (rows, p)."""
        return np.asarray(np.linalg.solve(self.information, self.score_gradient.T).T)


def fit_cox(
    sets: RiskSets,
    covariates: Floats,
    weight: Floats,
    *,
    efron: bool = True,
    start: Floats | None = None,
    max_iterations: int = 50,
) -> CoxFit:
    """Fit by Newton's method with step halving.

    Parameters
    ----------
    sets : RiskSets
        The rows.
    covariates : ndarray, shape (rows, p)
    weight : ndarray, shape (rows,)
        Rows of weight zero are as if absent, also in the count of tied deaths.
    efron : bool
        Efron's ties, else Breslow's.
    start : ndarray, shape (p,), optional
        Where to start; zero by default.
    max_iterations : int
        Zero evaluates the score at ``start``.
    """
    centred = covariates - np.average(covariates, axis=0, weights=weight)
    model = _Likelihood(sets, centred, weight, efron)
    beta = np.zeros(centred.shape[1]) if start is None else np.array(start, dtype=float)
    state = model.at(beta)
    converged = max_iterations == 0
    for _ in range(max_iterations):
        try:
            move = np.linalg.solve(state.information, state.score)
        except np.linalg.LinAlgError:
            break
        new = model.at(beta + move)
        halvings = 0
        while not new.log_likelihood >= state.log_likelihood - 1e-9 * abs(state.log_likelihood) and halvings < 20:
            move, halvings = move / 2, halvings + 1
            new = model.at(beta + move)
        beta, state = beta + move, new
        if np.max(np.abs(move)) < 1e-10:
            converged = model.has_maximum(state.information)
            break
    with np.errstate(over="ignore", invalid="ignore"):  # of a fit that ran away
        gradient = model.score_gradient(beta)
    return CoxFit(beta, state.information, gradient, converged)


@dataclass(frozen=True)
class _State:
    log_likelihood: float
    score: Floats
    information: Floats


class _Likelihood:
    """The weighted partial likelihood of one set of rows."""

    def __init__(self, sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> None:
        self.sets, self.z, self.w = sets, covariates, weight
        self.ties = _Ties.of(sets.events((weight > 0).astype(float)), sets.events(weight), efron)
        self.observed = (weight[sets.dead, None] * covariates[sets.dead]).sum(axis=0)
        self.tied = bool(self.ties.share.any())
        self.compiled: SweptLikelihood | None = None
        if len(weight) >= COMPILED_FROM:
            from causal_s4.kernels.cox_sweeps import SweptLikelihood

            self.compiled = SweptLikelihood(sets, covariates, weight, efron)

    def _sums(self, values: Floats) -> Floats:
        """Risk-set sum at every step, less the share of the dead who have left."""
        total = self.sets.at_risk(values)[self.ties.step]
        if self.tied:
            total = total - self.ties.share * self.sets.events(values)[self.ties.step]
        return np.asarray(total)

    def at(self, beta: Floats) -> _State:
        """Return log-likelihood, score and information."""
        if self.compiled is not None:
            return _State(*self.compiled.at(beta))
        # a step that went too far overflows; its likelihood is then no number, and the step is halved
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            eta = self.z @ beta
            risk = self.w * np.exp(eta)
            s0 = self._sums(risk)
            p = self.z.shape[1]
            mean = np.column_stack([self._sums(risk * self.z[:, j]) for j in range(p)]) / s0[:, None]
            hazard = self.ties.weight / s0
            log_likelihood = float(self.w[self.sets.dead] @ eta[self.sets.dead] - self.ties.weight @ np.log(s0))
            score = self.observed - self.ties.weight @ mean
            # sum over steps of S2/S0 is a sum over rows of risk * z z' * cumulated hazard
            load = risk * self._cumulated(hazard)
            information = self.z.T @ (load[:, None] * self.z) - mean.T @ (self.ties.weight[:, None] * mean)
        return _State(log_likelihood, score, information)

    def has_maximum(self, information: Floats) -> bool:
        """Whether the likelihood bends down in every direction where the iteration settled.

        One that rises for ever, or that is flat, looks settled too once its slope drowns in rounding.
        """
        natural = self.ties.weight.sum() * np.average(self.z**2, axis=0, weights=self.w)
        if not (np.isfinite(information).all() and (natural > 0).all()):
            return False
        scale = 1 / np.sqrt(natural)
        return bool(np.linalg.eigvalsh(information * np.outer(scale, scale))[0] > 1e-10)

    def _cumulated(self, increments: Floats) -> Floats:
        """Sum step increments over each row's time at risk; the dead lose their tied share."""
        k = len(self.sets.times)
        at_time = np.asarray(np.bincount(self.ties.step, weights=increments, minlength=k), dtype=float)
        total = self.sets.between(at_time)
        if self.tied:
            left = np.bincount(self.ties.step, weights=increments * self.ties.share, minlength=k)
            total[self.sets.dead] -= left[self.sets.when]
        return total

    def score_gradient(self, beta: Floats) -> Floats:
        """Return d score / d weight of each row, shape (rows, p)."""
        if self.compiled is not None:
            return self.compiled.score_gradient(beta)
        relative = np.exp(self.z @ beta)
        risk = self.w * relative
        s0 = self._sums(risk)
        hazard = self.ties.weight / s0
        k = len(self.sets.times)
        cumulated = self._cumulated(hazard)
        gradient = np.empty_like(self.z)
        for j in range(self.z.shape[1]):
            mean = self._sums(risk * self.z[:, j]) / s0
            column = relative * (self._cumulated(hazard * mean) - self.z[:, j] * cumulated)
            mean_of_dead = np.bincount(self.ties.step, weights=self.ties.at_death * mean, minlength=k)
            column[self.sets.dead] += self.z[self.sets.dead, j] - mean_of_dead[self.sets.when]
            gradient[:, j] = column
        return gradient
