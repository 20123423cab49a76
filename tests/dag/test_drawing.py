"""The drawing, read back from its SVG: nothing through nodes, everything told apart, nothing unescaped."""

import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from dag_graphs import random_dag
from hypothesis import given, settings
from test_syntax import dags

import causal_s4.dag
from causal_s4.dag import Dag, draw_svg
from causal_s4.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"
SHIPPED = Path(causal_s4.dag.__file__).parent
NAMES = ("stage4", "stage4_radiotherapy", "rotterdam")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def nodes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Return left, top, right and bottom of each node."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        if "data-node" in group.attrib:
            shape = next(child for child in group if child.tag in (f"{SVG}rect", f"{SVG}path"))
            if shape.tag == f"{SVG}rect":
                x, y, w, h = (float(shape.attrib[key]) for key in ("x", "y", "width", "height"))
                found[group.attrib["data-node"]] = (x, y, x + w, y + h)
            else:  # the tag of an exposure: M left top H ... L right middle L ... bottom H left
                left, top, _, right, _, _, bottom, _ = map(float, NUMBER.findall(shape.attrib["d"]))
                found[group.attrib["data-node"]] = (left, top, right, bottom)
    return found


def edges(svg: str) -> dict[tuple[str, str, str], np.ndarray]:
    """Return points along each edge."""
    found = {}
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        title = path.find(f"{SVG}title")
        if title is None:
            continue
        source, arrow, target = re.split(" ([→↔]) ", str(title.text))
        numbers = np.array(list(map(float, NUMBER.findall(path.attrib["d"])))).reshape(-1, 2)
        t = np.linspace(0, 1, 60)[:, None]
        curves = [
            (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
            for a, b, c, d in (numbers[i : i + 4] for i in range(0, len(numbers) - 1, 3))
        ]
        found[source, arrow, target] = np.concatenate(curves)
    return found


def check_geometry(dag: Dag, svg: str) -> None:
    boxes, lines = nodes(svg), edges(svg)
    assert set(boxes) == set(dag.nodes)
    assert set(lines) == {(a, "→", b) for a, b in dag.edges} | {(a, "↔", b) for a, b in dag.bidirected}
    names = sorted(boxes)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = boxes[one], boxes[other]
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], f"{one} overlaps {other}"
    for (source, _, target), points in lines.items():
        for name, (left, top, right, bottom) in boxes.items():
            own = 0.2 if name in (source, target) else 0.0  # coordinates are rounded, and ends lie on the border
            inside = ((points > (left + own, top + own)) & (points < (right - own, bottom - own))).all(axis=1)
            assert not inside.any(), f"{source} to {target} passes through {name}"
        for name, end in ((source, points[0]), (target, points[-1])):
            left, top, right, bottom = boxes[name]
            assert left - 1 <= end[0] <= right + 1
            assert top - 1 <= end[1] <= bottom + 1


@pytest.mark.parametrize("name", NAMES)
def test_no_edge_of_the_shipped_graphs_passes_through_a_node(name: str) -> None:
    dag = Dag.read(SHIPPED / f"{name}.dag")
    check_geometry(dag, dag.draw())


@pytest.mark.parametrize("seed", range(16))
def test_no_edge_passes_through_a_node_in_layers(seed: int) -> None:
    dag = random_dag(seed, n=4 + seed, share=0.9 / (1 + seed / 4))
    check_geometry(dag, dag.draw())


@pytest.mark.parametrize("seed", range(16))
def test_no_edge_passes_through_a_node_at_given_positions(seed: int) -> None:
    dag = random_dag(seed, n=3 + seed, share=0.9 / (1 + seed / 4))
    chance = random.Random(seed)
    places = " ".join(f'{node} [pos="{chance.random()},{chance.random()}"]' for node in dag.nodes)
    placed = Dag.parse(dag.to_dagitty().rstrip("\n}") + f"\n{places} {dag.nodes[0]} <-> {dag.nodes[-1]} }}")
    check_geometry(placed, placed.draw())


@pytest.mark.parametrize(
    "text",
    [
        "dag { }",
        "a",
        "a <-> b",
        "a -> b; a <-> b",
        "{a b c} -> d; a <-> b; a <-> c; d <-> a",
        'a [pos="0,0"]; b [pos="0,0"]; c [pos="0,0"]; a -> b -> c; a -> c',
        'a [pos="0,0"]; b [pos="1,0"]; c [pos="2,0"]; d [pos="3,0"]; a -> d; a -> c; b -> d; a -> b -> c -> d; a <-> d',
        'a [pos="5,5"]',
        'a [pos="0,0"]; b; a -> b',
    ],
)
def test_odd_graphs_are_drawn(text: str) -> None:
    dag = Dag.parse(text)
    check_geometry(dag, dag.draw())


@given(dags())
@settings(max_examples=25, deadline=None)
def test_any_graph_gives_well_formed_svg_with_its_names_escaped(dag: Dag) -> None:
    svg = draw_svg(dag, title='a <title> & "quotes"')
    assert set(nodes(svg)) == set(dag.nodes)
    assert svg == draw_svg(dag, title='a <title> & "quotes"')
    svg.encode("utf-8")


def test_text_is_escaped() -> None:
    evil = '"</text><script>alert(1)</script>" [label="<b>&\\""]; c [l]; "a&b" -> c'
    svg = draw_svg(Dag.parse(evil))
    root = ET.fromstring(svg)
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert "".join(root.find(f".//{SVG}g[@data-node='a&b']/{SVG}text").itertext()) == "a&b"  # type: ignore[union-attr]
    assert '<b>&"' in "".join(root.itertext())


