"""True effects, by treating the same simulated patients both ways.

The truths of the named effects were computed once from a million patients an arm and lie beside this
module as JSON, with seed, size and Monte Carlo error. Any other truth is computed when asked for.
``python -m causal_s4.simulate`` makes the files anew.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.arguments import checked_arguments
from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Arm, Estimand, Measure
from causal_s4.results import Floats
from causal_s4.simulate import closed_form, stage4, timeline
from causal_s4.simulate.draws import known, positive, read_effect, whole
from causal_s4.simulate.population import marginal_log_hazard_ratio, tilt

if TYPE_CHECKING:
    import pandas as pd

HORIZONS = (12.0, 36.0, 60.0)
FOLDER = Path(__file__).parent / "truths"
SEED = 20190514
_DEFAULT_N = 200_000
_BLOCK = 50_000
_FEWEST_BLOCKS = 20
# Options of ``simulate`` that change which patients are seen, or for how long, and nobody's outcome.
_ONLY_OBSERVED = ("operated", "irradiated", "informative_loss")


@dataclass(frozen=True, kw_only=True)
class TrueEffect:
    """One true number.

    Parameters
    ----------
    measure : str
        As in the results of a study: ``"hazard ratio"``, ``"survival"``, ``"survival difference"``,
        ``"rmst"`` or ``"rmst difference"``, treated minus control.
    arm : {"treated", "control"}, optional
        For ``survival`` and ``rmst``.
    horizon : float, optional
        Months; None for the hazard ratio.
    stabilised : bool, optional
        For the hazard ratio: whether the arms carry their own shares of the weight, or half each.
    value : float
        The truth.
    mc_error : float
        Its Monte Carlo standard error, on the log scale for the hazard ratio; 0 when exact.
    """

    measure: str
    arm: str | None = None
    horizon: float | None = None
    stabilised: bool | None = None
    value: float
    mc_error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrueEffects:
    """The true effects of one treatment on one outcome in one population.

    Parameters
    ----------
    scenario, treatment, outcome, population : str
        Of what, on what, in whom.
    options : mapping
        The world's options that matter to the truth.
    seed, n : int, optional
        Of the simulated patients each arm was given to; None when the truth is exact.
    effects : tuple of TrueEffect
        The numbers.
    """

    scenario: str
    treatment: str
    outcome: str
    population: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    n: int | None = None
    effects: tuple[TrueEffect, ...] = ()

    def one(self, **wanted: Any) -> TrueEffect:
        """Return the only number whose fields equal what is asked.

        Raises
        ------
        UsageError
            When there is none, or more than one.
        """
        found = [each for each in self.effects if all(getattr(each, key) == value for key, value in wanted.items())]
        if len(found) != 1:
            raise UsageError(f"expected one true effect with {wanted}; found {len(found)}")
        return found[0]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a number."""
        import pandas as pd

        labels = {name: getattr(self, name) for name in ("scenario", "treatment", "outcome", "population")}
        return pd.DataFrame([labels | asdict(each) | {"n": self.n, "seed": self.seed} for each in self.effects])


