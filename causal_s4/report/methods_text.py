"""The methods section that a study supports.

Every sentence is true of this study or is not there: each comes from a function that returns nothing
when the protocol or the result does not support it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from causal_s4.protocol.methods import WEIGHTING_METHODS
from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Analysis, Arm, Design, Estimand, Measure
from causal_s4.report import prose
from causal_s4.report.draft import Said, say
from causal_s4.report.reading import EFFECT, Reading, capital, clean, join, mid, plural
from causal_s4.report.references import REFERENCES
from causal_s4.report.tables import variance_words
from causal_s4.results import WeightSummary

# --- methods: the question ------------------------------------------------------------------------

_DESIGN_CITES = {
    Design.BASELINE: (),
    Design.LANDMARK: ("anderson1983",),
    Design.TIME_DEPENDENT: ("mantel1974",),
    Design.CLONE_CENSOR_WEIGHT: ("hernan2018", "maringe2020"),
}


def _design(reading: Reading) -> Said:
    yield say(
        "This observational cohort was analysed as the emulation of a target trial, "
        "specified beside its emulation in the table of the question.",
        "hernan2016",
        "target",
    )


def _eligibility(reading: Reading) -> Said:
    conditions = [each.describe(clean(column)) for column, each in reading.result.protocol.eligibility.items()]
    if conditions:
        yield say(f"Patients were eligible if, by the columns of the file, {join(conditions)}.")
    else:
        yield say("Every patient of the file was eligible.")


def _time_zero(reading: Reading) -> Said:
    zero = reading.result.protocol.time_zero
    treated = reading.arm_words(Arm.TREATED)
    cites = _DESIGN_CITES[Design(zero.design)]
    if zero.design == Design.BASELINE:
        yield say("Follow-up began at time zero, when the treatment of each patient was taken as decided.")
    elif zero.design == Design.LANDMARK:
        at, *others = map(str, zero.landmark)
        yield say(
            f"Follow-up began at a landmark {at} after time zero of the file: arms were formed by whether "
            f"{treated} had started by then, and patients who had the event or were lost earlier did not take part.",
            *cites,
        )
        if others:
            said = "a landmark" if len(others) == 1 else "landmarks"
            yield say(f"The analysis was repeated from {said} at {join(others)}.")
    elif zero.design == Design.TIME_DEPENDENT:
        yield say(
            f"Follow-up began at time zero, and each patient counted as untreated until {treated} started.", *cites
        )
    else:
        grace, *others = map(str, zero.grace_period)
        yield say(
            f"Follow-up began at time zero for both strategies. {capital(treated)} could start within a grace period "
            f"of {grace}; each patient was cloned into both arms, and a clone was censored when the patient "
            "departed from its strategy.",
            *cites,
        )
        if others:
            said = "a grace period" if len(others) == 1 else "grace periods"
            yield say(f"The analysis was repeated with {said} of {join(others)}.")


def _strategies(reading: Reading) -> Said:
    treated, control = reading.arm_words(Arm.TREATED), reading.arm_words(Arm.CONTROL)
    zero = reading.result.protocol.time_zero
    if zero.design == Design.CLONE_CENSOR_WEIGHT:
        later = "then or later" if zero.never else "until then, and usual practice afterwards"
        yield say(f"Starting {treated} within {zero.grace_period[0]} of time zero was compared with {control} {later}.")
        yield from _rules_of_treatment(reading)
    elif zero.design == Design.LANDMARK:
        yield say(f"Having started {treated} by the landmark was compared with {control} until then.")
    elif zero.design == Design.TIME_DEPENDENT:
        yield say(f"At each moment, patients with {treated} were compared with those still without.")
    else:
        yield say(f"{capital(treated)} was compared with {control}, as recorded for each patient.")


def _rules_of_treatment(reading: Reading) -> Said:
    """Say when treatment starts within the grace period, and what ends the demand for it."""
    protocol = reading.result.protocol
    zero = protocol.time_zero
    if zero.timing == "natural":
        yield say(f"Practice was left as it is until {zero.natural_until}; from then on treatment started evenly.")
    elif zero.timing in _TIMING_WORDS:
        yield say(_TIMING_WORDS[zero.timing], "wanis2024")
    for column, values in zero.unless.items():
        listed = " or ".join(clean(str(value)) for value in values)
        yield say(
            f"A patient whose {mid(reading.covariate(column))} became {listed} before treatment was released from it, and "
            "stayed in its arm whatever was done afterwards."
        )
    if protocol.treatment.non_protocol_start:
        yield say(
            "Treatment outside both strategies within the grace period censored both clones of a patient, and those who "
            "stayed were weighted for it."
        )


_TIMING_WORDS = {
    "density": "Within the grace period treatment started as it did in those treated within it, a distribution held fixed.",
    "uniform": "Within the grace period treatment started evenly.",
    "maringe": "Those treated and alive at the end of the grace period stood in for all who were alive then.",
}


def _outcome_definitions(reading: Reading) -> Said:
    first, *others = reading.outcomes
    said = f"The primary outcome was {mid(clean(first))}"
    if others:
        said += f", the secondary {plural(len(others), 'outcome')} {join(mid(clean(name)) for name in others)}"
    yield say(f"{said}.")
    yield say(
        "Time ran from the start of follow-up to the event; patients without the event were censored when last seen."
    )
    if reading.result.cohort.follow_up:
        yield say("Median follow-up was computed by the reverse Kaplan\N{EN DASH}Meier method.", "schemper1996")


def _estimand(reading: Reading) -> Said:
    spec = reading.result.protocol.estimand
    measures = {each.measure for each in reading.result.effects}
    named = [
        words
        for measure, words in (
            (Measure.SURVIVAL_DIFFERENCE, "the difference in survival"),
            (Measure.RMST_DIFFERENCE, "the difference in restricted mean survival time"),
            (Measure.HAZARD_RATIO, "the hazard ratio over the whole follow-up"),
        )
        if measure in measures
    ]
    if spec is not None and reading.claim(reading.front) == EFFECT and named:
        horizons = [reading.duration(h) for h in reading.horizons(reading.outcomes[0], Measure.SURVIVAL_DIFFERENCE)]
        at = f"; horizons were {join(horizons)}" if horizons else ""
        yield say(
            f"The estimand was the effect in {spec.population.describes}, {spec.population}, "
            f"measured by {join(named)}{at}."
        )
        if spec.also:
            yield say(f"It was also estimated in {join(f'{each.describes} ({each})' for each in spec.also)}.")
    elif reading.front[1] == CONDITIONAL and Measure.HAZARD_RATIO in measures:
        yield say(
            "The quantity estimated was a hazard ratio conditional on the covariates; it speaks about no one population."
        )


# --- methods: adjustment --------------------------------------------------------------------------


def _adjustment(reading: Reading) -> Said:
    adjustment = reading.result.adjustment
    if adjustment.dagitty:
        yield say(
            "The assumptions about causes were drawn as a directed acyclic graph in the notation of DAGitty.", "dagitty"
        )
    if adjustment.verdict == "not identified":
        yield say(
            "By the adjustment criterion, no set of measured covariates closes every back-door path: "
            "no number here is a causal effect.",
            "shpitser2010",
        )
    elif adjustment.verdict == "none needed":
        yield say(
            "By the adjustment criterion, no back-door path is open and nothing needed adjusting.", "shpitser2010"
        )
    elif adjustment.nodes:
        names = join(mid(reading.covariate(name)) for name in adjustment.nodes)
        yield say(
            f"The adjustment set was derived from the graph by the adjustment criterion, without use of the outcome "
            f"data: {names}.",
            "shpitser2010",
        )
        yield from (say(each) for each in prose.bullets(adjustment.reasons))
    if adjustment.verdict == "adjust" and adjustment.second_opinion == "agrees":
        yield say("DoWhy, asked independently, found the same set sufficient.", "dowhy")
    elif adjustment.second_opinion.startswith("disagrees"):
        yield say(f"DoWhy, asked independently, {clean(adjustment.second_opinion)}.", "dowhy")
    if adjustment.tests:
        yield say(
            "Of the conditional independencies that the graph implies, "
            f"{reading.numbers.count(len(adjustment.tests))} could be held against the cohort, with P values adjusted by "
            "Holm's method."
        )


def _weights(reading: Reading) -> Said:
    summary, protocol = reading.result.weights, reading.result.protocol
    if summary is None or reading.result.adjustment.verdict == "none needed":
        return
    covariates = join(mid(reading.covariate(name)) for name in summary.covariates)
    given = f" from {covariates}" if covariates else ""
    if summary.method == "logistic":
        yield say(
            f"The propensity score, the probability of {reading.arm_words(Arm.TREATED)}, was estimated by logistic "
            f"regression{given}.",
            "rosenbaum1983",
        )
    elif summary.method == "firth":
        yield say(
            f"The propensity score, the probability of {reading.arm_words(Arm.TREATED)}, was estimated by logistic "
            f"regression with Firth's penalised likelihood{given}.",
            "rosenbaum1983",
            "firth1993",
            "heinze2002",
        )
    elif summary.method == "entropy-balancing":
        yield say(
            f"Weights were found by entropy balancing, which makes the weighted means of {covariates or 'the covariates'} "
            "equal in the arms.",
            "hainmueller2012",
        )
    else:
        known = WEIGHTING_METHODS.get(summary.method)
        yield say(f"Weights: {mid(known.label if known else clean(summary.method))}.")
    yield from _terms(reading)
    yield from _scale(summary)
    spec = protocol.propensity
    if spec and spec.truncate:
        low, high = (f"{reading.numbers.general(100 * share)}%" for share in spec.truncate)
        yield say(
            f"Weights beyond the {low} and {high} quantiles were set to those quantiles "
            f"({reading.people(summary.truncated)} {plural(summary.truncated, 'weight')} changed).",
            "cole2008",
        )
    if spec and spec.trim:
        yield say(
            f"Patients with a propensity score below {reading.numbers.general(spec.trim)} or above "
            f"{reading.numbers.general(1 - spec.trim)} were left out ({reading.people(summary.trimmed)}), the score was "
            "fitted again, and the population is named for it.",
            "crump2009",
        )


def _terms(reading: Reading) -> Said:
    """Say how covariates enter the model."""
    spec = reading.result.protocol.propensity or reading.result.protocol.initiation
    if spec is None:
        return
    if spec.splines:
        knots = join(
            f"{mid(reading.covariate(column))} ({reading.numbers.count(count)} knots)"
            for column, count in spec.splines.items()
        )
        yield say(f"Restricted cubic splines were used for {knots}.", "harrell2015")
    if spec.log1p:
        yield say(
            f"{capital(join(mid(reading.covariate(name)) for name in spec.log1p))} entered as the logarithm of one "
            "plus the value."
        )
    if spec.interactions:
        pairs = join(f"{mid(reading.covariate(a))} with {mid(reading.covariate(b))}" for a, b in spec.interactions)
        yield say(f"Interactions of {pairs} were included.")


def _scale(summary: WeightSummary) -> Said:
    said = clean(summary.normalisation)
    if not said:
        return
    cites = {Estimand.ATO: ("li2018",), Estimand.ATM: ("li2013",)}
    about = cites.get(Estimand(summary.population), ()) if summary.population in set(Estimand) else ()
    if summary.method not in ("logistic", "firth"):
        yield say(f"{capital(said)}.", *about)
    elif summary.population in set(Estimand) and said.startswith("stabilised"):
        yield say(f"The weights were {said}.", "cole2008")
    elif re.search(r"\be\b", said):
        yield say(f"Treated and control patients, with e for the propensity score, were weighted by {said}.", *about)
    else:
        yield say(f"The weights were {said}.", *about)


def _initiation(reading: Reading) -> Said:
    spec, zero = reading.result.protocol.initiation, reading.result.protocol.time_zero
    if spec is None or zero.design != Design.CLONE_CENSOR_WEIGHT:
        return
    names = join(mid(reading.covariate(name)) for name in reading.result.adjustment.nodes)
    yield say(
        "Clones that stayed were weighted by the inverse of the probability of staying, from a model of when treatment "
        f"starts{f' given {names}' if names else ''}.",
        "hernan2018",
    )
    yield from _terms(reading)
    if zero.never:
        yield say("A second such model, of treatment after the grace period, kept the arm without treatment weighted.")
    if spec.loss_weights:
        yield say("Loss to follow-up was weighted for in the same way.")
    if spec.truncate:
        low, high = (f"{reading.numbers.general(100 * share)}%" for share in spec.truncate)
        yield say(f"Weights beyond the {low} and {high} quantiles were set to those quantiles.", "cole2008")


def _balance_methods(reading: Reading) -> Said:
    balance = reading.result.balance
    if balance is None or not balance.rows:
        return
    yield say(
        "Balance was judged by standardised mean differences before and after weighting, over one denominator "
        f"({clean(balance.denominator)}); no P values were computed for it.",
        "austin2015",
    )


# --- methods: estimation --------------------------------------------------------------------------


def _estimators(reading: Reading) -> Said:
    made = reading.result.effects.estimates
    measures, analyses = {each.measure for each in made}, {each.analysis for each in made}
    weighted = any(each.population not in (UNADJUSTED, CONDITIONAL) for each in made)
    if measures & {Measure.SURVIVAL, Measure.SURVIVAL_DIFFERENCE}:
        cites = ("kaplan1958", "cole2004") if weighted else ("kaplan1958",)
        which = "(weighted) " if weighted else ""
        yield say(f"Survival was estimated by the {which}Kaplan\N{EN DASH}Meier estimator.", *cites)
    if Measure.RMST_DIFFERENCE in measures:
        yield say("Restricted mean survival time is the area under that curve up to the horizon.", "royston2013")
    if Measure.CUMULATIVE_INCIDENCE in measures:
        yield say(
            "Cumulative incidence in the presence of competing events was estimated by the Aalen\N{EN DASH}Johansen estimator."
        )
    if Measure.HAZARD_RATIO in measures:
        alone = "" if Analysis.TIME_DEPENDENT in analyses else " with treatment alone"
        ties = clean(reading.result.protocol.inference.ties).capitalize()
        yield say(
            f"Hazard ratios come from Cox models{alone}, ties handled by {ties}'s method.",
            "cox1972",
            f"{ties.lower()}{ {'Efron': '1977', 'Breslow': '1974'}[ties] }",
        )
    if Analysis.MULTIVARIABLE in analyses:
        yield say(
            "A multivariable Cox model is shown beside them; its hazard ratio is conditional on the covariates and "
            "therefore another quantity."
        )
    if Analysis.TIME_DEPENDENT in analyses:
        yield say("The time-dependent Cox model lets treatment begin during follow-up.")
    yield say("The unadjusted comparison is shown beside every adjusted one.")


_VARIANCE_CITES = {"influence": ("shu2021",), "bootstrap": ("austin2016",), "jackknife": ("efron1981",)}


def _intervals(reading: Reading) -> Said:
    inference = reading.result.protocol.inference
    of: dict[str, list[str]] = {}
    for each in reading.result.effects:
        analyses = of.setdefault(each.variance, [])
        name = reading.analysis((each.analysis, each.population))
        analyses += [name] if name not in analyses else []
    if not of:
        return
    level = reading.numbers.level(inference.level).removesuffix(" CI")
    first, *others = sorted(of, key=lambda name: -len(of[name]))
    weighted = reading.result.weights is not None or reading.result.protocol.initiation is not None

    def words(name: str) -> str:
        known = variance_words(name)
        # What is said of weights holds where there are any.
        return known if weighted else re.sub(r", with the[^,]* weights .*$", "", known)

    said = f"Confidence intervals ({level}) were made by {words(first)}"
    for name in others:
        said += f"; those of the {join(map(mid, of[name]))} by {words(name)}"
    # the paper on influence functions is about weighted models
    plain = (UNADJUSTED, CONDITIONAL)
    of_weights = {each.variance for each in reading.result.effects if each.population not in plain}
    cited = [kind for kind in (first, *others) if kind != "influence" or kind in of_weights]
    yield say(f"{said}.", *(key for name in cited for key in _VARIANCE_CITES.get(name, ())))
    if inference.method == "bootstrap" and inference.replicates:
        replicates = reading.numbers.count(inference.replicates)
        kind = {"bca": "bias-corrected and accelerated"}.get(str(inference.interval), str(inference.interval))
        yield say(f"The bootstrap drew {replicates} resamples of patients and read {kind} intervals off them.")
        if inference.cluster:
            yield say(f"Groups of patients ({clean(inference.cluster)}) were resampled whole.")
        if inference.stratify:
            yield say("Each arm was resampled on its own.")


def _missing(reading: Reading) -> Said:
    cohort, policy = reading.result.cohort, reading.result.protocol.data.missing
    missing = {name: count for name, count in cohort.missing.items() if count}
    if missing:
        said = join(f"{mid(reading.covariate(name))} ({reading.people(count)})" for name, count in missing.items())
        yield say(f"Values were missing for {said}.")
        if policy == "complete-case":
            yield say("Patients without a value for a covariate were left out, as the flow chart counts.")
        elif policy == "impute":
            yield say(
                "They were imputed several times over; every step was repeated in each completed data set, and the "
                "answers were pooled by Rubin's rules.",
                "barnard1999",
            )
    elif cohort.missing:
        yield say("No covariate value was missing.")
    elif policy == "refuse":
        yield say("The protocol refuses a cohort with a missing covariate value; none was missing.")


_DOUBT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "e-value": ("E-values", ("vanderweele2017",)),
    "bias factor": ("bounding factors for an unmeasured confounder", ("ding2016",)),
    "confounder array": ("correction for a confounder of given prevalence and strength", ("lin1998",)),
    "tipping point": ("tipping points", ("lin1998",)),
    "probabilistic bias analysis": ("probabilistic bias analysis", ()),
    "leave one out": ("leaving out each covariate in turn", ()),
    "simulated confounder": ("a simulated confounder", ()),
    "marginal sensitivity model": ("the marginal sensitivity model", ()),
    "rosenbaum bounds": ("Rosenbaum bounds in matched pairs", ("rosenbaum2002",)),
    "negative control": ("negative controls", ("lipsitch2010",)),
    "truncation grid": ("other truncations of the weights", ()),
    "trimming grid": ("trimming on the propensity score", ()),
    "estimand switch": ("other populations", ()),
    "landmark grid": ("other landmarks", ()),
    "grace period grid": ("other grace periods", ()),
    "timing grid": ("other timings of treatment within the grace period", ("wanis2024",)),
    "early deaths excluded": ("leaving out early events", ()),
    "informative censoring": ("censoring that depends on prognosis", ()),
    "loss bounds": ("extreme fates of patients lost to follow-up", ()),
    "missing not at random": ("values missing not at random", ()),
    "misclassification": ("misclassified treatment or outcome", ()),
    "refuter": ("placebo treatments, random covariates and subsets of the data", ("dowhy",)),
    "specification curve": ("a curve of all reasonable specifications", ("steegen2016",)),
    "rct benchmark": ("comparison with published trials", ()),
}


def _sensitivity_methods(reading: Reading) -> Said:
    methods = list(dict.fromkeys(each.method for each in reading.result.sensitivity))
    if not methods:
        return
    known = [_DOUBT.get(name, (clean(name), ())) for name in methods]
    cites = dict.fromkeys(key for _, keys in known for key in keys)
    yield say(
        f"How much doubt the primary estimate survives was examined by {join(name for name, _ in known)}.", *cites
    )


def _conventions(reading: Reading) -> Said:
    if reading.result.effects.estimates:
        yield say(
            "Differences are treated minus control and ratios treated over control; a month is 30.4375 days and a year "
            "365.25; of an event and a censoring at the same time, the event comes first."
        )


def _software(reading: Reading) -> Said:
    made, protocol = reading.result.provenance, reading.result.protocol
    if made is None:
        return
    packages = join(f"{clean(name)} {clean(version)}" for name, version in made.packages.items())
    cites = [name for name in made.packages if name in REFERENCES]
    yield say(
        f"Analyses used causal_s4 {clean(made.causal_s4)}{f' in Python {clean(made.python)}' if made.python else ''}"
        f"{f', with {packages}' if packages else ''}.",
        *cites,
    )
    yield say(
        f"The seed was {protocol.seed}; the data file has the SHA-256 checksum {clean(made.data_sha256)[:12]}…, "
        f"the protocol {clean(made.protocol_sha256)[:12]}…."
    )


METHODS: tuple[tuple[str, Callable[[Reading], Said]], ...] = (
    ("Design", _design),
    ("Eligibility", _eligibility),
    ("Time zero", _time_zero),
    ("Treatment strategies", _strategies),
    ("Outcomes", _outcome_definitions),
    ("Estimand", _estimand),
    ("Causal diagram and adjustment set", _adjustment),
    ("Weights", _weights),
    ("Weights of the clones", _initiation),
    ("Balance", _balance_methods),
    ("Estimation", _estimators),
    ("Confidence intervals", _intervals),
    ("Missing data", _missing),
    ("Sensitivity analyses", _sensitivity_methods),
    ("Conventions", _conventions),
    ("Software and reproducibility", _software),
)
