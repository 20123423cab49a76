"""Reporting checklists, each item filled from the study or left to the authors, and a worksheet on bias.

The items are told in this package's own words; the statements themselves are to be read at their source.
No item is rated, and no risk of bias is judged: a table says what the analysis can say and what people
have to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from causal_s4.protocol.vocabulary import Arm, Design, Measure
from causal_s4.report import prose
from causal_s4.report.reading import Reading, capital, clean, join, mid, plural, pretty
from causal_s4.report.references import REFERENCES
from causal_s4.report.tables import Column, Row, Table, variance_words

AUTHORS = "For the authors"
_QUESTION, _PATIENTS, _DIAGRAM = "The question", "The patients", "The assumptions"
_BALANCE, _EFFECTS, _DOUBT = "Balance and overlap", "Survival and effects", "How much doubt it survives"
_FINDINGS, _METHODS, _MADE = "Findings", "Methods", "What made this report"

Answer = Callable[[Reading], str]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing a checklist asks for.

    Parameters
    ----------
    number, asks : str
        Its number, and what it asks, in our words.
    says : callable, optional
        What the study has to say; an empty answer leaves the item to the authors.
    authors : str
        What only the authors can say.
    where : str
        The part of the report that shows it.
    """

    number: str
    asks: str
    says: Answer | None = None
    authors: str = ""
    where: str = ""


# --- what a study can say of itself ---------------------------------------------------------------


def _trial(part: str, column: int) -> Answer:
    """Return what the target-trial table says of a component: 1 the trial, 2 this cohort."""

    def say(reading: Reading) -> str:
        rows = {row.cells[0]: row.cells for row in prose.trial_table(reading).rows}
        return rows[part][column] if part in rows else ""

    return say


def _short_answer(reading: Reading) -> str:
    return " ".join((*prose.answer(reading), prose.caveat(reading)))


def _causal_question(reading: Reading) -> str:
    outcomes = join(mid(clean(name)) for name in reading.outcomes)
    return (
        f"What {reading.arm_words(Arm.TREATED)} rather than {reading.arm_words(Arm.CONTROL)} does to {outcomes}, "
        f"among {reading.whom(reading.front)}."
    )


def _file(reading: Reading) -> str:
    made, cohort = reading.result.provenance, reading.result.cohort
    checksum = f", SHA-256 {clean(made.data_sha256)[:12]}…" if made else ""
    return f"A file of {reading.people(cohort.n)} analysed patients, times in {cohort.time_unit}{checksum}."


def _flow(reading: Reading) -> str:
    return "; ".join(f"{mid(clean(step.step))}: {reading.people(step.n)}" for step in reading.result.cohort.attrition)


def _baseline(reading: Reading) -> str:
    balance = reading.result.balance
    if balance is None or not balance.rows:
        return ""
    return "Characteristics by arm before and after weighting, with standardised mean differences."


def _follow_up(reading: Reading) -> str:
    medians = {name: value for name, value in reading.result.cohort.follow_up.items() if value is not None}
    return "; ".join(f"median {reading.about(value)} ({mid(clean(name))})" for name, value in medians.items())


def _missing(reading: Reading) -> str:
    missing = {name: count for name, count in reading.result.cohort.missing.items() if count}
    policy = reading.result.protocol.data.missing
    if missing:
        counts = join(f"{mid(reading.covariate(name))} {reading.people(count)}" for name, count in missing.items())
        return f"Patients without a value: {counts}. Policy of the protocol: {policy}."
    return "No covariate value was missing." if policy == "refuse" or reading.result.cohort.missing else ""


def _outcomes_by_arm(reading: Reading) -> str:
    said = []
    for outcome in reading.outcomes:
        treated, control = (reading.events(outcome, arm) for arm in (Arm.TREATED, Arm.CONTROL))
        if outcome in reading.result.cohort.events:
            said.append(
                f"{clean(outcome)}: {treated} events with {reading.arm_words(Arm.TREATED)}, "
                f"{control} with {reading.arm_words(Arm.CONTROL)}"
            )
    return "; ".join(said)


