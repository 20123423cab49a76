"""The reader and printer of dagitty text: grammar, refusals, round trips, any text at all."""

import contextlib
import string
import time
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_s4.dag import Dag, Node
from causal_s4.errors import DagSyntaxError, InputError, UsageError

EXPORT = """dag {
bb="-2.5,-2.1,2.4,2.2"
"PR status" [pos="-0.911,1.253"]
Age [adjusted,pos="-1.2,-0.5"]
Death [outcome,pos="1.1,0.2"]
Frailty [latent,pos="0.1,1.9"]
Surgery [exposure,pos="-0.2,0.2"]
"PR status" -> Death
Age -> Death [beta=".3"]
Age -> Surgery
Frailty <-> Death [pos="0.5,1.0"]
Surgery -> Death
}
"""


def message(text: str) -> str:
    with pytest.raises(DagSyntaxError) as caught:
        Dag.parse(text)
    return str(caught.value)


def test_an_export_of_dagitty_is_read_with_roles_positions_and_attributes() -> None:
    dag = Dag.parse(EXPORT)
    assert dag.nodes == ("Age", "Death", "Frailty", "PR status", "Surgery")
    assert (dag.exposure, dag.outcomes, dag.latent, dag.adjusted) == ("Surgery", ("Death",), ("Frailty",), ("Age",))
    assert dag.positions["PR status"] == (-0.911, 1.253)
    assert dag.bidirected == (("Death", "Frailty"),)
    assert ("Age", "Surgery") in dag.edges
    assert Dag.parse(dag.to_dagitty()) == dag
    assert 'Age -> Death [beta=".3"]' in dag.to_dagitty()


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("dag { A -> B }", "A>B"),
        ("A -> B", "A>B"),
        ("DIGRAPH g { A -> B; }", "A>B"),
        ('dag "my dag" { A <- B }', "B>A"),
        ("dag { A -> B <- C -> D }", "A>B C>B C>D"),
        ("dag { A -> {B C} }", "A>B A>C"),
        ("dag { {A B} -> {C D} -> E }", "A>C A>D B>C B>D C>E D>E"),
        ("dag { A -> { B -> C } }", "A>B A>C B>C"),
        ("dag { A -> { B { C D } } }", "A>B A>C A>D"),
        ("dag{A->B B->C}", "A>B B>C"),
        ("dag { A -> B A -> B }", "A>B"),
        ("dag {\r\n A -> B // why -> this\r\n # B -> A\r\n /* C -> D\n */ B -> C }", "A>B B>C"),
        ('dag { "a -> b" -> "c \\"d\\"" }', 'a -> b>c "d"'),
        ("dag { exposure_date -> outcome_adjusted }", "exposure_date>outcome_adjusted"),
        ("dag { 1 -> x.2 }", "1>x.2"),
        ("dag { âge -> décès }", "âge>décès"),
        ("dag { o -> dag -> bb }", "o>dag dag>bb"),
    ],
)
def test_edges_are_read(text: str, edges: str) -> None:
    expected = sorted(tuple(edge.split(">")) for edge in edges.split(" ")) if " -> " not in edges else None
    found = Dag.parse(text).edges
    assert list(found) == (expected or [("a -> b", 'c "d"')])
    assert Dag.parse(Dag.parse(text).to_dagitty()).edges == found


@pytest.mark.parametrize(
    ("written", "role"),
    [(alias, role) for role, aliases in {
        "exposure": ("exposure", "e", "source"),
        "outcomes": ("outcome", "o", "target"),
        "latent": ("latent", "l", "unobserved", "u"),
        "adjusted": ("adjusted", "a"),
    }.items() for alias in aliases],
)  # fmt: skip
def test_roles_have_their_short_forms(written: str, role: str) -> None:
    dag = Dag.parse(f"dag {{ A [{written}] }}")
    assert getattr(dag, role) in ("A", ("A",))


