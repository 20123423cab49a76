"""Weighted Cox regression on (start, stop] rows, Efron or Breslow, with unit-weight derivatives.

Weights multiply a row's contribution; ties follow R's ``coxph``: with Efron the m deaths of one time
share their mean weight. Score residuals: Lin & Wei 1989, 10.1080/01621459.1989.10478874; Binder 1992,
10.1093/biomet/79.1.139. The same tie rule serves the coefficient and its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets

COMPILED_FROM = 20_000
"""Rows from which the sums are made by compiled loops: the same arithmetic, which takes a moment to load."""
_SETTLED = 1e-10
_EVERY = 20


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
        return np.asarray(self.score_gradient @ np.linalg.inv(self.information))


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
        Where to start; by default zero, or near the maximum where that saves passes over many rows.
    max_iterations : int
        Zero evaluates the score at ``start``, which then is zero by default.
    """
    model = _likelihood_of(sets, covariates, weight, efron)
    if start is None:
        start = model.start() if max_iterations else np.zeros(covariates.shape[1])
    beta, state, converged = _maximise(model, start, max_iterations)
    with np.errstate(over="ignore", invalid="ignore"):  # of a fit that ran away
        gradient = model.score_gradient(beta)
    return CoxFit(beta, state.information, gradient, converged)


def _maximise(model: _Likelihood, start: Floats, max_iterations: int) -> tuple[Floats, _State, bool]:
    """Return the coefficient, the state beside it, and whether it is a maximum."""
    beta = np.array(start, dtype=float)
    state = model.at(beta)
    for _ in range(max_iterations):
        try:
            move = np.linalg.solve(state.information, state.score)
        except np.linalg.LinAlgError:
            return beta, state, False
        if np.max(np.abs(move)) < _SETTLED:  # nothing left to gain from another pass over the rows
            return beta + move, state, model.has_maximum(state.information)
        new = model.at(beta + move)
        halvings = 0
        while not new.log_likelihood >= state.log_likelihood - 1e-9 * abs(state.log_likelihood) and halvings < 20:
            move, halvings = move / 2, halvings + 1
            new = model.at(beta + move)
        beta, state = beta + move, new
        if np.max(np.abs(move)) < _SETTLED:
            return beta, state, model.has_maximum(state.information)
    return beta, state, max_iterations == 0


@dataclass(frozen=True)
class _State:
    log_likelihood: float
    score: Floats
    information: Floats


class _Likelihood:
    """The weighted partial likelihood of one set of rows."""

    def __init__(self, sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> None:
        self.sets, self.z, self.w = sets, covariates - weight @ covariates / weight.sum(), weight
        self.ties = _Ties.of(sets.events((weight > 0).astype(float)), sets.events(weight), efron)
        self.observed_weight = float(self.ties.weight.sum())
        self.observed = weight[sets.dead] @ self.z[sets.dead]
        self.tied = bool(self.ties.share.any())

    def start(self) -> Floats:
        """Return where the iteration starts."""
        return np.zeros(self.z.shape[1])

    def _sums(self, values: Floats) -> Floats:
        """Risk-set sum at every step, less the share of the dead who have left."""
        total = self.sets.at_risk(values)[self.ties.step]
        if self.tied:
            total = total - self.ties.share * self.sets.events(values)[self.ties.step]
        return np.asarray(total)

    def at(self, beta: Floats) -> _State:
        """Return log-likelihood, score and information."""
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
        natural = self.observed_weight * (self.w @ self.z**2) / self.w.sum()
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
        relative = np.exp(self.z @ beta)
        risk = self.w * relative
        s0 = self._sums(risk)
        hazard = self.ties.weight / s0
        k = len(self.sets.times)
        cumulated = self._cumulated(hazard)
        gradient: Floats = np.empty_like(self.z)
        for j in range(self.z.shape[1]):
            mean = self._sums(risk * self.z[:, j]) / s0
            column = relative * (self._cumulated(hazard * mean) - self.z[:, j] * cumulated)
            mean_of_dead = np.bincount(self.ties.step, weights=self.ties.at_death * mean, minlength=k)
            column[self.sets.dead] += self.z[self.sets.dead, j] - mean_of_dead[self.sets.when]
            gradient[:, j] = column
        return gradient


class _TwoGroups(_Likelihood):
    """The likelihood of one covariate with two values: what is at risk is summed once for each value."""

    def __init__(self, sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> None:
        super().__init__(sets, covariates, weight, efron)
        column = self.z[:, 0]
        self.values = np.array([column.min(), column.max()])
        high = self._sums(weight * (column == self.values[1]))
        self.at_risk = np.array([self._sums(weight) - high, high])

    def at(self, beta: Floats) -> _State:
        """Return log-likelihood, score and information."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            risk = np.exp(self.values * beta[0])[:, None] * self.at_risk
            total = risk.sum(axis=0)
            mean = self.values @ risk / total
            variance = self.values**2 @ risk / total - mean**2
            log_likelihood = float(self.observed @ beta - self.ties.weight @ np.log(total))
        score = self.observed - self.ties.weight @ mean
        return _State(log_likelihood, score, np.array([[self.ties.weight @ variance]]))


class _Compiled(_Likelihood):
    """The likelihood of many rows, summed by compiled loops."""

    def __init__(self, sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> None:
        from causal_s4.kernels.cox_sweeps import SweptLikelihood

        self.swept = SweptLikelihood(sets, covariates, weight @ covariates / weight.sum(), weight, efron)
        self.z, self.w = self.swept.z, self.swept.w
        self.observed_weight = float(self.swept.dead_weight.sum())
        self._rows = sets, covariates, weight, efron

    def start(self) -> Floats:
        """Return two steps with every twentieth row: passes over all rows are saved, nothing else changes."""
        sets, covariates, weight, efron = self._rows
        dead = np.zeros(len(weight), dtype=bool)
        dead[sets.dead] = True
        every = slice(None, None, _EVERY)
        first = sets.first[every].astype(float) if sets.delayed else None
        thinned = RiskSets.of(first, sets.last[every].astype(float), dead[every])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a few rows may have no maximum
            model = _Compiled(thinned, covariates[every], weight[every], efron)
            near, _, _ = _maximise(model, super().start(), 2)
        return near if np.isfinite(near).all() else super().start()

    def at(self, beta: Floats) -> _State:
        """Return log-likelihood, score and information."""
        return _State(*self.swept.at(beta))

    def score_gradient(self, beta: Floats) -> Floats:
        """Return d score / d weight of each row, shape (rows, p)."""
        return self.swept.score_gradient(beta)


def _likelihood_of(sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> _Likelihood:
    """Choose the quickest of three ways to the same sums."""
    first = covariates[:, 0]
    if covariates.shape[1] == 1 and ((first == first.min()) | (first == first.max())).all():
        return _TwoGroups(sets, covariates, weight, efron)
    return (_Compiled if len(weight) >= COMPILED_FROM else _Likelihood)(sets, covariates, weight, efron)
