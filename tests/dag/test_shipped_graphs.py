"""The graphs that come with the package: what they say, and that simulated cohorts do not contradict them."""

import re
from pathlib import Path

import pytest

import causal_s4.dag
from causal_s4.dag import Dag, check_implications
from causal_s4.dag.criterion import Question, choose_set

FOLDER = Path(causal_s4.dag.__file__).parent
STAGE4 = {
    "age",
    "centre",
    "ecog",
    "er_status",
    "pr_status",
    "response",
    "sites",
    "subtype",
    "systemic_therapy",
    "visceral",
    "year",
}
ROTTERDAM = {"age", "chemo", "er", "grade", "meno", "nodes", "pgr", "size", "year"}


def chosen(dag: Dag) -> set[str]:
    found = choose_set(Question.of(dag, None, None), [node for node in dag.nodes if node not in dag.latent])
    assert found is not None
    return set(found)


@pytest.mark.parametrize(
    ("name", "exposure", "outcomes", "covariates"),
    [
        ("stage4", "surgery", ("death", "distant_progression"), STAGE4),
        ("stage4_radiotherapy", "radiotherapy", ("death", "distant_progression"), STAGE4 | {"surgery"}),
        ("rotterdam", "hormon", ("death", "rfs_event"), ROTTERDAM),
    ],
)
def test_the_default_set(name: str, exposure: str, outcomes: tuple[str, ...], covariates: set[str]) -> None:
    dag = Dag.read(FOLDER / f"{name}.dag")
    assert (dag.exposure, dag.outcomes) == (exposure, outcomes)
    assert chosen(dag) == covariates
    assert dag.verdict(covariates).sufficient
    assert dag.verdict([]).kind == "insufficient"


def test_radiotherapy_after_surgery_is_not_adjusted_for() -> None:
    dag = Dag.read(FOLDER / "stage4.dag")
    assert dag.tiers["radiotherapy"] == "later"
    verdict = dag.verdict([*STAGE4, "radiotherapy"])
    assert verdict.kind == "insufficient"
    assert "radiotherapy is a mediator" in verdict.reasons[0]


def test_frailty_confounds_only_through_performance_status() -> None:
    dag = Dag.read(FOLDER / "stage4.dag")
    without = dag.verdict(STAGE4 - {"ecog"})
    assert "surgery <- ecog <- frailty -> death" in without.open_paths
    assert dag.verdict(STAGE4).sufficient


@pytest.mark.parametrize("name", ["stage4", "stage4_radiotherapy", "rotterdam"])
def test_every_arrow_has_a_line_of_why(name: str) -> None:
    text = (FOLDER / f"{name}.dag").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "->" in line.split("//")[0]]
    assert len(lines) == len(Dag.parse(text).edges)
    assert all(re.search(r"// \S.{5,}", line) for line in lines)


def test_simulated_cohorts_do_not_contradict_the_graph() -> None:
    # Families of 41 tests adjusted by Holm: one false alarm in 20 cohorts expected, five or more once in 2,500.
    simulate = pytest.importorskip("causal_s4.simulate.stage4").simulate_stage4
    dag = Dag.read(FOLDER / "stage4.dag")
    alarms = 0
    for seed in range(20):
        checked = check_implications(dag, simulate(n=600, seed=seed), leave_out=dag.outcomes)
        assert checked.untested == ()
        alarms += any(test.p_adjusted < 0.05 for test in checked.tests)
    assert alarms <= 4
    # And the test is able to see: without one arrow of the world, the graph is contradicted.
    wrong = Dag.parse(re.sub(r"subtype -> visceral", "", dag.to_dagitty()))
    (test,) = [
        each
        for each in check_implications(wrong, simulate(n=3000, seed=1), leave_out=dag.outcomes).tests
        if (each.x, each.y) == ("subtype", "visceral")
    ]
    assert test.p_adjusted < 0.01
