"""What would a confounder have to be for the effect to vanish? Tipping points in frequency and strength."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from causal_s4.results import Finding, SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.confounder import (
    AS_GIVEN,
    ASSUMPTIONS,
    CORRECTED,
    PREVALENCES,
    binary_factor,
    normal_factor,
    read_effect,
    unit_of,
)
from causal_s4.sensitivity.scales import RatioEstimate, hazard_ratio_of_risk_ratio, risk_ratio_of_hazard_ratio

_KINDS: Mapping[str, tuple[str, ...]] = {
    "binary": ("effect", "prevalence_treated", "prevalence_control", "confounder_hazard_ratio"),
    "normal": ("effect", "mean_difference", "confounder_hazard_ratio"),
}
_LIMITS: Mapping[str, dict[str, float]] = {
    "effect": {"above": 0},
    "prevalence_treated": {"at_least": 0, "at_most": 1},
    "prevalence_control": {"at_least": 0, "at_most": 1},
    "mean_difference": {},
    "confounder_hazard_ratio": {"above": 0},
    "confounders": {"above": 0},
}
_RATIOS = ("effect", "confounder_hazard_ratio")


def tipping_point(
    *,
    effect: float | None = None,
    prevalence_treated: float | None = None,
    prevalence_control: float | None = None,
    confounder_hazard_ratio: float | None = None,
    mean_difference: float | None = None,
    confounders: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    confounder: str = "binary",
    true: float = 1.0,
    hr_correction: bool = False,
) -> SensitivityResult:
    """Return the one thing left out: what a confounder needs to turn ``true`` into the observed effect.

    Parameters
    ----------
    effect : float, optional
        Observed ratio, treated over control.
    prevalence_treated, prevalence_control : float, optional
        How frequent a binary confounder is in each arm, 0 to 1.
    confounder_hazard_ratio : float, optional
        Of the outcome, present over absent; per unit for a normal confounder.
    mean_difference : float, optional
        For a normal confounder: treated minus control.
    confounders : float, optional
        How many independent such confounders act together; one unless given. Left out with
        everything else given, it is solved for.
    lower, upper : float, optional
        Interval of the effect: the answer for the limit nearer to ``true`` is ``bound``.
    confounder : {"binary", "normal"}
        Which kind, and so which of the above belong.
    true : float
        The effect that adjustment would bring out.
    hr_correction : bool
        Put hazard ratios of a common outcome on the risk-ratio scale first, the confounder's too; a
        hazard ratio that is solved for is then a risk ratio, and ``table`` has it as both.

    Returns
    -------
    SensitivityResult
        ``value`` is None, with a finding, when no such confounder can do it.

    Raises
    ------
    UsageError
        When more than one is left out, or none, or a number cannot be.

    Notes
    -----
    Lin, Psaty & Kronmal 1998, 10.2307/2533848, solved for each of its terms.

    Examples
    --------
    >>> round(tipping_point(effect=0.7, prevalence_treated=0.25, prevalence_control=0.6).value, 3)
    2.765
    """
    subject = "a tipping point"
    named = {
        "effect": effect,
        "prevalence_treated": prevalence_treated,
        "prevalence_control": prevalence_control,
        "mean_difference": mean_difference,
        "confounder_hazard_ratio": confounder_hazard_ratio,
        "confounders": confounders,
    }
    check = Checker(subject)
    solve_for = _what_to_solve(check, confounder, named)
    for name, value in named.items():
        if value is not None:
            check.number(name, value, **_LIMITS[name])
    check.number("true", true, above=0)
    if solve_for == "effect" and (lower is not None or upper is not None):
        check.refuse("lower, upper", "given while the effect is solved for", todo="Leave them out.")
    check.raise_if_any()
    known = {name: value for name, value in named.items() if value is not None}
    if solve_for != "confounders":
        known.setdefault("confounders", 1.0)
    if hr_correction and "confounder_hazard_ratio" in known:
        known["confounder_hazard_ratio"] = risk_ratio_of_hazard_ratio(known["confounder_hazard_ratio"])
    # with the effect solved for, true itself is read, only to be put on the scale of the answer
    ratio = read_effect(
        subject,
        effect=true if effect is None else effect,
        lower=lower,
        upper=upper,
        true=true,
        hr_correction=hr_correction,
    )
    if effect is None:
        value, bound = ratio.true * _factor(known) ** known["confounders"], None
    else:
        value, bound = _answers(solve_for, ratio, known)
    return SensitivityResult(
        method="tipping point",
        parameters={
            **named,
            "confounders": named["confounders"] if solve_for == "confounders" else known["confounders"],
            "effect_lower": lower,
            "effect_upper": upper,
            "confounder": confounder,
            "true": true,
            "hr_correction": hr_correction,
            "solved_for": solve_for,
        },
        value=value,
        bound=bound,
        unit=_unit(solve_for, hr_correction),
        direction=ratio.direction if effect is not None else "the effect that such a confounder alone would produce",
        assumptions=(*ASSUMPTIONS, CORRECTED if hr_correction else AS_GIVEN),
        table=_both_scales(value, bound) if hr_correction and solve_for in _RATIOS else (),
        findings=_none_exists(value, solve_for),
    )


def _what_to_solve(check: Checker, confounder: Any, named: Mapping[str, float | None]) -> str:
    """Return the name that was left out; add a problem when it is not exactly one."""
    if not check.choice("confounder", confounder, tuple(_KINDS)):
        return ""
    belonging = _KINDS[confounder]
    for name, value in named.items():
        if value is not None and name not in (*belonging, "confounders"):
            check.refuse(
                name, f"found it with a {confounder} confounder", expected=f"only {', '.join(belonging)}, confounders"
            )
    absent = [name for name in belonging if named[name] is None]
    if len(absent) > 1:
        check.refuse(", ".join(absent), "not given", expected="all but one of them, which is solved for")
    elif not absent and named["confounders"] is not None:
        check.refuse(
            ", ".join((*belonging, "confounders")), "all given, nothing to solve for", todo="Leave one of them out."
        )
    return absent[0] if absent else "confounders"


def _factor(known: Mapping[str, float]) -> float:
    strength = known["confounder_hazard_ratio"]
    if "mean_difference" in known:
        return normal_factor(known["mean_difference"], strength)
    return binary_factor(known["prevalence_treated"], known["prevalence_control"], strength, strength)


def _answers(solve_for: str, ratio: RatioEstimate, known: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Return what is solved for, for the estimate and for the limit of its interval."""
    value = _solve(solve_for, ratio.value / ratio.true, known)
    if not ratio.has_interval or ratio.limit is None:
        return value, None
    if ratio.bias_needed_for_interval == 1:
        return value, _without_bias(solve_for, known)
    return value, _solve(solve_for, ratio.limit / ratio.true, known)


