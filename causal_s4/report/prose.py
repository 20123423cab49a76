"""The sentences: the answer, the trial that is emulated, and how it was analysed.

Each sentence is drafted from the protocol and the result; one that they do not support is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Analysis, Arm, Design, Estimand
from causal_s4.report.reading import EFFECT, Reading, Side, capital, clean, join, mid, plural, state
from causal_s4.report.tables import Row, Table, contradicted, variance_words
from causal_s4.results import Finding, SensitivityResult

SEVERITIES = ("serious", "caution", "note")


# --- the answer ---------------------------------------------------------------------------------


def answer(reading: Reading) -> list[str]:
    """Return the answer about the primary outcome in two or three sentences."""
    outcome = reading.outcomes[0]
    naive, front = (reading.side(pair, outcome) for pair in (reading.naive, reading.front))
    sentences = [absolute(reading, outcome, naive, "Without adjustment")]
    if reading.front != reading.naive:
        sentences.append(absolute(reading, outcome, front, f"Under the stated assumptions, among {front.population}"))
        if naive.hazard_ratio and front.hazard_ratio:
            sentences.append(
                f"The hazard ratio was {reading.with_interval(naive.hazard_ratio)} unadjusted and "
                f"{reading.with_interval(front.hazard_ratio)} {how(reading.front)}."
            )
    elif naive.hazard_ratio:
        sentences.append(f"The hazard ratio was {reading.with_interval(naive.hazard_ratio)}.")
    return [sentence for sentence in sentences if sentence]


def absolute(reading: Reading, outcome: str, side: Side, opening: str) -> str:
    """Return one side's survival in either arm and their difference as a sentence; empty without them."""
    if not (side.survival_treated and side.survival_control and side.survival_difference):
        return ""
    return (
        f"{opening}, {reading.value(side.survival_treated)}% with {reading.arm_words(Arm.TREATED)} and "
        f"{reading.value(side.survival_control)}% with {reading.arm_words(Arm.CONTROL)} were {state(outcome)} at "
        f"{reading.horizon(side.survival_difference)}: a difference of "
        f"{reading.with_interval(side.survival_difference, unit=True)}."
    )


def how(pair: tuple[str, str]) -> str:
    """Return how an analysis deals with confounding, as the end of a sentence."""
    analysis, population = pair
    if population == UNADJUSTED:
        return (
            "without adjustment from the landmark on"
            if analysis == Analysis.LANDMARK
            else "with time before treatment counted as untreated"
        )
    if analysis in (Analysis.WEIGHTED, Analysis.LANDMARK):
        return "after weighting"
    return "after cloning, censoring and weighting" if analysis == Analysis.CLONE_CENSOR_WEIGHT else "after adjustment"


def caveat(reading: Reading) -> str:
    """Return the sentence that says what the answer rests on."""
    adjustment = reading.result.adjustment
    if adjustment.verdict == "not identified":
        return "No measured set of covariates closes every back-door path of the diagram: neither number is an effect."
    if adjustment.verdict == "none needed":
        return (
            "The diagram asks for no adjustment; the unadjusted comparison is the effect only if the diagram is right."
        )
    return (
        "The adjusted numbers are an effect only if the diagram is right, "
        f"the {len(adjustment.nodes)} {plural(len(adjustment.nodes), 'covariate')} "
        f"{'is' if len(adjustment.nodes) == 1 else 'are'} measured well, "
        "and patients like those compared exist in both arms."
    )


def implied(reading: Reading) -> str:
    """Return how many of the diagram's testable independencies the cohort contradicts; empty without any."""
    tests = reading.result.adjustment.tests
    if not tests:
        return ""
    count = sum(contradicted(reading, test) for test in tests)
    noun = "independency" if len(tests) == 1 else "independencies"
    return (
        f"The diagram implies {len(tests)} {noun} that this cohort can test; "
        f"{count or 'none'} of them {'is' if count == 1 else 'are'} contradicted."
    )


# --- the trial ----------------------------------------------------------------------------------


