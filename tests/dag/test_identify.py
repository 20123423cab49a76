"""From a study and a graph to an adjustment set: the choice, the refusals, what a reader is told."""

import numpy as np
import pandas as pd
import pytest

from causal_s4.dag import Dag, identify
from causal_s4.errors import NotIdentifiedError, ProtocolError
from causal_s4.results import AdjustmentSet, Finding

CONFOUNDED = "A [exposure] Y [outcome] L -> A L -> Y P -> Y A -> Y"


def ask(text: str, measured: str | list[str], **more: object) -> tuple[AdjustmentSet, dict[str, Finding]]:
    options = {"treatment_node": "A", "outcome_nodes": ["Y"], "ask_dowhy": False, **more}
    result, findings = identify(Dag.parse(text), columns={node: (node,) for node in measured}, **options)  # type: ignore[arg-type]
    return result, {finding.code: finding for finding in findings}


def test_the_set_comes_with_reasons_alternatives_text_and_drawing() -> None:
    result, findings = ask(CONFOUNDED, "ALPY")
    assert result.nodes == result.columns == ("L", "P")
    assert result.alternatives == (("L",),)
    assert result.verdict == "adjust"
    assert result.reasons[0] == "L and P close every back-door path from A to Y."
    assert "every measured direct cause" in result.reasons[1]
    assert "No common cause of A and Y is missing" in result.untested_assumptions[0]
    assert Dag.parse(result.dagitty) == Dag.parse(CONFOUNDED)
    assert result.drawing.startswith("<svg")
    assert result.second_opinion.startswith("not asked")
    assert findings == {}


def test_a_node_may_have_several_columns_and_columns_keep_the_order_of_nodes() -> None:
    result, _ = identify(
        Dag.parse(CONFOUNDED),
        treatment_node="A",
        outcome_nodes=["Y"],
        columns={"A": ["a"], "Y": ["y"], "P": ["p"], "L": ["l2", "l1"]},
        ask_dowhy=False,
    )
    assert result.columns == ("l2", "l1", "p")


def test_nothing_to_adjust_for_is_said() -> None:
    result, findings = ask("A [exposure] Y [outcome] P -> Y A -> Y", "APY")
    assert (result.nodes, result.columns, result.verdict) == ((), (), "none needed")
    assert "equals the naive one" in findings["nothing-to-adjust-for"].message


def test_marks_are_not_needed_when_the_study_names_the_nodes() -> None:
    result, _ = ask("L -> A L -> Y A -> Y", "ALY")
    assert result.nodes == ("L",)
    assert "A [exposure]" in result.dagitty


