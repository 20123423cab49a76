"""What would adjusting for a confounder of a known kind do to the estimate? Lin, Psaty and Kronmal's formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.scales import RatioEstimate, read_ratio, risk_ratio_of_hazard_ratio

ASSUMPTIONS = (
    "the unmeasured confounder does not depend on the measured covariates, given treatment",
    "conditional on the covariates that were adjusted for",
)
AS_GIVEN = (
    "the ratio is taken as given: exact for a risk ratio, an approximation for a hazard ratio that overstates the "
    "bias where the outcome is common"
)
CORRECTED = (
    "the outcome is common: the effect and the confounder's hazard ratio were both put on the risk-ratio scale first"
)
PREVALENCES = tuple(round(step / 10, 1) for step in range(11))


def binary_factor(
    prevalence_treated: float, prevalence_control: float, ratio_treated: float, ratio_control: float
) -> float:
    """Return the factor by which a binary confounder multiplies the true ratio."""
    treated = ratio_treated * prevalence_treated + 1 - prevalence_treated
    return treated / (ratio_control * prevalence_control + 1 - prevalence_control)


def normal_factor(mean_difference: float, ratio: float) -> float:
    """Return the factor of a normal confounder, ``ratio`` per unit, of equal variance in both arms."""
    return math.exp(mean_difference * math.log(ratio))


def read_effect(
    subject: str, *, effect: float, lower: float | None, upper: float | None, true: float, hr_correction: bool
) -> RatioEstimate:
    """Check an effect and, if asked, convert it from a hazard to a risk ratio."""
    return read_ratio(
        subject,
        effect=effect,
        lower=lower,
        upper=upper,
        outcome="common" if hr_correction else "rare",
        true=true,
    )


def unit_of(hr_correction: bool) -> str:
    """Name the scale of an adjusted ratio."""
    return "risk ratio" if hr_correction else "ratio as given"


def _direction(factor: float) -> str:
    if factor == 1:
        return "none: a confounder as frequent in both arms, or without effect, moves nothing"
    looks, adjusting = ("lower", "raises") if factor < 1 else ("higher", "lowers")
    return f"the confounder makes the ratio look {looks} than it is; adjusting for it {adjusting} the ratio"


def adjust_for_confounder(
    *,
    effect: float,
    lower: float | None = None,
    upper: float | None = None,
    confounder_hazard_ratio: float,
    confounder_hazard_ratio_control: float | None = None,
    prevalence_treated: float | None = None,
    prevalence_control: float | None = None,
    mean_difference: float | None = None,
    confounders: float = 1,
    hr_correction: bool = False,
) -> SensitivityResult:
    """Return the effect after adjustment for a confounder whose frequency and strength are assumed.

    Parameters
    ----------
    effect, lower, upper : float
        Observed ratio, treated over control, and its interval.
    confounder_hazard_ratio : float
        Of the outcome, present over absent; per unit for a normal confounder.
    confounder_hazard_ratio_control : float, optional
        The same among controls, where it differs.
    prevalence_treated, prevalence_control : float
        For a binary confounder: how frequent it is in each arm, 0 to 1.
    mean_difference : float
        For a normal confounder instead: treated minus control, in the unit of the hazard ratio.
    confounders : float
        How many independent such confounders act together.
    hr_correction : bool
        Put hazard ratios of a common outcome, the confounder's too, on the risk-ratio scale first.

    Returns
    -------
    SensitivityResult
        ``value``, ``lower`` and ``upper`` are the adjusted ratio and its interval.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    Lin, Psaty & Kronmal 1998, 10.2307/2533848.

    Examples
    --------
    >>> result = adjust_for_confounder(
    ...     effect=0.7, confounder_hazard_ratio=2, prevalence_treated=0.25, prevalence_control=0.6
    ... )
    >>> round(result.value, 3)
    0.896
    """
    subject = "adjustment for a confounder"
    check = Checker(subject)
    strengths = [("confounder_hazard_ratio", confounder_hazard_ratio)]
    if confounder_hazard_ratio_control is not None:
        strengths.append(("confounder_hazard_ratio_control", confounder_hazard_ratio_control))
    for name, value in strengths:
        check.number(name, value, above=0)
    check.number("confounders", confounders, above=0)
    _check_kind(check, prevalence_treated, prevalence_control, mean_difference, confounder_hazard_ratio_control)
    check.number("effect", effect, above=0)
    check.raise_if_any()
    ratio = read_effect(subject, effect=effect, lower=lower, upper=upper, true=1.0, hr_correction=hr_correction)
    strength = [risk_ratio_of_hazard_ratio(each) if hr_correction else each for _, each in strengths]
    if mean_difference is not None:
        factor = normal_factor(mean_difference, strength[0])
    elif prevalence_treated is not None and prevalence_control is not None:
        factor = binary_factor(prevalence_treated, prevalence_control, strength[0], strength[-1])
    factor **= confounders
    return SensitivityResult(
        method="confounder array",
        parameters={
            "effect": effect,
            "effect_lower": lower,
            "effect_upper": upper,
            "confounder_hazard_ratio": confounder_hazard_ratio,
            "confounder_hazard_ratio_control": confounder_hazard_ratio_control,
            "prevalence_treated": prevalence_treated,
            "prevalence_control": prevalence_control,
            "mean_difference": mean_difference,
            "confounders": confounders,
            "hr_correction": hr_correction,
        },
        value=ratio.value / factor,
        lower=None if ratio.lower is None else ratio.lower / factor,
        upper=None if ratio.upper is None else ratio.upper / factor,
        unit=unit_of(hr_correction),
        direction=_direction(factor),
        assumptions=(*ASSUMPTIONS, CORRECTED if hr_correction else AS_GIVEN),
    )


def _check_kind(
    check: Checker,
    prevalence_treated: float | None,
    prevalence_control: float | None,
    mean_difference: float | None,
    confounder_hazard_ratio_control: float | None,
) -> None:
    """Add problems unless exactly one kind of confounder, binary or normal, is described in full."""
    prevalences = {"prevalence_treated": prevalence_treated, "prevalence_control": prevalence_control}
    given = {name: value for name, value in prevalences.items() if value is not None}
    for name, value in given.items():
        check.number(name, value, at_least=0, at_most=1)
    if mean_difference is not None:
        check.number("mean_difference", mean_difference)
        if given:
            check.refuse(
                "mean_difference",
                f"found it beside {', '.join(given)}",
                todo="Give the prevalences of a binary confounder or the mean difference of a normal one.",
            )
        if confounder_hazard_ratio_control is not None:
            check.refuse(
                "confounder_hazard_ratio_control",
                "found it beside mean_difference",
                expected="one hazard ratio for a normal confounder",
            )
    elif len(given) < len(prevalences):
        absent = ", ".join(name for name in prevalences if name not in given)
        check.refuse(absent, "not given", expected="both prevalences, or mean_difference")


def confounder_array(
    *,
    effect: float,
    lower: float | None = None,
    upper: float | None = None,
    prevalence_treated: Sequence[float] = PREVALENCES,
    prevalence_control: Sequence[float] = PREVALENCES,
    confounder_hazard_ratio: Sequence[float] = (1.25, 1.5, 2.0, 3.0),
    hr_correction: bool = False,
) -> SensitivityResult:
    """Return the adjusted effect for every combination of prevalences and strength of a binary confounder.

    Parameters
    ----------
    effect, lower, upper : float
        Observed ratio, treated over control, and its interval.
    prevalence_treated, prevalence_control : sequence of float
        Frequencies of the confounder in each arm, 0 to 1.
    confounder_hazard_ratio : sequence of float
        Hazard ratios of the outcome, present over absent.
    hr_correction : bool
        As for :func:`adjust_for_confounder`.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a combination with the adjusted ``value``, ``lower`` and ``upper``;
        ``value_crosses_one`` and ``interval_covers_one`` mark where the conclusion changes.
        ``lower`` and ``upper`` of the result are the extremes of the adjusted estimate.

    Raises
    ------
    UsageError
        Naming every number that cannot be.

    Notes
    -----
    Lin, Psaty & Kronmal 1998, 10.2307/2533848.
    """
    subject = "an array of confounders"
    check = Checker(subject)
    check.numbers("prevalence_treated", prevalence_treated, at_least=0, at_most=1)
    check.numbers("prevalence_control", prevalence_control, at_least=0, at_most=1)
    check.numbers("confounder_hazard_ratio", confounder_hazard_ratio, above=0)
    check.number("effect", effect, above=0)
    check.raise_if_any()
    ratio = read_effect(subject, effect=effect, lower=lower, upper=upper, true=1.0, hr_correction=hr_correction)
    table = tuple(
        _cell(ratio, treated, control, strength, hr_correction)
        for strength in confounder_hazard_ratio
        for treated in prevalence_treated
        for control in prevalence_control
    )
    adjusted = [row["value"] for row in table]
    return SensitivityResult(
        method="confounder array",
        parameters={
            "effect": effect,
            "effect_lower": lower,
            "effect_upper": upper,
            "hr_correction": hr_correction,
            "range": "value is the estimate without one, lower and upper are those of the estimates in the table",
        },
        value=ratio.value,
        lower=min(adjusted),
        upper=max(adjusted),
        unit=unit_of(hr_correction),
        direction="either way: towards one where the confounder favours the arm that looks better",
        assumptions=(*ASSUMPTIONS, CORRECTED if hr_correction else AS_GIVEN),
        table=table,
    )


def _cell(ratio: RatioEstimate, treated: float, control: float, strength: float, hr_correction: bool) -> dict[str, Any]:
    converted = risk_ratio_of_hazard_ratio(strength) if hr_correction else strength
    factor = binary_factor(treated, control, converted, converted)
    value = ratio.value / factor
    lower = None if ratio.lower is None else ratio.lower / factor
    upper = None if ratio.upper is None else ratio.upper / factor
    return {
        "prevalence_treated": treated,
        "prevalence_control": control,
        "confounder_hazard_ratio": strength,
        "value": value,
        "lower": lower,
        "upper": upper,
        "value_crosses_one": (value - 1) * (ratio.value - 1) <= 0,
        "interval_covers_one": None if lower is None or upper is None else lower <= 1 <= upper,
    }