def _estimates(reading: Reading) -> str:
    outcome = reading.outcomes[0]
    side = reading.side(reading.front, outcome)
    said = [
        f"{words} {reading.with_interval(each, unit=True)}"
        for words, each in (
            ("survival difference", side.survival_difference),
            ("difference in mean survival time", side.rmst_difference),
            ("hazard ratio", side.hazard_ratio),
        )
        if each is not None
    ]
    return f"{clean(outcome)}, {mid(reading.analysis(reading.front))}: {'; '.join(said)}." if said else ""


def _crude(reading: Reading) -> str:
    naive, front = (reading.side(pair, reading.outcomes[0]).hazard_ratio for pair in (reading.naive, reading.front))
    if naive is None:
        return ""
    said = f"Unadjusted hazard ratio {reading.with_interval(naive)}"
    if front is not None and reading.front != reading.naive:
        said += f"; {mid(reading.analysis(reading.front))} {reading.with_interval(front)}"
    return f"{said}."


def _absolute_risk(reading: Reading) -> str:
    outcome = reading.outcomes[0]
    return prose.absolute(reading, outcome, reading.side(reading.front, outcome), "In the adjusted comparison")


def _confounders(reading: Reading) -> str:
    adjustment = reading.result.adjustment
    if adjustment.verdict != "adjust":
        return prose.caveat(reading)
    return f"{capital(join(mid(reading.covariate(name)) for name in adjustment.nodes))}: the adjustment set of the diagram."


def _untested(reading: Reading) -> str:
    return " ".join(prose.bullets(reading.result.adjustment.untested_assumptions))


def _columns(reading: Reading) -> str:
    protocol = reading.result.protocol
    named = [f"treatment from {clean(protocol.treatment.column)}"]
    named += [f"{mid(clean(each.name))} from {clean(each.time)} and {clean(each.event)}" for each in protocol.outcomes]
    covariates = reading.result.adjustment.columns
    named += [f"covariates from {join(map(clean, covariates))}"] if covariates else []
    return f"{capital('; '.join(named))}."


def _analyses(reading: Reading) -> str:
    made = [reading.analysis(pair) for pair in reading.analyses(reading.outcomes[0]) if pair != reading.front]
    methods = dict.fromkeys(clean(each.method) for each in reading.result.sensitivity)
    said = [f"other analyses: {join(map(mid, made))}"] if made else []
    said += [f"sensitivity analyses: {join(methods)}"] if methods else []
    return f"{capital('; '.join(said))}." if said else ""


def _sensitivity(reading: Reading) -> str:
    methods = dict.fromkeys(pretty(each.method) for each in reading.result.sensitivity)
    return f"{join(methods)}." if methods else ""


def _limits(reading: Reading) -> str:
    serious = [each.message for each in reading.result.findings if each.severity == "serious"]
    return " ".join((*prose.bullets(dict.fromkeys(serious)), _untested(reading)))


def _bias(reading: Reading) -> str:
    said = {
        Design.BASELINE: "Treatment is taken as decided at time zero, so that no follow-up precedes it.",
        Design.LANDMARK: "A landmark keeps time before treatment out of the comparison.",
        Design.TIME_DEPENDENT: "Time before treatment counts as untreated.",
        Design.CLONE_CENSOR_WEIGHT: "Cloning keeps time before treatment from being credited to it.",
    }
    return f"{said[Design(reading.result.protocol.time_zero.design)]} {_confounders(reading)}"


def _direction(reading: Reading) -> str:
    said = (
        prose.sensitivity_sentence(reading, each) for each in reading.result.sensitivity if each.method == "e-value"
    )
    return next((text for text in said if text), "")


def _functional_forms(reading: Reading) -> str:
    spec = reading.result.protocol.propensity or reading.result.protocol.initiation
    if spec is None:
        return ""
    said = [f"splines for {join(mid(reading.covariate(name)) for name in spec.splines)}"] if spec.splines else []
    said += [f"logarithms of {join(mid(reading.covariate(name)) for name in spec.log1p)}"] if spec.log1p else []
    return f"{capital('; '.join(said))}; other numbers as they are." if said else "Numbers enter the model as they are."


def _access(reading: Reading) -> str:
    made = reading.result.provenance
    if made is None:
        return ""
    return f"causal_s4 {clean(made.causal_s4)}; the resolved protocol and all results are files beside this report."


def _registered(reading: Reading) -> str:
    made = reading.result.provenance
    return f"The protocol of this analysis has the SHA-256 {clean(made.protocol_sha256)[:12]}…." if made else ""


