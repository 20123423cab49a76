"""The page: one HTML file that needs nothing else, readable without JavaScript, on a telephone and in print.

Every string that comes from a file passes Jinja's autoescape; what is trusted is the page's own
style sheet and script, and drawings made by this package. A content security policy forbids the
page to load anything or to run any other script.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from markupsafe import Markup

from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.report import checklists, doubt, doubt_opening, explore, prose, tables
from causal_s4.report.draft import Draft
from causal_s4.report.drawing import DOUBLE_COLUMN, SINGLE_COLUMN, Drawing
from causal_s4.report.figures import file_suffix
from causal_s4.report.manuscript import draft
from causal_s4.report.numbers import NumberStyle, round_half_up
from causal_s4.report.plots import every_drawing
from causal_s4.report.reading import ASSOCIATION, Reading, Side, capital, clean, join, mid, printable, state
from causal_s4.results import EffectEstimate, StudyResult

TEMPLATES = Path(__file__).parent / "templates"
_UNSAFE = re.compile(
    r"<\s*(script|foreignObject|iframe|object|embed|image|style)\b|\son\w+\s*=|javascript:", re.IGNORECASE
)

# A longer table of independencies is folded away under its summary.
_MOST_TESTS = 12
_VERDICTS = {
    "adjust": "The diagram says that these covariates together close every back-door path from treatment to outcome:",
    "none needed": "The diagram has no open back-door path from treatment to outcome: nothing needs adjusting.",
    "not identified": "The diagram has a back-door path that no measured covariate closes: "
    "adjustment cannot give the effect.",
}


def report_html(result: StudyResult, numbers: NumberStyle | None = None) -> str:
    """Return the report as the text of one HTML file.

    Parameters
    ----------
    result : StudyResult
        What was found.
    numbers : NumberStyle, optional
        How numbers are written; by default in the style the protocol asks for.

    Returns
    -------
    str
        The same input gives the same text.
    """
    return render(Reading(result, numbers) if numbers else Reading(result))


def render(reading: Reading, drawn: Mapping[str, Drawing] | None = None) -> str:
    """Return the report of a reading.

    Parameters
    ----------
    reading : Reading
        The result and how its numbers are written.
    drawn : mapping of str to Drawing, optional
        Its figures by name; drawn anew when missing.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["hold"] = hold
    context = _Context(reading, drawn if drawn is not None else every_drawing(reading)).build()
    return environment.get_template("report.html").render(context)


