"""Where would the effect lie, not knowing exactly what the confounder is like? Probabilistic bias analysis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from causal_s4.results import Floats, SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.confounder import AS_GIVEN, ASSUMPTIONS, CORRECTED, unit_of
from causal_s4.sensitivity.scales import risk_ratios_of_hazard_ratios


@dataclass(frozen=True, kw_only=True)
class PrevalencePrior:
    """What is believed of a prevalence: a beta distribution.

    Parameters
    ----------
    mean : float
        Expected prevalence, between 0 and 1.
    patients : float
        How much is known: as if that prevalence had been counted in so many patients.
    """

    mean: float
    patients: float

    def draw(self, generator: np.random.Generator, draws: int) -> Floats:
        """Return ``draws`` prevalences."""
        return generator.beta(self.mean * self.patients, (1 - self.mean) * self.patients, draws)


@dataclass(frozen=True, kw_only=True)
class RatioPrior:
    """What is believed of a hazard ratio: a log-normal distribution.

    Parameters
    ----------
    median : float
        As likely too low as too high; above 0.
    lower, upper : float
        Limits held to contain it with 95 % probability. Read on the log scale; only the width
        counts, so that they need not lie evenly about the median.
    """

    median: float
    lower: float
    upper: float

    def draw(self, generator: np.random.Generator, draws: int) -> Floats:
        """Return ``draws`` hazard ratios."""
        spread = math.log(self.upper / self.lower) / (2 * NormalDist().inv_cdf(0.975))
        return np.exp(generator.normal(math.log(self.median), spread, draws))


@dataclass(frozen=True, kw_only=True)
class ConfounderPrior:
    """What is believed of an unmeasured binary confounder, and why.

    Parameters
    ----------
    name : str
        What it is.
    prevalence_treated, prevalence_control : PrevalencePrior
        How frequent it is in each arm, beyond what the measured covariates explain.
    hazard_ratio : RatioPrior
        Of the outcome, present over absent.
    reason : str
        Where the numbers come from.
    """

    name: str
    prevalence_treated: PrevalencePrior
    prevalence_control: PrevalencePrior
    hazard_ratio: RatioPrior
    reason: str


STAGE4_PRIORS: Mapping[str, ConfounderPrior] = {
    "oligometastatic": ConfounderPrior(
        name="limited metastatic disease that the data do not record",
        prevalence_treated=PrevalencePrior(mean=0.60, patients=40),
        prevalence_control=PrevalencePrior(mean=0.30, patients=40),
        hazard_ratio=RatioPrior(median=0.50, lower=0.35, upper=0.71),
        reason=(
            "patients who are operated on have fewer metastatic sites (fewer than three: 90.8 against 78.2 %); bone "
            "and visceral against bone alone has a hazard ratio of 2.07, visceral disease one of 1.67"
        ),
    ),
    "frailty": ConfounderPrior(
        name="frailty that the data do not record",
        prevalence_treated=PrevalencePrior(mean=0.15, patients=40),
        prevalence_control=PrevalencePrior(mean=0.35, patients=40),
        hazard_ratio=RatioPrior(median=1.80, lower=1.30, upper=2.50),
        reason=(
            "performance status is absent from most registries and better among the operated; a poor one (ECOG 2 or "
            "more) has a hazard ratio of 2.0 to 2.5, comorbidity one of 1.3 to 1.45"
        ),
    ),
    "responder": ConfounderPrior(
        name="a good response to systemic therapy that the data do not record",
        prevalence_treated=PrevalencePrior(mean=0.60, patients=40),
        prevalence_control=PrevalencePrior(mean=0.35, patients=40),
        hazard_ratio=RatioPrior(median=0.45, lower=0.31, upper=0.65),
        reason=(
            "surgery is offered to those who do not progress; an objective response has a hazard ratio of 0.60 for "
            "death, a first-line response of a year or longer one of 0.37"
        ),
    ),
}
"""Beliefs about three confounders of surgery in stage IV breast cancer; starting points, not facts."""


def probabilistic_bias_analysis(
    *,
    effect: float,
    std_error: float,
    prior: str | ConfounderPrior | Sequence[str | ConfounderPrior],
    draws: int = 100_000,
    seed: int | np.random.SeedSequence,
    level: float = 0.95,
    hr_correction: bool = False,
) -> SensitivityResult:
    """Return the distribution of the effect adjusted for confounders that are known only roughly.

    Each draw takes the prevalences and the strength of every confounder from their priors, adjusts
    the effect for them, and adds random error.

    Parameters
    ----------
    effect : float
        Observed ratio, treated over control.
    std_error : float
        Standard error of its logarithm.
    prior : str or ConfounderPrior, or a sequence of them
        Names in :data:`STAGE4_PRIORS`, or beliefs of your own. Several act together,
        independently of each other.
    draws : int
        How many.
    seed : int or SeedSequence
        The same seed gives the same numbers.
    level : float
        Of the simulation interval.
    hr_correction : bool
        Put hazard ratios of a common outcome, the confounders' too, on the risk-ratio scale first.

    Returns
    -------
    SensitivityResult
        ``value`` is the median with both errors, ``lower`` and ``upper`` their simulation interval.
        ``table`` holds the same for random error alone, for bias alone and for both, with the share
        of draws on the other side of one.

    Raises
    ------
    UsageError
        Naming every number or name that cannot be.

    Notes
    -----
    Lash, Fox, MacLehose, Maldonado, McCandless & Greenland 2014, 10.1093/ije/dyu149; bias formula of
    Lin, Psaty & Kronmal 1998, 10.2307/2533848.
    """
    check = Checker("a probabilistic bias analysis")
    check.number("effect", effect, above=0)
    check.number("std_error", std_error, above=0)
    check.number("draws", draws, at_least=1000)
    check.number("level", level, above=0, below=1)
    priors = _read_priors(check, prior)
    check.raise_if_any()
    generator = np.random.default_rng(seed)
    log_bias = np.zeros(int(draws))
    for each in priors:
        log_bias += _draw_log_bias(each, generator, int(draws), hr_correction)
    erring = _on_scale(math.log(effect) - generator.normal(0, std_error, int(draws)), hr_correction)
    observed = float(_on_scale(np.array(math.log(effect)), hr_correction))
    sources = {"random error": erring, "bias": observed - log_bias, "bias and random error": erring - log_bias}
    table = tuple(_summary(name, values, level, observed) for name, values in sources.items())
    both = table[-1]
    return SensitivityResult(
        method="probabilistic bias analysis",
        parameters={
            "effect": effect,
            "std_error": std_error,
            "priors": [_described(each) for each in priors],
            "draws": int(draws),
            "level": level,
            "hr_correction": hr_correction,
        },
        value=both["median"],
        lower=both["lower"],
        upper=both["upper"],
        unit=unit_of(hr_correction),
        direction=_direction(float(np.median(log_bias))),
        assumptions=(
            *ASSUMPTIONS,
            "the priors describe what is believed of each confounder; their parameters are drawn independently",
            CORRECTED if hr_correction else AS_GIVEN,
        ),
        table=table,
    )


def _read_priors(check: Checker, prior: Any) -> list[ConfounderPrior]:
    listed = [prior] if isinstance(prior, str | ConfounderPrior) else list(prior)
    if not listed:
        check.refuse("prior", "found none", expected=f"a ConfounderPrior or one of {', '.join(STAGE4_PRIORS)}")
    priors = []
    for each in listed:
        if isinstance(each, ConfounderPrior):
            _check_prior(check, each)
            priors.append(each)
        elif each in STAGE4_PRIORS:
            priors.append(STAGE4_PRIORS[each])
        else:
            check.refuse("prior", f"found {each!r}", expected=f"a ConfounderPrior or one of {', '.join(STAGE4_PRIORS)}")
    return priors


def _check_prior(check: Checker, prior: ConfounderPrior) -> None:
    for arm in ("treated", "control"):
        prevalence = getattr(prior, f"prevalence_{arm}")
        check.number(f"prior.prevalence_{arm}.mean", prevalence.mean, above=0, below=1)
        check.number(f"prior.prevalence_{arm}.patients", prevalence.patients, above=0)
    ratio = prior.hazard_ratio
    if check.number("prior.hazard_ratio.median", ratio.median, above=0):
        check.interval(ratio.lower, ratio.upper, around=ratio.median, above=0)


def _draw_log_bias(prior: ConfounderPrior, generator: np.random.Generator, draws: int, hr_correction: bool) -> Floats:
    treated = prior.prevalence_treated.draw(generator, draws)
    control = prior.prevalence_control.draw(generator, draws)
    strength = prior.hazard_ratio.draw(generator, draws)
    if hr_correction:
        strength = risk_ratios_of_hazard_ratios(strength)
    excess = strength - 1
    return np.log1p(excess * treated) - np.log1p(excess * control)


def _on_scale(log_ratios: Floats, hr_correction: bool) -> Floats:
    return np.log(risk_ratios_of_hazard_ratios(np.exp(log_ratios))) if hr_correction else log_ratios


def _summary(name: str, log_ratios: Floats, level: float, observed: float) -> dict[str, Any]:
    lower, median, upper = np.exp(np.quantile(log_ratios, [(1 - level) / 2, 0.5, (1 + level) / 2]))
    across = log_ratios >= 0 if observed < 0 else log_ratios <= 0
    return {
        "error": name,
        "median": float(median),
        "lower": float(lower),
        "upper": float(upper),
        "share_across_one": float(across.mean()),
    }


def _described(prior: ConfounderPrior) -> dict[str, Any]:
    return {
        "name": prior.name,
        "prevalence_treated": prior.prevalence_treated.mean,
        "prevalence_control": prior.prevalence_control.mean,
        "patients_treated": prior.prevalence_treated.patients,
        "patients_control": prior.prevalence_control.patients,
        "hazard_ratio": prior.hazard_ratio.median,
        "hazard_ratio_lower": prior.hazard_ratio.lower,
        "hazard_ratio_upper": prior.hazard_ratio.upper,
        "reason": prior.reason,
    }


def _direction(log_bias: float) -> str:
    looks, moves = ("lower", "up") if log_bias < 0 else ("higher", "down")
    return (
        f"in the middle of the draws these confounders make the ratio look {looks} than it is; "
        f"adjusting for them moves it {moves}"
    )
