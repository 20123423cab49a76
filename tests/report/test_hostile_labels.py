"""From a file with hostile names to every output: names stay names, and every part is still right."""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import openpyxl
import pandas as pd
import pytest

from causal_s4.errors import NoEventsError
from causal_s4.protocol.protocol import Protocol
from causal_s4.report import write
from causal_s4.report.drawing import SINGLE_COLUMN, Drawing
from causal_s4.results import EffectTable
from causal_s4.study import Study

SCRIPT, FORMULA = "<script>alert(1)</script>", "=cmd()"
HEBREW = "\N{HEBREW LETTER GIMEL}\N{HEBREW LETTER YOD}\N{HEBREW LETTER LAMED}"
LONG = "a label of exactly sixty letters, as a registry may export it"[:60]
NAMED = (SCRIPT, FORMULA, HEBREW, LONG)
OTHERS = tuple(f"covariate {number:02d}" for number in range(36))
COVARIATES = (*NAMED, *OTHERS)
RTL_TITLE = f"{HEBREW} {SCRIPT} & \\input{{x}} $x_1$ 100%"


def cohort(n=500):
    """Return patients with forty covariates; the second outcome is never observed among the controls."""
    draw = np.random.default_rng(6)
    frame = pd.DataFrame({name: draw.normal(size=n).round(3) for name in COVARIATES})
    frame[SCRIPT] = draw.choice(["<b>low</b>", "=1+1", "@high"], n)
    score = frame[FORMULA] * 0.5 + frame[HEBREW] * 0.3
    frame["id"] = np.arange(n)
    frame["treated"] = (draw.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    frame["months"] = draw.exponential(30, n).round(2) + 0.1
    frame["died"] = (draw.random(n) < 0.7).astype(int)
    frame["relapse"] = frame["died"] * frame["treated"]
    return frame


def quoted(name):
    return '"' + name.replace('"', '\\"') + '"'


def question(folder, more=""):
    """Write data and graph into a folder and return the protocol that names them."""
    cohort().to_csv(folder / "data.csv", index=False)
    arrows = "\n".join(
        f"{quoted(name)} -> treated\n{quoted(name)} -> died\n{quoted(name)} -> relapse" for name in COVARIATES
    )
    marks = "treated [exposure]\ndied [outcome]\nrelapse [outcome]\ntreated -> died\ntreated -> relapse"
    (folder / "graph.dag").write_text(f"dag {{\n{marks}\n{arrows}\n}}\n", encoding="utf-8")
    return Protocol.parse(
        f"""
title = '''{RTL_TITLE}'''
[data]
file = "data.csv"
id = "id"
time_unit = "months"
[dag]
file = "graph.dag"
[treatment]
column = "treated"
treated = 1
control = 0
name = '''{SCRIPT}'''
control_name = '''{FORMULA}'''
[[outcome]]
name = '''{SCRIPT}'''
time = "months"
event = "died"
event_value = 1
horizons = ["1 year"]
{more}
[estimand]
population = "ATO"
[sensitivity."e-value"]
""",
        folder=folder,
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The study, with a second outcome that nobody in one arm had: nothing compares its arms."""
    made = Study(question(tmp_path_factory.mktemp("hostile"))).run(jobs=1)
    (first,) = made.protocol.outcomes
    second = first.model_copy(update={"name": "Relapse"})
    never = tuple(
        replace(each, outcome="Relapse", value=None, std_error=None, lower=None, upper=None, p_value=None)
        for each in made.effects
        if each.measure in ("hazard ratio", "survival ratio", "median survival")
    )
    flat = tuple(
        replace(each, outcome="Relapse", survival=np.ones_like(each.survival), lower=np.ones_like(each.lower))
        for each in made.curves
        if each.arm == "control"
    )
    events = {"Relapse": {"treated": made.cohort.treated, "control": 0, "total": made.cohort.treated}}
    return replace(
        made,
        protocol=made.protocol.model_copy(update={"outcomes": (first, second)}),
        cohort=replace(made.cohort, events={**made.cohort.events, **events}),
        effects=EffectTable(estimates=(*made.effects.estimates, *never)),
        curves=(*made.curves, *flat, *(replace(c, outcome="Relapse") for c in made.curves if c.arm == "treated")),
    )


@pytest.fixture(scope="module")
def files(result):
    full = Drawing.png
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "png", lambda drawing: full(drawing, SINGLE_COLUMN))
        return write.contents(result)


def test_the_page_runs_nothing_and_says_every_name(files):
    page = files["report.html"].decode()
    reader = Reader(page)
    assert reader.scripts == ["application/json", None]
    assert "<b>low</b>" not in page
    assert not re.search(r"<[^>]+\son\w+=", page)
    for name in NAMED:
        assert name.replace("_", " ") in reader.text
    # Text of the other direction stands by itself, so that it turns nothing beside it.
    assert f"<bdi>{HEBREW}</bdi>" in page
    assert len(page) < 3_000_000


class Reader(HTMLParser):
    """Holds what a reader sees, and which scripts there are."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.parts = [], []
        self.feed(page)
        self.text = "".join(self.parts)

    def handle_starttag(self, tag, attributes):
        if tag == "script":
            self.scripts.append(dict(attributes).get("type"))

    def handle_data(self, data):
        self.parts.append(data)


def test_no_cell_of_a_sheet_is_a_formula(files):
    book = openpyxl.load_workbook(io.BytesIO(files["tables.xlsx"]))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n", "b"}
    said = [cell.value for cell in cells if isinstance(cell.value, str)]
    assert FORMULA in said
    assert any(HEBREW in text for text in said)
    for name, data in files.items():
        if name.endswith(".csv"):
            for row in csv.reader(io.StringIO(data.decode())):
                assert not [cell for cell in row if re.match(r"[=+@]|-(?![\d.])", cell)], name


def test_word_holds_the_names_as_text(files):
    with zipfile.ZipFile(io.BytesIO(files["report.docx"])) as archive:
        for name in archive.namelist():
            if name.endswith(".xml"):
                ElementTree.fromstring(archive.read(name))
        body = ElementTree.fromstring(archive.read("word/document.xml"))
    text = "\n".join("".join(each.itertext()) for each in body.iter() if each.tag.endswith("}p"))
    for name in NAMED:
        assert name in text
    tables = [each for each in body.iter() if each.tag.endswith("}tbl")]
    assert len(tables) > 8


def test_drawings_are_whole_and_hold_no_markup_of_names(files):
    drawings = {name: data.decode() for name, data in files.items() if name.endswith(".svg")}
    assert {"figures/dag.svg", "figures/love.svg", "figures/curves.svg", "figures/flow.svg"} <= set(drawings)
    for text in drawings.values():
        tags = {each.tag.rpartition("}")[2] for each in ElementTree.fromstring(text).iter()}
        assert not tags & {"script", "b", "foreignObject"}


def test_markdown_and_latex_are_escaped(files):
    text = files["methods.md"].decode()
    assert SCRIPT not in text
    assert r"\<script\>alert(1)\</script\>" in text
    tex = files["methods.tex"].decode()
    assert r"\textless{}script\textgreater{}" in tex
    assert r"\textbackslash{}input\{x\}" in tex
    assert r"\input{x}" not in tex
    body = tex.partition(r"\begin{document}")[2]
    assert not re.search(
        r"(?<!\\)[&%#$_^]", re.sub(r"\\cite\{[^}]*\}|\\bibitem\{[^}]*\}|\\ensuremath\{[^}]*\}", "", body)
    )


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("lualatex") is None and shutil.which("pdflatex") is None, reason="no LaTeX is installed"
)
def test_latex_compiles(files, tmp_path):
    engine = shutil.which("pdflatex") or "lualatex"
    (tmp_path / "methods.tex").write_bytes(files["methods.tex"])
    done = subprocess.run(
        [engine, "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "methods.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


RELAPSE = """
[[outcome]]
name = "Relapse"
time = "months"
event = "relapse"
event_value = 1
horizons = ["1 year"]
"""


def test_a_study_of_an_outcome_that_one_arm_never_had_is_refused(tmp_path):
    with pytest.raises(NoEventsError, match=r"Relapse: both arms need events.* found \d+ in the treated arm and 0"):
        Study(question(tmp_path, RELAPSE)).run(jobs=1)


def test_an_outcome_that_one_arm_never_had_is_told_and_not_estimated(files):
    rows = list(csv.DictReader(io.StringIO(files["tables/effects.csv"].decode())))
    ratio = [row for row in rows if row["outcome"] == "Relapse" and row["measure"] == "hazard ratio"]
    assert all(row["value"] == "" for row in ratio)
    events = {row["outcome"]: row for row in csv.DictReader(io.StringIO(files["tables/events.csv"].decode()))}
    assert events["Relapse"]["events_control"] == "0"
    assert int(events["Relapse"]["events_treated"]) > 100
    assert "not estimable" in files["report.html"].decode()
    for name in ("methods.md", "methods.tex"):
        assert "nan" not in re.findall(r"\w+", files[name].decode().lower()), name