def _solve(solve_for: str, bias: float, known: Mapping[str, float]) -> float | None:
    """Return the number at which the confounder biases a ratio by ``bias``; None when there is none."""
    if bias == 1:
        return _without_bias(solve_for, known)
    if solve_for == "confounders":
        factor = _factor(known)
        return _inside("confounders", math.log(bias), math.log(factor))
    each = bias ** (1 / known["confounders"])
    treated, control = known.get("prevalence_treated"), known.get("prevalence_control")
    strength = known.get("confounder_hazard_ratio")
    if "mean_difference" in known:
        difference = known["mean_difference"]
        return None if difference == 0 else _finite(math.log(each) / difference)
    if solve_for == "mean_difference" and strength is not None:
        return _inside("mean_difference", math.log(each), math.log(strength))
    if solve_for == "prevalence_treated" and strength is not None and control is not None:
        return _inside(solve_for, each * (strength * control + 1 - control) - 1, strength - 1)
    if solve_for == "prevalence_control" and strength is not None and treated is not None:
        return _inside(solve_for, (strength * treated + 1 - treated) / each - 1, strength - 1)
    if treated is not None and control is not None:
        return _inside("confounder_hazard_ratio", 1 - treated - each * (1 - control), each * control - treated)
    raise AssertionError(f"{solve_for} has no formula")


