"""The cumulative baseline hazard of a fitted Cox model, Efron or Breslow."""

from __future__ import annotations

import numpy as np

from causal_s4.kernels.risk_sets import Floats, RiskSets


def baseline_hazard(sets: RiskSets, relative_hazard: Floats, *, efron: bool = True) -> Floats:
    """Return the cumulative hazard of a row of relative hazard one, at each event time.

    Parameters
    ----------
    sets : RiskSets
        The rows the model was fitted to.
    relative_hazard : ndarray, shape (rows,)
        exp(x'b), covariates not centred.
    efron : bool
        Spread tied events as Efron's likelihood does, as R's ``basehaz`` of an Efron fit.

    Returns
    -------
    ndarray, shape (k,)
    """
    at_risk, dying = sets.at_risk(relative_hazard), sets.events(relative_hazard)
    deaths = sets.events(np.ones(len(relative_hazard))).astype(np.int64)
    if not efron:
        return np.cumsum(deaths / at_risk)
    step = np.repeat(np.arange(deaths.size), deaths)
    position = np.arange(step.size) - np.repeat(np.cumsum(deaths) - deaths, deaths)
    share = position / deaths[step]
    return np.cumsum(np.bincount(step, weights=1 / (at_risk[step] - share * dying[step]), minlength=deaths.size))
