"""Covariates without a value: multiple imputation by chained equations, proper for numbers, yes or no, and levels.

Each incomplete covariate is predicted from all others, from treatment and from every outcome: its event and
the Nelson-Aalen cumulative hazard at the time of follow-up (White & Royston 2009, 10.1002/sim.3618). Weights
and effects are found within each completed data set and only the effects are pooled (Leyrat et al. 2019,
10.1177/0962280217713032): see :mod:`causal_s4.pooling`. Outcomes and treatment are never imputed.

The draws are the textbook ones (van Buuren 2018, 10.1201/9780429492259, algorithms 3.3 and 3.4), and the tests hold
them against the chained equations of statsmodels and scikit-learn. Neither can take their place. statsmodels matches
every covariate to a predicted number, so that the levels of a subtype would have to be numbers in an order; its models
of a yes or no have no prior, and run off where covariates separate a small cohort; and it evaluates a formula at each
step. scikit-learn draws for each patient by itself and never the coefficients, so that its data sets are too alike, and
gives a yes or no as a fraction; its chain hands an estimator a matrix without saying which covariate is meant or which
cycle it is, which levels, products and shifts have to know. What would be left to either is the loop over covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.cohort import Cohort
from causal_s4.errors import DataError, Problem, UsageError
from causal_s4.kernels.firth import expit
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.kernels.weak_prior import Posterior, standardised
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Design
from causal_s4.results import Floats

STAGE = 6
"""First word of the streams of random numbers of imputation."""
FEWEST, MOST = 20, 100
CYCLES = 10
DONORS = 5
_RIDGE = 1e-6


def complete(cohort: Cohort, protocol: Protocol) -> tuple[Cohort, ...]:
    """Return the completed data sets of a study: the cohort itself unless values are to be imputed.

    Parameters
    ----------
    cohort : Cohort
    protocol : Protocol

    Returns
    -------
    tuple of Cohort
        As many as the per cent of patients with a missing value, at least 20 (White, Royston & Wood 2011,
        10.1002/sim.4067); one when nothing is missing.

    Raises
    ------
    UsageError
        When the design has covariates that change.
    DataError
        When a covariate has no value at all, or only one.
    """
    if protocol.data.missing != "impute" or not cohort.covariates.isna().any(axis=None):
        return (cohort,)
    if protocol.time_zero.design not in (Design.BASELINE, Design.LANDMARK):
        raise UsageError(
            f'missing = "impute" is for the designs baseline and landmark; found {protocol.time_zero.design}. Use '
            '"complete-case", or fill the values'
        )
    model = protocol.propensity
    return impute(
        cohort,
        imputations=imputations_needed(cohort),
        seed=protocol.seed,
        log1p=() if model is None else model.log1p,
        interactions=() if model is None else tuple((str(a), str(b)) for a, b in model.interactions),
    )


def imputations_needed(cohort: Cohort) -> int:
    """Return how many completed data sets are made: one for each per cent of incomplete patients, 20 to 100."""
    share = float(cohort.covariates.isna().any(axis=1).mean())
    return min(MOST, max(FEWEST, ceil(100 * share)))


def impute(
    cohort: Cohort,
    *,
    imputations: int,
    seed: int,
    cycles: int = CYCLES,
    log1p: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
    shift: Mapping[str, float] | None = None,
) -> tuple[Cohort, ...]:
    """Fill in missing covariates several times, each time anew.

    Parameters
    ----------
    cohort : Cohort
        Covariates may lack values; treatment and outcomes do not.
    imputations : int
        Completed data sets.
    seed : int
        Each data set has a stream of its own: set 17 is the same however many are made.
    cycles : int
        Times that every incomplete covariate is drawn before a data set is taken.
    log1p : sequence of str
        Columns that predict by the logarithm of one plus their value.
    interactions : sequence of pairs of str
        Products that predict as well, as the weights' model has them.
    shift : mapping of str to float, optional
        For values that are not missing at random. In the last cycle, imputed numbers are moved by so many
        standard deviations, and imputed odds of the later level by so much on the log scale.

    Returns
    -------
    tuple of Cohort

    Raises
    ------
    DataError
        When a covariate has fewer than two distinct values to learn from.
    UsageError
        When ``shift`` names a column that is complete.

    Notes
    -----
    Numbers: predictive mean matching with five donors, so that imputed values are values that occur. Yes or
    no, and levels: logistic models, for several levels one after the other, with the coefficients drawn from
    their posterior under a weak normal prior. van Buuren 2018, 10.1201/9780429492259.
    """
    incomplete = sorted(
        (name for name in cohort.covariates.columns if cohort.covariates[name].isna().any()),
        key=lambda name: int(cohort.covariates[name].isna().to_numpy().sum()),
    )
    strange = sorted(set(shift or {}) - set(incomplete))
    if strange:
        raise UsageError(f"shift is for covariates with missing values; {', '.join(strange)} has none")
    columns = {str(name): _Column.of(str(name), cohort.covariates[name], name in log1p) for name in cohort.covariates}
    problems = [
        Problem(where=name, found=f"{len(columns[name].known)} distinct values", expected="at least two to learn from")
        for name in incomplete
        if len(columns[name].known) < 2
    ]
    if problems:
        raise DataError("missing values cannot be imputed", problems)
    fixed = _outcome_terms(cohort)
    return tuple(
        replace(cohort, covariates=_chain(columns, incomplete, fixed, interactions, cycles, shift or {}, seed, number))
        for number in range(imputations)
    )


# --- columns as numbers -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A covariate as numbers: itself, or the place of its value among those that occur."""

    name: str
    original: pd.Series[Any]
    values: Floats
    missing: np.ndarray
    known: tuple[Any, ...]
    coded: bool
    log1p: bool

    @classmethod
    def of(cls, name: str, column: pd.Series[Any], log1p: bool) -> _Column:
        missing = column.isna().to_numpy()
        if isinstance(column.dtype, pd.CategoricalDtype):
            known: tuple[Any, ...] = tuple(column.cat.categories)
            values = np.array(column.cat.codes, dtype=np.float64)
        else:
            numbers = column.to_numpy(dtype=float, na_value=np.nan)
            known = tuple(np.unique(numbers[~missing]).tolist())
            places = np.searchsorted(np.asarray(known), np.nan_to_num(numbers)).astype(np.float64)
            values = numbers if len(known) > 2 else places
        coded = isinstance(column.dtype, pd.CategoricalDtype) or len(known) <= 2
        return cls(
            name=name,
            original=column,
            values=values,
            missing=missing,
            known=known,
            coded=coded,
            log1p=log1p and not coded,
        )

    def terms(self, values: Floats) -> Floats:
        """Return the columns by which the covariate predicts others, shape (n, terms)."""
        if self.coded:
            return np.asarray(values[:, None] == np.arange(1, len(self.known)), dtype=np.float64)
        return np.asarray((np.log1p(values) if self.log1p else values)[:, None])

    def written(self, values: Floats) -> pd.Series[Any]:
        """Return completed values as the column held them."""
        if not self.missing.any():
            return self.original
        if isinstance(self.original.dtype, pd.CategoricalDtype):
            codes = pd.Categorical.from_codes(values.astype(int), dtype=self.original.dtype)
            return pd.Series(codes, index=self.original.index)
        filled = np.asarray(self.known, dtype=float)[values.astype(int)] if self.coded else values
        if pd.api.types.is_bool_dtype(self.original.dtype):
            return pd.Series(filled.astype(bool), index=self.original.index)
        return pd.Series(filled, index=self.original.index)


