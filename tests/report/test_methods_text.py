"""The drafted text: true of five different protocols, and a sentence gone with what it rests on.

The texts under ``drafts/`` were read against their protocols, sentence by sentence. After a change that is
meant, ``python tests/report/test_methods_text.py`` writes them anew, to be read again.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fixtures import STUDY, make_result

from causal_s4.protocol.protocol import Protocol
from causal_s4.report.manuscript import draft, latex, markdown
from causal_s4.report.reading import Reading
from causal_s4.report.references import REFERENCES
from causal_s4.results import EffectTable

DRAFTS = Path(__file__).parent / "drafts"
START = STUDY.replace('column = "hormon"', 'column = "hormon"\nstart = "start"')
ESTIMAND = '[estimand]\npopulation = "ATO"\nalso = ["ATE", "ATT"]\n'
PROPENSITY = STUDY[STUDY.index("[propensity]") :]
HOSTILE = "50% of_A & B ^ {x} $y$ #1 ~ \\input{z} [a](b) *c* <d>"


def with_effects(result, analysis, population, variance="influence"):
    """Keep the unadjusted estimates, and take those of the overlap population for another analysis's."""
    kept = [each for each in result.effects if each.analysis == "naive"]
    kept += [
        replace(each, analysis=analysis, population=population)
        for each in result.effects
        if (each.analysis, each.population) == ("weighted", "ATO")
    ]
    estimates = tuple(replace(each, variance=variance) for each in kept)
    return replace(result, effects=EffectTable(estimates=estimates), hazards=(), tests=(), regressions=())


def weights_of(result, population, **changes):
    return replace(result.weights, population=population, **changes)


def baseline():
    return make_result()


def balanced():
    """Entropy balancing for the treated, bootstrap, patients without a value left out."""
    text = (
        STUDY.replace(ESTIMAND, '[estimand]\npopulation = "ATT"\n')
        .replace(PROPENSITY, '[propensity]\nmethod = "entropy-balancing"\n')
        .replace('time_unit = "days"', 'time_unit = "days"\nmissing = "complete-case"')
        + '[inference]\nmethod = "bootstrap"\nreplicates = 500\ninterval = "bca"\nstratify = true\nties = "breslow"\n'
    )
    result = with_effects(make_result(protocol=Protocol.parse(text)), "weighted", "ATT", "bootstrap")
    summary = weights_of(
        result,
        "ATT",
        method="entropy-balancing",
        normalisation="each weighted arm sums to the size of the target population",
        describes="patients like those who were treated",
        c_statistic=None,
        c_statistic_weighted=None,
    )
    balance = replace(result.balance, population="ATT", denominator="unweighted standard deviation of the treated")
    return replace(result, weights=summary, balance=balance, other_weights=(), other_balance=(), positivity=None)


def landmark():
    """A landmark, stabilised and truncated weights for everybody, nothing probed."""
    text = START.replace(ESTIMAND, '[estimand]\npopulation = "ATE"\n').replace(
        PROPENSITY, "[propensity]\ntruncate = [0.01, 0.99]\n"
    )
    text += '[time_zero]\ndesign = "landmark"\nlandmark = "6 months"\n'
    result = with_effects(make_result(protocol=Protocol.parse(text)), "landmark", "ATE")
    summary = weights_of(
        result,
        "ATE",
        truncated=60,
        normalisation="stabilised: each arm sums to about its own size",
        describes="all eligible patients",
    )
    balance = replace(result.balance, population="ATE", denominator="pooled standard deviation before weighting")
    return replace(
        result, weights=summary, balance=balance, other_weights=(), other_balance=(), sensitivity=(), benchmarks=()
    )


def time_dependent():
    """A time-dependent Cox model: no population, no weights, hazard ratios alone."""
    text = START.replace(ESTIMAND, "").replace(PROPENSITY, "") + '[time_zero]\ndesign = "time-dependent"\n'
    result = with_effects(make_result(protocol=Protocol.parse(text)), "time-dependent", "conditional")
    estimates = tuple(each for each in result.effects if each.measure == "hazard ratio")
    return replace(
        result,
        effects=EffectTable(estimates=estimates),
        weights=None,
        balance=None,
        positivity=None,
        other_weights=(),
        other_balance=(),
        sensitivity=(),
        curves=(),
    )