def _finite(log_ratio: float) -> float | None:
    return math.exp(log_ratio) if abs(log_ratio) < math.log(1e300) else None


def _inside(name: str, numerator: float, denominator: float) -> float | None:
    """Return a quotient, or None when it does not exist or lies outside what ``name`` can be."""
    if denominator == 0:
        return None
    answer = numerator / denominator
    limits = _LIMITS[name]
    fits = limits.get("above", -math.inf) < answer and limits.get("at_least", -math.inf) <= answer
    return answer if fits and answer <= limits.get("at_most", math.inf) else None


def _without_bias(solve_for: str, known: Mapping[str, float]) -> float:
    """Return the value at which the confounder does nothing."""
    nothing = {
        "confounder_hazard_ratio": 1.0,
        "prevalence_treated": known.get("prevalence_control", 0.0),
        "prevalence_control": known.get("prevalence_treated", 0.0),
    }
    return nothing.get(solve_for, 0.0)


def _unit(solve_for: str, hr_correction: bool) -> str:
    if solve_for in _RATIOS:
        return "risk ratio" if hr_correction else "hazard ratio" if solve_for != "effect" else unit_of(False)
    return {"mean_difference": "unit of the confounder", "confounders": "confounders"}.get(solve_for, "prevalence")


def _both_scales(value: float | None, bound: float | None) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"for": name, "risk_ratio": answer, "hazard_ratio": hazard_ratio_of_risk_ratio(answer)}
        for name, answer in (("estimate", value), ("interval limit", bound))
        if answer is not None
    )


def _none_exists(value: float | None, solve_for: str) -> tuple[Finding, ...]:
    if value is not None:
        return ()
    return (
        Finding(
            code="no-such-confounder",
            severity="note",
            step="sensitivity",
            message=(
                f"No {solve_for.replace('_', ' ')} turns the assumed truth into the observed effect with the other "
                "values given: a confounder of this description cannot do it, or would act the other way."
            ),
        ),
    )


def tipping_grid(
    *,
    effect: float,
    lower: float | None = None,
    upper: float | None = None,
    prevalence_treated: Sequence[float] = PREVALENCES,
    prevalence_control: Sequence[float] = PREVALENCES,
    true: float = 1.0,
    hr_correction: bool = False,
) -> SensitivityResult:
    """Return, for every pair of prevalences, the hazard ratio a binary confounder needs to explain the effect.

    Parameters
    ----------
    effect, lower, upper, true, hr_correction
        As for :func:`tipping_point`.
    prevalence_treated, prevalence_control : sequence of float
        Frequencies of the confounder in each arm, 0 to 1.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a pair with the strength for the ``estimate`` and for the
        ``interval_limit``; None where no strength suffices.

    Raises
    ------
    UsageError
        Naming every number that cannot be.
    """
    subject = "a grid of tipping points"
    check = Checker(subject)
    check.numbers("prevalence_treated", prevalence_treated, at_least=0, at_most=1)
    check.numbers("prevalence_control", prevalence_control, at_least=0, at_most=1)
    check.number("effect", effect, above=0)
    check.raise_if_any()
    ratio = read_effect(subject, effect=effect, lower=lower, upper=upper, true=true, hr_correction=hr_correction)
    table = []
    for treated in prevalence_treated:
        for control in prevalence_control:
            pair = {"prevalence_treated": treated, "prevalence_control": control}
            found = _answers("confounder_hazard_ratio", ratio, {**pair, "confounders": 1.0})
            value, bound = (hazard_ratio_of_risk_ratio(each) if hr_correction and each else each for each in found)
            table.append({**pair, "estimate": value, "interval_limit": bound})
    return SensitivityResult(
        method="tipping point",
        parameters={
            "effect": effect,
            "effect_lower": lower,
            "effect_upper": upper,
            "true": true,
            "hr_correction": hr_correction,
            "solved_for": "confounder_hazard_ratio",
        },
        unit="hazard ratio",
        direction=ratio.direction,
        assumptions=(*ASSUMPTIONS, CORRECTED if hr_correction else AS_GIVEN),
        table=tuple(table),
    )
