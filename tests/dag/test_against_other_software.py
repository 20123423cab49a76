"""DAGitty's answers (tests/reference/dags.json) and dowhy's, on the same graphs."""

import itertools
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from dag_graphs import random_dag

from causal_s4.dag import Dag, adjustment_sets, identify, second_opinion
from causal_s4.dag.separation import separated

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "dags.json").read_text())
GRAPHS: dict[str, dict[str, Any]] = {
    **{name: REFERENCE[name] for name in ("stageIV_surgery", "stageIV_surgery_no_latent_path", "stageIV_unmeasured")},
    **REFERENCE["textbook"],
    **{f"random {i}": graph for i, graph in enumerate(REFERENCE["random"])},
}


@pytest.fixture(params=GRAPHS, scope="module")
def graph(request: pytest.FixtureRequest) -> dict[str, Any]:
    return GRAPHS[request.param]


def test_the_graph_is_read_as_dagitty_reads_it(graph: dict[str, Any]) -> None:
    dag = Dag.parse(graph["dag"])
    assert list(dag.nodes) == graph["vertices"]
    assert sorted(dag.edges) == sorted((a, b) for a, _, b in graph["edges"])
    assert ([dag.exposure], list(dag.outcomes), sorted(dag.latent)) == (
        graph["exposure"],
        graph["outcome"],
        sorted(graph["latent"]),
    )
    # DAGitty counts a node among its own ancestors and descendants.
    (outcome,) = graph["outcome"]
    (exposure,) = graph["exposure"]
    assert sorted({outcome} | dag.ancestors(outcome)) == sorted(graph["ancestors_of_outcome"])
    assert sorted({exposure} | dag.descendants(exposure)) == sorted(graph["descendants_of_exposure"])


def test_minimal_sets_are_dagittys(graph: dict[str, Any]) -> None:
    found = [sorted(each) for each in Dag.parse(graph["dag"]).adjustment_sets()]
    assert sorted(found) == sorted(sorted(each) for each in graph["minimal_sets_total"])


def test_every_subset_is_judged_as_dagitty_judges_it(graph: dict[str, Any]) -> None:
    dag = Dag.parse(graph["dag"])
    valid = {frozenset(each) for each in graph["all_valid_adjustment_sets"]}
    free = [node for node in dag.nodes if node not in (dag.exposure, *dag.outcomes, *dag.latent)]
    subsets = [each for k in range(len(free) + 1) for each in itertools.combinations(free, k)]
    assert len(subsets) == graph["n_subsets_tested"]
    for each in subsets:
        verdict = dag.verdict(each)
        assert bool(verdict) == (frozenset(each) in valid)
        assert verdict.reasons
        assert (verdict.kind == "not identified") == (not valid)


def test_implied_independencies_are_dagittys(graph: dict[str, Any]) -> None:
    found = {(frozenset((claim.x, claim.y)), claim.given) for claim in Dag.parse(graph["dag"]).implied_independencies()}
    expected = {
        (frozenset((claim["X"], claim["Y"])), tuple(sorted(claim["Z"])))
        for claim in graph["implied_independencies"].values()
    }
    assert found == expected


@pytest.mark.parametrize("name", [name for name, graph in GRAPHS.items() if "dsep" in graph])
def test_separations_are_dagittys(name: str) -> None:
    dag = Dag.parse(GRAPHS[name]["dag"])
    for a, b, given, apart in GRAPHS[name]["dsep"]:
        assert separated(dag.parents, a, [b], given) == bool(apart)


# --- dowhy -----------------------------------------------------------------------------------------


def dowhys_minimal_sets(dag: Dag) -> set[frozenset[str]]:
    from dowhy.causal_identifier.auto_identifier import BackdoorAdjustment, identify_backdoor

    observed = [node for node in dag.nodes if node not in dag.latent]
    sets = {
        frozenset(each.get_adjustment_variables())
        for each in identify_backdoor(
            dag.to_networkx(), [dag.exposure], list(dag.outcomes), observed, BackdoorAdjustment.BACKDOOR_EXHAUSTIVE
        )
    }
    return {each for each in sets if not any(other < each for other in sets)}


def agree(seeds: range) -> int:
    compared = 0
    for seed in seeds:
        dag = random_dag(seed, n=7)
        ours = set(adjustment_sets(dag))
        assert dowhys_minimal_sets(dag) == ours, dag.to_dagitty()
        compared += 1
        for each in sorted(ours, key=sorted)[:1]:
            assert second_opinion(dag, each, exposure=str(dag.exposure), outcomes=dag.outcomes) == "agrees"
    return compared


def test_dowhys_exhaustive_search_finds_the_same_sets_on_forty_random_graphs() -> None:
    assert agree(range(1000, 1040)) == 40


@pytest.mark.slow
def test_dowhys_exhaustive_search_finds_the_same_sets_on_three_hundred_random_graphs() -> None:
    assert agree(range(300)) == 300


def test_the_second_opinion_disagrees_when_a_path_is_open() -> None:
    dag = Dag.parse("A [exposure] Y [outcome] L -> A L -> Y A -> Y")
    assert second_opinion(dag, ["L"], exposure="A", outcomes=["Y"]) == "agrees"
    opinion = second_opinion(dag, [], exposure="A", outcomes=["Y"])
    assert opinion == "disagrees: it finds a back-door path from A to Y that the set leaves open"
    tied = Dag.parse("A [exposure] Y [outcome] A <-> Y A -> Y")
    assert second_opinion(tied, [], exposure="A", outcomes=["Y"]).startswith("disagrees")


def test_the_second_opinion_is_silent_bounded_and_unharmed_by_names(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # Words that dowhy's own reader of text would cut out of names.
    causes = [f"exposure_date {i} -> latent" for i in range(20)]
    edges = " ".join(f'"{c}" -> A "{c}" -> Y' for c in causes)
    dag = Dag.parse(f"A [exposure] Y [outcome] {edges}")
    level = logging.getLogger("dowhy").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert second_opinion(dag, causes, exposure="A", outcomes=["Y"]) == "agrees"
    assert logging.getLogger("dowhy").level == level
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_effects_of_the_treatment_are_beyond_dowhy() -> None:
    dag = Dag.parse("A [exposure] Y [outcome] A -> S L -> S L -> Y L -> A A -> Y")
    assert second_opinion(dag, ["L", "S"], exposure="A", outcomes=["Y"]).startswith("not asked: ")


def test_disagreement_is_a_serious_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    import dowhy.graph

    monkeypatch.setattr(dowhy.graph, "check_valid_backdoor_set", lambda *_: {"is_dseparated": False})
    dag = Dag.parse("A [exposure] Y [outcome] L -> A L -> Y A -> Y")
    _, findings = identify(dag, treatment_node="A", outcome_nodes=["Y"], columns={node: [node] for node in dag.nodes})
    (finding,) = [each for each in findings if each.code == "second-opinion-disagrees"]
    assert finding.severity == "serious"