def trial_table(reading: Reading) -> Table:
    """Return the trial that would answer the question, and how this cohort stands in for it."""
    from causal_s4.report.tables import Column

    rows = [
        ("Eligibility", *_eligibility(reading)),
        ("Strategies", *_strategies(reading)),
        ("Assignment", "At random", _assignment(reading)),
        ("Time zero", "The day of assignment", _time_zero(reading)),
        ("Follow-up", "From assignment to the event or the end of follow-up", _follow_up(reading)),
        (
            "Outcomes",
            capital(join(mid(clean(name)) for name in reading.outcomes)),
            "As recorded in the file; names and codes in the protocol",
        ),
        ("Estimand", *_estimand(reading)),
        ("Assumptions", "Random assignment makes the arms comparable", _assumptions(reading)),
        ("Analysis", "Survival, restricted mean survival time and hazard ratio by arm", _analysis(reading)),
    ]
    return Table(
        name="trial",
        caption="The question: the trial that would answer it, and how this cohort emulates it",
        columns=tuple(Column(label=label, numeric=False) for label in ("Component", "Target trial", "This cohort")),
        rows=tuple(Row(cells=cells) for cells in rows),
    )


def _eligibility(reading: Reading) -> tuple[str, str]:
    conditions = [capital(each.describe(clean(column))) for column, each in reading.result.protocol.eligibility.items()]
    steps = reading.result.cohort.attrition
    first, last = (steps[0].n, steps[-1].n) if steps else (reading.result.cohort.n,) * 2
    return (
        "; ".join(conditions) or "Every patient of the file",
        f"{reading.people(last)} of {reading.people(first)} patients, by the flow chart below",
    )


def _strategies(reading: Reading) -> tuple[str, str]:
    treated, control = reading.arm(Arm.TREATED), reading.arm_words(Arm.CONTROL)
    cohort = reading.result.cohort
    counts = (
        f"{reading.people(cohort.treated)} {plural(cohort.treated, 'patient')} and {reading.people(cohort.control)}"
    )
    zero = reading.result.protocol.time_zero
    if zero.design == Design.CLONE_CENSOR_WEIGHT:
        later = "then or later" if zero.never else "until then"
        released = [
            f"{mid(reading.covariate(column))} is {join(map(str, zero.unless[column]))}" for column in zero.unless
        ]
        unless = f" unless {' or '.join(released)} first" if released else ""
        return (
            f"{treated} within {zero.grace_period[0]} of time zero{unless}, against {control} {later}",
            f"Each patient stands in both arms until they depart from it ({counts} started as labelled)",
        )
    return f"{treated}, against {control}", f"The treatment recorded for each patient ({counts})"


def _assignment(reading: Reading) -> str:
    adjustment = reading.result.adjustment
    if adjustment.verdict == "none needed":
        return "By routine care; the diagram leaves no back-door path open"
    if adjustment.verdict == "not identified":
        return "By routine care; no measured set of covariates makes it as good as random"
    return f"By routine care; taken as random given {join(mid(reading.covariate(name)) for name in adjustment.nodes)}"


def _time_zero(reading: Reading) -> str:
    zero = reading.result.protocol.time_zero
    if zero.design == Design.LANDMARK:
        return f"The landmark at {zero.landmark[0]}; arms by the treatment received before it"
    if zero.design == Design.TIME_DEPENDENT:
        return "Time zero of the file; a patient counts as untreated until treatment starts"
    if zero.design == Design.CLONE_CENSOR_WEIGHT:
        return f"Time zero of the file for both strategies, with a grace period of {zero.grace_period[0]}"
    return "Time zero of the file, when the treatment is already known"


def _follow_up(reading: Reading) -> str:
    cohort = reading.result.cohort
    said = [
        f"{reading.about(median)} for {mid(clean(name))}"
        for name, median in cohort.follow_up.items()
        if name in reading.outcomes
    ]
    return f"The same; median {join(said)}" if said else "The same"


def _estimand(reading: Reading) -> tuple[str, str]:
    population = reading.front[1]
    if population in set(Estimand):
        whom = f"The effect in {Estimand(population).describes}"
        return f"{whom}, {population}", f"The same, by weights with an effective number of {_effective(reading)}"
    if population in (CONDITIONAL, UNADJUSTED):
        return "The effect of the strategies", "A hazard ratio conditional on the covariates"
    return f"The effect in the population: {clean(population)}", "The same, by weights"


