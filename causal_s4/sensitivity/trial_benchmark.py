"""Does the answer agree with the randomised trials? Differences and agreement, never an attempt to match."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED
from causal_s4.results import Benchmark, EffectEstimate, SensitivityResult


def hold_against(estimate: EffectEstimate, benchmark: Benchmark) -> dict[str, Any]:
    """Return how far an estimate lies from a published one.

    Parameters
    ----------
    estimate : EffectEstimate
        With a standard error.
    benchmark : Benchmark
        With its interval and the level of it.

    Returns
    -------
    dict
        ``difference`` (observed minus published; of logarithms for ratios), ``std_error``, ``z``,
        ``estimate_agrees`` (the estimate lies within the published interval), ``difference_agrees``
        (the standardised difference is below 1.96 in size), ``conclusion_agrees`` (both intervals exclude
        no effect on the same side, or both cover it) and ``bias_factor`` (the ratio of the two, for ratios).

    Notes
    -----
    Franklin et al. 2021, 10.1161/CIRCULATIONAHA.120.051718. A standard error is read off an interval by
    the quantile of its own level.
    """
    if estimate.value is None or estimate.std_error is None:
        raise ValueError("an estimate without a standard error cannot be held against another")
    ratio = benchmark.measure.endswith("ratio")
    scale = math.log if ratio else float
    published = scale(benchmark.value)
    reach = NormalDist().inv_cdf((1 + benchmark.level) / 2)
    error = (scale(benchmark.upper) - scale(benchmark.lower)) / (2 * reach)
    difference = scale(estimate.value) - published
    std_error = math.hypot(estimate.std_error, error)
    null = 1.0 if ratio else 0.0
    return {
        "benchmark": benchmark.name,
        "design": benchmark.design,
        "analysis": estimate.analysis,
        "population": estimate.population,
        "observed": estimate.value,
        "published": benchmark.value,
        "published_lower": benchmark.lower,
        "published_upper": benchmark.upper,
        "difference": difference,
        "std_error": std_error,
        "z": difference / std_error,
        "estimate_agrees": benchmark.lower <= estimate.value <= benchmark.upper,
        "difference_agrees": abs(difference / std_error) < NormalDist().inv_cdf(0.975),
        "conclusion_agrees": _side(estimate.lower, estimate.upper, null)
        == _side(benchmark.lower, benchmark.upper, null),
        "bias_factor": math.exp(difference) if ratio else None,
    }


def _side(lower: float | None, upper: float | None, null: float) -> int:
    if upper is not None and upper < null:
        return -1
    return 1 if lower is not None and lower > null else 0


def rct_benchmark(
    estimates: Iterable[EffectEstimate], benchmarks: Iterable[Benchmark]
) -> tuple[SensitivityResult, ...]:
    """Return every estimate of a kind that a benchmark speaks about, held against it: one result a benchmark.

    Parameters
    ----------
    estimates : iterable of EffectEstimate
        Naive, conditional and weighted ones.
    benchmarks : iterable of Benchmark

    Returns
    -------
    tuple of SensitivityResult
        ``value`` is the standardised difference of the first weighted estimate. Benchmarks without an
        estimate of their outcome, measure and horizon give no result.
    """
    found, listed = [], list(estimates)
    for benchmark in benchmarks:
        rows = [
            hold_against(each, benchmark)
            for each in listed
            if each.outcome == benchmark.outcome
            and each.measure == benchmark.measure
            and each.horizon == benchmark.horizon
            and each.value is not None
            and each.std_error
        ]
        weighted = [row for row in rows if row["population"] not in (UNADJUSTED, CONDITIONAL)]
        if not weighted:
            continue
        first = weighted[0]
        found.append(
            SensitivityResult(
                method="rct benchmark",
                target={
                    "outcome": benchmark.outcome,
                    "analysis": first["analysis"],
                    "population": first["population"],
                    "measure": benchmark.measure,
                    "horizon": benchmark.horizon,
                },
                parameters={
                    "benchmark": benchmark.name,
                    "design": benchmark.design,
                    "source": benchmark.source,
                    "level": benchmark.level,
                    "published": benchmark.value,
                    "published_lower": benchmark.lower,
                    "published_upper": benchmark.upper,
                    "observed": first["observed"],
                    "difference": first["difference"],
                },
                value=first["z"],
                unit="standard errors",
                direction=_direction(first["difference"]),
                assumptions=(
                    "the trial asked the same question of comparable patients; a difference may be of patients, of "
                    "treatment or of follow-up as well as bias",
                    "the two estimates are independent",
                    "agreement does not show that the estimate is right, nor was anything tuned to reach it",
                ),
                table=tuple(rows),
            )
        )
    return tuple(found)


def _direction(difference: float) -> str:
    if difference == 0:
        return "none: the two agree"
    return f"the observed {'exceeds' if difference > 0 else 'falls below'} the published value"
