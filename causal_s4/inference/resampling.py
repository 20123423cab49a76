"""The whole pipeline, refitted for each resample of patients: weights, hazard ratio, curves and all.

A resample is a vector of counts that multiplies the patients' weights. No row is copied, so the rows of one
patient stay together, and many resamples are done at once. Everything is made again from the counts:
propensity model, marginal probabilities, quantiles that weights are cut at, who is trimmed, the moments that
entropy balancing reaches. Only what was fixed beforehand stays: the terms of the model and their knots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import causal_s4
from causal_s4.cohort import RiskTable
from causal_s4.errors import UsageError
from causal_s4.kernels.clone_factors import CloneWeighting
from causal_s4.kernels.draws import count_draws, exponential_draws
from causal_s4.kernels.replicate_clones import CloneWeights
from causal_s4.kernels.replicate_weights import (
    EntropyWeights,
    Failure,
    Fit,
    FixedWeights,
    LogisticWeights,
    ReplicateWeights,
)
from causal_s4.kernels.sweeps import Sweep
from causal_s4.protocol.methods import weighting_method
from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.results import Floats, Ints, WeightingSpec, Weights
from causal_s4.workers import Answer, Block, KeptBlocks, Progress, fingerprint, run_blocks

STAGE = 1
"""The bootstrap's part of the seed: ``SeedSequence(seed, spawn_key=(STAGE,))`` keys the generator, and the
number of the replicate is its counter. Replicate 17 is the same however many there are, in any order."""

_TILE_CELLS, _SMALLEST_TILE, _LARGEST_TILE = 96_000, 8, 256
_BLOCK_CELLS = 400_000
_MOST_CELLS = 16_000_000  # of the weights of a tile: 128 MB


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How patients are resampled, and who does the work.

    Parameters
    ----------
    method : {"bootstrap", "jackknife"}
        Draw patients with replacement, or leave out one at a time.
    replicates : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.
    interval : {"percentile", "basic", "normal", "bca"}
        How the bootstrap's interval is read off its replicates.
    counts : {"multinomial", "bayesian"}
        Whole copies of patients, or weights from a flat Dirichlet distribution.
    stratify : bool
        Resample each arm on its own.
    cluster : ndarray, shape (patients,), optional
        Labels of groups that are drawn, or left out, whole.
    jobs : int
        Threads; they change no number.
    scheduler : str, optional
        Address of a Dask scheduler to work on instead.
    resume : path-like, optional
        Folder in which finished blocks are kept and looked up.
    progress : callable, optional
        Called with the replicates done and all replicates.
    block : int, optional
        Replicates handed to a worker at once; it changes no number.
    """

    method: str = "bootstrap"
    replicates: int = 1000
    seed: int = 0
    interval: str = "percentile"
    counts: str = "multinomial"
    stratify: bool = False
    cluster: NDArray[np.generic] | None = None
    jobs: int = 1
    scheduler: str | None = None
    resume: str | Path | None = None
    progress: Progress | None = None
    block: int | None = None


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """What the replicates gave.

    Parameters
    ----------
    columns : tuple of (str, int, int)
        Name, arm (1, 0 or -1) and index of the horizon (or -1) of each column.
    values : ndarray, shape (replicates, columns)
        NaN without an estimate.
    failure : ndarray of Failure, shape (replicates,)
    """

    columns: tuple[tuple[str, int, int], ...]
    values: Floats
    failure: NDArray[np.int8]

    def theta(self, measure: Measure, arm: Arm | None, horizon: int) -> Floats:
        """Return the replicates of one effect: a logarithm for ratios.

        Parameters
        ----------
        measure : Measure
        arm : Arm or None
        horizon : int
            Its index; -1 for measures without a horizon.

        Returns
        -------
        ndarray, shape (replicates,)
        """
        if measure == Measure.HAZARD_RATIO:
            return self._column("log hazard ratio", -1, -1)
        if measure == Measure.MEDIAN_SURVIVAL:
            return self._column("median", int(arm == Arm.TREATED), -1)
        name = measure.removesuffix(" difference").removesuffix(" ratio")
        if arm is not None:
            return self._column(name, int(arm == Arm.TREATED), horizon)
        treated, control = self._column(name, 1, horizon), self._column(name, 0, horizon)
        if measure.endswith("difference"):
            return np.asarray(treated - control)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(treated / control))

    def _column(self, name: str, arm: int, horizon: int) -> Floats:
        return np.asarray(self.values[:, self.columns.index((name, arm, horizon))])


