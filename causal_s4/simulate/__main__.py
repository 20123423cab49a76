"""Compute the committed truths anew: ``python -m causal_s4.simulate [--only NAME ...] [--n N]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from causal_s4.protocol.vocabulary import Estimand
from causal_s4.simulate import stage4, timeline
from causal_s4.simulate.truth import (
    FOLDER,
    HORIZONS,
    SEED,
    Question,
    TrueEffects,
    ask_stage4,
    ask_timeline,
    simulate_truth,
)

_SCHEMA = "causal-s4/truth/1"
_N = 1_000_000


def plan_truths() -> dict[str, list[Question]]:
    """Return what each committed file answers."""
    plan: dict[str, list[Question]] = {}
    for scenario in stage4.SCENARIOS:
        for effect in stage4.HAZARD_RATIOS:
            plan[f"{scenario}-{effect}"] = [
                ask_stage4(scenario, "surgery", outcome, population, effect=effect)
                for outcome in stage4.OUTCOMES
                for population in Estimand
            ]
    plan["stage4-radiotherapy-null"] = [
        ask_stage4("stage4", "radiotherapy", outcome, population)
        for outcome in stage4.OUTCOMES
        for population in Estimand
    ]
    strategies: list[dict[str, Any]] = [
        {"timing": "density"},
        *({"timing": "natural", "natural_until": until} for until in (3.0, 6.0, 8.0)),
        {"timing": "uniform"},
        *({"timing": "density", "grace_period": grace} for grace in (3.0, 6.0, 12.0)),
    ]
    for effect in timeline.EFFECTS:
        plan[f"stage4-timeline-{effect}"] = [
            ask_timeline(Estimand.ATE, HORIZONS, effect=effect, **strategy) for strategy in strategies
        ]
    return plan


def write_truths(name: str, questions: Sequence[Question], n: int) -> None:
    """Compute one committed file."""
    truths = [simulate_truth(question, HORIZONS, n, SEED) for question in questions]
    FOLDER.mkdir(exist_ok=True)
    text = f'{{"schema": "{_SCHEMA}",\n"truths": [\n' + ",\n".join(map(_as_json, truths)) + "\n]}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def _as_json(truth: TrueEffects) -> str:
    """Write one truth as JSON, a line for its names and one for each number."""
    record = asdict(truth)
    rows = [{key: value for key, value in row.items() if value is not None} for row in record.pop("effects")]
    lines = ",\n  ".join(json.dumps(row, sort_keys=True) for row in rows)
    return f'{json.dumps(record, sort_keys=True)[:-1]}, "effects": [\n  {lines}]}}'


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] = print) -> None:
    """Compute the committed truths anew."""
    plan = plan_truths()
    parser = argparse.ArgumentParser(description="Compute the committed truths of the simulated worlds anew.")
    parser.add_argument("--only", nargs="*", choices=sorted(plan), default=sorted(plan), help="which files")
    parser.add_argument("--n", type=int, default=_N, help="patients given to each arm")
    chosen = parser.parse_args(arguments)
    for name in chosen.only:
        write_truths(name, plan[name], chosen.n)
        say(f"{name}: {len(plan[name])} truths")


if __name__ == "__main__":
    main()
