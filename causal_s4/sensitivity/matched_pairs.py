"""How unlike could two matched patients be in what was not measured? Rosenbaum bounds for censored pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import betainc, betaincinv, ndtr, ndtri

from causal_s4.errors import DataError, Problem
from causal_s4.results import Finding, Floats, SensitivityResult
from causal_s4.sensitivity.checks import Checker, name_rows

_COLUMNS = ("treated_time", "treated_event", "control_time", "control_event")
_STATISTICS = ("sign", "prentice-wilcoxon")
_ALTERNATIVES = ("observed", "benefit", "harm")
_MOST_PAIRS = 10_000_000
_GAMMA = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)


def rosenbaum_bounds(
    pairs: Any = None,
    *,
    gamma: Sequence[float] = _GAMMA,
    treated_first: int | None = None,
    control_first: int | None = None,
    statistic: str = "sign",
    alternative: str = "observed",
    alpha: float = 0.05,
) -> SensitivityResult:
    """Return how far hidden bias could move the p-value of a comparison of matched pairs.

    Within a pair the odds of being the treated one may differ by a factor ``gamma`` for reasons
    that were not measured. The order of the two deaths is known when the shorter time is a death;
    a death comes before a censoring at the same time.

    Parameters
    ----------
    pairs : DataFrame or mapping of str to array-like, optional
        One row a pair with ``treated_time``, ``treated_event``, ``control_time``,
        ``control_event``; events are 1 for the event and 0 for censoring.
    gamma : sequence of float
        At least 1.
    treated_first, control_first : int, optional
        Instead of ``pairs``: how many pairs in which the treated patient, or the control, had the
        event first.
    statistic : {"sign", "prentice-wilcoxon"}
        The exact sign test of who had the event first, or the paired Prentice-Wilcoxon statistic
        with a normal approximation, which needs ``pairs`` and also weighs by how much.
    alternative : {"observed", "benefit", "harm"}
        The one side that is tested: treatment delays the event, or brings it forward, or
        whichever of the two was observed.
    alpha : float
        The p-value at which ``value`` is the gamma.

    Returns
    -------
    SensitivityResult
        ``value`` is the gamma at which the upper bound of the one-sided p-value reaches ``alpha``;
        None, with a finding, when it is above it without hidden bias. ``table`` has ``gamma``,
        ``p_lower`` and ``p_upper``.

    Raises
    ------
    UsageError
        When a number or a choice cannot be.
    DataError
        When a column of ``pairs`` is missing or holds values that cannot be.

    Notes
    -----
    Sign test: P(Bin(B, gamma/(1 + gamma)) >= b), the event at b included. Rosenbaum 2002,
    10.1007/978-1-4757-3692-2. Prentice-Wilcoxon scores: 1 - 2S for an event and 1 - S for a
    censoring, S the pooled Kaplan-Meier estimate with one added to those at risk, ties by their
    mean; both of a pair are followed only as long as the one censored first, so that unequal
    censoring does not look like an effect. O'Brien & Fleming 1987, 10.2307/2531957.

    Examples
    --------
    >>> result = rosenbaum_bounds(treated_first=12, control_first=110, gamma=[1, 5, 6])
    >>> round(result.value, 2)
    5.47
    """
    check = Checker("Rosenbaum bounds")
    check.numbers("gamma", gamma, at_least=1)
    check.choice("statistic", statistic, _STATISTICS)
    check.choice("alternative", alternative, _ALTERNATIVES)
    check.number("alpha", alpha, above=0, below=0.5)
    counts = {"treated_first": treated_first, "control_first": control_first}
    _check_source(check, pairs, counts, statistic)
    check.raise_if_any()
    if pairs is None:
        differences = np.repeat([-1.0, 1.0], [int(treated_first or 0), int(control_first or 0)])
        total = differences.size
    else:
        columns = _read_pairs(pairs)
        differences = _signs(*columns) if statistic == "sign" else _prentice_wilcoxon(*columns)
        total = differences.size
        differences = differences[differences != 0]
    if not differences.size:
        raise DataError(
            "no pair says which patient had the event first, so hidden bias cannot be bounded; "
            f"found {total} pairs whose order is not known"
        )
    side = _side(alternative, differences)
    bounds = _exact_bounds if statistic == "sign" else score_bounds
    table = []
    for each in gamma:
        low, high = bounds(side * differences, float(each))
        table.append({"gamma": float(each), "p_lower": low, "p_upper": high})
    value = _gamma_at(side * differences, statistic, alpha)
    return SensitivityResult(
        method="rosenbaum bounds",
        target={"measure": "order of events within matched pairs"},
        parameters={
            "statistic": statistic,
            "alternative": "benefit" if side > 0 else "harm",
            "alpha": alpha,
            "pairs": total,
            "pairs_informative": int(differences.size),
            "treated_first": int((differences < 0).sum()),
            "control_first": int((differences > 0).sum()),
        },
        value=value,
        unit="odds of treatment within a pair",
        direction=(
            "the patient of a pair with the better outlook would have to be the treated one more often"
            if side > 0
            else "the patient of a pair with the worse outlook would have to be the treated one more often"
        ),
        assumptions=(
            "the pairs are alike in everything measured",
            "censoring does not depend on treatment within a pair",
            "one-sided p-values; gamma is about a pair and not the same scale as the odds factor of the marginal "
            "sensitivity model",
        ),
        table=tuple(table),
        findings=_already_above(value, alpha),
    )


def _check_source(check: Checker, pairs: Any, counts: Mapping[str, int | None], statistic: Any) -> None:
    given = {name: value for name, value in counts.items() if value is not None}
    if pairs is not None and given:
        check.refuse("pairs", f"found them beside {', '.join(given)}", todo="Give the pairs or the counts.")
    if pairs is not None and not isinstance(pairs, Mapping) and not hasattr(pairs, "columns"):
        check.refuse("pairs", f"found {type(pairs).__name__}", expected="a table with the columns of the pairs")
    if pairs is None:
        for name, value in given.items():
            if check.number(name, value, at_least=0) and (value != int(value) or value > _MOST_PAIRS):
                check.refuse(name, f"found {value:g}", expected=f"a whole number, at most {_MOST_PAIRS:,}")
        if len(given) < len(counts):
            absent = ", ".join(name for name in counts if name not in given)
            check.refuse(absent, "not given", expected="pairs, or both treated_first and control_first")
        if statistic == "prentice-wilcoxon":
            check.refuse("statistic", "found 'prentice-wilcoxon' with counts", expected="pairs with their times")


def _read_pairs(pairs: Any) -> tuple[Floats, Floats, Floats, Floats]:
    names = list(getattr(pairs, "columns", pairs))
    problems = [Problem(where=name, found="no such column") for name in _COLUMNS if name not in names]
    if problems:
        raise DataError("the table of matched pairs lacks columns", problems)
    columns = [_as_numbers(pairs[name]) for name in _COLUMNS]
    for name, values in zip(_COLUMNS, columns, strict=True):
        event = name.endswith("event")
        good = np.isin(values, (0.0, 1.0)) if event else np.isfinite(values) & (values > 0)
        rows = np.flatnonzero(~good)
        if rows.size:
            problems.append(
                Problem(
                    where=name,
                    found=f"{rows.size} values do not fit ({name_rows(rows)})",
                    expected="0 or 1" if event else "finite times above 0",
                )
            )
    if len({values.size for values in columns}) > 1:
        problems.append(Problem(where="pairs", found="columns of different lengths"))
    if problems:
        raise DataError("the table of matched pairs cannot be used", problems)
    return columns[0], columns[1], columns[2], columns[3]


def _as_numbers(column: Any) -> Floats:
    """Return a column as numbers, NaN where it holds none."""
    values = np.asarray(column)
    if values.dtype.kind in "biuf":
        return values.astype(float)
    return np.array([each if isinstance(each, int | float) else np.nan for each in values.ravel()], dtype=float)


def _signs(treated_time: Floats, treated_event: Floats, control_time: Floats, control_event: Floats) -> Floats:
    """Return 1 where the control had the event first, -1 where the treated did, 0 where it is not known."""
    tied = treated_time == control_time
    control_first = (control_event == 1) & ((control_time < treated_time) | (tied & (treated_event == 0)))
    treated_first = (treated_event == 1) & ((treated_time < control_time) | (tied & (control_event == 0)))
    return np.asarray(control_first.astype(float) - treated_first)


def _prentice_wilcoxon(
    treated_time: Floats, treated_event: Floats, control_time: Floats, control_event: Floats
) -> Floats:
    """Return the difference of scores of each pair, treated minus control; higher is later."""
    first_censored = np.minimum(
        np.where(treated_event == 0, treated_time, np.inf), np.where(control_event == 0, control_time, np.inf)
    )
    times = np.stack([treated_time, control_time])
    events = np.stack([treated_event, control_event]) * (times <= first_censored)
    times = np.minimum(times, first_censored)
    treated, control = _scores(times.ravel(), events.ravel()).reshape(times.shape)
    return np.asarray(treated - control, dtype=float)


def _scores(time: Floats, event: Floats) -> Floats:
    """Return Prentice-Wilcoxon scores of a pooled sample."""
    deaths_at, deaths = np.unique(time[event == 1], return_counts=True)
    at_risk = time.size - np.searchsorted(np.sort(time), deaths_at, side="left")
    after = np.concatenate([[1.0], np.cumprod((at_risk + 1 - deaths) / (at_risk + 1))])
    at_tie = after[:-1] * (at_risk + 1 - (deaths + 1) / 2) / (at_risk + 1)
    place = np.searchsorted(deaths_at, time, side="right")
    at_event = np.concatenate([[1.0], at_tie])[place]
    return np.asarray(np.where(event == 1, 1 - 2 * at_event, 1 - after[place]), dtype=float)


def _side(alternative: str, differences: Floats) -> int:
    if alternative == "observed":
        return 1 if differences.sum() >= 0 else -1
    return 1 if alternative == "benefit" else -1


def _exact_bounds(differences: Floats, gamma: float) -> tuple[float, float]:
    """Bound P(at least as many positive signs)."""
    positive, total = int((differences > 0).sum()), differences.size
    if positive == 0:
        return 1.0, 1.0
    # the upper tail of the binomial, as an incomplete beta function
    low, high = betainc(positive, total - positive + 1, np.array([1, gamma]) / (1 + gamma))
    return float(low), float(high)


def score_bounds(differences: Floats, gamma: float) -> tuple[float, float]:
    """Bound the one-sided p-value of a signed-score statistic by its normal approximation.

    Parameters
    ----------
    differences : ndarray, shape (pairs,)
        Signed scores of the pairs, none of them zero; signed ranks give the Wilcoxon test.
    gamma : float
        At least 1.

    Returns
    -------
    tuple of float
        Lower and upper bound of P(sum at least as large).

    Notes
    -----
    The sum has mean (2p - 1) sum|d| and variance 4p(1 - p) sum d^2 with p = gamma/(1 + gamma) at
    the upper bound. Rosenbaum 2002, 10.1007/978-1-4757-3692-2.
    """
    size, square, observed = np.abs(differences).sum(), np.sum(differences**2), differences.sum()
    p = np.array([1 / (1 + gamma), gamma / (1 + gamma)])
    low, high = ndtr(((2 * p - 1) * size - observed) / np.sqrt(4 * p * (1 - p) * square))
    return float(low), float(high)


def _gamma_at(differences: Floats, statistic: str, alpha: float) -> float | None:
    """Return the gamma at which the upper p-value is ``alpha``; None when it is above it at 1."""
    if statistic == "sign":
        positive, total = int((differences > 0).sum()), differences.size
        if positive == 0:
            return None
        p = float(betaincinv(positive, total - positive + 1, alpha))
        return p / (1 - p) if p >= 0.5 else None
    size, square, observed = np.abs(differences).sum(), np.sum(differences**2), float(differences.sum())
    z = -float(ndtri(alpha))
    # with m = 2p - 1, observed - m size = z sqrt((1 - m^2) square) is solved by the smaller root of a quadratic
    spread = z * math.sqrt(square * (size**2 - observed**2 + z**2 * square))
    bias = (observed * size - spread) / (size**2 + z**2 * square)
    return float((1 + bias) / (1 - bias)) if bias >= 0 else None


def _already_above(value: float | None, alpha: float) -> tuple[Finding, ...]:
    if value is not None:
        return ()
    return (
        Finding(
            code="p-above-alpha-without-hidden-bias",
            severity="note",
            step="sensitivity",
            message=(
                f"The one-sided p-value of the matched pairs is above {alpha:g} even if nothing unmeasured "
                "differs within pairs, so there is no gamma to report."
            ),
        ),
    )
