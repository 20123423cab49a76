"""Time everything, print ratios: ``python -m benchmarks [--large] [--only PART ...]``.

One process tree, one thread, processor seconds. Preparation and the drawing of resamples count on our side.
The first call, which compiles, does not: it happens once an installation.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import causal_s4 as s4
from benchmarks import clone_censor, peers
from benchmarks.cohorts import HORIZON, cox_rows, stage4
from benchmarks.registry import registry
from causal_s4.inference.resampling import Draws, Resampling, resample
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.risk_sets import RiskSets

PLOT = Path(__file__).with_name("growth.svg")


def seconds(task: Callable[[], Any], rounds: int) -> float:
    """Least processor seconds of some rounds."""
    least = np.inf
    for _ in range(rounds):
        begin = time.process_time()
        task()
        least = min(least, time.process_time() - begin)
    return float(least)


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def head(title: str, *columns: str) -> None:
    print(f"\n### {title}\n")
    line(*columns)
    line(*["---"] * len(columns))


def ms(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def times(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}×" if value >= 10 else f"{value:.1f}×"


# --- (a) the bootstrap of the whole pipeline ----------------------------------------------------


def bootstrap(large: bool) -> None:
    head(
        "Bootstrap of propensity score, weights, Cox, survival and restricted mean; a replicate",
        *("patients", "ties", "ours", "statsmodels + lifelines", "ratio", "R", "ratio", "largest difference"),
    )
    cases = [(157, False, 2000, 30), (3000, False, 1000, 10), (3000, True, 1000, 10)]
    if large:
        cases.append((50_000, False, 50, 2))
    for n, monthly, replicates, of_peer in cases:
        timed, seeds = stage4(n, monthly=monthly), count(1)

        def ours(timed: Any = timed, replicates: int = replicates, seeds: Any = seeds) -> Any:
            # weights are made anew, so that nothing prepared is left out
            weights = s4.weigh(timed.cohort, population="ATE", stabilise=True)
            # resamples of the same seed would find their propensity models refitted already
            plan = Resampling(replicates=replicates, seed=next(seeds))
            table = timed.cohort.risk_table()
            return resample(table, weights, horizons=np.array([HORIZON]), ties="efron", plan=plan)

        kept = ours().values[:of_peer, :5]
        own = seconds(ours, 5) / replicates
        drawn_counts = Draws.of(timed.cohort.risk_table(), Resampling(seed=1)).counts(0, of_peer)
        resamples = [np.repeat(np.arange(n), each.astype(int)) for each in drawn_counts]
        peers.replicate(timed, resamples[0])
        begin, found = time.process_time(), []
        for drawn in resamples:
            found.append(peers.replicate(timed, drawn))
        other = (time.process_time() - begin) / of_peer
        theirs = np.array(found)[:, [0, 1, 3, 2, 4]]
        whole = ~np.isnan(kept).any(axis=1)
        apart = (np.abs(kept - theirs)[whole] / np.maximum(1, np.abs(theirs[whole]))).max()
        in_r = peers.r_seconds("bootstrap", peers.r_frame(timed), of_peer) if peers.r_version() else None
        line(
            f"{n:,}",
            "months" if monthly else "few",
            ms(own),
            ms(other),
            times(other / own),
            "not installed" if in_r is None else ms(in_r),
            "" if in_r is None else times(in_r / own),
            f"{apart:.1e}",
        )


# --- (b) one weighted Cox model with sandwich variance ------------------------------------------


def sandwich(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    fit = fit_cox(RiskSets.of(None, rows.time, rows.event), rows.covariates, rows.weight)
    pull = fit.score_gradient * rows.weight[:, None]
    bread = np.linalg.inv(fit.information)
    return fit.coefficient, np.sqrt(np.diag(bread @ (pull.T @ pull) @ bread))


def cox(large: bool) -> None:
    head(
        "Weighted Cox model with sandwich variance (Efron)",
        *("rows", "covariates", "ours", "lifelines", "ratio", "R", "ratio", "largest difference of coefficients"),
    )
    for n, rounds in ((3000, 20), (50_000, 10), (1_000_000, 3)):
        for p in (1, 8):
            rows = cox_rows(n, p)
            sandwich(rows)
            own = seconds(lambda rows=rows: sandwich(rows), rounds)
            other, apart = None, ""
            if n <= 50_000 and (large or n * p <= 50_000):
                found: list[Any] = []
                other = seconds(lambda rows=rows, found=found: found.append(peers.cox(rows)), 1)
                apart = f"{np.abs(found[0][0] - sandwich(rows)[0]).max():.1e}"
            # R's sandwich takes minutes at a million rows, so there it is given the model-based variance to do
            task = "cox" if n <= 50_000 else "cox_model_based"
            in_r = peers.r_seconds(task, rows.frame(), 1) if peers.r_version() else None
            line(
                f"{n:,}",
                p,
                ms(own),
                "not run" if other is None else ms(other),
                "" if other is None else times(other / own),
                "not installed" if in_r is None else ms(in_r) + ("" if task == "cox" else " (no sandwich)"),
                "" if in_r is None else times(in_r / own),
                apart,
            )


# --- (c) the bootstrap of clone-censor-weight ---------------------------------------------------


def clones(large: bool) -> None:
    head(
        "Bootstrap of clone-censor-weight, 200 patients, 200 replicates",
        *("strategies and weights", "rows", "ours", "R, as published", "ratio", "largest difference"),
    )
    for each in clone_censor.bootstrap(of_peer=20 if large else 5):
        line(
            each.strategies,
            f"{each.rows:,}",
            ms(each.ours),
            "not installed" if each.theirs is None else ms(each.theirs),
            "" if each.theirs is None else times(each.theirs / each.ours),
            "" if each.apart is None else f"{each.apart:.1e}",
        )


# --- (d) growth, (e) memory ---------------------------------------------------------------------


def whole_analysis(cohort: Any) -> Any:
    weights = s4.weigh(cohort, population="ATE", stabilise=True)
    s4.check_balance(cohort, weights)
    s4.survival_curves(cohort, weights)
    return s4.estimate_effects(cohort, weights, horizons=[12.0, 24.0])


def growth(large: bool) -> None:
    sizes = [1_000, 3_000, 10_000, 30_000, 100_000, *([300_000, 1_000_000] if large else [])]
    head(
        "One analysis (propensity, weights, balance, curves, all effects with influence intervals)",
        *("patients", "seconds"),
    )
    spent = []
    for n in sizes:
        cohort = stage4(n).cohort
        whole_analysis(cohort)
        spent.append(seconds(lambda cohort=cohort: whole_analysis(cohort), 3 if n < 300_000 else 1))
        line(f"{n:,}", f"{spent[-1]:.3g}")
    # below ten thousand a fixed cost dominates, so the slope is that of the rest
    big = [k for k, n in enumerate(sizes) if n >= 10_000]
    slope = np.polyfit(np.log([sizes[k] for k in big]), np.log([spent[k] for k in big]), 1)[0]
    print(f"\nSeconds grow with patients to the power {slope:.2f} from ten thousand on.")
    _plot(sizes, spent, float(slope))


def _plot(sizes: list[int], spent: list[float], slope: float) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    axes.loglog(sizes, spent, "o-", color="black")
    axes.set(xlabel="patients", ylabel="seconds", title=f"one analysis: slope {slope:.2f} from 10,000 on")
    axes.grid(alpha=0.3)
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def memory(large: bool) -> None:
    """Peak of a fresh process on Linux, with the simulated table it starts from."""
    head("Peak memory of one analysis and of a bootstrap", "patients", "analysis", "bootstrap, 16 replicates")
    for n in (10_000, 100_000, *([1_000_000] if large else [])):
        peaks = [
            subprocess.run(
                [sys.executable, "-m", "benchmarks", "--peak", what, str(n)], capture_output=True, text=True, check=True
            ).stdout.strip()
            for what in ("analysis", "bootstrap")
        ]
        line(f"{n:,}", *(f"{float(peak):.2f} GiB" for peak in peaks))


def peak(what: str, n: int) -> None:
    timed = stage4(n)
    if what == "analysis":
        whole_analysis(timed.cohort)
    else:
        weights = s4.weigh(timed.cohort, population="ATE", stabilise=True)
        table, plan = timed.cohort.risk_table(), Resampling(replicates=16)
        resample(table, weights, horizons=np.array([HORIZON]), ties="efron", plan=plan)
    # not getrusage, which remembers the process that started this one
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    print(int(status.split()[0]) / 2**20)


def large_file(large: bool) -> None:
    registry(head, line, 1_000_000 if large else 100_000)


PARTS = {
    "bootstrap": bootstrap,
    "cox": cox,
    "clones": clones,
    "growth": growth,
    "memory": memory,
    "registry": large_file,
}


def machine() -> Iterator[str]:
    yield f"{platform.machine()} {platform.system()}, Python {platform.python_version()}, one thread, processor time"
    names = ("numpy", "numba", "scipy", "statsmodels", "lifelines")
    yield ", ".join(f"{name} {version(name)}" for name in names)
    yield peers.r_version() or "R with its survival package is not installed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--large", action="store_true", help="the cases that take minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some of the parts")
    parser.add_argument("--peak", nargs=2, metavar=("WHAT", "N"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        return peak(asked.peak[0], int(asked.peak[1]))
    for words in machine():
        print(f"- {words}")
    for part in asked.only:
        PARTS[part](asked.large)
    return None


if __name__ == "__main__":
    main()
