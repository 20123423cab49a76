"""The results section that a study supports; what it does not support is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.report import prose
from causal_s4.report.draft import Passage, Said, say
from causal_s4.report.reading import Reading, clean, join, mid, plural
from causal_s4.results import EffectEstimate, SensitivityResult


def _patients(reading: Reading) -> Said:
    cohort, steps = reading.result.cohort, reading.result.cohort.attrition
    arms = (
        f"{reading.people(cohort.treated)} with {reading.arm_words(Arm.TREATED)} and "
        f"{reading.people(cohort.control)} with {reading.arm_words(Arm.CONTROL)}"
    )
    if steps and steps[0].n != cohort.n:
        yield say(f"Of {reading.people(steps[0].n)} patients, {reading.people(cohort.n)} were analysed: {arms}.")
    else:
        yield say(f"The analysis rests on {reading.people(cohort.n)} patients: {arms}.")
    left = [f"{mid(clean(step.step))} ({reading.people(step.excluded)} excluded)" for step in steps if step.excluded]
    if left:
        yield say(f"Steps of selection: {'; '.join(left)}.")
    for outcome in reading.outcomes:
        median = cohort.follow_up.get(outcome)
        followed = f"; median follow-up was {reading.about(median)}" if median is not None else ""
        if cohort.events.get(outcome):
            yield say(f"{clean(outcome)}: {reading.events(outcome)} patients had the event{followed}.")


def _balance_reached(reading: Reading) -> Said:
    result, write = reading.result, reading.numbers
    note = prose.balance_note(reading)
    if note:
        yield say(note)
    if result.weights is not None and result.adjustment.verdict != "none needed":
        summary = result.weights
        yield say(
            f"After weighting to the {reading.population(summary.population)} the arms were worth "
            f"{write.number(summary.ess_treated, 0)} and {write.number(summary.ess_control, 0)} patients."
        )
        if summary.c_statistic is not None and summary.c_statistic_weighted is not None:
            yield say(
                f"The c-statistic of the propensity score was {write.number(summary.c_statistic, 2)} before and "
                f"{write.number(summary.c_statistic_weighted, 2)} after weighting (0.5: no difference left)."
            )
    if result.positivity is not None:
        yield from (say(each) for each in prose.bullets(result.positivity.sentences))


def outcomes_told(reading: Reading) -> tuple[Passage, ...]:
    """Return one passage an outcome."""
    made = [
        Passage(heading=clean(outcome), sentences=tuple(_effects(reading, outcome)))
        for outcome in reading.outcomes
        if any(each.outcome == outcome for each in reading.result.effects)
    ]
    return tuple(passage for passage in made if passage.sentences)


def _effects(reading: Reading, outcome: str) -> Said:
    pairs = list(dict.fromkeys((reading.naive, reading.front)))
    for pair in pairs:
        side = reading.side(pair, outcome)
        adjusted = pair != reading.naive
        opening = f"Under the stated assumptions, among {side.population}" if adjusted else "Without adjustment"
        said = prose.absolute(reading, outcome, side, opening)
        if said and _made(side.survival_treated, side.survival_control, side.survival_difference):
            yield say(said)
        if side.rmst_difference and _made(side.rmst_treated, side.rmst_control, side.rmst_difference):
            unit = reading.unit(side.rmst_difference)
            yield say(
                f"Mean survival time over {reading.horizon(side.rmst_difference)} was {reading.value(side.rmst_treated)} "
                f"and {reading.value(side.rmst_control)} {unit}, a difference of "
                f"{reading.with_interval(side.rmst_difference, unit=True)}."
            )
        if side.hazard_ratio and _made(side.hazard_ratio):
            tested = (
                "" if side.test is None else f"; test of no difference, {reading.numbers.p_value(side.test.p_value)}"
            )
            how = prose.how(pair) if adjusted else "unadjusted"
            yield say(f"The hazard ratio {how} was {reading.with_interval(side.hazard_ratio)}{tested}.")
    yield from _beside(reading, outcome, pairs)


def _made(*estimates: EffectEstimate | None) -> bool:
    """Tell whether every estimate has a value; a sentence with a hole in it is left out."""
    return all(each is not None and each.value is not None for each in estimates)


def _beside(reading: Reading, outcome: str, pairs: list[tuple[str, str]]) -> Said:
    """Say what the other analyses gave, and what was published."""
    others = [
        f"{reading.with_interval(each)} ({mid(reading.analysis(pair))})"
        for pair in reading.analyses(outcome)
        if pair not in pairs and (each := reading.find(pair, outcome, Measure.HAZARD_RATIO)) and each.value is not None
    ]
    if others:
        yield say(f"Other hazard ratios were {join(others)}.")
    for check in reading.result.hazards:
        if (check.analysis, check.population) == reading.front and check.outcome == outcome:
            yield say(
                f"The log hazard ratio changed by {reading.numbers.number(check.slope, 2, signed=True)} per unit of log "
                f"time ({reading.numbers.p_value(check.p_value)}); hazard ratios by period are in the tables."
            )
    published = [
        f"{clean(each.name)} {reading.numbers.hazard_ratio(each.value, each.lower, each.upper, each.level)}"
        for each in reading.result.benchmarks
        if each.outcome == outcome and each.measure == Measure.HAZARD_RATIO
    ]
    if published:
        yield say(f"Published hazard {plural(len(published), 'ratio')}: {'; '.join(published)}.")


def _sensitivity_results(reading: Reading) -> Said:
    said = (
        _DOUBT_SENTENCES[each.method](reading, each)
        for each in reading.result.sensitivity
        if each.method in _DOUBT_SENTENCES
    )
    yield from (say(text) for text in dict.fromkeys(said) if text)


def _e_value(reading: Reading, result: SensitivityResult) -> str:
    """Say the E-value that the study prefers, or where it names none, that of the hazard ratio."""
    measure = clean(str(result.target.get("measure") or Measure.HAZARD_RATIO))
    if not result.parameters.get("preferred", measure == Measure.HAZARD_RATIO):
        return ""
    said, horizon = prose.sensitivity_sentence(reading, result), result.target.get("horizon")
    at = f" at {reading.duration(float(horizon))}" if horizon is not None else ""
    return f"For the {measure}{at}: {mid(said)}" if said else ""


def _left_out(reading: Reading, result: SensitivityResult) -> str:
    said = result.parameters.get("sentence")
    return clean(said) if isinstance(said, str) else ""


def _specifications(reading: Reading, result: SensitivityResult) -> str:
    write, admissible = reading.numbers, result.parameters.get("admissible")
    if result.value is None or result.lower is None or result.upper is None or not admissible:
        return ""
    return (
        f"Over {write.count(int(admissible))} admissible {plural(int(admissible), 'specification')} the {clean(result.unit)} "
        f"ranged from {write.ratio(result.lower)} to {write.ratio(result.upper)}, with a median of {write.ratio(result.value)}."
    )


def _benchmark(reading: Reading, result: SensitivityResult) -> str:
    name = result.parameters.get("benchmark")
    if result.value is None or not name:
        return ""
    return (
        f"The adjusted estimate lay {reading.numbers.number(abs(result.value), 2)} standard errors of their difference "
        f"from that of {clean(str(name))}."
    )


_DOUBT_SENTENCES: Mapping[str, Callable[[Reading, SensitivityResult], str]] = {
    "e-value": _e_value,
    "leave one out": _left_out,
    "specification curve": _specifications,
    "rct benchmark": _benchmark,
}


def _cautions(reading: Reading) -> Said:
    for severity, group in prose.findings(reading):
        if severity != "note":
            yield from (say(text) for text in dict.fromkeys(prose.bullets(each.message for each in group)))


RESULTS: tuple[tuple[str, Callable[[Reading], Said]], ...] = (
    ("Patients", _patients),
    ("Balance and overlap", _balance_reached),
    ("Sensitivity analyses", _sensitivity_results),
    ("Findings that a reader has to know", _cautions),
)
