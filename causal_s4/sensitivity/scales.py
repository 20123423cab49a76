"""On which scale is the bias computed? A published ratio, read onto the risk-ratio scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np

from causal_s4.results import Floats
from causal_s4.sensitivity.checks import Checker

FREQUENCY = ("common", "rare")


def risk_ratio_of_hazard_ratio(hazard_ratio: float) -> float:
    """Approximate the risk ratio that belongs to a hazard ratio of a common outcome.

    Notes
    -----
    (1 - 0.5^sqrt(HR)) / (1 - 0.5^sqrt(1/HR)); VanderWeele 2020, 10.1111/biom.13197. Meant for
    outcomes that more than about 15 % of patients have had by the end of follow-up.

    Examples
    --------
    >>> round(risk_ratio_of_hazard_ratio(0.56), 6)
    0.670084
    """
    return float(risk_ratios_of_hazard_ratios(np.array(hazard_ratio)))


def risk_ratios_of_hazard_ratios(hazard_ratios: Floats) -> Floats:
    """Convert an array as :func:`risk_ratio_of_hazard_ratio` does a number."""
    root = np.sqrt(hazard_ratios)
    # expm1 keeps the digits where 0.5^x is close to one
    return np.expm1(-root * math.log(2)) / np.expm1(-math.log(2) / root)


def hazard_ratio_of_risk_ratio(risk_ratio: float) -> float:
    """Return the hazard ratio whose :func:`risk_ratio_of_hazard_ratio` is the one given."""
    from scipy.optimize import brentq

    def gap(log_hazard_ratio: float) -> float:
        return math.log(risk_ratio_of_hazard_ratio(math.exp(log_hazard_ratio)) / risk_ratio)

    return math.exp(float(brentq(gap, -200.0, 200.0, xtol=1e-13)))


@dataclass(frozen=True, kw_only=True)
class RatioEstimate:
    """A published ratio with its interval, as given and on the risk-ratio scale.

    Parameters
    ----------
    measure : str
        What was given, such as ``"hazard ratio"``.
    outcome : str or None
        ``"common"`` or ``"rare"`` where that decides the conversion.
    given : mapping of str to float or None
        ``estimate``, ``estimate_lower`` and ``estimate_upper`` as given, and the value ``true``.
    value, lower, upper, true : float or None
        The same on the risk-ratio scale.
    conversion : str
        How one became the other, in words.
    """

    measure: str
    outcome: str | None
    given: Mapping[str, float | None]
    value: float
    lower: float | None
    upper: float | None
    true: float
    conversion: str

    @property
    def limit(self) -> float | None:
        """The interval limit nearer to the assumed truth, if it was given."""
        return self.lower if self.value > self.true else self.upper

    @property
    def has_interval(self) -> bool:
        """Whether any limit was given."""
        return self.lower is not None or self.upper is not None

    @property
    def bias_needed(self) -> float:
        """Factor, at least 1, that stands between the estimate and the truth."""
        return max(self.value / self.true, self.true / self.value)

    @property
    def bias_needed_for_interval(self) -> float | None:
        """The same for the interval: 1 when it covers the truth, None when there is none."""
        if not self.has_interval:
            return None
        if self.value == self.true or self.limit is None:
            return 1.0
        gap = self.limit / self.true if self.value > self.true else self.true / self.limit
        return max(gap, 1.0)

    @property
    def direction(self) -> str:
        """Which way an unmeasured confounder has to pull, in words."""
        return direction_of(self.value, self.true)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was assumed, for a result."""
        return {
            "measure": self.measure,
            "outcome": self.outcome,
            **self.given,
            "scale": "risk ratio",
            "risk_ratio": self.value,
            "risk_ratio_lower": self.lower,
            "risk_ratio_upper": self.upper,
        }


def direction_of(observed: float, true: float) -> str:
    """Say which way a confounder has to pull to turn a true ratio into the observed one."""
    if observed == true:
        return "none: the estimate equals the value assumed true"
    pull, where = ("down", "lowers") if observed < true else ("up", "raises")
    opposite = "raises" if where == "lowers" else "lowers"
    return (
        f"the confounder would have to pull the ratio {pull}: more frequent among the treated where it {where} "
        f"the outcome's frequency, or less frequent among them where it {opposite} it"
    )


_MEASURES = {
    "hazard_ratio": "hazard ratio",
    "odds_ratio": "odds ratio",
    "risk_ratio": "risk ratio",
    "survival_ratio": "survival ratio",
    "rmtl_ratio": "restricted mean time lost ratio",
    "effect": "ratio",
}
_NEEDS_FREQUENCY = ("hazard_ratio", "odds_ratio", "effect")