def _eligible(reading: Reading) -> str:
    return f"{_trial('Eligibility', 1)(reading)}. {_trial('Eligibility', 2)(reading)}."


# --- TARGET ---------------------------------------------------------------------------------------

TARGET: tuple[Item, ...] = (
    Item(number="1a", asks="Title or abstract names the study a target trial emulation", authors="Say so"),
    Item(number="1b", asks="Abstract names the data sources", authors="Name them"),
    Item(
        number="1c",
        asks="Abstract gives assumptions, methods and results in short",
        says=_short_answer,
        where="The answer",
    ),
    Item(number="2", asks="What is known, and what is not", authors="Background"),
    Item(number="3", asks="The causal question", says=_causal_question, where=_QUESTION),
    Item(number="4", asks="Why a trial is emulated, and why with these data", authors="Reasons"),
    Item(
        number="5",
        asks="Where the data come from: purpose, kind, place, setting, dates",
        says=_file,
        authors="Purpose, kind, place, setting and dates of the data",
        where=_MADE,
    ),
    Item(number="6a", asks="Target trial: eligibility", says=_trial("Eligibility", 1), where=_QUESTION),
    Item(number="6b", asks="Target trial: strategies", says=_trial("Strategies", 1), where=_QUESTION),
    Item(number="6c", asks="Target trial: assignment", says=_trial("Assignment", 1), where=_QUESTION),
    Item(number="6d", asks="Target trial: start and end of follow-up", says=_trial("Follow-up", 1), where=_QUESTION),
    Item(number="6e", asks="Target trial: outcomes", says=_trial("Outcomes", 1), where=_QUESTION),
    Item(number="6f", asks="Target trial: contrast and effect measures", says=_trial("Estimand", 1), where=_QUESTION),
    Item(
        number="6g",
        asks="Target trial: assumptions that identify the effect",
        says=_trial("Assumptions", 1),
        where=_QUESTION,
    ),
    Item(number="6h", asks="Target trial: analysis", says=_trial("Analysis", 1), where=_QUESTION),
    Item(number="7a", asks="Emulation: eligibility", says=_trial("Eligibility", 2), where=_PATIENTS),
    Item(number="7b", asks="Emulation: strategies", says=_trial("Strategies", 2), where=_QUESTION),
    Item(number="7c", asks="Emulation: assignment", says=_trial("Assignment", 2), where=_QUESTION),
    Item(number="7d", asks="Emulation: start and end of follow-up", says=_trial("Time zero", 2), where=_QUESTION),
    Item(
        number="7e",
        asks="Emulation: outcomes",
        says=_trial("Outcomes", 2),
        authors="How outcomes were found out",
        where=_QUESTION,
    ),
    Item(number="7f", asks="Emulation: contrast and effect measures", says=_trial("Estimand", 2), where=_EFFECTS),
    Item(
        number="7g-i",
        asks="Emulation: assumptions, confounding at baseline among them",
        says=_confounders,
        where=_DIAGRAM,
    ),
    Item(
        number="7g-ii",
        asks="Emulation: how each variable is made",
        says=_columns,
        authors="Codes and sources behind the columns",
        where=_MADE,
    ),
    Item(
        number="7h-i",
        asks="Emulation: what the analysis changes for observational data",
        says=_trial("Analysis", 2),
        where=_METHODS,
    ),
    Item(
        number="7h-ii",
        asks="Emulation: analyses of how the choices matter",
        says=_sensitivity,
        authors="Plan them",
        where=_DOUBT,
    ),
    Item(number="8", asks="Patients assessed, eligible, assigned", says=_flow, where=_PATIENTS),
    Item(
        number="9",
        asks="Baseline characteristics by strategy",
        says=_baseline,
        authors="Describe the arms",
        where=_PATIENTS,
    ),
    Item(
        number="10",
        asks="Length of follow-up, and why it ended",
        says=_follow_up,
        authors="Reasons for the end of follow-up",
        where=_PATIENTS,
    ),
    Item(
        number="11",
        asks="Missing values, by variable and strategy",
        says=_missing,
        authors="By strategy, where any is missing",
        where=_PATIENTS,
    ),
    Item(number="12", asks="Outcomes by strategy", says=_outcomes_by_arm, where=_PATIENTS),
    Item(number="13", asks="Each effect with its precision", says=_estimates, where=_EFFECTS),
    Item(number="14", asks="All other analyses", says=_analyses, authors="Any made elsewhere", where=_DOUBT),
    Item(number="15", asks="What the results say to the question", authors="Interpretation"),
    Item(
        number="16",
        asks="Limits, as differences of the emulation from the target trial",
        says=_limits,
        authors="Limits that data and diagram do not show",
        where=_FINDINGS,
    ),
    Item(number="17", asks="Approval by an ethics committee", authors="Approval and consent"),
    Item(number="18", asks="Registration", says=_registered, authors="Register and date", where=_MADE),
    Item(
        number="19",
        asks="Access to data, code and other material",
        says=_access,
        authors="Who can have the data, and how",
        where=_MADE,
    ),
    Item(number="20", asks="Funding", authors="Sources and the funders' part"),
    Item(number="21", asks="Conflicts of interest", authors="Declarations"),
)

