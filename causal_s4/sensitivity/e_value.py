"""How strong would an unmeasured confounder have to be to explain the estimate away? E-values.

An E-value restates an estimate, it does not judge it: no number is large enough by itself, and it
says nothing of selection, mismeasurement or immortal time. It is read next to what the measured
covariates did (Ioannidis, Tan & Blum 2019, 10.7326/M18-2159; Sjölander & Greenland 2022,
10.1093/ije/dyac018).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.scales import direction_of, read_ratio, risk_ratio_of_hazard_ratio

_ASSUMPTIONS = (
    "conditional on the covariates that were adjusted for",
    "one confounder, or several acting together, of any distribution; its links with treatment and with the "
    "outcome are assumed equally strong",
    "says nothing of selection, of mismeasurement, of missing data or of immortal time",
)


def joint_strength(bias: float) -> float:
    """Return the least strength of both links of a confounder that can bias a risk ratio by a factor."""
    return bias + math.sqrt(bias * (bias - 1))


def evalue(
    *,
    hazard_ratio: float | None = None,
    risk_ratio: float | None = None,
    odds_ratio: float | None = None,
    survival_ratio: float | None = None,
    rmtl_ratio: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    outcome: str | None = None,
    true: float = 1.0,
) -> SensitivityResult:
    """Return the E-value of a ratio and of the limit of its interval nearer to the null.

    The E-value is the smallest risk ratio that an unmeasured confounder would need with treatment
    and with the outcome, both at once and beyond the measured covariates, to move the truth from
    ``true`` to what was observed.

    Parameters
    ----------
    hazard_ratio, risk_ratio, odds_ratio, survival_ratio, rmtl_ratio : float
        Exactly one, treated over control. A risk ratio of death at a horizon needs no conversion
        and is to be preferred; ``rmtl_ratio`` is of restricted mean time lost.
    lower, upper : float, optional
        Its interval. Only the limit nearer to ``true`` matters; the other may be left out.
    outcome : {"common", "rare"}, optional
        For a hazard or odds ratio: whether more than about 15 % of patients have had the event by
        the end of follow-up. Common when left out, as death in stage IV disease is.
    true : float
        The value assumed true, on the scale of the ratio given.

    Returns
    -------
    SensitivityResult
        ``value`` for the estimate and ``bound`` for the limit: 1 when the interval covers
        ``true``, None when there is no interval.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    B + sqrt(B (B - 1)), B being the ratio of the observed to the true risk ratio or its inverse,
    whichever is above one.
    VanderWeele & Ding 2017, 10.7326/M16-2607; Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457.

    Examples
    --------
    >>> result = evalue(hazard_ratio=0.56, lower=0.46, upper=0.69)
    >>> round(result.value, 2), round(result.bound, 2)
    (2.35, 1.91)
    """
    ratio = read_ratio(
        "an E-value",
        hazard_ratio=hazard_ratio,
        risk_ratio=risk_ratio,
        odds_ratio=odds_ratio,
        survival_ratio=survival_ratio,
        rmtl_ratio=rmtl_ratio,
        lower=lower,
        upper=upper,
        outcome=outcome,
        true=true,
    )
    return SensitivityResult(
        method="e-value",
        target={"measure": ratio.measure},
        parameters=ratio.parameters,
        value=joint_strength(ratio.bias_needed),
        bound=None if ratio.bias_needed_for_interval is None else joint_strength(ratio.bias_needed_for_interval),
        unit="risk ratio",
        direction=ratio.direction,
        assumptions=(*_ASSUMPTIONS, ratio.conversion),
    )


def evalue_risk_difference(
    *,
    risk_treated: float,
    risk_control: float,
    share_treated: float,
    std_error_treated: float | None = None,
    std_error_control: float | None = None,
    covariance: float = 0.0,
    n: int | None = None,
    level: float = 0.95,
) -> SensitivityResult:
    """Return the E-value of a difference of two risks at one time.

    Parameters
    ----------
    risk_treated, risk_control : float
        Risks of the event, between 0 and 1; weighted ones serve.
    share_treated : float
        Share of patients who were treated, between 0 and 1.
    std_error_treated, std_error_control : float, optional
        Standard errors of the risks; together with ``n`` they give the E-value of the limit.
    covariance : float
        Of the two risks; not zero where the weights were estimated on all patients.
    n : int, optional
        Number of patients.
    level : float
        Of the two-sided interval.

    Returns
    -------
    SensitivityResult
        ``bound`` is 1 when the interval covers no difference, None without standard errors.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    With a bias factor B the standardised difference is at least
    (p1 - p0 B)(f + (1 - f)/B) for p1 > p0; the arms change places otherwise. ``value`` is the
    E-value of the B that brings it to zero, ``bound`` that of the B that brings its lower limit to
    zero, solved for without a grid. Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457.
    """
    check = Checker("an E-value of a risk difference")
    for name, value in (
        ("risk_treated", risk_treated),
        ("risk_control", risk_control),
        ("share_treated", share_treated),
    ):
        check.number(name, value, above=0, below=1)
    check.number("level", level, above=0, below=1)
    check.number("covariance", covariance)
    uncertainty = {"std_error_treated": std_error_treated, "std_error_control": std_error_control, "n": n}
    given = {name: value for name, value in uncertainty.items() if value is not None}
    for name, value in given.items():
        check.number(name, value, above=0)
    if given and len(given) < len(uncertainty):
        absent = ", ".join(name for name in uncertainty if name not in given)
        check.refuse(absent, "not given", expected="all of std_error_treated, std_error_control and n, or none")
    check.raise_if_any()
    swap = risk_treated < risk_control
    high, low = (risk_control, risk_treated) if swap else (risk_treated, risk_control)
    share = 1 - share_treated if swap else share_treated
    bound = None
    if std_error_treated is not None and std_error_control is not None and n is not None:
        errors = (std_error_control, std_error_treated) if swap else (std_error_treated, std_error_control)
        factor = _factor_at_limit(high, low, share, errors, covariance, n, level)
        bound = joint_strength(factor)
    parameters: dict[str, Any] = {
        "risk_treated": risk_treated,
        "risk_control": risk_control,
        "share_treated": share_treated,
        "covariance": covariance,
        "level": level,
        **uncertainty,
    }
    return SensitivityResult(
        method="e-value",
        target={"measure": "risk difference"},
        parameters=parameters,
        value=joint_strength(high / low),
        bound=bound,
        unit="risk ratio",
        direction=direction_of(risk_treated / risk_control, 1.0),
        assumptions=(*_ASSUMPTIONS, "the difference is standardised to all patients"),
    )


def _factor_at_limit(
    high: float,
    low: float,
    share: float,
    errors: tuple[float, float],
    covariance: float,
    n: int,
    level: float,
) -> float:
    """Return the bias factor at which the lower limit of the difference reaches zero; 1 if it is there already."""
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf((1 + level) / 2)

    def lower_limit(factor: float) -> float:
        difference, share_of = high - low * factor, share + (1 - share) / factor
        risks = errors[0] ** 2 + (errors[1] * factor) ** 2 - 2 * factor * covariance
        shares = (difference * (1 - 1 / factor)) ** 2 * share * (1 - share) / n
        return difference * share_of - z * math.sqrt(risks * share_of**2 + shares)

    if lower_limit(1.0) <= 0:
        return 1.0
    return float(brentq(lower_limit, 1.0, high / low, xtol=1e-12))


def observed_covariate_evalue(*, limit: float, limit_without: float, outcome: str = "common") -> SensitivityResult:
    """Return the E-value of what leaving out a measured covariate did to the interval.

    A benchmark for an E-value: the strength an unmeasured confounder would need to move the limit
    as far as the measured covariate moved it.

    Parameters
    ----------
    limit, limit_without : float
        The limit of the hazard ratio's interval nearer to the null, with all covariates and
        without the one.
    outcome : {"common", "rare"}
        As for :func:`evalue`.

    Returns
    -------
    SensitivityResult
        ``value`` is the E-value of the ratio of the two limits on the risk-ratio scale.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    D'Agostino McGowan & Greevy 2020, arXiv:2011.07030.
    """
    check = Checker("the E-value of a measured covariate")
    check.number("limit", limit, above=0)
    check.number("limit_without", limit_without, above=0)
    check.choice("outcome", outcome, ("common", "rare"))
    check.raise_if_any()
    convert = risk_ratio_of_hazard_ratio if outcome == "common" else float
    ratio = convert(limit_without) / convert(limit)
    return SensitivityResult(
        method="leave one out",
        target={"measure": "hazard ratio"},
        parameters={"limit": limit, "limit_without": limit_without, "outcome": outcome, "scale": "risk ratio"},
        value=joint_strength(max(ratio, 1 / ratio)),
        unit="risk ratio",
        direction=(
            f"without the covariate the limit moves {'down' if ratio < 1 else 'up'}, "
            f"from {limit:g} to {limit_without:g}"
        ),
        assumptions=(_ASSUMPTIONS[0], "what an unmeasured confounder does is held against what a measured one did"),
    )