def cloned():
    """Clone-censor-weight with a grace period; a graph that dowhy was not asked about."""
    text = START.replace(ESTIMAND, "").replace(PROPENSITY, '[initiation]\nlog1p = ["nodes"]\n')
    text += '[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = "6 months"\n'
    result = with_effects(make_result(protocol=Protocol.parse(text)), "clone-censor-weight", "ATE")
    return replace(
        result,
        weights=None,
        balance=None,
        positivity=None,
        other_weights=(),
        other_balance=(),
        sensitivity=(),
        findings=(),
        adjustment=replace(result.adjustment, second_opinion="not asked", tests=()),
    )


STUDIES = {each.__name__: each for each in (baseline, balanced, landmark, time_dependent, cloned)}


def text_of(result):
    return markdown(draft(Reading(result)))


def plain(result):
    return " ".join(
        f"{passage.heading}. " + " ".join(each.text for each in passage.sentences)
        for _, passages in draft(Reading(result)).parts
        for passage in passages
    )


@pytest.mark.parametrize("name", STUDIES)
def test_the_text_of_each_protocol_is_the_one_that_was_read(name):
    assert text_of(STUDIES[name]()) == (DRAFTS / f"{name}.md").read_text(encoding="utf-8")


TRUE_OF = {
    "baseline": {
        "overlap population",
        "logistic regression",
        "age (4 knots)",
        "logarithm",
        "Efron's",
        "DoWhy",
        "E-values",
        "influence functions",
    },
    "balanced": {
        "entropy balancing",
        "Breslow's",
        "500 resamples",
        "bias-corrected",
        "left out, as the flow chart",
        "ATT",
    },
    "landmark": {"landmark 6 months", "stabilised", "1% and 99% quantiles", "60 weights changed", "ATE"},
    "time_dependent": {"counted as untreated until", "time-dependent Cox model", "conditional on the covariates"},
    "cloned": {"grace period of 6 months", "cloned into both arms", "probability of staying", "ATE"},
}
FALSE_OF = {
    "baseline": {"entropy", "landmark", "grace", "bootstrap", "stabilised", "quantiles were set"},
    "balanced": {"logistic", "c-statistic", "knots", "Efron", "influence functions", "overlap population"},
    "landmark": {"overlap population", "E-value", "knots", "entropy", "grace", "Published"},
    "time_dependent": {
        "Meier estimator",
        "propensity",
        "estimand was",
        "mean survival",
        "weighted",
        "covariate balance",
    },
    "cloned": {"propensity", "DoWhy", "independencies", "landmark", "overlap population", "Findings that"},
}


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_said_is_true_of_the_protocol(name):
    said = plain(STUDIES[name]())
    assert [words for words in TRUE_OF[name] if words not in said] == []
    assert [words for words in FALSE_OF[name] if words in said] == []


def test_several_lengths_are_one_analysis_and_its_repetitions():
    text = START.replace(ESTIMAND, "").replace(PROPENSITY, "")
    text += '[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = ["6 months", "9 months", "12 months"]\n'
    said = plain(replace(cloned(), protocol=Protocol.parse(text)))
    assert "within 6 months of time zero was compared" in said
    assert "The analysis was repeated with grace periods of 9 months and 12 months." in said
    assert "6 months and" not in said


def test_further_rules_of_the_strategies_are_told():
    text = START.replace(ESTIMAND, "").replace(PROPENSITY, "[initiation]\nloss_weights = true\n")
    text = text.replace('start = "start"', 'start = "start"\nnon_protocol_start = "palliation"')
    text = text.replace("[data]", '[data]\nid = "pid"\nhistory = "visits.csv"')
    text += (
        '[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = "6 months"\ntime_varying = ["response"]\n'
        'timing = "natural"\nnatural_until = "3 months"\nnever = true\nunless = { response = "progression" }\n'
    )
    said = plain(replace(cloned(), protocol=Protocol.parse(text)))
    for words in (
        "was compared with no hormonal treatment then or later.",
        "Practice was left as it is until 3 months; from then on treatment started evenly.",
        "whose response became progression before treatment was released from it",
        "Treatment outside both strategies within the grace period censored both clones",
        "A second such model, of treatment after the grace period",
        "Loss to follow-up was weighted for in the same way.",
    ):
        assert words in said
        assert words not in plain(cloned())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensitivity": ()}, "to explain the estimate away"),
        ({"hazards": ()}, "The log hazard ratio changed"),
        ({"benchmarks": ()}, "Published hazard ratio"),
        ({"tests": ()}, "test of no difference"),
        ({"provenance": None}, "Analyses used causal_s4"),
        ({"positivity": None}, "propensity score below 0.05"),
        ({"findings": ()}, "Weights for the whole population (ATE) reach 17.4"),
        ({"balance": None}, "differed by more than 0.1 standard deviations"),
    ],
)
def test_a_sentence_goes_with_what_it_rests_on(changes, words):
    assert words in plain(make_result())
    assert words not in plain(make_result(**changes))


