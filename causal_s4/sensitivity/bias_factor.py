"""How far could a confounder of given strength move the estimate? Bounding factors of Ding and VanderWeele."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.e_value import joint_strength
from causal_s4.sensitivity.scales import RatioArguments, RatioEstimate, read_ratio

_ASSUMPTIONS = (
    "conditional on the covariates that were adjusted for",
    "a bound: no confounder with these two links, of whatever distribution, moves the estimate further",
    "the links are risk ratios, the larger of the two arms for the outcome",
)


def bias_factor(rr_eu: float, rr_ud: float) -> SensitivityResult:
    """Return the most by which an unmeasured confounder can move a risk ratio.

    Parameters
    ----------
    rr_eu : float
        Risk ratio between treatment and confounder, at least 1.
    rr_ud : float
        Risk ratio between confounder and outcome, at least 1.

    Returns
    -------
    SensitivityResult
        ``value`` is the factor by which the observed ratio can exceed the true one, or fall short.

    Raises
    ------
    UsageError
        When a strength is below one or no number.

    Notes
    -----
    rr_eu rr_ud / (rr_eu + rr_ud - 1); Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457.

    Examples
    --------
    >>> round(bias_factor(3, 2.5).value, 4)
    1.6667
    """
    check = Checker("a bias factor")
    check.number("rr_eu", rr_eu, at_least=1)
    check.number("rr_ud", rr_ud, at_least=1)
    check.raise_if_any()
    return SensitivityResult(
        method="bias factor",
        parameters={"rr_eu": rr_eu, "rr_ud": rr_ud, "scale": "risk ratio"},
        value=_factor(rr_eu, rr_ud),
        unit="risk ratio",
        direction="either way: it divides or multiplies the observed ratio",
        assumptions=_ASSUMPTIONS,
    )


def _factor(rr_eu: float, rr_ud: float) -> float:
    return rr_eu * rr_ud / (rr_eu + rr_ud - 1)


def bias_factor_array(
    *,
    strengths: Sequence[float] = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
    **arguments: Unpack[RatioArguments],
) -> SensitivityResult:
    """Return the estimate and its interval under confounders of every pair of strengths.

    Parameters
    ----------
    strengths : sequence of float
        Risk ratios at least 1, taken for both links.
    hazard_ratio, risk_ratio, odds_ratio, survival_ratio, rmtl_ratio, lower, upper, outcome, true
        As for :func:`causal_s4.sensitivity.e_value.evalue`.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a pair (``rr_eu``, ``rr_ud``) with ``bias_factor`` and the ratio moved
        as far towards and past ``true`` as such a confounder can: ``estimate``, ``lower``,
        ``upper``, all on the risk-ratio scale. ``estimate_reaches_true`` and
        ``interval_reaches_true`` mark what the confounder could explain away. ``value`` is the
        smallest bias factor that explains the estimate away, ``bound`` the one for the interval.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457.
    """
    ratio = read_ratio("an array of bias factors", **arguments)
    check = Checker("an array of bias factors")
    check.numbers("strengths", strengths, at_least=1)
    check.raise_if_any()
    return SensitivityResult(
        method="bias factor",
        target={"measure": ratio.measure},
        parameters=ratio.parameters,
        value=ratio.bias_needed,
        bound=ratio.bias_needed_for_interval,
        unit="risk ratio",
        direction=ratio.direction,
        assumptions=(*_ASSUMPTIONS, ratio.conversion),
        table=tuple(_cell(ratio, rr_eu, rr_ud) for rr_eu in strengths for rr_ud in strengths),
    )


def _cell(ratio: RatioEstimate, rr_eu: float, rr_ud: float) -> dict[str, Any]:
    factor = _factor(rr_eu, rr_ud)
    needed = ratio.bias_needed_for_interval
    move = 1 / factor if ratio.value > ratio.true else factor
    return {
        "rr_eu": rr_eu,
        "rr_ud": rr_ud,
        "bias_factor": factor,
        "estimate": ratio.value * move,
        "lower": None if ratio.lower is None else ratio.lower * move,
        "upper": None if ratio.upper is None else ratio.upper * move,
        "estimate_reaches_true": factor >= ratio.bias_needed,
        "interval_reaches_true": None if needed is None else factor >= needed,
    }


def bias_contour(
    *, strongest: float = 10.0, points: int = 101, **arguments: Unpack[RatioArguments]
) -> SensitivityResult:
    """Return the curve of the pairs of strengths that would just explain the estimate away.

    Confounders above and to the right of the curve could, those below it could not. The curve
    crosses the diagonal at the E-value.

    Parameters
    ----------
    strongest : float
        Where the curve ends on either axis; above the E-value.
    points : int
        Points of each curve; odd, so that the middle one lies on the diagonal.
    hazard_ratio, risk_ratio, odds_ratio, survival_ratio, rmtl_ratio, lower, upper, outcome, true
        As for :func:`causal_s4.sensitivity.e_value.evalue`.

    Returns
    -------
    SensitivityResult
        ``table`` has the columns ``curve`` (``"estimate"`` or ``"interval limit"``), ``rr_eu`` and
        ``rr_ud``; there is no curve for an interval that covers ``true`` already. ``value`` and
        ``bound`` are the E-values.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    rr_ud = B (rr_eu - 1) / (rr_eu - B), B being the bias factor needed. Ding & VanderWeele 2016,
    10.1097/EDE.0000000000000457.
    """
    ratio = read_ratio("a contour of bias factors", **arguments)
    curves = [("estimate", ratio.bias_needed), ("interval limit", ratio.bias_needed_for_interval)]
    value, bound = (None if bias is None else joint_strength(bias) for _, bias in curves)
    check = Checker("a contour of bias factors")
    check.number("strongest", strongest, above=joint_strength(ratio.bias_needed))
    if check.number("points", points, at_least=3) and points % 2 == 0:
        check.refuse("points", f"found {points}", expected="an odd number")
    check.raise_if_any()
    return SensitivityResult(
        method="bias factor",
        target={"measure": ratio.measure},
        parameters={**ratio.parameters, "strongest": strongest},
        value=value,
        bound=bound,
        unit="risk ratio",
        direction=ratio.direction,
        assumptions=(*_ASSUMPTIONS, ratio.conversion),
        table=tuple(
            {"curve": name, "rr_eu": rr_eu, "rr_ud": rr_ud}
            for name, bias in curves
            if bias is not None and bias > 1
            for rr_eu, rr_ud in _curve(bias, strongest, points)
        ),
    )


def _curve(bias: float, strongest: float, points: int) -> list[tuple[float, float]]:
    """Return points on the contour of one bias factor, mirrored about the diagonal."""
    right = np.geomspace(joint_strength(bias), strongest, points // 2 + 1)
    below = bias * (right - 1) / (right - bias)
    first = list(zip(below[:0:-1].tolist(), right[:0:-1].tolist(), strict=True))
    return first + list(zip(right.tolist(), below.tolist(), strict=True))