@checked_arguments
def true_effects(
    scenario: str,
    *,
    population: str = Estimand.ATE,
    horizons: Sequence[float] = HORIZONS,
    treatment: str | None = None,
    outcome: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> TrueEffects:
    """Return the true marginal effects of a simulated world.

    Each patient is given both treatments, with everything else about her, and her luck, left alone.
    A population weights the patients by a function of their true propensity score given what is
    recorded. The hazard ratio is the limit of the weighted Cox coefficient under the study's
    censoring, which is not the hazard ratio that the world was made with.

    Parameters
    ----------
    scenario : {"stage4", "benign", "unmeasured", "closed-form", "stage4-timeline"}
        The world, as for ``simulate``.
    population : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        Whose effect. In ``stage4-timeline`` everybody's at time zero, ``"ATE"``.
    horizons : sequence of float
        Months.
    treatment : {"surgery", "radiotherapy"}, optional
        In the ``stage4`` worlds; surgery by default. Radiotherapy follows its usual course after
        surgery is imposed: it belongs to surgery's total effect.
    outcome : {"death", "distant_progression"}, optional
        In the ``stage4`` worlds; death by default.
    n, seed : int, optional
        Patients given to each arm, and their seed. By default the committed truths, from a million
        patients, or where there is none a new computation with 200,000.
    **options
        Those of ``simulate`` that matter to the truth (``effect``, ``hazard_ratio``, ...). For
        ``stage4-timeline`` the two strategies too: ``grace_period`` (9 months); ``timing``
        (``"density"``, ``"natural"``, ``"uniform"``); ``natural_until`` with ``natural``;
        ``timing_density`` as (edges, masses) with ``density``, by default how surgery within the
        grace period is usually spread. The other arm has no surgery within the grace period, and
        usual practice after it.

    Returns
    -------
    TrueEffects

    Raises
    ------
    UsageError
        For an unknown name, a number out of range, or an option without influence.

    Notes
    -----
    Timing rules: Wanis 2024, 10.1093/jrsssa/qnae002.
    """
    known(scenario, SCENARIOS, "scenario")
    population = known(str(population), [each.value for each in Estimand], "population")
    months = tuple(positive(horizon, "each horizon") for horizon in horizons)
    _without_influence(scenario, **{name: options.get(name) for name in _ONLY_OBSERVED})
    for name in options:
        known(name, truth_options(scenario), f"option of the truth of {scenario!r}:")
    if scenario == "closed-form":
        _without_influence(scenario, treatment=treatment, outcome=outcome, n=n, seed=seed)
        return _exact(population, months, **options)
    if scenario == "stage4-timeline":
        _without_influence(scenario, treatment=treatment, outcome=outcome)
        question = ask_timeline(population, months, **options)
    else:
        question = ask_stage4(scenario, treatment or "surgery", outcome or "death", population, **options)
    if n is None and seed is None:
        committed = _find_committed(question, months)
        if committed is not None:
            return committed
    size = _DEFAULT_N if n is None else whole(n, "n", 100 * _FEWEST_BLOCKS)
    return simulate_truth(question, months, size, SEED if seed is None else whole(seed, "seed"))


SCENARIOS = (*stage4.SCENARIOS, "closed-form", "stage4-timeline")


def truth_options(scenario: str) -> tuple[str, ...]:
    """Return the names of the options that matter to a scenario's truth.

    Raises
    ------
    UsageError
        For an unknown scenario.
    """
    known(scenario, SCENARIOS, "scenario")
    if scenario == "closed-form":
        readers: list[Callable[..., Any]] = [_exact]
    elif scenario == "stage4-timeline":
        readers = [ask_timeline, timeline.read_options]
    else:
        readers = [ask_stage4]
    parameters = [each for reader in readers for each in inspect.signature(reader).parameters.values()]
    named = (each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY)
    return tuple(name for name in named if name not in _ONLY_OBSERVED)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """The same patients under both treatments.

    ``treated`` and ``control`` are months to the event, ``last_contact`` when follow-up ends,
    ``weight`` how much a patient counts, each of shape (n,); ``treated_share`` is the share of
    patients usually treated, None where arms are strategies.
    """

    treated: Floats
    control: Floats
    last_contact: Floats
    weight: Floats
    treated_share: float | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which truth: names, and the world's options as JSON, so that questions can be compared."""

    scenario: str
    treatment: str
    outcome: str
    population: str
    options: str

    def pair(self, n: int, seed: int, block: int) -> _Pair:
        """Treat a block of patients both ways."""
        options = json.loads(self.options)
        if self.scenario == "stage4-timeline":
            return _timeline_pair(options, n, seed, block)
        world = stage4.World.draw(self.scenario, n, seed, block)
        surgery, _ = world.treat()
        one, zero = np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        if self.treatment == "surgery":
            arms = [(given, world.irradiate(given)) for given in (one, zero)]
        else:
            arms = [(surgery, given) for given in (one, zero)]
        treated, control = (world.outcomes(*arm, **options)[self.outcome] for arm in arms)
        propensity = world.propensity(self.treatment, surgery)
        return _Pair(
            treated=treated,
            control=control,
            last_contact=world.last_contact,
            weight=tilt(propensity, self.population),
            treated_share=float(propensity.mean()),
        )

    def answer(self, effects: Iterable[TrueEffect], n: int, seed: int) -> TrueEffects:
        """Put the names back on the numbers."""
        return TrueEffects(
            scenario=self.scenario,
            treatment=self.treatment,
            outcome=self.outcome,
            population=self.population,
            options=json.loads(self.options),
            seed=seed,
            n=n,
            effects=tuple(effects),
        )


def ask_stage4(
    scenario: str,
    treatment: str,
    outcome: str,
    population: str,
    *,
    effect: str | None = None,
    hazard_ratio: float | None = None,
    radiotherapy_hazard_ratio: float = 1.0,
) -> Question:
    """State a question about a world of :mod:`causal_s4.simulate.stage4`; see :func:`true_effects`."""
    options = {
        "hazard_ratio": read_effect(effect, hazard_ratio, stage4.HAZARD_RATIOS, "null"),
        "radiotherapy_hazard_ratio": positive(radiotherapy_hazard_ratio, "radiotherapy_hazard_ratio"),
    }
    return Question(
        scenario=scenario,
        treatment=known(treatment, stage4.TREATMENTS, "treatment"),
        outcome=known(outcome, stage4.OUTCOMES, "outcome"),
        population=population,
        options=json.dumps(options, sort_keys=True),
    )


def ask_timeline(
    population: str,
    horizons: Sequence[float],
    *,
    grace_period: float = 9.0,
    timing: str = "density",
    natural_until: float | None = None,
    timing_density: tuple[Sequence[float], Sequence[float]] | None = None,
    **switches: Any,
) -> Question:
    """State a question about the world of :mod:`causal_s4.simulate.timeline`; see :func:`true_effects`."""
    if population != Estimand.ATE:
        raise UsageError(f"strategies of stage4-timeline are compared in everybody (ATE); found {population!r}")
    options = timeline.read_options(**switches)
    if max(horizons) > options.horizon:
        raise UsageError(f"a horizon of {max(horizons)} months lies beyond the world's {options.horizon}")
    rule = timeline.read_timing(options, grace_period, timing, natural_until, timing_density)
    record = asdict(options) | {"grace_period": float(grace_period), "timing": asdict(rule)}
    return Question(
        scenario="stage4-timeline",
        treatment="surgery",
        outcome="death",
        population=population,
        options=json.dumps(record, sort_keys=True),
    )


def _timeline_pair(record: dict[str, Any], n: int, seed: int, block: int) -> _Pair:
    grace, timing = record.pop("grace_period"), timeline.Timing(**record.pop("timing"))
    effect = timeline.SurgeryEffect(**record.pop("effect"))
    world = timeline.World.draw(timeline.Options(effect=effect, **record), n, seed, block)
    control, treated = world.follow(none_before=grace), world.follow(timing, grace)
    return _Pair(
        treated=treated.death,
        control=control.death,
        last_contact=control.loss,
        weight=np.ones(n),
        treated_share=None,
    )


def _without_influence(scenario: str, **given: Any) -> None:
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise UsageError(f"{' and '.join(names)} would have no influence on the truth of {scenario!r}; leave it out")


@lru_cache(maxsize=64)
def simulate_truth(question: Question, horizons: tuple[float, ...], n: int, seed: int) -> TrueEffects:
    """Average over blocks of patients; the blocks' spread gives the Monte Carlo error."""
    blocks = max(_FEWEST_BLOCKS, n // _BLOCK)
    size = n // blocks
    labels, values = [], []
    for block in range(blocks):
        found = _measure(question.pair(size, seed, block), horizons)
        labels = [label for label, _ in found]
        values.append([value for _, value in found])
    means, errors = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(blocks)
    effects = []
    for (measure, arm, horizon, stabilised), mean, error in zip(labels, means.tolist(), errors.tolist(), strict=True):
        value = float(np.exp(mean)) if measure == Measure.HAZARD_RATIO else mean
        effects.append(
            TrueEffect(measure=measure, arm=arm, horizon=horizon, stabilised=stabilised, value=value, mc_error=error)
        )
    return question.answer(effects, size * blocks, seed)


_Label = tuple[str, str | None, float | None, bool | None]


def _measure(pair: _Pair, horizons: Sequence[float]) -> list[tuple[_Label, float]]:
    """Return every measure of one block, the hazard ratio as its logarithm."""
    shares = [(False, 0.5)] + ([] if pair.treated_share is None else [(True, pair.treated_share)])
    found: list[tuple[_Label, float]] = [
        ((Measure.HAZARD_RATIO.value, None, None, stabilised), _log_hazard_ratio(pair, share))
        for stabilised, share in shares
    ]

    def mean(values: Floats) -> float:
        return float(np.average(values, weights=pair.weight))

    for horizon in horizons:
        treated, control = (mean((months > horizon).astype(float)) for months in (pair.treated, pair.control))
        found += _contrast(Measure.SURVIVAL, Measure.SURVIVAL_DIFFERENCE, horizon, treated, control)
        treated, control = (mean(np.minimum(months, horizon)) for months in (pair.treated, pair.control))
        found += _contrast(Measure.RMST, Measure.RMST_DIFFERENCE, horizon, treated, control)
    return found


def _contrast(
    level: Measure, difference: Measure, horizon: float, treated: float, control: float
) -> list[tuple[_Label, float]]:
    return [
        ((level.value, Arm.TREATED.value, horizon, None), treated),
        ((level.value, Arm.CONTROL.value, horizon, None), control),
        ((difference.value, None, horizon, None), treated - control),
    ]


def _log_hazard_ratio(pair: _Pair, share: float) -> float:
    """Return the Cox coefficient when the treated arm carries a share of the weight."""
    last = np.concatenate([pair.last_contact, pair.last_contact])
    time = np.concatenate([pair.treated, pair.control])
    n = pair.weight.size
    return marginal_log_hazard_ratio(
        np.minimum(time, last),
        (time <= last).astype(np.int64),
        np.repeat(np.array([1, 0]), n),
        np.concatenate([share * pair.weight, (1 - share) * pair.weight]),
    )


def _exact(
    population: str, horizons: Sequence[float], *, effect: str | None = None, hazard_ratio: float | None = None
) -> TrueEffects:
    """Return the truth of the closed-form world."""
    ratio = read_effect(effect, hazard_ratio, closed_form.HAZARD_RATIOS, "protective")
    world = closed_form.ClosedForm(hazard_ratio=ratio, population=population)
    found: list[tuple[_Label, float]] = [
        ((Measure.HAZARD_RATIO.value, None, None, stabilised), float(np.exp(world.log_hazard_ratio(share))))
        for stabilised, share in ((False, 0.5), (True, world.treated_share()))
    ]
    for horizon in horizons:
        found += _contrast(
            Measure.SURVIVAL, Measure.SURVIVAL_DIFFERENCE, horizon, *(world.survival(horizon, arm) for arm in (1, 0))
        )
        found += _contrast(
            Measure.RMST, Measure.RMST_DIFFERENCE, horizon, *(world.rmst(horizon, arm) for arm in (1, 0))
        )
    return TrueEffects(
        scenario="closed-form",
        treatment="treatment",
        outcome="event",
        population=population,
        options={"hazard_ratio": ratio},
        effects=tuple(
            TrueEffect(measure=measure, arm=arm, horizon=horizon, stabilised=stabilised, value=value)
            for (measure, arm, horizon, stabilised), value in found
        ),
    )


# --- the committed truths --------------------------------------------------------------------------


def _find_committed(question: Question, horizons: Sequence[float]) -> TrueEffects | None:
    """Return a committed truth, if there is one that covers the horizons."""
    for truth in _committed():
        same = (truth.scenario, truth.treatment, truth.outcome, truth.population) == (
            question.scenario,
            question.treatment,
            question.outcome,
            question.population,
        )
        if same and json.dumps(truth.options, sort_keys=True) == question.options:
            known_horizons = {each.horizon for each in truth.effects}
            if known_horizons.issuperset(horizons):
                kept = [each for each in truth.effects if each.horizon is None or each.horizon in horizons]
                return question.answer(kept, truth.n or 0, truth.seed or 0)
    return None


@lru_cache(maxsize=1)
def _committed() -> tuple[TrueEffects, ...]:
    """Read every committed truth."""
    truths = []
    for path in sorted(FOLDER.glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8"))["truths"]:
            rows = record.pop("effects")
            truths.append(TrueEffects(**record, effects=tuple(TrueEffect(**row) for row in rows)))
    return tuple(truths)
