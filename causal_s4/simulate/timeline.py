"""Stage IV breast cancer from the start of systemic therapy on: surgery comes later, after response.

Time zero is the start of systemic therapy. The disease then responds or progresses; surgery of the
primary tends to follow a response, mostly four to eight months on; and a woman who dies first is
never operated. Comparing ever with never operated therefore suffers from immortal time and from
confounding by a response that comes after time zero.

Everything moves in steps of a quarter of a month, with hazards constant within a step. Five streams
of random numbers (women, disease, surgery, death, loss) and one clock for each event make the truth
sharp: a woman under another strategy has the same disease and the same luck, so that without an
effect of surgery her death does not move at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from causal_s4.errors import UsageError
from causal_s4.results import Floats, Ints
from causal_s4.simulate.draws import choose, finite, known, positive, uniforms, unit_exponential, whole

if TYPE_CHECKING:
    import pandas as pd

STEP = 0.25
RESPONSES = ("stable", "response", "progression")
SUBTYPES = ("luminal", "HER2-positive", "triple-negative")
STABLE, RESPONSE, PROGRESSION = range(3)
ROLES: Mapping[str, Any] = {
    "id": "id",
    "treatment": "surgery",
    "treated": 1,
    "control": 0,
    "treatment_start": "surgery_months",
    "time": "os_months",
    "event": "death",
    "event_value": 1,
    "time_unit": "months",
    "covariates": ("age", "subtype", "bone_only", "burden", "ecog"),
}
"""What the columns of :func:`simulate_timeline` are, as ``Cohort.from_frame`` takes them; overall survival."""


@dataclass(frozen=True, kw_only=True)
class SurgeryEffect:
    """What surgery does to the hazard of death, by time since surgery.

    Parameters
    ----------
    hazard_ratios : tuple of (float, float)
        Months since surgery from which on, and hazard ratio.
    bone_only : bool
        Whether only women with bone-only disease are affected.
    """

    hazard_ratios: tuple[tuple[float, float], ...]
    bone_only: bool = False

    def at(self, elapsed: Floats, bone_only: Ints) -> Floats:
        """Return the hazard ratio at months since surgery, shape (n,)."""
        starts = np.array([start for start, _ in self.hazard_ratios])
        ratios = np.array([1.0, *(ratio for _, ratio in self.hazard_ratios)])
        ratio = ratios[np.searchsorted(starts, elapsed, side="right")]
        return np.where(bone_only == 1, ratio, 1.0) if self.bone_only else ratio


EFFECTS: Mapping[str, SurgeryEffect] = {
    "null": SurgeryEffect(hazard_ratios=()),
    "protective": SurgeryEffect(hazard_ratios=((0.0, 0.7),)),
    "harmful": SurgeryEffect(hazard_ratios=((24.0, 1.6),)),
    "bone-only": SurgeryEffect(hazard_ratios=((0.0, 0.6),), bone_only=True),
    "waning": SurgeryEffect(hazard_ratios=((0.0, 0.6), (24.0, 1.0))),
}
"""Named effects: none; 0.7 from surgery on; 1.6 from two years after surgery on; 0.6 in bone-only
disease (MF07-01: 0.47 to 0.55 in solitary bone metastasis, 10.1245/s10434-018-6494-6); 0.6 for two
years, then none."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When surgery happens, for those whom a strategy sends to surgery within a grace period.

    Parameters
    ----------
    rule : {"density", "natural", "uniform"}
        ``density``: at a time drawn at time zero from a fixed distribution, for whoever is then
        alive. ``natural``: as usual until ``natural_until``, then at a uniformly random time until
        the end of the grace period. ``uniform``: uniformly within it.
    natural_until : float
        Months; zero under ``uniform``.
    edges, masses : tuple of float
        The distribution of ``density``: piecewise uniform.
    """

    rule: str
    natural_until: float = 0.0
    edges: tuple[float, ...] = ()
    masses: tuple[float, ...] = ()


USUAL_EDGES = (0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
USUAL_MASSES = (0.06, 0.10, 0.10, 0.17, 0.18, 0.16, 0.14, 0.09)
"""How surgery within nine months is usually spread over them in this world."""

# Monthly rates of the disease: logarithm of the base rate, by subtype, and per unit of burden.
_RESPONDS = (np.log(0.10), np.array([0.0, 0.6, 0.1]), -0.35)
_PROGRESSES = (np.log(0.022), np.array([0.0, -0.2, 0.7]), 0.30)
_RELAPSES = (np.log(0.028), np.array([0.0, -0.2, 0.6]), 0.20)
# Hazard ratios by state of the disease: stable, response, progression; and of ECOG of one or more.
_SURGERY_BY_RESPONSE = np.exp([0.0, 1.6, -1.2])
_DEATH_BY_RESPONSE = np.exp([0.0, -0.75, 1.1])
_LOSS_BY_RESPONSE = np.exp([0.0, -0.5, 1.0])
_ECOG_DECLINE_BY_RESPONSE = np.array([1.0, 0.5, 3.0])
_SURGERY_BY_ECOG, _DEATH_BY_ECOG, _LOSS_BY_ECOG = np.exp(-0.5), np.exp(0.40), np.exp(0.5)
_CALENDAR_STARTS = np.array([2.0, 4.0, 8.0, 12.0, 24.0])
_CALENDAR = np.exp([-0.9, 0.5, 1.2, 0.3, -1.2, -3.0])
_LOSS_RATE, _INFORMATIVE_LOSS_RATE = 0.003, 0.006
_CLOSURE_FIRST, _CLOSURE_LAST = 0.5, 1.5  # of the horizon: the study closes at different lengths of follow-up


@dataclass(frozen=True, kw_only=True)
class Options:
    """The switches of the world.

    Parameters
    ----------
    effect : SurgeryEffect
        What surgery does.
    biology_death, biology_surgery : float
        Log hazard ratio per standard deviation of an unrecorded responder biology, for death and
        for surgery. Zero, the default, makes it harmless.
    ecog_decline : float
        Monthly rate at which a woman with ECOG 0 comes to 1 or more; half of it in response, three
        times in progression. Zero keeps ECOG as at time zero.
    informative_loss : bool
        Whether loss to follow-up depends on response and ECOG.
    horizon : float
        Months after which follow-up ends.
    """

    effect: SurgeryEffect = EFFECTS["null"]
    biology_death: float = 0.0
    biology_surgery: float = 0.0
    ecog_decline: float = 0.0
    informative_loss: bool = False
    horizon: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Course:
    """What happens to women under a strategy, before anyone is lost; months, infinite if never.

    Parameters
    ----------
    surgery, death : ndarray, shape (n,)
        Surgery is infinite for a woman who dies first.
    response, progression, ecog_worse : ndarray, shape (n,)
        When the disease responds, when it progresses, when ECOG comes to 1 or more (0 if at time
        zero). Surgery changes none of them.
    loss : ndarray, shape (n,)
        When the woman is lost or the study closes.
    """

    surgery: Floats
    death: Floats
    response: Floats
    progression: Floats
    ecog_worse: Floats
    loss: Floats


@dataclass(frozen=True, kw_only=True)
class World:
    """Women at the start of systemic therapy, with the draws that decide what happens to them.

    Parameters
    ----------
    options : Options
        The switches.
    covariates : mapping of str to ndarray, shape (n,)
        ``age``, ``subtype`` (code into :data:`SUBTYPES`), ``bone_only``, ``burden``, ``ecog``.
    biology : ndarray, shape (n,)
        Unrecorded, standard normal.
    luck : mapping of str to ndarray, shape (n,)
        ``disease`` (n, 4) and ``timing`` (n,) uniform; ``surgery``, ``death`` and ``loss`` unit
        exponential; ``closure`` uniform.
    """

    options: Options
    covariates: Mapping[str, NDArray[Any]]
    biology: Floats
    luck: Mapping[str, Floats]

    def __len__(self) -> int:
        """Return the number of women."""
        return self.biology.size

    @classmethod
    def draw(cls, options: Options, n: int, seed: int, block: int | None = None) -> World:
        """Draw women; see :func:`causal_s4.simulate.draws.uniforms` for what seed and block do."""
        u = uniforms(seed, 0, n, 6, block).T
        age = np.round(np.clip(58 + 12 * ndtri(u[0]), 25, 90), 1)
        subtype = choose(u[1], [0.60, 0.22, 0.18])
        bone_only = (u[2] < np.array([0.40, 0.25, 0.15])[subtype]).astype(np.int64)
        burden = choose(u[3], np.array([[0.25, 0.40, 0.35], [0.70, 0.30, 0.0]])[bone_only])
        ecog = (u[4] < expit(-0.8 + 0.4 * (age - 58) / 12 + 0.4 * burden)).astype(np.int64)
        surgery, loss = uniforms(seed, 2, n, 2, block), uniforms(seed, 4, n, 2, block)
        return cls(
            options=options,
            covariates={"age": age, "subtype": subtype, "bone_only": bone_only, "burden": burden, "ecog": ecog},
            biology=ndtri(u[5]),
            luck={
                "disease": uniforms(seed, 1, n, 4, block),
                "surgery": unit_exponential(surgery[:, 0]),
                "timing": surgery[:, 1],
                "death": unit_exponential(uniforms(seed, 3, n, 1, block)[:, 0]),
                "loss": unit_exponential(loss[:, 0]),
                "closure": loss[:, 1],
            },
        )

    def follow(
        self, timing: Timing | None = None, none_before: float = 0.0, *, unless_progression: bool = False
    ) -> Course:
        """Follow the women until the horizon, under usual practice or a strategy.

        Parameters
        ----------
        timing : Timing, optional
            How those are operated whom the strategy sends to surgery within ``none_before`` months
            (the grace period). None leaves surgery to usual practice.
        none_before : float
            Without ``timing``: months during which nobody is operated. With it: the grace period.
        unless_progression : bool
            With ``timing``: whether progression before surgery leaves a woman to usual practice.

        Returns
        -------
        Course
        """
        clocks = _Clocks(self)
        responds, progresses = self._disease()
        planned = self._planned(timing, none_before)
        usual_from = 0.0 if timing else none_before
        usual_until = timing.natural_until if timing else np.inf
        for start in np.arange(0.0, self.options.horizon - 1e-9, STEP):
            state = np.where(progresses <= start, PROGRESSION, np.where(responds <= start, RESPONSE, STABLE))
            usual = np.full(len(self), usual_from <= start < usual_until)
            if unless_progression:
                usual |= state == PROGRESSION
            clocks.advance(float(start), state, usual, planned)
        closure = _CLOSURE_FIRST + (_CLOSURE_LAST - _CLOSURE_FIRST) * self.luck["closure"]
        return Course(
            surgery=np.where(clocks.surgery < clocks.death, clocks.surgery, np.inf),
            death=clocks.death,
            response=responds,
            progression=progresses,
            ecog_worse=clocks.ecog_worse,
            loss=np.minimum(clocks.loss, self.options.horizon * np.minimum(1.0, closure)),
        )

    def _disease(self) -> tuple[Floats, Floats]:
        """Return when each woman's disease responds and when it progresses.

        At the end of each step a stable disease progresses or responds, and a responding one
        progresses, with constant probabilities: waiting times are geometric.
        """
        subtype, burden = self.covariates["subtype"], self.covariates["burden"]
        responds, progresses, relapses = (
            -np.expm1(-np.exp(base + by_subtype[subtype] + slope * burden) * STEP)
            for base, by_subtype, slope in (_RESPONDS, _PROGRESSES, _RELAPSES)
        )
        u = self.luck["disease"].T
        change = STEP * _geometric(u[0], responds + progresses)
        responded = u[1] * (responds + progresses) < responds
        relapse = change + STEP * _geometric(u[2], relapses)
        return np.where(responded, change, np.inf), np.where(responded, relapse, change)

    def _planned(self, timing: Timing | None, grace: float) -> Floats:
        """Return the time of surgery that a timing rule plans, infinite without one."""
        if timing is None:
            return np.full(len(self), np.inf)
        u = self.luck["timing"]
        if timing.rule == "density":
            return np.interp(u, np.cumsum([0.0, *timing.masses]) / np.sum(timing.masses), timing.edges)
        return timing.natural_until + u * (grace - timing.natural_until)


class _Clocks:
    """Every woman's clocks as the months go by: an event happens when its hazard has used up its luck."""

    def __init__(self, world: World) -> None:
        n, covariates, options = len(world), world.covariates, world.options
        decades = (covariates["age"] - 58) / 12
        self.world = world
        self.bone_only = covariates["bone_only"]
        self.surgery_rate = np.exp(
            -4.0
            - 0.45 * covariates["burden"]
            - 0.35 * decades
            + 0.35 * self.bone_only
            + options.biology_surgery * world.biology
        )
        self.death_rate = 0.0088 * np.exp(
            0.45 * covariates["burden"]
            + 0.18 * decades
            - 0.25 * self.bone_only
            + np.array([0.0, -0.35, 0.75])[covariates["subtype"]]
            + options.biology_death * world.biology
        )
        self.left = {name: world.luck[name].copy() for name in ("surgery", "death", "loss")}
        self.left["ecog"] = unit_exponential(world.luck["disease"][:, 3])
        self.surgery, self.death = np.full(n, np.inf), np.full(n, np.inf)
        self.loss = np.full(n, np.inf) if options.informative_loss else world.luck["loss"] / _LOSS_RATE
        self.ecog_worse = np.where(covariates["ecog"] == 1, 0.0, np.inf)

    def advance(self, start: float, response: Ints, usual: NDArray[np.bool_], planned: Floats) -> None:
        """Move every clock by one step; surgery as usual for some, for the others as planned."""
        options = self.world.options
        worse = self.ecog_worse <= start
        rate = self.surgery_rate * _SURGERY_BY_RESPONSE[response] * np.where(worse, _SURGERY_BY_ECOG, 1.0)
        rate *= _CALENDAR[np.searchsorted(_CALENDAR_STARTS, start, side="right")]
        self._run("surgery", self.surgery, np.where(usual, rate, 0.0), start)
        due = ~usual & np.isinf(self.surgery) & (planned > start) & (planned <= start + STEP)
        self.surgery[due] = planned[due]
        self._die(start, self.death_rate * _DEATH_BY_RESPONSE[response] * np.where(worse, _DEATH_BY_ECOG, 1.0))
        if options.informative_loss:
            rate = _INFORMATIVE_LOSS_RATE * _LOSS_BY_RESPONSE[response] * np.where(worse, _LOSS_BY_ECOG, 1.0)
            self._run("loss", self.loss, rate, start)
        if options.ecog_decline:
            self.left["ecog"] -= options.ecog_decline * _ECOG_DECLINE_BY_RESPONSE[response] * STEP
            # Like the disease, performance status changes between steps.
            self.ecog_worse[np.isinf(self.ecog_worse) & (self.left["ecog"] <= 0)] = start + STEP

    def _run(self, name: str, when: Floats, rate: Floats, start: float) -> None:
        """Let one clock run for a step at a constant rate, and note who reaches the event."""
        left = self.left[name]
        now = np.isinf(when) & (left < rate * STEP)
        when[now] = start + left[now] / rate[now]
        left -= rate * STEP

    def _die(self, start: float, rate: Floats) -> None:
        """Let the clock of death run for a step, at another rate after surgery where surgery matters."""
        ratio = self.world.options.effect.at(np.maximum(start - self.surgery, 0.0), self.bone_only)
        before = np.where(ratio == 1.0, STEP, np.clip(self.surgery - start, 0.0, STEP))
        left, used = self.left["death"], rate * before
        now = np.isinf(self.death) & (left < used + rate * ratio * (STEP - before))
        early = left < used
        first = now & early
        self.death[first] = start + left[first] / rate[first]
        second = now & ~early
        self.death[second] = start + before[second] + (left[second] - used[second]) / (rate[second] * ratio[second])
        left -= used + rate * ratio * (STEP - before)