# --- STROBE and RECORD ----------------------------------------------------------------------------

STROBE_RECORD: tuple[Item, ...] = (
    Item(number="1a", asks="Title names the design", authors="Say cohort study, target trial emulation"),
    Item(number="1b", asks="Abstract tells what was done and found", says=_short_answer, where="The answer"),
    Item(number="R1.1", asks="Title or abstract: kind of data, databases", authors="Name them"),
    Item(number="R1.2", asks="Title or abstract: region and period", authors="Name them"),
    Item(number="R1.3", asks="Title or abstract: linkage of databases", authors="Say whether any were linked"),
    Item(number="2", asks="Background and reasons", authors="Background"),
    Item(number="3", asks="Objectives", says=_causal_question, where=_QUESTION),
    Item(number="4", asks="Design, early in the paper", says=_bias, where=_QUESTION),
    Item(number="5", asks="Setting, places, dates", authors="Setting, places and dates"),
    Item(
        number="6a",
        asks="Eligibility, sources, how patients were followed",
        says=_eligible,
        authors="How patients were followed",
        where=_QUESTION,
    ),
    Item(
        number="6b",
        asks="Matched studies: criteria and numbers",
        says=lambda reading: "Not matched; arms are made comparable by weights." if reading.result.weights else "",
        authors="Say whether patients were matched",
        where=_METHODS,
    ),
    Item(number="R6.1", asks="Codes by which patients were found", authors="Codes"),
    Item(number="R6.2", asks="Validation of these codes", authors="Validation studies"),
    Item(number="R6.3", asks="Flow of linkage", authors="Flow of linkage, if any"),
    Item(
        number="7",
        asks="Definitions of outcomes, exposures, confounders, modifiers",
        says=_columns,
        authors="Definitions",
        where=_MADE,
    ),
    Item(number="R7.1", asks="All codes and algorithms behind them", authors="Lists of codes"),
    Item(number="8", asks="How each variable was measured", authors="Measurement, comparable in both arms or not"),
    Item(number="9", asks="What was done against bias", says=_bias, where=_DIAGRAM),
    Item(number="10", asks="How the size came about", says=_file, authors="Reasons for the size", where=_PATIENTS),
    Item(
        number="11",
        asks="How numbers were handled",
        says=_functional_forms,
        authors="Reasons for groupings",
        where=_METHODS,
    ),
    Item(
        number="12a", asks="Methods, those against confounding among them", says=_trial("Analysis", 2), where=_METHODS
    ),
    Item(number="12b", asks="Subgroups and interactions", authors="Say whether any were planned"),
    Item(number="12c", asks="Missing data", says=_missing, authors="How they were handled", where=_METHODS),
    Item(
        number="12d",
        asks="Loss to follow-up",
        says=lambda reading: "Patients lost to follow-up were censored when last seen.",
        authors="Whether loss depends on prognosis",
        where=_METHODS,
    ),
    Item(number="12e", asks="Sensitivity analyses", says=_sensitivity, authors="Plan them", where=_DOUBT),
    Item(number="R12.1", asks="Access of the investigators to the database", authors="Access"),
    Item(number="R12.2", asks="Cleaning of the data", authors="Cleaning before this file was made"),
    Item(number="R12.3", asks="Linkage: level, methods, quality", authors="Linkage, if any"),
    Item(number="13a", asks="Numbers at each stage", says=_flow, where=_PATIENTS),
    Item(number="13b", asks="Reasons for leaving at each stage", says=_flow, where=_PATIENTS),
    Item(
        number="13c",
        asks="Flow diagram",
        says=lambda reading: "Drawn." if reading.result.cohort.attrition else "",
        authors="Draw one",
        where=_PATIENTS,
    ),
    Item(
        number="R13.1",
        asks="Selection from the database, filters by quality among them",
        authors="Selection before this file was made",
    ),
    Item(
        number="14a",
        asks="Characteristics of the patients",
        says=_baseline,
        authors="Describe the arms",
        where=_PATIENTS,
    ),
    Item(
        number="14b", asks="Missing values of each variable", says=_missing, authors="Numbers of them", where=_PATIENTS
    ),
    Item(number="14c", asks="Follow-up time", says=_follow_up, authors="Average and total", where=_PATIENTS),
    Item(number="15", asks="Events over time", says=_outcomes_by_arm, where=_PATIENTS),
    Item(
        number="16a", asks="Unadjusted and adjusted estimates, and why these confounders", says=_crude, where=_EFFECTS
    ),
    Item(number="16b", asks="Bounds of categories", authors="Bounds, where numbers were grouped"),
    Item(
        number="16c",
        asks="Relative turned into absolute risk",
        says=_absolute_risk,
        authors="Absolute risks",
        where=_EFFECTS,
    ),
    Item(number="17", asks="Other analyses", says=_analyses, authors="Any made elsewhere", where=_DOUBT),
    Item(number="18", asks="Key results", says=_estimates, where="The answer"),
    Item(
        number="19",
        asks="Limits: direction and size of bias",
        says=_direction,
        authors="Likely direction of what was not measured",
        where=_DOUBT,
    ),
    Item(
        number="R19.1",
        asks="Limits of data not collected for this question",
        authors="Misclassification, changing eligibility, unmeasured confounders",
    ),
    Item(number="20", asks="Cautious interpretation", authors="Interpretation"),
    Item(
        number="21",
        asks="To whom the results apply",
        says=_trial("Estimand", 1),
        authors="Other places and times",
        where=_QUESTION,
    ),
    Item(number="22", asks="Funding", authors="Sources and the funders' part"),
    Item(
        number="R22.1",
        asks="Access to protocol, data and code",
        says=_access,
        authors="Who can have the data, and how",
        where=_MADE,
    ),
)