def test_a_study_may_ask_about_some_of_the_marked_outcomes() -> None:
    text = "A [exposure] Y [outcome] Z [outcome] L -> A L -> Y K -> A K -> Z A -> Y -> Z"
    assert ask(text, "ALKYZ")[0].nodes == ("L",)
    assert ask(text, "ALKYZ", outcome_nodes=["Y", "Z"])[0].nodes == ("K", "L")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (CONFOUNDED, {"treatment_node": "P"}, ["the study's treatment is P, the graph marks A"]),
        (CONFOUNDED, {"outcome_nodes": ["P"]}, ["the graph marks Y as outcome, not the study's P"]),
        (CONFOUNDED, {"treatment_node": "B", "outcome_nodes": ["Z"], "adjust_for": ["LL"]},
         ["no node 'B'", "no node 'Z'", "no node 'LL'; did you mean 'L'?"]),
        ("A [latent] A -> Y", {}, ["marks the treatment A as latent"]),
        ("Y [latent] A -> Y", {}, ["marks the outcome Y as latent"]),
        (CONFOUNDED, {"adjust_for": ["P"]}, ["adjust_for = P does not suffice", "{L} would", "A <- L -> Y is open"]),
        ("A -> M -> Y L -> A L -> Y", {"adjust_for": ["L", "M"]}, ["M is a mediator"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_as_a_fault_of_the_protocol(
    text: str, options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ProtocolError) as caught:
        ask(text, "AY" if "latent" in text else list(Dag.parse(text).nodes), **options)
    for word in words:
        assert word in str(caught.value)


def test_columns_for_unknown_nodes_and_sets_without_columns_are_refused() -> None:
    with pytest.raises(ProtocolError, match="no node 'age'"):
        ask(CONFOUNDED, ["A", "Y", "L", "age"])
    with pytest.raises(ProtocolError, match="no column measures this node"):
        ask(CONFOUNDED, "AYP", adjust_for=["L"])


@pytest.mark.parametrize(
    ("text", "measured", "words"),
    [
        ("U [latent] U -> A U -> Y A -> Y", "AY", ["is not identified: no set of measured", "open path: A <- U -> Y"]),
        ("A <-> Y A -> Y", "AY", ["A <-> Y"]),
        (CONFOUNDED, "APY", ["not identified from the columns at hand", "A <- L -> Y", "missing for {L}"]),
        ("L -> K -> Y L -> A A -> Y", "AY", ["missing for {K} or {L}"]),
        ("M [adjusted] A -> M -> Y", "AMY", ["no sufficient set can hold M", "M is a mediator"]),
        ("L [adjusted] A -> Y", "AY", ["no sufficient set can hold L", "no column measures this node"]),
        ("L [adjusted] U1 [latent] U2 [latent] U1 -> A U1 -> L <- U2 -> Y A -> Y", "ALY",
         ["with L, which the graph marks as adjusted", "opens the collider L"]),
    ],
)  # fmt: skip
def test_what_cannot_be_identified_is_refused_with_an_open_path(text: str, measured: str, words: list[str]) -> None:
    with pytest.raises(NotIdentifiedError) as caught:
        ask(text, measured)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_status == 3


def test_adjust_for_in_an_unidentified_graph_is_not_a_fault_of_the_set() -> None:
    with pytest.raises(NotIdentifiedError, match="A <- U -> Y"):
        ask("U [latent] U -> A U -> Y L -> Y A -> Y", "ALY", adjust_for=["L"])


def test_a_sufficient_set_of_the_readers_own_is_taken() -> None:
    result, findings = ask("Z -> A L -> A L -> Y A -> Y", "ZLAY", adjust_for=["L", "Z"])
    assert result.nodes == ("L", "Z")
    assert result.alternatives == (("L",),)
    assert "asked for" in result.reasons[-1]
    assert findings["instrument-in-set"].severity == "caution"


def test_adjusting_for_what_is_measured_later_is_serious() -> None:
    _, findings = ask("K [tier=later] K -> Y K -> A A -> Y", "KAY")
    assert findings["adjusted-after-time-zero"].severity == "serious"
    assert "K, which is measured after time zero" in findings["adjusted-after-time-zero"].message
    _, findings = ask("A -> S L -> S L -> Y L -> A A -> Y", "ALSY", adjust_for=["L", "S"])
    assert "S, which is an effect of the treatment" in findings["adjusted-after-time-zero"].message


def test_what_is_assumed_of_the_unmeasured_is_written_out() -> None:
    result, findings = ask("U [latent] U -> L L -> A L -> Y U -> Y Q -> Y K <-> L A -> Y", "ALUKY")
    said = " ".join(result.untested_assumptions)
    assert "U is not measured; it is assumed to act directly on L and Y only." in said
    assert "If it also acted on A directly, no measured set would suffice." in said
    assert "K and L share an unmeasured common cause" in said
    assert findings["latent-with-column"].numbers == {"nodes": ["U"]}
    assert findings["node-without-column"].numbers == {"nodes": ["Q"]}


def test_a_graph_without_causal_path_is_noticed() -> None:
    result, findings = ask("L -> A L -> Y", "LAY")
    assert result.nodes == ("L",)
    assert "assumes that there is no effect" in findings["no-causal-path"].message


def test_too_many_sets_are_noticed() -> None:
    text = "A -> Y " + " ".join(f"A <- a{i} <- b{i} -> Y" for i in range(12))
    result, findings = ask(text, list(Dag.parse(text).nodes))
    assert findings["adjustment-sets-capped"].numbers == {"sets": 1000}
    assert len(result.alternatives) == 50
    assert result.nodes == tuple(sorted(f"b{i}" for i in range(12)))


def test_the_cohort_contradicts_a_wrong_graph_and_outcomes_are_left_out() -> None:
    rng = np.random.default_rng(1)
    n = 1000
    l, p = rng.normal(size=(2, n))  # noqa: E741
    frame = pd.DataFrame(
        {"L": l, "P": p + 0.5 * l, "A": (rng.random(n) < 1 / (1 + np.exp(-l))).astype(int), "Y": rng.integers(0, 2, n)}
    )
    result, findings = ask(CONFOUNDED, "ALPY", cohort_frame=frame)
    assert {(test.x, test.y, test.given) for test in result.tests} == {("L", "P", ()), ("A", "P", ())}
    assert list(result.to_frame()["x"]) == [test.x for test in result.tests]
    assert findings["independence-contradicted"].severity == "caution"
    assert "An arrow or a common cause may be missing" in findings["independence-contradicted"].message
    assert findings["independencies-tested"].numbers["tested"] == 2
    assert "Those about Y were left out" in findings["independencies-tested"].message
