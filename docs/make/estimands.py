"""One cohort, five populations: whom each is about, and what each finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causal_s4 import Weights, check_balance, estimate_effects, weigh
from causal_s4.protocol.methods import stabilised
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.report.numbers import style
from causal_s4.results import EffectEstimate
from docs.make import rotterdam
from docs.make.markdown import table, unbroken, write

FIVE_YEARS = 5 * 365.25
NUMBERS = style("jama")


def write_estimands(folder: Path) -> None:
    """Write the populations, and their answers on the Rotterdam cohort."""
    rows = [naive_row(), *(population_row(each) for each in Estimand)]
    headings = [
        "Population",
        "Mean age",
        "With positive nodes",
        "Effective treated / control",
        "Largest SMD left",
        "Hazard ratio (95% CI)",
        "Months free of recurrence, of 60: difference (95% CI)",
    ]
    write(folder / "answers.md", table(headings, rows))
    write(folder / "who.md", table(["Name", "The effect in"], [(each.value, each.describes) for each in Estimand]))


def naive_row() -> list[str]:
    """Return the arms as they are."""
    cohort = rotterdam.cohort()
    balance = check_balance(cohort)
    assert balance.worst is not None
    found = estimate_effects(cohort, horizons=[FIVE_YEARS])
    return [
        "none: the arms as they are",
        *who(np.ones(len(cohort))),
        f"{balance.ess_treated:.0f} / {balance.ess_control:.0f}",
        smd(balance.worst.smd_before),
        ratio(found.one(measure="hazard ratio")),
        months(found.one(measure="rmst difference")),
    ]


def population_row(population: Estimand) -> list[str]:
    """Return one population's patients and answers."""
    cohort = rotterdam.cohort()
    stabilise = stabilised(population, None)  # as a study without a wish has it
    weights = weigh(cohort, population=population.value, stabilise=stabilise, **rotterdam.model())
    balance = check_balance(cohort, weights)
    found = estimate_effects(cohort, weights, horizons=[FIVE_YEARS]).where(analysis="weighted")
    assert balance.worst is not None
    return [
        population.value,
        *who(target(weights, population)),
        f"{balance.ess_treated:.0f} / {balance.ess_control:.0f}",
        smd(balance.worst.smd_after),
        ratio(found.one(measure="hazard ratio")),
        months(found.one(measure="rmst difference")),
    ]


def target(weights: Weights, population: Estimand) -> np.ndarray:
    """Return how much each patient counts in a population, by the tilting function of the propensity score."""
    assert weights.propensity is not None
    e = weights.propensity
    by_population = {
        Estimand.ATE: np.ones_like(e),
        Estimand.ATT: e,
        Estimand.ATC: 1 - e,
        Estimand.ATO: e * (1 - e),
        Estimand.ATM: np.minimum(e, 1 - e),
    }
    return by_population[population]


def who(share: np.ndarray) -> tuple[str, str]:
    """Return the mean age and the share with positive nodes of a population."""
    covariates = rotterdam.cohort().covariates
    age = float(np.average(covariates["age"], weights=share))
    positive = float(np.average(covariates["nodes"].to_numpy() > 0, weights=share))
    return f"{age:.0f}", f"{100 * positive:.0f}%"


def smd(value: float | None) -> str:
    """Return a standardised mean difference."""
    return NUMBERS.number(value, 2, signed=True)


def ratio(estimate: EffectEstimate) -> str:
    """Return a ratio with its interval."""
    return unbroken(f"{NUMBERS.ratio(estimate.value)} ({NUMBERS.ratio_interval(estimate.lower, estimate.upper)})")


def months(estimate: EffectEstimate) -> str:
    """Return a difference of days as months, with its interval."""
    value, lower, upper = (
        None if each is None else each / 30.4375 for each in (estimate.value, estimate.lower, estimate.upper)
    )
    limits = NUMBERS.interval(NUMBERS.number(lower, 1), NUMBERS.number(upper, 1))
    return unbroken(f"{NUMBERS.number(value, 1, signed=True)} ({limits})")