def target_table(reading: Reading) -> Table:
    """Return the TARGET checklist of a study: 21 items, 7 and others in parts."""
    source = f"In our own words; the statement itself: {REFERENCES['target']}"
    return _checklist(reading, "target", "TARGET checklist: reporting of a target trial emulation", TARGET, [source])


def strobe_table(reading: Reading) -> Table:
    """Return the STROBE checklist of a study for cohorts, with RECORD's items marked R."""
    sources = [
        f"In our own words; STROBE itself: {REFERENCES['strobe']}",
        f"RECORD, for data collected for another purpose: {REFERENCES['record']}",
    ]
    return _checklist(
        reading, "strobe", "STROBE checklist for cohort studies, with the items of RECORD", STROBE_RECORD, sources
    )


def _checklist(reading: Reading, name: str, caption: str, items: Sequence[Item], notes: Iterable[str]) -> Table:
    rows = []
    for item in items:
        says = item.says(reading) if item.says else ""
        # An item that asks the authors only where the study is silent is answered once the study speaks.
        rest = item.authors or ("" if says else "To be answered")
        rows.append(Row(cells=(item.number, item.asks, says, rest, item.where if says else "")))
    columns = ("Item", "Asks for", "From this study", AUTHORS, "Part of the report")
    return Table(
        name=name,
        caption=caption,
        columns=tuple(Column(label=label, numeric=False) for label in columns),
        rows=tuple(rows),
        notes=tuple(notes),
    )


# --- risk of bias ---------------------------------------------------------------------------------


