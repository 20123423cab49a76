"""How intervals are made when the study file does not say: see ``analyses/validation`` for the evidence."""

from dataclasses import replace

import pandas as pd
import pytest
from small_cohorts import small_cohort, small_frame
from small_study import STUDY, cohort, write_study

import causal_s4 as s4
from causal_s4 import estimation
from causal_s4.comparison import Comparison
from causal_s4.errors import UsageError
from causal_s4.estimation import interval_method
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.protocol import Protocol

QUICK = "[sensitivity.e-value]\n"


def comparison_of(treated: int, controls: int, **options) -> Comparison:
    """Cohorts with exactly so many patients an arm; the model has five coefficients: one, x, b and two of g."""
    frame = small_frame(1, 600)
    whole = small_cohort(
        pd.concat([frame[frame["arm"] == arm].head(size) for arm, size in (("yes", treated), ("no", controls))])
    )
    return Comparison(
        table=whole.risk_table(), weights=weigh(whole, **options), analysis="weighted", population=options["population"]
    )


@pytest.mark.parametrize(
    ("treated", "controls", "method"),
    [(75, 200, "influence"), (74, 200, "jackknife"), (200, 74, "jackknife"), (200, 75, "influence")],
)
def test_fifteen_patients_of_the_smaller_arm_for_each_coefficient(treated, controls, method):
    found, findings = interval_method(comparison_of(treated, controls, population="ATO"))
    assert found == method
    assert [each.code for each in findings] == (["small-arm"] if method == "jackknife" else [])
    if findings:
        assert findings[0].numbers == {"smaller_arm": 74, "coefficients": 5}


@pytest.mark.parametrize("method", ["logistic", "firth", "entropy-balancing"])
def test_whatever_the_weights_are_made_of(method):
    assert interval_method(comparison_of(30, 60, population="ATE", method=method))[0] == "jackknife"


def test_naive_comparisons_and_given_weights_have_no_model_to_be_too_large():
    comparison = comparison_of(20, 200, population="ATO")
    assert interval_method(replace(comparison, weights=None)) == ("influence", ())
    given = s4.Weights.given(comparison.weights.values)
    assert interval_method(replace(comparison, weights=given)) == ("influence", ())


def test_a_cohort_too_large_to_leave_everybody_out_is_told(monkeypatch):
    monkeypatch.setattr(estimation, "MOST_LEFT_OUT", 200)
    method, (finding,) = interval_method(comparison_of(40, 200, population="ATO"))
    assert method == "influence"
    assert finding.severity == "caution"
    assert 'method = "bootstrap"' in finding.message


def test_a_study_that_does_not_say(tmp_path):
    frame = cohort()
    # thirty operated women: seven for each of four coefficients
    few = frame.drop(frame.index[frame["surgery"] == 1][30:])
    path = write_study(tmp_path, study=f"{STUDY}{QUICK}", frame=few)
    result = s4.Study.read(path).run()
    weighted, naive = result.effects.where(analysis="weighted"), result.effects.where(analysis="naive")
    assert {each.variance for each in weighted if each.measure != "median survival"} == {"jackknife"}
    assert {each.variance for each in naive} == {"influence"}
    assert any(each.code == "small-arm" for each in result.findings)
    asked = write_study(tmp_path / "asked", study=f'{STUDY}[inference]\nmethod = "influence"\n{QUICK}', frame=few)
    by_influence = s4.Study.read(asked).run()
    assert {each.variance for each in by_influence.effects if each.analysis == "weighted"} == {"influence"}
    assert not any(each.code == "small-arm" for each in by_influence.findings)
    # the default is the jackknife that one can ask for, to the last digit
    chosen = write_study(tmp_path / "chosen", study=f'{STUDY}[inference]\nmethod = "jackknife"\n{QUICK}', frame=few)
    of_choice = s4.Study.read(chosen).run().effects.where(analysis="weighted")
    assert [each.std_error for each in of_choice] == [each.std_error for each in weighted]


def test_a_study_with_large_arms(tmp_path):
    result = s4.Study.read(write_study(tmp_path, study=f"{STUDY}{QUICK}")).run()
    assert {each.variance for each in result.effects if each.analysis == "weighted"} == {"influence"}


def test_options_of_the_bootstrap_need_it():
    text = f"{STUDY}[inference]\nreplicates = 500\n"
    with pytest.raises(Exception, match="would have no effect without a method"):
        Protocol.parse(text)


def test_nothing_is_resumed_or_sent_to_a_cluster_without_resampling(tmp_path):
    study = s4.Study.read(write_study(tmp_path, study=f"{STUDY}{QUICK}"))
    with pytest.raises(UsageError, match="no method of intervals is chosen"):
        study.run(resume=tmp_path / "kept")
