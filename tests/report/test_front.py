"""What stands at the front of a report, and the findings beside it."""

from dataclasses import replace

from fixtures import RFS, make_result
from test_methods_text import time_dependent

from causal_s4.report import prose
from causal_s4.report.reading import Reading
from causal_s4.results import EffectTable, Finding


def test_with_nothing_to_adjust_for_the_design_stands_before_the_naive_comparison():
    base = time_dependent()
    naive = base.effects.one(outcome=RFS, analysis="naive", measure="hazard ratio")
    timed = replace(naive, analysis="time-dependent", value=1.1, lower=0.9, upper=1.3)
    reading = Reading(replace(base, effects=EffectTable(estimates=(naive, timed))))
    assert reading.front == ("time-dependent", "unadjusted")
    assert prose.answer(reading)[-1].endswith(
        "1.10 (95% CI 0.90 to 1.30) with time before treatment counted as untreated."
    )


def test_a_finding_of_two_populations_is_told_once_and_its_minus_is_a_minus():
    same = Finding(code="x", severity="caution", step="weigh", message="The largest is -0.41 (stage-IV, 1-2).")
    reading = Reading(make_result(findings=(same, same, replace(same, severity="note"))))
    (_, cautions), (_, notes) = prose.findings(reading)
    assert [each.message for each in cautions] == ["The largest is \N{MINUS SIGN}0.41 (stage-IV, 1-2)."]
    assert len(notes) == 1


def test_unweighted_clones_are_not_more_patients_than_there_are():
    reading = Reading(make_result())
    estimate = replace(reading.result.effects.estimates[0], n=157, ess=314.0)
    assert reading.size(estimate) == "157 patients"