def resample(
    table: RiskTable,
    weights: Weights | None,
    *,
    horizons: Floats,
    ties: str,
    plan: Resampling,
    start: float = 0.0,
) -> Replicates:
    """Estimate every effect in every replicate.

    Parameters
    ----------
    table : RiskTable
    weights : Weights or None
        Made again in each replicate by their ``spec``; weights without one stay as they are.
    horizons : ndarray, shape (h,)
    ties : {"efron", "breslow"}
    plan : Resampling
    start : float
        Log hazard ratio of the data as they are.

    Raises
    ------
    UsageError
        When groups cannot be resampled as asked.
    """
    draws = Draws.of(table, plan)
    made = replicate_weights(table, weights, whole=draws.whole)
    tile = tile_size(table.n_patients, made.width)
    task = Refit(
        draws=draws,
        weights=made,
        sweep=Sweep.of(table.patient, table.arm, table.start, table.stop, table.event, horizons, efron=ties == "efron"),
        tile=tile,
        start=start,
        model=_model_of(weights, draws, tile),
    )
    per_block = plan.block or max(1, _BLOCK_CELLS // (task.tile * max(table.n_patients, made.width))) * task.tile
    total = plan.replicates if plan.method == "bootstrap" else len(draws.sizes)
    kept = None
    if plan.resume is not None:
        kept = KeptBlocks(Path(plan.resume), fingerprint(causal_s4.__version__, np.__version__, task))
    answers = run_blocks(
        task,
        [(first, min(first + per_block, total)) for first in range(0, total, per_block)],
        jobs=plan.jobs,
        scheduler=plan.scheduler,
        kept=kept,
        progress=plan.progress,
    )
    return Replicates(
        columns=tuple(task.sweep.columns),
        values=np.concatenate([each["values"] for each in answers]),
        failure=np.concatenate([each["failure"] for each in answers]),
    )


def tile_size(patients: int, width: int) -> int:
    """Return how many replicates share one matrix product, each of which keeps ``width`` numbers.

    It depends on the cohort alone, and products always have this many rows, so that how a library rounds them
    cannot depend on blocks or workers.
    """
    many = int(np.clip(_TILE_CELLS // patients, _SMALLEST_TILE, _LARGEST_TILE))
    return min(many, max(1, _MOST_CELLS // width))


def replicate_weights(table: RiskTable, weights: Weights | None, *, whole: bool = True) -> ReplicateWeights:
    """Return how weights are made again in a replicate; with ``whole``, counts are copies of patients."""
    if weights is None:
        return FixedWeights(np.ones(table.n_patients))
    spec = weights.spec
    if spec is None:
        if weights.estimated and weights.parts:
            raise UsageError(
                f"weights by {weights.method} do not say how they were made, so a resample cannot make them again; "
                "use variance='influence'"
            )
        return FixedWeights(weights.values, weights.by_row)
    if isinstance(spec, CloneWeighting):
        return CloneWeights.prepare(spec, whole=whole)
    if spec.method == "entropy-balancing":
        return EntropyWeights.prepare(spec.terms, spec.treatment, spec.population)
    return LogisticWeights.prepare(
        spec.terms,
        spec.treatment,
        spec.population,
        stabilise=spec.stabilise,
        truncate=spec.truncate,
        trim=spec.trim,
        nearest=spec.quantile_method == "nearest",
        penalised=spec.method == "firth",
    )


def _model_of(weights: Weights | None, draws: Draws, tile: int) -> str:
    """Return what tells a propensity model and its resamples from all others; empty where nothing can be shared."""
    spec = None if weights is None else weights.spec
    if not isinstance(spec, WeightingSpec) or not weighting_method(spec.method).propensity_score:
        return ""
    return fingerprint(spec.terms, spec.treatment, spec.method, draws, tile)


@dataclass(frozen=True)
class Refit:
    """One whole refit, as a task for workers.

    Attributes
    ----------
    draws : Draws
    weights : ReplicateWeights
    sweep : Sweep
    tile : int
    start : float
    model : str
        Tells the propensity model and the resamples that it is refitted in from all others; empty without one.
    """

    draws: Draws
    weights: ReplicateWeights
    sweep: Sweep
    tile: int
    start: float
    model: str = ""

    def __call__(self, block: Block) -> Answer:
        """Refit the replicates of a block, whole tiles at a time."""
        first, last = block
        begin = first // self.tile * self.tile
        tiles = [self._tile(each) for each in range(begin, last, self.tile)]
        wanted = slice(first - begin, last - begin)
        return {
            "values": np.concatenate([values for values, _ in tiles])[wanted],
            "failure": np.concatenate([failure for _, failure in tiles])[wanted],
        }

    def _tile(self, begin: int) -> tuple[Floats, NDArray[np.int8]]:
        counts = self.draws.counts(begin, self.tile)
        weight, failure = self.weights.make(counts, partial(_once, self.model, begin))
        values = self.sweep.run(weight, counts, by_row=self.weights.by_row, whole=self.draws.whole, start=self.start)
        values[failure > 0] = np.nan
        failure[(failure == 0) & np.isnan(values).all(axis=1)] = Failure.EMPTY_ARM
        failure[(failure == 0) & np.isnan(values[:, 0])] = Failure.NO_EVENTS
        return values, failure


_last: tuple[str, dict[int, Fit]] = "", {}
"""The propensity model that was refitted last, and its refits by the first replicate of a tile."""


def _once(model: str, begin: int, fit: Callable[[], Fit]) -> Fit:
    """Make a fit, or know it: populations and outcomes differ in what they make of one propensity model, not in it."""
    global _last
    if not model:
        return fit()
    last, fits = _last
    if last != model:
        fits = {}
        _last = model, fits
    if begin not in fits:
        fits[begin] = fit()
    return fits[begin]


@dataclass(frozen=True)
class Draws:
    """Counts of patients, by replicate.

    Attributes
    ----------
    method, kind : str
    key : ndarray of uint64, shape (2,)
    strata : ndarray of int, shape (s + 1,)
        Bounds of the strata among the units that are drawn.
    unit : ndarray of int, shape (patients,)
        The unit (patient or group) each patient is drawn with.
    sizes : ndarray of int, shape (units,)
        Patients in each.
    """

    method: str
    kind: str
    key: NDArray[np.uint64]
    strata: Ints
    unit: Ints
    sizes: Ints = field(repr=False)

    @classmethod
    def of(cls, table: RiskTable, plan: Resampling) -> Draws:
        """Give numbers to the units that are drawn, those of a stratum side by side."""
        n = table.n_patients
        labels = np.arange(n)
        if plan.cluster is not None:
            if len(plan.cluster) != n:
                raise UsageError(f"expected {n} labels of groups, one a patient; found {len(plan.cluster)}")
            labels = np.unique(plan.cluster, return_inverse=True)[1]
        units = int(labels.max()) + 1
        if units < 2:
            raise UsageError("resampling needs at least two groups of patients; found one")
        stratum = np.zeros(units, dtype=np.int64)
        if plan.stratify:
            arm = _arm_of_patient(table)
            stratum[labels] = arm
            if (stratum[labels] != arm).any():
                raise UsageError(
                    "groups hold patients of both arms, so whole groups cannot be drawn within an arm; "
                    "leave out stratify or cluster"
                )
        order = np.argsort(stratum, kind="stable")
        place = np.empty(units, dtype=np.int64)
        place[order] = np.arange(units)
        unit = place[labels]
        return cls(
            method=plan.method,
            kind=plan.counts,
            key=np.random.SeedSequence(plan.seed, spawn_key=(STAGE,)).generate_state(2).astype(np.uint64),
            strata=np.concatenate([[0], np.cumsum(np.bincount(stratum))]).astype(np.int64),
            unit=unit,
            sizes=np.bincount(unit),
        )

    @property
    def whole(self) -> bool:
        """Whether counts are whole numbers of copies."""
        return self.kind == "multinomial"

    def counts(self, first: int, replicates: int) -> Floats:
        """Return how often each patient is in each replicate, shape (replicates, patients)."""
        units = len(self.sizes)
        if self.method == "jackknife":
            counts = np.ones((replicates, units))
            left_out = np.arange(first, min(first + replicates, units))
            counts[left_out - first, left_out] = 0.0
        else:
            counts = np.empty((replicates, units))
            (count_draws if self.whole else exponential_draws)(self.key, first, self.strata, counts)
        in_order = self.unit.size == units and bool((self.unit == np.arange(units)).all())
        return counts if in_order else np.ascontiguousarray(counts[:, self.unit])


def _arm_of_patient(table: RiskTable) -> Ints:
    arm = np.zeros(table.n_patients, dtype=np.int64)
    arm[table.patient] = table.arm
    if (arm[table.patient] != table.arm).any():
        raise UsageError("patients have rows in both arms, so they cannot be drawn within an arm; leave out stratify")
    return arm