class RatioArguments(TypedDict, total=False):
    """A published ratio as functions of this room take it; see :func:`read_ratio`."""

    hazard_ratio: float | None
    risk_ratio: float | None
    odds_ratio: float | None
    survival_ratio: float | None
    rmtl_ratio: float | None
    effect: float | None
    lower: float | None
    upper: float | None
    outcome: str | None
    true: float


def read_ratio(subject: str, **arguments: Unpack[RatioArguments]) -> RatioEstimate:
    """Check a published ratio and put it on the risk-ratio scale.

    Parameters
    ----------
    subject : str
        What is being computed; opens the error message.
    hazard_ratio, risk_ratio, odds_ratio, survival_ratio, rmtl_ratio, effect : float
        Exactly one, treated over control; ``effect`` is a ratio whose kind ``outcome`` decides.
    lower, upper : float, optional
        Its interval; the limit further from the truth may be left out.
    outcome : {"common", "rare"}, optional
        For a hazard or odds ratio, where it is ``"common"`` when left out; refused elsewhere.
    true : float, optional
        The value assumed true, on the scale of the ratio given; 1 by default.

    Returns
    -------
    RatioEstimate

    Raises
    ------
    UsageError
        Naming everything that is wrong.
    """
    check = Checker(subject)
    strange = sorted(set(arguments) - set(RatioArguments.__annotations__))
    if strange:
        check.refuse(", ".join(strange), "no such argument", expected=", ".join(RatioArguments.__annotations__))
    lower, upper = arguments.get("lower"), arguments.get("upper")
    outcome, true = arguments.get("outcome"), arguments.get("true", 1.0)
    given: dict[str, Any] = {name: value for name in _MEASURES if (value := arguments.get(name)) is not None}
    if len(given) != 1:
        names = ", ".join(name for name in _MEASURES if name != "effect")
        check.refuse("estimate", f"found {', '.join(given) or 'none'}", expected=f"exactly one of {names}")
        check.raise_if_any()
    ((name, value),) = given.items()
    if name in _NEEDS_FREQUENCY:
        outcome = "common" if outcome is None else outcome
        check.choice("outcome", outcome, FREQUENCY)
    elif outcome is not None:
        check.refuse(
            "outcome",
            f"found {outcome!r} beside {name}",
            expected="nothing: only a hazard or odds ratio is converted",
            todo="Leave outcome out.",
        )
    good = check.number(name, value, above=0)
    truth = check.number("true", true, above=0)
    check.interval(lower, upper, around=value if good else None, above=0)
    if good and truth and value != true:
        needed, other = ("lower", "upper") if value > true else ("upper", "lower")
        limits = {"lower": lower, "upper": upper}
        if limits[needed] is None and limits[other] is not None:
            check.refuse(
                other,
                f"found it without {needed}, the limit nearer to {true:g}",
                expected=needed,
                todo=f"Give {needed}; {other} alone has no effect.",
            )
    check.raise_if_any()
    convert, words = _conversion(name, outcome)
    return RatioEstimate(
        measure=_MEASURES[name],
        outcome=outcome,
        given={"estimate": value, "estimate_lower": lower, "estimate_upper": upper, "true": true},
        value=convert(value),
        lower=None if lower is None else convert(lower),
        upper=None if upper is None else convert(upper),
        true=convert(true),
        conversion=words,
    )


def _conversion(name: str, outcome: str | None) -> tuple[Any, str]:
    if name in ("hazard_ratio", "effect") and outcome == "common":
        return risk_ratio_of_hazard_ratio, (
            "the outcome is common, and the risk ratio is (1 - 0.5^sqrt(HR)) / (1 - 0.5^sqrt(1/HR)) approximately"
        )
    if name == "odds_ratio" and outcome == "common":
        return math.sqrt, "the outcome is common, and the risk ratio is the square root of the odds ratio approximately"
    if name in _NEEDS_FREQUENCY:
        return float, (
            f"the outcome is rare (about 15 % of patients or fewer by the end of follow-up), so that the "
            f"{_MEASURES[name]} stands for the risk ratio"
        )
    if name == "survival_ratio":
        return float, "the ratio is of survival; the ratio of deaths at the same time gives another number"
    if name == "rmtl_ratio":
        return float, (
            "the confounder acts on the mean time lost, and its strength is the largest ratio of mean time lost "
            "between its levels"
        )
    return float, "the risks are of the event at one time, so nothing is converted"