def test_a_sentence_with_a_number_that_could_not_be_estimated_is_left_out():
    result = make_result()
    holes = tuple(
        replace(each, value=None, lower=None, upper=None) if each.measure != "survival" else each
        for each in result.effects
    )
    assert "not estimable" not in plain(replace(result, effects=EffectTable(estimates=holes), tests=()))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("not identified", "no number here is a causal effect"), ("none needed", "nothing needed adjusting")],
)
def test_the_three_verdicts_are_never_confused(verdict, said):
    result = make_result()
    adjustment = replace(result.adjustment, verdict=verdict, nodes=(), columns=())
    words = plain(replace(result, adjustment=adjustment))
    assert said in words
    assert "The adjustment set was derived" not in words
    assert "DoWhy" not in words


def test_numbers_are_written_as_everywhere(reading):
    said = plain(make_result())
    front = reading.side(reading.front, reading.outcomes[0])
    for each in (front.hazard_ratio, front.rmst_difference, front.survival_difference):
        assert reading.with_interval(each, unit=True) in said


def test_sources_are_numbered_as_they_are_met_and_all_listed():
    text = draft(Reading(make_result()))
    said = text_of(make_result())
    body, listed = said.split("## References")
    first_met = list(dict.fromkeys(n for group in re.findall(r"\\\[([\d,]+)\\\]", body) for n in group.split(",")))
    assert first_met == [str(i) for i in range(1, len(text.numbers) + 1)]
    assert len(listed.strip().splitlines()) == len(text.numbers)
    assert set(text.numbers) <= set(REFERENCES)


def test_every_source_has_an_address():
    # The one without is open access at its journal's own site and has no DOI.
    without = {key for key, source in REFERENCES.items() if "doi:10." not in source and "arXiv:" not in source}
    assert without == {"scikit-learn"}


def test_hostile_labels_are_escaped():
    result = make_result()
    hostile = replace(result, cohort=replace(result.cohort, treated_label=HOSTILE))
    text = draft(Reading(hostile))
    shown = markdown(text)
    assert "50% of\\_A \\& B ^ \\{x\\} \\$y\\$ \\#1 \\~ \\\\input\\{z\\} \\[a\\](b) \\*c\\* \\<d\\>" in shown
    tex = latex(text)
    assert "\\input" not in tex.replace("\\inputenc", "")
    assert r"50\% of\_A \& B \textasciicircum{} \{x\} \$y\$ \#1 \textasciitilde{} \textbackslash{}input\{z\}" in tex


def test_latex_is_balanced_and_cites_what_it_lists():
    tex = latex(draft(Reading(make_result())))
    bare = re.sub(r"\\[{}]", "", tex)
    assert bare.count("{") == bare.count("}")
    assert set(re.findall(r"\\begin\{(\w+)\}", tex)) == set(re.findall(r"\\end\{(\w+)\}", tex))
    cited = {key for keys in re.findall(r"\\cite\{([^}]+)\}", tex) for key in keys.split(",")}
    assert cited == set(re.findall(r"\\bibitem\{([^}]+)\}", tex))
    assert not re.search(r"(?<!\\)[%#&_]", tex.replace("%\n", ""))


def test_files_hold_the_same_text(files):
    text = draft(Reading(make_result()))
    assert files["methods.md"].decode() == markdown(text)
    assert files["methods.tex"].decode() == latex(text)


if __name__ == "__main__":
    DRAFTS.mkdir(exist_ok=True)
    for each in STUDIES.values():
        (DRAFTS / f"{each.__name__}.md").write_text(text_of(each()), encoding="utf-8")