def policy(script: str | None) -> str:
    """Return the page's content security policy: nothing is loaded, and only the page's own script runs."""
    rules = [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if script is not None:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules.insert(1, f"script-src 'sha256-{digest}'")
    return "; ".join(rules)


def inline(svg: str, prefix: str) -> Markup:
    """Return a drawing of ours for use inside a page: identifiers made unique, nothing left that names a server.

    Parameters
    ----------
    svg : str
        A whole SVG file.
    prefix : str
        What its identifiers begin with on the page.

    Returns
    -------
    Markup
        Empty when the drawing holds anything that a drawing does not need.
    """
    start = svg.find("<svg")
    if start < 0 or _UNSAFE.search(svg):
        return Markup("")
    body = svg[start:].strip()
    body = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", body)
    body = _without_idle_ids(body.replace("xlink:href=", "href="))
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = re.sub(
        r'aria-labelledby="([^"]+)"',
        lambda m: 'aria-labelledby="' + " ".join(f"{prefix}-{i}" for i in m.group(1).split()) + '"',
        body,
    )
    head, _, rest = body.partition(">")
    if "aria-labelledby" not in head:
        head = (
            re.sub(r'\s(width|height|version)="[^"]*"', "", head)
            + f' role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
        )
        rest = rest.replace("<title>", f'<title id="{prefix}-title">', 1).replace(
            "<desc>", f'<desc id="{prefix}-desc">', 1
        )
    return Markup(f"{head}>{rest}")


def _without_idle_ids(svg: str) -> str:
    """Take away identifiers that nothing refers to, and the second of a pair."""
    wanted = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    wanted |= {name for names in re.findall(r'aria-labelledby="([^"]+)"', svg) for name in names.split()}

    def keep(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in wanted:
            return ""
        wanted.discard(name)
        return match.group()

    return re.sub(r'\sid="([^"]+)"', keep, svg)


def hold(text: str) -> str:
    """Return a heading whose brackets are never broken across lines."""
    return re.sub(r"\([^)]*\)", lambda m: m.group().replace(" ", "\u00a0"), text)


def hundred(shown: int, arm: str, label: str) -> Markup:
    """Return a picture of a hundred people, of whom ``shown`` are filled: discs in one arm, squares in the other."""
    colour = "#0b6fb8" if arm == Arm.TREATED else "#c2410c"
    shapes = []
    for index in range(100):
        x, y = index % 10 * 12 + 6, index // 10 * 12 + 6
        paint = f'fill="{colour}"' if index < shown else 'fill="#fff" stroke="#aab4be"'
        body = (
            f'<circle cx="{x}" cy="{y}" r="4.4" {paint}/>'
            if arm == Arm.TREATED
            else f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" rx="1" {paint}/>'
        )
        shapes.append(body)
    return Markup('<svg viewBox="0 0 120 120" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("".join(shapes))
    )


@dataclass
class _Context:
    """Builds what the template shows, numbering tables and figures in the order they are asked for."""

    reading: Reading
    drawn: Mapping[str, Drawing]
    _tables: Iterator[int] = field(default_factory=lambda: count(1))
    _figures: Iterator[int] = field(default_factory=lambda: count(1))

    def build(self) -> dict[str, Any]:
        """Return the template's variables."""
        reading, result = self.reading, self.reading.result
        movable = self._explore()
        script = (TEMPLATES / "report.js").read_text(encoding="utf-8") if movable else None
        context: dict[str, Any] = {
            "title": clean(result.protocol.title),
            "policy": policy(script),
            "css": Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
            "facts": self._facts(),
            "answer": self._answer(),
        }
        first = self._figure("ladder")
        context |= {
            "serious": dict(prose.findings(reading)).get("serious", []),
            "trial": self._table(prose.trial_table(reading)),
            "flow": self._flow(),
            "clones": self._figure("clones"),
            "patients": self._present(tables.events_table(reading), tables.baseline_table(reading)),
            "assumptions": self._assumptions(),
            "balance": self._balance(),
            "outcomes": self._outcomes(first),
            "effect_tables": self._present(tables.hazards_table(reading), tables.benchmark_table(reading)),
            "doubt": self._doubt(),
            "findings": prose.findings(reading),
            "regressions": self._present(*(tables.regression_table(reading, each) for each in result.regressions)),
            "draft": _draft(draft(reading)),
            "checklists": checklists.checklists(reading),
            "provenance": self._provenance(),
            "colophon": self._colophon(),
            "explore": movable,
            "script": Markup(script or ""),
        }
        context["contents"] = _contents(context)
        return context

    # --- numbering -------------------------------------------------------------------------------

    def _table(self, table: tables.Table) -> dict[str, Any]:
        return {"table": table, "number": next(self._tables)}

    def _present(self, *found: tables.Table | None) -> list[dict[str, Any]]:
        return [self._table(each) for each in found if each is not None]

    def _figure(self, name: str) -> list[dict[str, Any]]:
        drawing = self.drawn.get(name)
        if drawing is None:
            return []
        return [
            {
                "name": name,
                "number": next(self._figures),
                "title": drawing.title,
                "note": drawing.note,
                "wide": inline(drawing.svg(DOUBLE_COLUMN), f"{name}-wide"),
                "slim": inline(drawing.svg(SINGLE_COLUMN), f"{name}-slim"),
            }
        ]

    # --- parts -----------------------------------------------------------------------------------

    def _facts(self) -> list[dict[str, str]]:
        reading, cohort = self.reading, self.reading.result.cohort
        facts = [
            ("Patients", reading.people(cohort.n)),
            (reading.arm(Arm.TREATED), reading.people(cohort.treated)),
            (reading.arm(Arm.CONTROL), reading.people(cohort.control)),
            ("Events", f"{reading.events(reading.outcomes[0])} ({mid(clean(reading.outcomes[0]))})"),
            ("Estimand", capital(reading.population(reading.front[1]))),
        ]
        return [{"label": label, "value": value} for label, value in facts]

    def _answer(self) -> dict[str, Any]:
        reading, outcome = self.reading, self.reading.outcomes[0]
        at = reading.headline_horizon(outcome)
        pairs = list(dict.fromkeys((reading.naive, reading.front)))
        return {
            "sentences": prose.answer(reading),
            "caveat": prose.caveat(reading),
            "of100": f"Of 100 such patients, {state(outcome)} at {reading.duration(at)}" if at is not None else "",
            "sides": [self._side(reading.side(pair, outcome)) for pair in pairs],
        }

    def _side(self, side: Side) -> dict[str, Any]:
        reading = self.reading
        association = side.claim == ASSOCIATION
        about = (
            "The arms as they are: who was treated is mixed up with why."
            if association
            else f"{side.title.partition(':')[0]}: {side.population}."
        )
        measures: list[tuple[str, EffectEstimate | None]] = [
            (
                f"Difference at {reading.horizon(side.survival_difference)}" if side.survival_difference else "",
                side.survival_difference,
            ),
            (
                f"Mean survival time over {reading.horizon(side.rmst_difference)}, difference"
                if side.rmst_difference
                else "",
                side.rmst_difference,
            ),
            ("Hazard ratio, whole follow-up", side.hazard_ratio),
        ]
        return {
            "kind": "association" if association else "effect",
            "claim": side.claim,
            "about": about,
            "hundreds": [
                self._hundred(each) for each in (side.survival_treated, side.survival_control) if each is not None
            ],
            "measures": [
                {
                    "label": label,
                    "value": reading.value(each)
                    + ("" if each.measure == Measure.HAZARD_RATIO else f" {reading.unit(each)}"),
                    "interval": f"{reading.level(each)} {reading.limits(each)}",
                }
                for label, each in measures
                if each is not None
            ],
        }

    def _hundred(self, estimate: EffectEstimate) -> dict[str, Any]:
        arm = str(estimate.arm)
        shown = int(round_half_up(100 * (estimate.value or 0.0)))
        label = self.reading.arm_words(arm)
        words = f"{shown} of 100 {state(estimate.outcome)} with {label}"
        return {"arm": arm, "count": shown, "label": f"of 100 with {label}", "picture": hundred(shown, arm, words)}

    def _flow(self) -> dict[str, Any]:
        reading, cohort = self.reading, self.reading.result.cohort
        steps = [
            {
                "step": clean(step.step),
                "n": reading.people(step.n),
                "excluded": reading.people(step.excluded) if step.excluded else "",
            }
            for step in reading.result.cohort.attrition
        ]
        outcome = reading.outcomes[0]
        arms = [
            {
                "arm": str(arm),
                "n": reading.people(n),
                "label": reading.arm(arm),
                "events": f"{reading.events(outcome, arm)} with the event ({mid(clean(outcome))})",
            }
            for arm, n in ((Arm.TREATED, cohort.treated), (Arm.CONTROL, cohort.control))
        ]
        return {"steps": steps, "arms": arms}

    def _assumptions(self) -> dict[str, Any]:
        reading, adjustment = self.reading, self.reading.result.adjustment
        drawing = inline(adjustment.drawing, "dag") if adjustment.drawing else Markup("")
        return {
            "verdict": _VERDICTS.get(adjustment.verdict, clean(adjustment.verdict)),
            "nodes": [reading.covariate(node) for node in adjustment.nodes],
            "drawing": drawing,
            "number": next(self._figures) if drawing else None,
            "note": "Arrows are assumed causes; a missing arrow is the stronger assumption. "
            "Boxed nodes are adjusted for, dashed ones not measured.",
            "reasons": prose.bullets(adjustment.reasons),
            "alternatives": "; ".join(
                join(mid(reading.covariate(node)) for node in each) for each in adjustment.alternatives
            ),
            "untested": prose.bullets(adjustment.untested_assumptions),
            "implied": prose.implied(reading),
            "figures": self._figure("independencies"),
            "tables": self._present(tables.independence_table(reading)),
            "folded": len(adjustment.tests) > _MOST_TESTS,
            "dagitty": adjustment.dagitty,
        }

    def _balance(self) -> dict[str, Any]:
        reading, result = self.reading, self.reading.result
        figures = [item for name in ("love", "overlap", "weights") for item in self._figure(name)]
        shown = self._present(tables.weights_table(reading), tables.positivity_table(reading))
        every = (*((result.balance,) if result.balance else ()), *result.other_balance)
        return {
            "summary": prose.balance_note(reading),
            "figures": figures,
            "sentences": prose.bullets(result.positivity.sentences) if result.positivity else [],
            "tables": shown,
            "details": self._present(
                *(tables.balance_table(reading, each, number) for number, each in enumerate(every, 1))
            ),
        }

    def _outcomes(self, first: list[dict[str, Any]]) -> list[dict[str, Any]]:
        shown = []
        for index, outcome in enumerate(self.reading.outcomes):
            suffix = file_suffix(self.reading, outcome)
            curves = self._figure(f"curves{suffix}")
            effects = self._table(tables.effects_table(self.reading, outcome))
            ladders = first if index == 0 else self._figure(f"ladder{suffix}")
            absolute = [
                item for name in ("survival-difference", "rmst-difference") for item in self._figure(f"{name}{suffix}")
            ]
            shown.append(
                {"name": clean(outcome), "curves": curves, "effects": effects, "ladders": ladders, "absolute": absolute}
            )
        return shown

    def _doubt(self) -> dict[str, Any]:
        """Return the section on doubt: one figure, one paragraph, all answers at a glance, then each by its question."""
        contour, specifications = self._figure("contour"), self._figure("specifications")
        several = doubt.by_question(self.reading)
        glance = self._present(doubt.at_a_glance(several))
        return {
            "contour": contour,
            "paragraph": doubt_opening.opening(self.reading),
            "glance": glance,
            "specifications": specifications,
            "questions": [
                (
                    question,
                    [{"shown": each, "table": self._table(each.table) if each.table else None} for each in analyses],
                )
                for question, analyses in several
            ],
        }

    # --- what can be moved -----------------------------------------------------------------------

    def _explore(self) -> dict[str, Any] | None:
        """Return what the interactive part shows and the data it reads; None when there is nothing to move."""
        reading = self.reading
        unit, curves = explore.curves(reading)
        confounder = explore.confounder(reading)
        if not curves and confounder is None:
            return None
        write = reading.numbers
        data = {
            "decimal": write.decimal,
            "minus": write.minus,
            "to": write.to,
            "unit": unit,
            "arms": {str(arm): reading.arm_words(arm) for arm in Arm},
            "curves": curves,
            "confounder": confounder,
        }
        return {
            "data": explore.embed(data),
            "curves": bool(curves),
            "outcomes": [each["name"] for each in curves],
            "panels": [each["title"] for each in curves[0]["panels"]] if curves else [],
            "confounder": confounder is not None,
            "covers": confounder is not None and confounder["lower"] <= 1 <= confounder["upper"],
            "marks": [mark["label"] for mark in confounder["marks"]] if confounder else [],
            "treated": reading.arm(Arm.TREATED),
            "control": reading.arm(Arm.CONTROL),
            "treated_words": reading.arm_words(Arm.TREATED),
            "control_words": reading.arm_words(Arm.CONTROL),
        }

    def _provenance(self) -> dict[str, Any]:
        made = self.reading.result.provenance
        found = self._present(tables.provenance_table(made)) if made else []
        return {"tables": found, "protocol": self.reading.result.protocol.to_toml()}

    def _colophon(self) -> str:
        made = self.reading.result.provenance
        version = f" {clean(made.causal_s4)}" if made else ""
        said = f"Made by causal_s4{version}. This page is one file: it loads nothing and holds no patient-level data."
        below = self.reading.suppress_below
        return said + (f" Counts below {below} are not shown." if below else "")


def _draft(text: Draft) -> dict[str, Any]:
    """Return the drafted text with each sentence's sources as numbers."""
    numbers = text.numbers
    return {
        "parts": [
            (
                heading,
                [
                    (each.heading, [(said.text, [numbers[key] for key in said.cites]) for said in each.sentences])
                    for each in passages
                ],
            )
            for heading, passages in text.parts
        ],
        "references": text.references,
    }


def _contents(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries = [
        ("answer", "The answer", True),
        ("explore", "Explore", bool(context["explore"])),
        ("question", "The question", True),
        ("patients", "The patients", True),
        ("assumptions", "The assumptions", True),
        ("balance", "Balance and overlap", bool(context["balance"]["figures"] or context["balance"]["tables"])),
        ("effects", "Survival and effects", True),
        ("sensitivity", "Doubt", True),
        ("findings", "Findings", True),
        ("regression", "Multivariable model", bool(context["regressions"])),
        ("methods", "Methods and results in words", True),
        ("checklists", "Checklists", True),
        ("provenance", "Provenance", True),
    ]
    return [(anchor, heading) for anchor, heading, shown in entries if shown]
