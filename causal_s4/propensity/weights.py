"""Weights for each estimand, every one with its estimating part.

Balancing weights: Li, Morgan & Zaslavsky 2018, 10.1080/01621459.2016.1260466; matching weights: Li &
Greene 2013, 10.1515/ijb-2012-0030; entropy balancing: Hainmueller 2012, 10.1093/pan/mpr025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort
from causal_s4.errors import InfeasibleBalanceError, NoEventsError, OverlapError, UsageError
from causal_s4.kernels.balance import c_statistic, effective_sample_size
from causal_s4.kernels.entropy_balancing import balance_moments
from causal_s4.kernels.logistic import fit_logistic
from causal_s4.kernels.risk_sets import merge_close
from causal_s4.propensity.models import covariate_matrix, fit_propensity
from causal_s4.protocol.methods import QUANTILE_METHODS, check_weighting
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import (
    EstimatingPart,
    Finding,
    Floats,
    Histogram,
    Ints,
    WeightingSpec,
    Weights,
    WeightSummary,
    read_only,
)

Mask = NDArray[np.bool_]


def tilted_weights(treatment: Ints, propensity: Floats, population: str) -> tuple[Floats, Floats]:
    """Return the weights of a population and their derivative in the propensity score.

    Parameters
    ----------
    treatment : ndarray of 0/1, shape (n,)
    propensity : ndarray, shape (n,)
        Strictly between 0 and 1.
    population : {"ATE", "ATT", "ATC", "ATO", "ATM"}

    Returns
    -------
    weight, derivative : ndarray, shape (n,)
        h(e)/e for the treated and h(e)/(1 - e) for controls, h the population's tilt.
    """
    e, treated = propensity, treatment == 1
    if population == Estimand.ATE:
        return np.where(treated, 1 / e, 1 / (1 - e)), np.where(treated, -1 / e**2, 1 / (1 - e) ** 2)
    if population == Estimand.ATT:
        return np.where(treated, 1.0, e / (1 - e)), np.where(treated, 0.0, 1 / (1 - e) ** 2)
    if population == Estimand.ATC:
        return np.where(treated, (1 - e) / e, 1.0), np.where(treated, -1 / e**2, 0.0)
    if population == Estimand.ATO:
        return np.where(treated, 1 - e, e), np.where(treated, -1.0, 1.0)
    if population == Estimand.ATM:
        smaller, slope = np.minimum(e, 1 - e), np.where(e < 0.5, 1.0, -1.0)
        return (
            np.where(treated, smaller / e, smaller / (1 - e)),
            np.where(treated, slope / e - smaller / e**2, slope / (1 - e) + smaller / (1 - e) ** 2),
        )
    raise UsageError(f"population must be one of {', '.join(Estimand)}; found {population!r}")


@checked_arguments
def weigh(
    cohort: Cohort,
    *,
    population: str,
    method: str = "logistic",
    splines: Mapping[str, int] | None = None,
    log1p: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
    stabilise: bool = False,
    truncate: tuple[float, float] | None = None,
    trim: float | None = None,
    quantile_method: str = "linear",
    covariates: Sequence[str] | None = None,
) -> Weights:
    """Weight the arms of a cohort so that they represent one population.

    Parameters
    ----------
    cohort : Cohort
    population : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        Whom the effect is to speak about; there is no default.
    method : {"logistic", "firth", "entropy-balancing"}
        How the weights are found: from a propensity score by maximum likelihood or by Firth's penalised
        likelihood, which stays finite when a level has patients of one arm only. Entropy balancing solves for
        weights whose means of the model's terms equal the target's (first moments; add splines for more).
    splines : mapping of str to int, optional
        Column to number of knots of a restricted cubic spline at Harrell's quantiles.
    log1p : sequence of str
        Columns that enter as log(1 + x).
    interactions : sequence of pairs of str
        Products of columns.
    stabilise : bool
        Multiply by the marginal probability of the patient's own arm (ATE). It changes a weighted
        hazard ratio, and neither a survival curve nor a restricted mean.
    truncate : (float, float), optional
        Quantiles at which weights are cut, taken over the arms whose weights vary; counted.
    trim : float, optional
        Leave out patients with a propensity score below it or above one minus it, and refit.
    quantile_method : {"linear", "nearest"}
        How the truncation quantile is read: R's type 7, or its type 3 (WeightIt's ``trim``).
    covariates : sequence of str, optional
        A subset of the cohort's covariates.

    Returns
    -------
    Weights
        Not rescaled: ``normalisation`` says how they are scaled.

    Raises
    ------
    UsageError
        For an option that is wrong or would have no effect.
    SeparationError, OverlapError, InfeasibleBalanceError
        When the arms cannot be weighted to this population.
    """
    problems = check_weighting(population, method, stabilise or None, truncate, trim)
    if problems:
        raise UsageError("the weights asked for cannot be made", problems)
    if quantile_method not in QUANTILE_METHODS:
        raise UsageError(f"quantile_method must be one of {', '.join(QUANTILE_METHODS)}; found {quantile_method!r}")
    treatment = cohort.treatment
    if not 0 < int(treatment.sum()) < len(treatment):
        raise NoEventsError(
            f"both arms need patients; found {int(treatment.sum())} treated and "
            f"{len(treatment) - int(treatment.sum())} controls"
        )
    matrix = covariate_matrix(
        cohort, splines=splines or {}, log1p=log1p, interactions=interactions, covariates=covariates
    )
    used = tuple(cohort.covariates.columns) if covariates is None else tuple(covariates)
    if not used:
        return _nothing_to_adjust(treatment, population)
    if method == "entropy-balancing":
        weights = _entropy_balancing(treatment, matrix.matrix, matrix.terms, population)
    else:
        weights = _logistic(treatment, matrix.matrix, matrix.terms, population, trim, method)
    if stabilise:
        weights = _stabilise(weights, treatment)
    if truncate is not None:
        weights = _truncate(weights, treatment, truncate, quantile_method)
    spec = WeightingSpec(
        population=population,
        method=method,
        treatment=treatment,
        terms=matrix.matrix,
        stabilise=stabilise,
        truncate=truncate,
        trim=trim,
        quantile_method=quantile_method,
    )
    return replace(weights, covariates=used, spec=spec)


def _nothing_to_adjust(treatment: Ints, population: str) -> Weights:
    return Weights(
        values=read_only(np.ones(len(treatment))),
        population=population,
        method="none needed",
        normalisation="every weight is 1",
    )


def _logistic(
    treatment: Ints, terms: Floats, names: Sequence[str], population: str, trim: float | None, method: str
) -> Weights:
    penalised = method == "firth"
    n = len(treatment)
    kept = np.ones(n, dtype=bool)
    label, findings = population, []
    if trim is not None:
        first, _ = fit_propensity(terms, names, treatment, penalised=penalised)
        kept = (first.probability >= trim) & (first.probability <= 1 - trim)
        findings.append(_trimming(kept, treatment, trim, population))
        label = f"{population}, trimmed to propensity {trim:g} to {1 - trim:g}"
    fit, design = fit_propensity(terms[kept], names, treatment[kept], penalised=penalised)
    weight, derivative = tilted_weights(treatment[kept], fit.probability, population)
    slope = derivative * fit.probability * (1 - fit.probability)
    part = EstimatingPart(
        name="propensity score",
        score=_spread(fit.score, kept),
        information=fit.information,
        derivative=_spread(slope[:, None] * design, kept),
    )
    propensity = np.full(n, np.nan)
    propensity[kept] = fit.probability
    return Weights(
        values=read_only(_spread(weight, kept)),
        population=label,
        method=method,
        parts=(part,),
        propensity=read_only(propensity),
        normalisation=_SCALE[population],
        trimmed=int(n - kept.sum()),
        terms=("(intercept)", *names),
        coefficients=read_only(fit.coefficient),
        findings=tuple(findings),
    )


_SCALE = {
    "ATE": "1/e and 1/(1-e): each arm sums to about n",
    "ATT": "1 and e/(1-e): controls sum to about the number treated",
    "ATC": "(1-e)/e and 1: the treated sum to about the number of controls",
    "ATO": "1-e and e: both arms have the same sum",
    "ATM": "min(e, 1-e)/e and min(e, 1-e)/(1-e): both arms have about the same sum",
}


def _spread(values: Floats, kept: Mask) -> Floats:
    """Put rows of the kept patients in their places, zero elsewhere."""
    if kept.all():
        return values
    full = np.zeros((len(kept), *values.shape[1:]))
    full[kept] = values
    return full


def _trimming(kept: Mask, treatment: Ints, trim: float, population: str) -> Finding:
    out = ~kept
    treated, control = int((out & (treatment == 1)).sum()), int((out & (treatment == 0)).sum())
    left = treatment[kept]
    if not 0 < left.sum() < left.size:
        raise OverlapError(
            f"trimming at {trim:g} leaves {int(left.sum())} treated and {int(left.size - left.sum())} controls; "
            "both arms need patients. Trim less, or use overlap weights (ATO)"
        )
    return Finding(
        code="trimmed",
        severity="caution" if out.any() else "note",
        step="weights",
        message=(
            f"{treated + control} of {len(kept)} patients ({treated} treated, {control} controls) with a propensity score "
            f"outside {trim:g} to {1 - trim:g} were left out and the score was refitted. The effect is that of the "
            f"patients who stayed, not the {population} of everybody."
        ),
        numbers={"trim": trim, "treated": treated, "control": control},
    )


def _entropy_balancing(treatment: Ints, terms: Floats, names: Sequence[str], population: str) -> Weights:
    n = len(treatment)
    target_arm = {Estimand.ATE: None, Estimand.ATT: 1, Estimand.ATC: 0}[Estimand(population)]
    in_target = np.ones(n) if target_arm is None else (treatment == target_arm).astype(float)
    total = in_target.sum()
    target = (in_target @ terms) / total
    basis = np.column_stack([np.ones(n), terms])
    values = np.ones(n)
    parts = []
    for arm, label in ((1, "treated"), (0, "control")):
        if arm == target_arm:
            continue
        rows = treatment == arm
        share, settled = balance_moments(terms[rows], target)
        if not settled or share.max() > 0.5 or effective_sample_size(share) < 5:
            raise InfeasibleBalanceError(
                f"no usable weights bring the {int(rows.sum())} patients of the {label} arm to the means of the target "
                f"population (largest share of one patient {share.max():.2f}, effective sample size "
                f"{effective_sample_size(share):.1f}). Ask for fewer terms, or for the ATO by logistic weights"
            )
        values[rows] = share * total
        own = np.where(rows, values, 0.0)[:, None] * basis
        parts.append(
            EstimatingPart(
                name=f"entropy balancing, {label} arm",
                score=in_target[:, None] * basis - own,
                information=basis.T @ own,
                derivative=own,
            )
        )
    return Weights(
        values=read_only(values),
        population=population,
        method="entropy-balancing",
        parts=tuple(parts),
        normalisation="each weighted arm sums to the size of the target population",
        terms=tuple(names),
    )


def _stabilise(weights: Weights, treatment: Ints) -> Weights:
    """Multiply by the marginal probability of the own arm, itself an estimate with its own part."""
    kept = weights.values > 0
    treated = treatment == 1
    share = float(treated[kept].mean())
    factor = np.where(treated, share, 1 - share)
    allocation = EstimatingPart(
        name="marginal probability of treatment",
        score=np.where(kept, treated - share, 0.0)[:, None],
        information=np.array([[float(kept.sum())]]),
        derivative=np.where(treated, weights.values, -weights.values)[:, None],
    )
    return replace(
        weights,
        values=read_only(weights.values * factor),
        parts=(*(replace(p, derivative=p.derivative * factor[:, None]) for p in weights.parts), allocation),
        normalisation="stabilised: each arm sums to about its own size",
    )


def _truncate(weights: Weights, treatment: Ints, bounds: tuple[float, float], quantile_method: str) -> Weights:
    """Cut at quantiles; a cut weight no longer moves with the propensity score."""
    values = weights.values
    varies = np.zeros(len(values), dtype=bool)
    for arm in (0, 1):
        rows = (treatment == arm) & (values > 0)
        varies |= rows & (np.ptp(values[rows]) > 1e-12 if rows.any() else False)
    if quantile_method == "nearest":
        low, high = np.quantile(values[varies], bounds, method="closest_observation")
    else:
        low, high = np.quantile(values[varies], bounds)
    cut = varies & ((values < low) | (values > high))
    finding = Finding(
        code="truncated",
        severity="caution",
        step="weights",
        message=(
            f"{int(cut.sum())} of {int((values > 0).sum())} weights were cut at the {bounds[0]:g} and {bounds[1]:g} quantiles "
            f"({low:.3g} and {high:.3g}). Truncation moves the estimand towards the unweighted comparison."
        ),
        numbers={"truncated": int(cut.sum()), "low": float(low), "high": float(high)},
    )
    return replace(
        weights,
        values=read_only(np.where(cut, np.clip(values, low, high), values)),
        parts=tuple(replace(p, derivative=np.where(cut[:, None], 0.0, p.derivative)) for p in weights.parts),
        truncated=int(cut.sum()),
        findings=(*weights.findings, finding),
    )


_QUANTILES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)


def summarise_weights(cohort: Cohort, weights: Weights) -> WeightSummary:
    """Describe weights by numbers that hold no patient.

    Parameters
    ----------
    cohort : Cohort
    weights : Weights
        One a patient.

    Returns
    -------
    WeightSummary
    """
    used = weights.values > 0
    by_arm = {arm: weights.values[used & (cohort.treatment == code)] for arm, code in (("treated", 1), ("control", 0))}
    scores = _scores(cohort, weights)
    population = weights.population.split(",")[0]
    return WeightSummary(
        population=weights.population,
        describes=Estimand(population).describes if population in set(Estimand) else "as the given weights imply",
        method=weights.method,
        normalisation=weights.normalisation,
        ess_treated=effective_sample_size(by_arm["treated"]),
        ess_control=effective_sample_size(by_arm["control"]),
        max=float(weights.values.max()),
        truncated=weights.truncated,
        trimmed=weights.trimmed,
        mean_treated=float(by_arm["treated"].mean()),
        mean_control=float(by_arm["control"].mean()),
        top_share_treated=_top_share(by_arm["treated"]),
        top_share_control=_top_share(by_arm["control"]),
        quantiles={arm: tuple(float(q) for q in np.quantile(values, _QUANTILES)) for arm, values in by_arm.items()},
        histogram=_histogram(cohort, weights),
        c_statistic=scores[0],
        c_statistic_weighted=scores[1],
        covariates=weights.covariates,
        terms=weights.terms,
        coefficients=() if weights.coefficients is None else tuple(float(c) for c in weights.coefficients),
    )


def _top_share(values: Floats) -> float:
    """Share of the total carried by the heaviest one per cent (at least one patient)."""
    heaviest = max(1, int(np.ceil(0.01 * len(values))))
    return float(np.sort(values)[-heaviest:].sum() / values.sum())


def _scores(cohort: Cohort, weights: Weights) -> tuple[float | None, float | None]:
    """Discrimination of the propensity score, and of the score refitted with the weights.

    The second near 0.5 says that the covariates no longer tell the arms apart.
    """
    if weights.propensity is None or not isinstance(weights.spec, WeightingSpec):
        return None, None
    used = weights.values > 0
    treated = cohort.treatment[used] == 1
    before = c_statistic(weights.propensity[used], treated, np.ones(int(used.sum())))
    design = np.column_stack([np.ones(int(used.sum())), weights.spec.terms[used]])
    refit = fit_logistic(design, cohort.treatment[used], weight=weights.values[used])
    if not refit.converged:
        return before, None
    # scores that exact balance makes equal differ by rounding, which must not count as an order
    return before, c_statistic(merge_close(refit.probability), treated, weights.values[used])


def _histogram(cohort: Cohort, weights: Weights) -> Histogram | None:
    if weights.propensity is None:
        return None
    used = weights.values > 0
    edges = np.linspace(0, 1, 41)
    parts: dict[str, tuple[float, ...]] = {}
    for arm, code in (("treated", 1), ("control", 0)):
        rows = used & (cohort.treatment == code)
        score, weight = weights.propensity[rows], weights.values[rows]
        parts[arm] = tuple(float(x) for x in np.histogram(score, edges)[0])
        weighted = np.histogram(score, edges, weights=weight / weight.sum())[0]
        parts[f"{arm}_weighted"] = tuple(float(x) for x in weighted)
    return Histogram(edges=tuple(float(x) for x in edges), **parts)


def weights_findings(summary: WeightSummary) -> tuple[Finding, ...]:
    """Say what about the weights a reader has to know."""
    found = []
    for arm, ess, top in (
        ("treated", summary.ess_treated, summary.top_share_treated),
        ("control", summary.ess_control, summary.top_share_control),
    ):
        if ess < 50 or top > 0.1:
            found.append(
                Finding(
                    code="heavy-weights",
                    severity="serious" if ess < 20 or top > 0.25 else "caution",
                    step="weights",
                    message=(
                        f"{summary.population}: the {arm} arm is worth {ess:.0f} patients after weighting and its heaviest "
                        f"one per cent carries {100 * top:.0f}% of the weight; estimates lean on few patients."
                    ),
                    numbers={"arm": arm, "ess": ess, "top_share": top},
                )
            )
    return tuple(found)