def _geometric(uniform: Floats, probability: Floats) -> Floats:
    """Return the step, from one, of the first success."""
    return np.floor(np.log1p(-uniform) / np.log1p(-probability)) + 1


def read_options(
    *,
    effect: str | None = None,
    hazard_ratio: float | None = None,
    biology_death: float = 0.0,
    biology_surgery: float = 0.0,
    ecog_decline: float = 0.0,
    informative_loss: bool = False,
    horizon: float = 60.0,
) -> Options:
    """Read the switches a caller gave; see :func:`simulate_timeline`.

    Raises
    ------
    UsageError
        For an unknown effect, a number out of range, or an effect given twice.
    """
    if effect is not None and hazard_ratio is not None:
        found = f"effect={effect!r} and hazard_ratio={hazard_ratio!r}"
        raise UsageError(f"give effect or hazard_ratio, not both; found {found}")
    if hazard_ratio is not None:
        chosen = SurgeryEffect(hazard_ratios=((0.0, positive(hazard_ratio, "hazard_ratio")),))
    else:
        chosen = EFFECTS[known(effect or "null", EFFECTS, "effect")]
    if ecog_decline and positive(ecog_decline, "ecog_decline") * STEP * _ECOG_DECLINE_BY_RESPONSE.max() > 1:
        raise UsageError(f"ecog_decline is a monthly rate of at most 1; found {ecog_decline!r}")
    whole_steps(positive(horizon, "horizon"), "horizon")
    return Options(
        effect=chosen,
        biology_death=finite(biology_death, "biology_death"),
        biology_surgery=finite(biology_surgery, "biology_surgery"),
        ecog_decline=float(ecog_decline),
        informative_loss=bool(informative_loss),
        horizon=float(horizon),
    )


