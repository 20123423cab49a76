"""Logistic and Cox fits with an offset that changes from one sweep to the next; each starts where the last ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causal_s4.errors import ConvergenceError
from causal_s4.kernels.firth import expit
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.results import Floats, Ints

_TOLERANCE = 1e-9
_STEPS = 50


class LogisticWithOffset:
    """Logistic regression of treatment on covariates, with an intercept.

    Parameters
    ----------
    covariates : ndarray, shape (n, p)
    treatment : ndarray, shape (n,)
    """

    def __init__(self, covariates: Floats, treatment: Ints) -> None:
        self._design = np.column_stack([np.ones(len(treatment)), covariates - covariates.mean(axis=0)])
        self._treatment = treatment
        self._coefficients = np.zeros(self._design.shape[1])

    def fit(self, offset: Floats) -> Floats:
        """Return the linear predictor of every patient, without the offset.

        Raises
        ------
        ConvergenceError
            When there is no finite fit.
        """

        def newton_step(coefficients: Floats) -> Floats:
            chance = expit(self._design @ coefficients + offset)
            information = (self._design * (chance * (1 - chance))[:, None]).T @ self._design
            return np.asarray(np.linalg.solve(information, self._design.T @ (self._treatment - chance)))

        self._coefficients = _settle(newton_step, self._coefficients, "model of treatment")
        return np.asarray(self._design @ self._coefficients)


@dataclass(frozen=True, kw_only=True)
class CoxWithOffsetFit:
    """Coefficients, their covariance, and each patient's cumulative hazard without the offset, at their own time."""

    coefficients: Floats
    covariance: Floats
    cumulative_hazard: Floats


class CoxWithOffset:
    """Proportional hazards regression with Breslow's ties; sorts once.

    Parameters
    ----------
    covariates : ndarray, shape (n, p)
    time, event : ndarray, shape (n,)
    """

    def __init__(self, covariates: Floats, time: Floats, event: Ints) -> None:
        self._design = covariates - covariates.mean(axis=0)
        self._event = event
        self._sets = RiskSets.of(None, time, event == 1)
        self._deaths = self._sets.events(np.ones(time.size))
        self._coefficients = np.zeros(covariates.shape[1])

    def _pieces(self, coefficients: Floats, offset: Floats) -> tuple[Floats, Floats, Floats]:
        """Return relative hazards, cumulative baseline hazards and the covariate means of those at risk."""
        risk = np.exp(self._design @ coefficients + offset)
        total = self._sets.at_risk(risk)
        weighted = np.column_stack([self._sets.at_risk(risk * column) for column in self._design.T])
        return risk, self._sets.between(self._deaths / total), weighted / total[:, None]

    def fit(self, offset: Floats) -> CoxWithOffsetFit:
        """Fit with one offset a patient.

        Raises
        ------
        ConvergenceError
            When there is no finite fit.
        """

        def information(risk: Floats, baseline: Floats, means: Floats) -> Floats:
            crossed = (self._design * (risk * baseline)[:, None]).T @ self._design
            return np.asarray(crossed - (means * self._deaths[:, None]).T @ means)

        def newton_step(coefficients: Floats) -> Floats:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # a step too far ends the search
                risk, baseline, means = self._pieces(coefficients, offset)
                score = self._design.T @ (self._event - risk * baseline)
                return np.asarray(np.linalg.solve(information(risk, baseline, means), score))

        self._coefficients = _settle(newton_step, self._coefficients, "model of survival")
        risk, baseline, means = self._pieces(self._coefficients, offset)
        return CoxWithOffsetFit(
            coefficients=self._coefficients,
            covariance=np.asarray(np.linalg.inv(information(risk, baseline, means))),
            cumulative_hazard=baseline * risk / np.exp(offset),
        )


def _settle(newton_step: Callable[[Floats], Floats], start: Floats, what: str) -> Floats:
    """Take Newton steps until they are small."""
    coefficients = start
    for _ in range(_STEPS):
        try:
            step = newton_step(coefficients)
        except np.linalg.LinAlgError:
            break
        coefficients = coefficients + step
        if not np.isfinite(coefficients).all():
            break
        if np.abs(step).max() < _TOLERANCE * (1 + np.abs(coefficients).max()):
            return coefficients
    raise ConvergenceError(
        f"the {what} with a simulated confounder has no finite fit; expected covariates that are not copies of each "
        "other and do not separate the arms or the events. Leave out or merge what does"
    )
