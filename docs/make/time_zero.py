"""Time zero: the ladder of biases, the flow of clones, a refusal, and drawings of the designs."""

from __future__ import annotations

import importlib.util
import re
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

import causal_s4 as s4
from causal_s4.report.numbers import style
from causal_s4.results import BiasLadder, EffectEstimate, LadderRung
from docs.make.designs import draw_designs
from docs.make.markdown import ROOT, console, table, unbroken, workspace, write

ANALYSIS = "analyses/stage4_timeline"
WOMEN = 5_000
NUMBERS = style("jama")


def write_time_zero(folder: Path) -> None:
    """Write the figures and tables of time zero and of response."""
    ladder = every_rung()
    ladder.plot().save(folder / "ladder.svg")
    write(folder / "ladder.md", ladder_table(ladder))
    write(folder / "response.md", response_table(ladder))
    write(folder / "misplaced.md", misplaced())
    draw_designs(folder / "designs.svg")
    with workspace() as here:
        for name in ("after", "before"):
            shutil.copy(ROOT / "docs" / "examples" / f"response_{name}.dag", here)
            command = f"causal-s4 dag response_{name}.dag --adjust age --adjust response"
            write(folder / f"response_{name}.md", console(command, here))
        write(folder / "refused.md", console(f"causal-s4 run {ever_or_never(here)} --out out", here, status=3))
        write(folder / "check.md", console(f"causal-s4 check {ANALYSIS}/study.toml", here))
    s4.Study.read(ROOT / ANALYSIS / "study.toml").run().plot.clones().save(folder / "clones.svg")


@cache
def analysis() -> ModuleType:
    """Return the analysis that climbs the ladder, as the repository has it."""
    spec = importlib.util.spec_from_file_location("stage4_timeline", ROOT / ANALYSIS / "analysis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def every_rung() -> BiasLadder:
    """Return the ladder of a simulated registry in which surgery does nothing."""
    world = analysis()
    truth = s4.true_effects(world.WORLD, effect="null", horizons=[world.FIVE_YEARS])
    registry = world.registry(WOMEN, "null")
    return s4.bias_ladder(registry, horizons=[world.FIVE_YEARS], time_varying=["response"], truth=truth)


def ladder_table(ladder: BiasLadder) -> str:
    """Return every rung with its hazard ratio and its difference in mean survival time."""
    rows = [
        (rung.label, rung.adjusts_for, shown(rung, "hazard ratio"), shown(rung, "rmst difference"))
        for rung in ladder.rungs
    ]
    return table(["Analysis", "Adjusts for", "Hazard ratio (95% CI)", "Months of 60, difference (95% CI)"], rows)


def response_table(ladder: BiasLadder) -> str:
    """Return the designs without and with response as known at each moment."""
    ending = ", with response"
    with_response = {rung.label.removesuffix(ending): rung for rung in ladder.rungs if rung.label.endswith(ending)}
    rows = [
        (rung.label, shown(rung, "hazard ratio"), shown(with_response[rung.label], "hazard ratio"))
        for rung in ladder.rungs
        if rung.label in with_response
    ]
    return table(["Design", "Covariates of time zero only", "Response as last known, too"], rows)


def shown(rung: LadderRung, measure: str) -> str:
    """Return a rung's estimate at its longest horizon, or why it has none."""
    found = [each for each in rung.effects if each.measure == measure]
    if not found:
        return rung.unadmitted or "–"
    return interval(max(found, key=lambda each: each.horizon or 0.0))


def interval(estimate: EffectEstimate) -> str:
    """Return an estimate with its limits, if it has any."""
    if estimate.unit == "ratio":
        value, limits = NUMBERS.ratio(estimate.value), NUMBERS.ratio_interval(estimate.lower, estimate.upper)
    else:
        value = NUMBERS.number(estimate.value, 1, signed=True)
        limits = NUMBERS.interval(NUMBERS.number(estimate.lower, 1), NUMBERS.number(estimate.upper, 1))
    return value if estimate.lower is None else unbroken(f"{value} ({limits})")


def misplaced() -> str:
    """Return how much follow-up ever against never treated would misplace."""
    found = s4.check_alignment(analysis().registry(WOMEN, "null"))
    return (
        f"Of {WOMEN:,} simulated women, {found.treated:,} were operated, all {found.later:,} of them after time zero and "
        f"half by {found.median_start:.1f} {found.unit}. {100 * found.share:.0f}% of their follow-up "
        f"({found.misplaced:,.0f} patient-{found.unit}) lies before surgery.\n"
    )


def ever_or_never(here: Path) -> str:
    """Write the question as ever against never operated beside the study, and return its path."""
    folder = here / ANALYSIS
    graph = (folder / "timeline.dag").read_text(encoding="utf-8")
    write(folder / "baseline.dag", re.sub(r"^(?!dag).*\bresponse\b.*\n", "", graph, flags=re.MULTILINE))
    study = (folder / "study.toml").read_text(encoding="utf-8").replace("timeline.dag", "baseline.dag")
    study = re.sub(r"^history .*\n", "", study, flags=re.MULTILINE)
    study = re.sub(r"\[time_zero\]\n(?:.+\n)+", '[time_zero]\ndesign = "baseline"\n', study)
    write(folder / "baseline.toml", study + '\n[estimand]\npopulation = "ATO"\n')
    return f"{ANALYSIS}/baseline.toml"