def test_it_stands_in_a_page_that_allows_nothing() -> None:
    svg = Dag.read(SHIPPED / "stage4.dag").draw()
    root = ET.fromstring(svg)
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in ("style", "script", "image", "foreignObject", "use", "a")
        assert not {"style", "href", "class"} & set(element.attrib)
    assert svg.count("http") == 1
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_title_and_description_say_what_is_seen() -> None:
    svg = draw_svg(
        Dag.parse("A [e] Y [o,label=Death] U [l] L -> A L -> Y U -> L A -> Y A <-> L"), ["L"], title="A graph"
    )
    root = ET.fromstring(svg)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert title.text == "A graph"
    for words in ("Exposure: A.", "Outcome: Death.", "Adjusted for: L.", "Unmeasured: U.", "L causes Death",
                  "A and L share an unmeasured cause"):  # fmt: skip
        assert words in str(description.text)


def test_roles_are_told_apart_without_colour() -> None:
    svg = draw_svg(Dag.parse("A [e] Y [o] U [l] L; K; L -> A L -> Y U -> L U -> Y A -> Y K -> Y A <-> K"), ["L"])
    without_colour = re.sub(r'(fill|stroke)="[^"]*"', "", svg)
    root = ET.fromstring(without_colour)

    def look(name: str) -> str:
        (group,) = [g for g in root.iter(f"{SVG}g") if g.attrib.get("data-node") == name]
        shapes = [child for child in group if child.tag in (f"{SVG}rect", f"{SVG}path")]
        kept = ("rx", "stroke-width", "stroke-dasharray", "stroke-linejoin")
        return str([(shape.tag, [shape.attrib.get(key) for key in kept]) for shape in shapes])

    assert len({look(name) for name in "AYULK"}) == 5
    strokes = {}
    for path in root.iter(f"{SVG}path"):
        title = path.find(f"{SVG}title")
        if title is not None:
            strokes[title.text] = (path.attrib["stroke-width"], path.attrib.get("stroke-dasharray"))
    assert len({strokes[edge] for edge in ("A → Y", "L → A", "U → L", "A ↔ K")}) == 4
    assert float(strokes["A → Y"][0]) > 1.5 * float(strokes["L → A"][0])


def test_the_causal_path_and_nothing_else_is_causal() -> None:
    svg = draw_svg(Dag.parse("A [e] Y [o] A -> M -> Y L -> A L -> Y M -> D L -> M"))
    width = {
        str(path.find(f"{SVG}title").text): float(path.attrib["stroke-width"])  # type: ignore[union-attr]
        for path in ET.fromstring(svg).iter(f"{SVG}path")
        if path.find(f"{SVG}title") is not None
    }
    thick = {edge for edge, value in width.items() if value == max(width.values())}
    assert thick == {"A → M", "M → Y"}


def test_open_paths_are_marked_on_request() -> None:
    dag = Dag.parse("A [e] Y [o] L -> A L -> Y K -> A K -> Y A -> Y")
    marked = re.findall(r'stroke-dasharray="9 3 2 3"[^>]*><title>([^<]*)', dag.draw(["L"], show_open=True))
    assert set(marked) == {"K → A", "K → Y"}
    assert "path left open" in dag.draw(["L"], show_open=True)
    assert "path left open" not in dag.draw(["L", "K"], show_open=True)
    assert "L !" in "".join(ET.fromstring(draw_svg(dag, problem_nodes=["L"])).itertext())
    with pytest.raises(UsageError, match="no node 'Q'"):
        dag.draw(["Q"])


def test_positions_are_kept() -> None:
    text = 'A [e,pos="0,1"] Y [o,pos="4,1"] L [pos="2,0"] M [pos="2,2"] L -> A L -> Y A -> M -> Y A -> Y'
    centres = {name: ((a + c) / 2, (b + d) / 2) for name, (a, b, c, d) in nodes(Dag.parse(text).draw()).items()}
    across = centres["Y"][0] - centres["A"][0]
    assert (centres["L"][0] - centres["A"][0]) / across == pytest.approx(0.5, abs=0.001)
    assert centres["L"][1] < centres["A"][1] < centres["M"][1]
    assert centres["A"][1] == pytest.approx(centres["Y"][1], abs=0.2)


def test_arrows_point_to_the_right_and_outcomes_stand_last() -> None:
    dag = Dag.read(SHIPPED / "stage4.dag")
    boxes = nodes(dag.draw())
    assert all(boxes[a][2] < boxes[b][0] for a, b in dag.edges)
    assert max(boxes, key=lambda name: boxes[name][2]) == "death"


def test_several_drawings_in_one_page_do_not_share_ids() -> None:
    ids = [re.findall(r' id="([^"]*)"', Dag.parse(text).draw()) for text in ("a -> b", "a -> c")]
    assert not set(ids[0]) & set(ids[1])
    for svg in (Dag.parse("a -> b").draw(),):
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) <= set(re.findall(r' id="([^"]*)"', svg))


def test_the_same_bytes_in_every_process() -> None:
    code = "import sys; from causal_s4.dag import Dag; sys.stdout.write(Dag.read(sys.argv[1]).draw())"
    drawn = [
        subprocess.run(
            [sys.executable, "-c", code, str(SHIPPED / "rotterdam.dag")],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 5000


def test_a_graph_too_large_to_draw_is_said_to_be() -> None:
    svg = Dag.parse(" ".join(f"v{i}" for i in range(200))).draw()
    assert "200 nodes and 0 edges: too many to draw" in svg
    ET.fromstring(svg)