def _outcome_terms(cohort: Cohort) -> Floats:
    """Return treatment, and for each outcome and cause its event, cumulative hazard and their interplay with it."""
    arm = cohort.treatment.astype(float)
    found = [arm]
    for outcome in cohort.outcomes:
        for cause in range(1, int(outcome.event.max()) + 1):
            event = outcome.event == cause
            sets = RiskSets.of(None, outcome.time, event)
            ones = np.ones(len(arm))
            hazard = sets.between(sets.events(ones) / sets.at_risk(ones)) if event.any() else np.zeros(len(arm))
            found += [event.astype(float), hazard, arm * event]
    return np.column_stack(found)


# --- the chain ----------------------------------------------------------------------------------


def _chain(
    columns: Mapping[str, _Column],
    incomplete: Sequence[str],
    fixed: Floats,
    interactions: Sequence[tuple[str, str]],
    cycles: int,
    shift: Mapping[str, float],
    seed: int,
    number: int,
) -> pd.DataFrame:
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, number)))
    values = {name: column.values.copy() for name, column in columns.items()}
    for name in incomplete:
        gap = columns[name].missing
        values[name][gap] = generator.choice(values[name][~gap], int(gap.sum()))
    terms = {name: column.terms(values[name]) for name, column in columns.items()}
    for cycle in range(cycles):
        last = cycle == cycles - 1
        for name in incomplete:
            column = columns[name]
            design = standardised(_predictors(terms, name, fixed, interactions))
            moved = shift.get(name, 0.0) if last else 0.0
            draw = _draw_levels if column.coded else _draw_numbers
            values[name][column.missing] = draw(column, values[name], design, moved, generator)
            terms[name] = column.terms(values[name])
    return pd.DataFrame({name: column.written(values[name]) for name, column in columns.items()})