def read_timing(
    options: Options,
    grace_period: float,
    rule: str,
    natural_until: float | None = None,
    density: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Timing:
    """Read a timing rule; see :func:`causal_s4.simulate.truth.true_effects`.

    Raises
    ------
    UsageError
        For an unknown rule, times out of range, or an argument that the rule does not use.
    """
    known(rule, ("density", "natural", "uniform"), "timing")
    grace = whole_steps(positive(grace_period, "grace_period"), "grace_period")
    if grace > options.horizon:
        raise UsageError(f"grace_period must not exceed the horizon of {options.horizon} months; found {grace}")
    if (natural_until is not None) != (rule == "natural"):
        raise UsageError(f"natural_until belongs to timing 'natural'; found {natural_until!r} with {rule!r}")
    if density is not None and rule != "density":
        raise UsageError(f"timing_density belongs to timing 'density'; found it with {rule!r}")
    if natural_until is not None:
        if not whole_steps(positive(natural_until, "natural_until"), "natural_until") < grace:
            raise UsageError(f"natural_until must lie within the grace period of {grace}; found {natural_until!r}")
        return Timing(rule=rule, natural_until=float(natural_until))
    if rule == "uniform":
        return Timing(rule=rule)
    edges, masses = _usual_timing(replace(options, effect=EFFECTS["null"]), grace) if density is None else density
    rising = len(edges) == len(masses) + 1 and edges[0] >= 0 and edges[-1] <= grace and bool(np.all(np.diff(edges) > 0))
    if not rising or min(masses) < 0 or not sum(masses) > 0:
        raise UsageError(
            f"timing_density needs rising edges within 0 to {grace} and one mass of 0 or more between each two; "
            f"found edges {tuple(edges)} and masses {tuple(masses)}"
        )
    return Timing(rule=rule, edges=tuple(map(float, edges)), masses=tuple(map(float, masses)))


@lru_cache(maxsize=32)
def _usual_timing(options: Options, grace: float) -> tuple[Sequence[float], Sequence[float]]:
    """Return how surgery within a grace period is usually spread over its months."""
    if grace == USUAL_EDGES[-1]:
        return USUAL_EDGES, USUAL_MASSES
    world = World.draw(replace(options, horizon=grace), 100_000, 0)
    surgery = world.follow().surgery
    edges = (*np.arange(0.0, grace, 1.0).tolist(), grace)
    masses = np.histogram(surgery[np.isfinite(surgery)], bins=edges)[0]
    return edges, tuple(np.round(masses / masses.sum(), 3).tolist())


def whole_steps(months: float, what: str) -> float:
    """Return the length of time if it is a whole number of steps.

    Raises
    ------
    UsageError
        Otherwise.
    """
    if months < 0 or abs(months / STEP - round(months / STEP)) > 1e-9:
        raise UsageError(f"{what} must be a multiple of {STEP} months; found {months!r}")
    return float(months)


def simulate_timeline(
    *,
    n: int,
    seed: int,
    effect: str | None = None,
    hazard_ratio: float | None = None,
    biology_death: float = 0.0,
    biology_surgery: float = 0.0,
    ecog_decline: float = 0.0,
    informative_loss: bool = False,
    horizon: float = 60.0,
) -> pd.DataFrame:
    """Simulate a registry of women from the start of systemic therapy on.

    Parameters
    ----------
    n : int
        Women.
    seed : int
        Same seed, same table; a larger ``n`` only adds women.
    effect : {"null", "protective", "harmful", "bone-only", "waning"}, optional
        What surgery does to the hazard of death: nothing (the default); 0.7 from surgery on; 1.6
        from two years after it on; 0.6 in bone-only disease; 0.6 for two years.
    hazard_ratio : float, optional
        Instead of ``effect``: from surgery on.
    biology_death, biology_surgery : float
        Log hazard ratio, per standard deviation of an unrecorded biology, of death and of surgery.
    ecog_decline : float
        Monthly rate at which performance status worsens; zero keeps it as at time zero.
    informative_loss : bool
        Whether loss to follow-up depends on response and performance status.
    horizon : float
        Months after which follow-up ends.

    Returns
    -------
    DataFrame
        One row a woman: ``id``; ``age``, ``subtype``, ``bone_only``, ``burden`` (0, 1, 2) and
        ``ecog`` (0, or 1 for one or more) at time zero; ``surgery`` (0/1, ever seen operated) and
        ``surgery_months`` (missing if never); ``os_months`` and ``death``; ``dpfs_months`` and
        ``distant_progression`` (progression or death). What changes is in
        :func:`simulate_timeline_history`.

    Raises
    ------
    UsageError
        For an unknown effect, a number out of range, or an effect given twice.
    """
    import pandas as pd

    world = World.draw(
        read_options(
            effect=effect,
            hazard_ratio=hazard_ratio,
            biology_death=biology_death,
            biology_surgery=biology_surgery,
            ecog_decline=ecog_decline,
            informative_loss=informative_loss,
            horizon=horizon,
        ),
        whole(n, "n", 1),
        whole(seed, "seed"),
    )
    course = world.follow()
    end = np.minimum(course.death, course.loss)
    operated = course.surgery < end
    event_free = np.minimum(course.progression, course.death)
    covariates = world.covariates
    return pd.DataFrame(
        {
            "id": np.arange(1, len(world) + 1),
            "age": covariates["age"],
            "subtype": np.array(SUBTYPES, dtype=object)[covariates["subtype"]],
            "bone_only": covariates["bone_only"],
            "burden": covariates["burden"],
            "ecog": covariates["ecog"],
            "surgery": operated.astype(np.int64),
            "surgery_months": np.where(operated, course.surgery, np.nan),
            "os_months": end,
            "death": (course.death <= course.loss).astype(np.int64),
            "dpfs_months": np.minimum(event_free, course.loss),
            "distant_progression": (event_free <= course.loss).astype(np.int64),
        }
    )


def simulate_timeline_history(*, n: int, seed: int, visit_interval: float = 3.0, **options: Any) -> pd.DataFrame:
    """Simulate what is found at the visits of the women of :func:`simulate_timeline`.

    Parameters
    ----------
    n, seed, **options
        As for :func:`simulate_timeline`, to get the history of the same women.
    visit_interval : float
        Months between scheduled visits. There is one more visit whenever something changes, so the
        last row before a time always holds the state at that time.

    Returns
    -------
    DataFrame
        One row a visit, sorted: ``id``, ``time`` (months, before the end of follow-up),
        ``response`` (stable, response, progression) and ``ecog``.

    Raises
    ------
    UsageError
        As for :func:`simulate_timeline`.
    """
    import pandas as pd

    interval = positive(visit_interval, "visit_interval")
    world = World.draw(read_options(**options), whole(n, "n", 1), whole(seed, "seed"))
    course = world.follow()
    end = np.minimum(course.death, course.loss)
    scheduled = np.ceil(end / interval).astype(np.int64)
    women = [np.repeat(np.arange(len(world)), scheduled)]
    times = [interval * (np.arange(scheduled.sum()) - np.repeat(np.cumsum(scheduled) - scheduled, scheduled))]
    for change in (course.response, course.progression, course.ecog_worse):
        seen = np.flatnonzero(change < end)
        women.append(seen)
        times.append(change[seen])
    visits = np.unique(np.column_stack([np.concatenate(women), np.concatenate(times)]), axis=0)
    woman, time = visits[:, 0].astype(np.int64), visits[:, 1]
    state = np.where(
        course.progression[woman] <= time, PROGRESSION, np.where(course.response[woman] <= time, RESPONSE, STABLE)
    )
    return pd.DataFrame(
        {
            "id": woman + 1,
            "time": time,
            "response": np.array(RESPONSES, dtype=object)[state],
            "ecog": (course.ecog_worse[woman] <= time).astype(np.int64),
        }
    )
