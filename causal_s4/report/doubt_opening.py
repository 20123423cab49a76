"""What would have to be true for the effect to vanish, in one paragraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from causal_s4.protocol.vocabulary import Estimand, Measure
from causal_s4.report.reading import Reading, clean, mid, plural
from causal_s4.results import SensitivityResult

ODDS_TIPPING, ODDS_BENCHMARK = "tipping point of the odds", "benchmarks of the odds"
"""What two kinds of analyses are told apart by that share their names with others."""
_IN_WORDS = {
    "who each population is": "covariates by population",
    "rmst difference": "difference in restricted mean survival",
    "rmst ratio": "ratio of restricted mean survival",
    "risk ratio": "risk ratio of the event",
    "restricted mean time lost ratio": "ratio of restricted mean time lost",
}


def opening(reading: Reading) -> list[str]:
    """Return the paragraph that opens the section: what would have to be true for the effect to vanish."""
    said = (
        sentence
        for part in (_explained_away, _measured, _left_out, _odds, _choices, _trials)
        for sentence in part(reading)
    )
    return [clean(each) for each in said]


def _of(reading: Reading, method: str) -> list[SensitivityResult]:
    return [each for each in reading.result.sensitivity if each.method == method]


def kind_of(result: SensitivityResult) -> str:
    """Return the method of an analysis, told apart by what it solves for where two share a name."""
    if result.method == "tipping point" and result.parameters.get("solved_for") == "lambda":
        return ODDS_TIPPING
    if result.method == "leave one out" and result.unit == "odds factor":
        return ODDS_BENCHMARK
    return result.method


def preferred_e_value(reading: Reading) -> SensitivityResult | None:
    """Return the E-value that needs no conversion, else the first; None without one."""
    found = _of(reading, "e-value")
    return next((each for each in found if each.parameters.get("preferred")), found[0] if found else None)


def _explained_away(reading: Reading) -> Iterator[str]:
    result, write = preferred_e_value(reading), reading.numbers
    if result is None or result.value is None:
        return
    estimate = result.parameters.get("estimate")
    if isinstance(estimate, float):
        lower, upper = result.parameters.get("estimate_lower"), result.parameters.get("estimate_upper")
        limits = (
            f" ({reading.numbers.level(reading.result.protocol.inference.level)} {write.interval(write.ratio(lower), write.ratio(upper))})"
            if isinstance(lower, float) and isinstance(upper, float)
            else ""
        )
        yield f"The estimate put in doubt is the {about(reading, result)}: {write.ratio(estimate)}{limits}."
    strength = (
        f"For nothing of it to be left, a confounder would have to be tied to both treatment and outcome by a risk ratio "
        f"of {write.ratio(result.value)}, beyond what was measured"
    )
    if result.bound is not None and result.bound > 1:
        yield f"{strength}; for its interval to include no effect, by {write.ratio(result.bound)}."
    elif result.bound is not None:
        yield f"{strength}. Its interval includes no effect as it is, without any."
    else:
        yield f"{strength}."


def _measured(reading: Reading) -> Iterator[str]:
    marks = measured(reading)
    needed = next(
        (each.value for each in _of(reading, "bias factor") if each.target.get("benchmark") is None and each.value),
        None,
    )
    if not marks or needed is None:
        return
    write = reading.numbers
    first = max(marks, key=lambda row: float(row["bias_factor"]))
    yield (
        f"Of the measured covariates, {mid(clean(reading.covariate(str(first['covariate']))))} comes nearest: "
        f"{write.ratio(float(first['rr_eu']))} with treatment and {write.ratio(float(first['rr_ud']))} with the outcome, which "
        f"together could move a risk ratio by a factor of {write.ratio(float(first['bias_factor']))}, where "
        f"{write.ratio(needed)} is needed."
    )


def measured(reading: Reading) -> Sequence[Mapping[str, Any]]:
    """Return the measured covariates with their two risk ratios; empty without them."""
    return next((each.table for each in _of(reading, "bias factor") if each.target.get("benchmark") is not None), ())


def _left_out(reading: Reading) -> Iterator[str]:
    for result in _of(reading, "leave one out"):
        if isinstance(result.parameters.get("sentence"), str):
            yield str(result.parameters["sentence"])


def _odds(reading: Reading) -> Iterator[str]:
    write = reading.numbers
    for result in _of(reading, "tipping point"):
        if result.parameters.get("solved_for") != "lambda" or result.value is None or result.value <= 1:
            continue
        said = (
            f"The {' '.join(filter(None, (measure_of(result), _elsewhere(reading, result))))} could be zero once the odds of "
            f"treatment of like patients differ by a factor of "
            f"{write.ratio(result.value)}"
        )
        strongest = strongest_odds(reading)
        yield f"{said}; {strongest}." if strongest else f"{said}."
        return


def strongest_odds(reading: Reading) -> str:
    """Say the measured covariate that moves the odds of treatment most; empty without benchmarks."""
    rows = next((each.table for each in _of(reading, "leave one out") if each.unit == "odds factor" and each.table), ())
    if not rows:
        return ""
    row = max(rows, key=lambda each: float(each["lambda"]))
    name = mid(clean(reading.covariate(str(row["covariate"]))))
    return f"leaving {name} out moves them by up to {reading.numbers.ratio(float(row['lambda']))}"


def _choices(reading: Reading) -> Iterator[str]:
    for result in _of(reading, "specification curve"):
        counts, write = result.parameters, reading.numbers
        if not counts.get("admissible") or result.value is None or result.lower is None or result.upper is None:
            continue
        admissible, excluding = int(counts["admissible"]), int(counts["excluding_one"])
        yield (
            f"Of {write.count(admissible)} admissible {plural(admissible, 'way')} to analyse these patients, "
            f"{write.count(excluding)} ({write.proportion(excluding / admissible, admissible)}) have an interval that excludes no effect; the "
            f"{clean(result.unit)} lies between {write.ratio(result.lower)} and {write.ratio(result.upper)}, with a median of "
            f"{write.ratio(result.value)}."
        )


def _trials(reading: Reading) -> Iterator[str]:
    randomised = [each for each in _of(reading, "rct benchmark") if "random" in str(each.parameters.get("design"))]
    if not randomised:
        return
    apart = sum(each.value is not None and abs(each.value) >= _CHANCE for each in randomised)
    count = reading.numbers.count
    yield (
        f"It lies {reading.numbers.number(_CHANCE, 2)} standard errors or more from {count(apart) if apart else 'none'} of "
        f"{count(len(randomised))} published randomised {plural(len(randomised), 'estimate')}."
    )


_CHANCE = 1.96


def measure_of(result: SensitivityResult) -> str:
    """Return what an analysis is about, in words."""
    name = clean(str(result.target.get("measure") or result.unit or "estimate"))
    return _IN_WORDS.get(name, name)


def about(reading: Reading, result: SensitivityResult) -> str:
    """Say which estimate an analysis is about: measure, outcome, horizon."""
    measure = measure_of(result)
    outcome = "" if measure in _WITHOUT_OUTCOME else clean(str(result.target.get("outcome") or ""))
    at = result.target.get("horizon")
    said = [measure, f"for {mid(outcome)}" if outcome else "", _elsewhere(reading, result)]
    said.append(f"at {reading.duration(float(at))}" if at is not None and measure != Measure.HAZARD_RATIO else "")
    return " ".join(filter(None, said))


_WITHOUT_OUTCOME = ("odds of treatment", "covariates by population")


def _elsewhere(reading: Reading, result: SensitivityResult) -> str:
    """Return whom an analysis is about where that is not whom the study is about."""
    own, population = reading.result.protocol.estimand, result.target.get("population")
    if own is None or population == own.population or population not in list(Estimand):
        return ""
    return f"in the {reading.population(str(population))}"