def test_tiers_labels_and_names_are_kept() -> None:
    dag = Dag.parse('dag "two words" { A [tier=later, label="Age, years"] B [tier="baseline"] C }')
    assert dag.tiers == {"A": "later", "B": "baseline"}
    assert dag.labels == {"A": "Age, years"}
    assert dag.name == "two words"
    assert Dag.parse(dag.to_dagitty()) == dag


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dag { A -- B }", ["line 1: column 9", "--", "no direction"]),
        ("pdag { A -> B }", ["line 1: column 1", "pdag", "dag or digraph"]),
        ("mag { A -> B }", ["'mag'"]),
        ("pag { A -> B }", ["'pag'"]),
        ("graph { A -> B }", ["'graph'"]),
        ("dag { A @-> B }", ["'@->'", "partial ancestral"]),
        ("dag { A o-> B }", ["'o->'", "partial ancestral", "leave a space"]),
        ("dag { A <-o B }", ["'<-o'"]),
        ("dag { A => B }", ["'=>'", "->, <- or <->"]),
        ("dag { A --> B }", ["'-->'"]),
        ("dag { A → B }", ["'→'", "column 9"]),
        ("dag {\n  A -> B\n  C - D\n}", ["line 3: column 5"]),
        ("dag { A -B }", ["minus sign", "Write -> for an edge"]),
        ("dag { A -> B", ["never closed", "matching }"]),
        ("dag { A -> B } }", ["after the closing brace"]),
        ("dag { A -> B } C -> D", ["after the closing brace"]),
        ("A -> B }", ["without an opening"]),
        ("dag { A [exposure }", ["'}'", ", or ]"]),
        ("dag { A [exposure", ["after an attribute"]),
        ("dag { A [expsure] }", ["'expsure'", "Did you mean exposure?"]),
        ("dag { A [colour=red] }", ["'colour'", "Known are"]),
        ("dag { A [selected] }", ["selection nodes are not handled", "eligibility"]),
        ("dag { A [exposure=1] }", ["exposure with a value"]),
        ('dag { A [pos="1"] }', ["pos='1'", "0.1,0.2"]),
        ('dag { A [pos="1,nan"] }', ["pos="]),
        ("dag { A [tier=soon] }", ["tier='soon'", "baseline"]),
        ("dag { A [tier] }", ["tier without a value"]),
        ("dag { A [tier=later] A [tier=baseline] }", ["given twice"]),
        ("dag { A -> B [exposure] }", ["role exposure after an edge"]),
        ("dag { {A B} [latent] }", ["attributes after a group"]),
        ("dag { A [latent] -> B }", ["no node on its left", "statement of their own"]),
        ("dag { -> B }", ["no node on its left"]),
        ("dag { A -> }", ["'}'", "a node or a group"]),
        ("dag { A -> B -> }", ["a node or a group"]),
        ('dag { "A -> B }', ["quote that is not closed"]),
        ("dag { A -> B /* }", ["comment that is never closed"]),
        ("dag { rankdir=LR; A -> B }", ["option 'rankdir'"]),
        ("dag { node [shape=box] }", ["'node'", "word of the language"]),
        ('dag { "" -> B }', ["empty"]),
        ('dag { "a\x07" -> B }', ["control characters"]),
        ("tree { A -> B }", ["graph type 'tree'"]),
        ("", ["no text"]),
        ("// nothing", ["no text"]),
        ("dag { A -> A }", ["cycle: A -> A"]),
        ("dag { A -> B -> C -> A }", ["cycle", "A -> B -> C -> A"]),
        ("dag { A <-> A }", ["joins a node to itself"]),
        ("dag { A [e] B [e] }", ["2 nodes are marked as exposure (A, B)"]),
        ("dag { A [e,o] }", ["both exposure and outcome"]),
        ("dag { A [latent,adjusted] }", ["both latent and adjusted"]),
        ("dag { A [e,l] }", ["both exposure and latent"]),
        ("{" * 60, ["nested more than 50 deep"]),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place_and_reason(text: str, words: list[str]) -> None:
    said = message(text)
    for word in words:
        assert word in said


def test_all_problems_are_reported_at_once() -> None:
    said = message("dag {\n A => B\n C [expsure]\n D -- E\n F -> G -> F\n H [e]\n I [e]\n}")
    for word in ("5 problems", "line 2", "line 3", "line 4", "cycle: F -> G -> F", "(H, I)"):
        assert word in said