def _predictors(
    terms: Mapping[str, Floats], target: str, fixed: Floats, interactions: Sequence[tuple[str, str]]
) -> Floats:
    blocks = [fixed, *(block for name, block in terms.items() if name != target)]
    for first, second in interactions:
        if target not in (first, second):
            blocks.append((terms[first][:, :, None] * terms[second][:, None, :]).reshape(len(fixed), -1))
        else:
            # what a covariate does together with another is seen in how the outcome varies with that other
            partner = terms[second if target == first else first]
            blocks.append((partner[:, :, None] * fixed[:, None, :2]).reshape(len(fixed), -1))
    return np.column_stack(blocks)


def _draw_numbers(
    column: _Column, values: Floats, design: Floats, moved: float, generator: np.random.Generator
) -> Floats:
    """Draw by predictive mean matching: each gap takes the value of one of its nearest neighbours."""
    seen, gap = ~column.missing, column.missing
    response = column.terms(values)[seen, 0]
    rows = design[seen]
    precision = rows.T @ rows + _RIDGE * len(rows) * np.eye(rows.shape[1])
    mean = np.linalg.solve(precision, rows.T @ response)
    freedom = max(len(response) - rows.shape[1], 1)
    spread = np.sqrt(((response - rows @ mean) ** 2).sum() / generator.chisquare(freedom))
    lower = np.linalg.cholesky(precision)
    drawn = mean + spread * np.linalg.solve(lower.T, generator.standard_normal(len(mean)))
    order = np.argsort(rows @ mean, kind="stable")
    ordered, predicted = (rows @ mean)[order], design[gap] @ drawn
    reach = min(DONORS, len(ordered))
    # the nearest neighbours of a point on a line lie next to each other: slide a window to where they are
    begin = np.clip(np.searchsorted(ordered, predicted) - reach, 0, len(ordered) - reach)
    for _ in range(reach):
        ahead = np.minimum(begin + reach, len(ordered) - 1)
        closer = (begin + reach < len(ordered)) & (ordered[ahead] - predicted < predicted - ordered[begin])
        begin = np.where(closer, begin + 1, begin)
    donor = order[begin + generator.integers(0, reach, len(predicted))]
    original = column.values[seen]
    return np.asarray(original[donor] + moved * original.std())


def _draw_levels(
    column: _Column, values: Floats, design: Floats, moved: float, generator: np.random.Generator
) -> Floats:
    """Draw level by level: is it the first? If not, is it the second? And so on."""
    seen, gap = np.flatnonzero(~column.missing), np.flatnonzero(column.missing)
    drawn = np.full(gap.size, len(column.known) - 1.0)
    open_, members = np.ones(gap.size, dtype=bool), seen
    for level in range(len(column.known) - 1):
        later = values[members] > level
        coefficient = Posterior.fit(design[members], later).draw(generator)
        chance_later = expit(design[gap] @ coefficient + moved)
        stops = open_ & (generator.random(gap.size) >= chance_later)
        drawn[stops], open_ = level, open_ & ~stops
        members = members[later]
    return drawn