def _effective(reading: Reading) -> str:
    weights, write = reading.result.weights, reading.numbers
    if weights is None:
        return "patients as they are"
    return f"{write.number(weights.ess_treated, 0)} and {write.number(weights.ess_control, 0)} patients"


def _assumptions(reading: Reading) -> str:
    count = len(reading.result.adjustment.untested_assumptions)
    if not count:
        return "Those of the diagram"
    return f"Those of the diagram; the {count} that the data cannot show {'is' if count == 1 else 'are'} listed below"


def _analysis(reading: Reading) -> str:
    variances = dict.fromkeys(e.variance for e in reading.result.effects if (e.analysis, e.population) == reading.front)
    return (
        f"The same, weighted; intervals by {join(variance_words(name) for name in variances)}"
        if variances
        else "The same, weighted"
    )


# --- balance --------------------------------------------------------------------------------------


def balance_note(reading: Reading) -> str:
    """Return how many terms differed before and after weighting, and the largest difference left."""
    balance = reading.result.balance
    if balance is None or balance.worst is None:
        return ""
    count = sum(abs(row.smd_after) > 0.1 for row in balance.rows)
    before = sum(abs(row.smd_before) > 0.1 for row in balance.rows)
    worst = balance.worst
    return (
        f"Of {len(balance.rows)} {plural(len(balance.rows), 'term')}, {before} differed by more than 0.1 standard deviations "
        f"before weighting and {count} after it; "
        f"the largest difference left was {reading.numbers.smd(abs(worst.smd_after))} ({reading.term(worst)}). "
        f"Denominator: {clean(balance.denominator)}."
    )


# --- doubt --------------------------------------------------------------------------------------


def findings(reading: Reading) -> list[tuple[str, list[Finding]]]:
    """Return the findings by severity, the gravest first, each once; severities without one are left out.

    A step that is made for several populations or outcomes finds the same of each.
    """
    different: dict[tuple[str, str], Finding] = {}
    for each in reading.result.findings:
        different.setdefault((each.severity, each.message), replace(each, message=signed(reading, each.message)))
    kept = list(different.values())
    groups = {severity: [each for each in kept if each.severity == severity] for severity in SEVERITIES}
    return [(severity, group) for severity, group in groups.items() if group]


def signed(reading: Reading, text: str) -> str:
    """Return a sentence with the sign of its negative numbers as the report writes it."""
    return re.sub(r"(?<![\w.])-(?=\.?\d)", reading.numbers.minus, text)


def sensitivity_sentence(reading: Reading, result: SensitivityResult) -> str:
    """Return the answer of a sensitivity analysis as a sentence; empty when its grid is the answer."""
    write = reading.numbers
    if result.value is None or (result.table and result.method != "e-value"):
        return ""
    if result.method == "e-value":
        said = (
            "To explain the estimate away, an unmeasured confounder would have to be associated with both "
            f"treatment and outcome by a risk ratio of {write.ratio(result.value)} each, beyond the measured covariates"
        )
        if result.bound is not None:
            said += f"; to move the confidence interval to include no effect, {write.ratio(result.bound)}"
        return said + ". It says nothing of whether such a confounder exists: hold it against the measured ones."
    unit = f" {clean(result.unit)}" if result.unit and result.unit != "ratio" else ""
    said = f"{write.number(result.value, 2)}{unit}"
    if result.lower is not None and result.upper is not None:
        said += f" ({write.interval(write.number(result.lower, 2), write.number(result.upper, 2))})"
    if result.bound is not None:
        said += f"; for the limit nearer no effect, {write.number(result.bound, 2)}"
    return said + (f". Direction: {clean(result.direction)}." if result.direction else ".")


def adjusts(reading: Reading) -> bool:
    """Tell whether the front answer claims an effect rather than an association."""
    return reading.claim(reading.front) == EFFECT


def bullets(sentences: Iterable[str]) -> list[str]:
    """Return sentences fit to show, each ending in a full stop."""
    return [
        capital(text if text.endswith((".", "!", "?")) else f"{text}.") for each in sentences if (text := clean(each))
    ]