def test_reading_stops_after_twenty_problems() -> None:
    with pytest.raises(DagSyntaxError) as caught:
        Dag.parse("dag {\n" + "A => B\n" * 1000 + "}")
    assert len(caught.value.problems) == 21
    assert "stopped" in str(caught.value)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the DAG file 'none\.dag'"):
        Dag.read(tmp_path / "none.dag")
    with pytest.raises(InputError, match="cannot read"):
        Dag.read(tmp_path)
    file = tmp_path / "graph.dag"
    file.write_bytes("dag { \xe2ge -> b }".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        Dag.read(file)
    file.write_bytes(b"\xef\xbb\xbfdag { a -> b }")
    assert Dag.read(file).edges == (("a", "b"),)
    file.write_text("dag { a => b }")
    with pytest.raises(DagSyntaxError, match=r"graph\.dag: .*"):
        Dag.read(str(file))
    file.write_text("a" * 300_000)
    with pytest.raises(InputError, match="larger than 256 kB"):
        Dag.read(file)
    with pytest.raises(UsageError, match="expected dagitty text"):
        Dag.parse(b"dag { a -> b }")  # type: ignore[arg-type]


def test_a_graph_made_in_python_is_checked_too() -> None:
    with pytest.raises(DagSyntaxError, match="contradicts itself") as caught:
        Dag(
            members=(Node(name="a"), Node(name="a"), Node(name="b", tier="soon"), Node(name="")),
            edges=(("a", "c"), ("a", "b"), ("b", "a")),
        )
    for word in ("listed twice", "tier 'soon'", "empty", "not listed", "cycle"):
        assert word in str(caught.value)


def test_an_unknown_node_is_named_with_the_nearest_one() -> None:
    dag = Dag.parse("surgery -> death")
    with pytest.raises(UsageError, match="did you mean 'surgery'"):
        dag.ancestors("surgry")


def test_a_bidirected_edge_becomes_a_latent_parent_for_other_software() -> None:
    dag = Dag.parse('dag { a <-> b; a -> b; c [latent]; "U(a,b)" -> c }')
    graph = dag.to_networkx()
    (hidden,) = set(graph) - set(dag.nodes)
    assert set(graph.successors(hidden)) == {"a", "b"}
    assert graph.nodes[hidden]["observed"] == graph.nodes["c"]["observed"] == "no"
    assert nx.is_directed_acyclic_graph(graph)


def test_dot_quotes_what_needs_quoting() -> None:
    dot = Dag.parse('dag { "a \\"b\\"" -> c; c <-> d; d [latent] }').to_dot()
    assert '"a \\"b\\"" -> "c";' in dot
    assert '"c" -> "d" [dir=both, style=dashed];' in dot


# --- properties ------------------------------------------------------------------------------------

names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="￾￿"), min_size=1, max_size=12
).filter(lambda name: name.strip())
positions = st.tuples(*[st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.0)] * 2)


@st.composite
def dags(draw: st.DrawFn) -> Dag:
    order = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    ties = draw(st.lists(st.sampled_from(pairs), max_size=3, unique=True)) if pairs else []
    exposure = draw(st.integers(0, 8))
    members = []
    for i, name in enumerate(order):
        role = "exposure" if i == exposure else draw(st.sampled_from(["", "outcome", "latent", "adjusted"]))
        members.append(
            Node(
                name=name,
                position=draw(st.none() | positions),
                tier=draw(st.sampled_from([None, "baseline", "later"])),
                label=draw(st.just("") | names),
                **({role: True} if role else {}),
            )
        )
    notes = tuple(((*edges[0][:1], "->", edges[0][1]), (("beta", "0.3"),)) for _ in range(bool(edges)))
    return Dag(members=tuple(members), edges=tuple(edges), bidirected=tuple(ties), edge_attributes=notes,
               name=draw(st.just("") | names))  # fmt: skip


@given(dags())
@settings(max_examples=150, deadline=None)
def test_printing_and_reading_give_the_same_graph(dag: Dag) -> None:
    text = dag.to_dagitty()
    assert Dag.parse(text) == dag
    assert Dag.parse(text).to_dagitty() == text


pieces = st.sampled_from(
    ["dag", "{", "}", "[", "]", "->", "<-", "<->", "--", "=", ",", ";", "\n", " ", '"', "\\", "//", "/*", "*/", "#",
     "a", "b1", "exposure", "pos", '"1,2"', "o->", "@->", "-", ".", "é", "\x00", "\ud800", "bb", "latent", "tier=later"]
)  # fmt: skip


@given(st.text(max_size=60) | st.lists(pieces, max_size=60).map("".join) | st.text(string.printable, max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_graph_or_a_syntax_error(text: str) -> None:
    try:
        dag = Dag.parse(text)
    except DagSyntaxError:
        return
    assert Dag.parse(dag.to_dagitty()) == dag


@pytest.mark.parametrize(
    "text",
    [
        "{" * 60_000,
        "[" * 60_000,
        "a -> " * 50_000,
        '"' * 60_000,
        "/*" * 40_000,
        "a;" * 40_000,
        "dag {" + " -> ".join(f"v{i}" for i in range(8_000)) + "}",
        "{" + " ".join(f"a{i}" for i in range(15_000)) + "} -> {" + " ".join(f"b{i}" for i in range(15_000)) + "}",
        "a [" + "label=x," * 30_000,
        " " * 60_000,
        "-" * 60_000,
        "\\" * 60_000,
        " -> ".join(f"v{i % 5000}" for i in range(30_000)),
    ],
    ids=range(13),
)
def test_hostile_text_is_dealt_with_quickly(text: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(DagSyntaxError):
        Dag.parse(text)
    assert time.perf_counter() - start < 15