def bias_table(reading: Reading, outcome: str) -> Table:
    """Return a worksheet on the risk of bias of an outcome's primary result, domain by domain, without a rating.

    Parameters
    ----------
    reading : Reading
        The result.
    outcome : str
        The outcome whose adjusted result is looked at.
    """
    side = reading.side(reading.front, outcome)
    result = next((each for each in (side.hazard_ratio, side.survival_difference) if each is not None), None)
    shown = f": {result.measure} {reading.with_interval(result, unit=True)}" if result else ""
    rows = (
        (
            "Before rating",
            _causal_question(reading),
            "Own list of important confounders; effect of assignment or of adherence",
        ),
        (
            "Confounding",
            _domain_confounding(reading),
            "Confounders that the diagram lacks, and how well those in it are measured",
        ),
        (
            "Classification of the treatment",
            _bias(reading),
            "Whether the arms could be told apart at time zero without knowing the outcome",
        ),
        (
            "Selection of patients",
            _domain_selection(reading),
            "Whether entering the file depends on what came after time zero",
        ),
        ("Missing data", _missing(reading), "Whether absence of a value, or loss, depends on treatment and prognosis"),
        (
            "Measurement of the outcome",
            _domain_outcome(reading, outcome),
            "Whether visits or knowledge of treatment shape what is recorded",
        ),
        (
            "Choice of the result reported",
            _domain_choice(reading, outcome),
            "Whether protocol and primary result were fixed before the data were seen",
        ),
    )
    columns = ("Domain", "What the analysis can say", "For the reviewer to judge")
    number = reading.outcomes.index(outcome) + 1
    return Table(
        name=f"bias-{number}",
        caption=f"Risk of bias worksheet, {mid(clean(outcome))}{shown}",
        columns=tuple(Column(label=label, numeric=False) for label in columns),
        rows=tuple(Row(cells=cells) for cells in rows),
        notes=(f"Domains after ROBINS-I, in our own words; nothing is rated here. The tool: {REFERENCES['robins']}",),
    )


def _domain_confounding(reading: Reading) -> str:
    adjustment = reading.result.adjustment
    said = [_confounders(reading)]
    note = prose.balance_note(reading)
    said += [note] if note else []
    said += [_untested(reading)] if adjustment.untested_assumptions else []
    strength = _direction(reading)
    controls = [each for each in reading.result.sensitivity if each.method == "negative control"]
    said += [strength] if strength else []
    said += ["Negative controls were looked at."] if controls else []
    return " ".join(said)


def _domain_selection(reading: Reading) -> str:
    design = Design(reading.result.protocol.time_zero.design)
    starts = {
        Design.BASELINE: "Follow-up starts when the treatment is taken as decided",
        Design.LANDMARK: "Follow-up starts at the landmark, among those who reached it",
        Design.TIME_DEPENDENT: "Follow-up starts at time zero, and time before treatment is untreated time",
        Design.CLONE_CENSOR_WEIGHT: "Follow-up starts at time zero in both arms, and clones are censored when they depart",
    }
    steps = reading.result.cohort.attrition
    excluded = sum(step.excluded for step in steps)
    if any(reading.small(step.excluded) for step in steps):
        left = "some patients left in selection"
    elif excluded:
        left = f"{reading.people(excluded)} {plural(excluded, 'patient')} left in selection"
    else:
        left = "nobody left in selection"
    return f"{starts[design]}; {left}."


def _domain_outcome(reading: Reading, outcome: str) -> str:
    events = reading.events(outcome)
    return f"{events} events, as coded in the file." + (
        " Death from any cause does not depend on who looks." if clean(outcome).lower() == "overall survival" else ""
    )


def _domain_choice(reading: Reading, outcome: str) -> str:
    made = len(reading.analyses(outcome))
    variances = {each.variance for each in reading.result.effects if (each.analysis, each.population) == reading.front}
    how = f"; intervals by {join(map(variance_words, sorted(variances)))}" if variances else ""
    named = (
        "1 analysis of this outcome is shown"
        if made == 1
        else (f"All {reading.numbers.count(made)} analyses of this outcome are shown")
    )
    primary = f"the primary one is the protocol's: {mid(reading.analysis(reading.front))}"
    return f"{named}; {primary}{how}. {_registered(reading)}".strip()


def checklists(reading: Reading) -> tuple[Table, ...]:
    """Return every checklist of a study: TARGET, STROBE with RECORD, and a worksheet on bias an outcome."""
    worksheets = (
        bias_table(reading, outcome)
        for outcome in reading.outcomes
        if any(each.outcome == outcome and each.measure in set(Measure) for each in reading.result.effects)
    )
    return (target_table(reading), strobe_table(reading), *worksheets)
