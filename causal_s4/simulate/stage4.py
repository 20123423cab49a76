"""Women with de novo stage IV breast cancer, seen at restaging after induction therapy.

Time zero is the restaging. There surgery of the primary is decided, at once; then locoregional
radiotherapy; then the woman is followed. What she is at restaging drives the decision and her
survival alike, which is confounding by indication: women with one metastatic site, no visceral
disease and a response are operated, and would have lived longer anyway.

The order of causes, each arrow also one of ``causal_s4/dag/stage4.dag``::

    year, centre, age, subtype, frailty
      -> er_status -> pr_status, sites -> visceral, ecog
      -> systemic_therapy -> response
      -> surgery -> radiotherapy -> distant progression, death

Every probability of treatment is logistic and every hazard is proportional in the recorded
covariates, so an analyst who writes down the model below is right. ``frailty`` is unrecorded, acts
on performance status and on the two outcomes, and confounds nothing once performance status is
known. In the scenario ``unmeasured`` an unrecorded tumour biology acts on surgery and outcomes, and
no analysis of the recorded covariates can be right.

Strengths are log odds ratios and log hazard ratios; they follow published figures where there are
any, named with the table below. Times are months.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from causal_s4.errors import UsageError
from causal_s4.results import Floats, Ints
from causal_s4.simulate.draws import choose, known, positive, read_effect, uniforms, unit_exponential, whole

if TYPE_CHECKING:
    import pandas as pd

SCENARIOS = ("stage4", "benign", "unmeasured")
TREATMENTS = ("surgery", "radiotherapy")
OUTCOMES = ("death", "distant_progression")

HAZARD_RATIOS = {"null": 1.0, "protective": 0.75, "harmful": 1.45}
"""Named effects of surgery: none; an optimistic reading of the randomised evidence; ABCSG-28
turned the right way round (10.1097/SLA.0000000000002771)."""

LEVELS: Mapping[str, tuple[str, ...]] = {
    "subtype": ("luminal", "HER2-positive", "triple-negative"),
    "er_status": ("negative", "positive"),
    "pr_status": ("negative", "positive"),
    "systemic_therapy": ("chemotherapy", "endocrine", "chemotherapy and anti-HER2"),
    "response": ("stable", "response", "progression"),
    "centre": ("A", "B", "C"),
}
_COLUMNS = (
    "year", "centre", "age", "ecog", "subtype", "er_status", "pr_status",
    "sites", "visceral", "systemic_therapy", "response",
)  # fmt: skip

Covariates = Mapping[str, NDArray[Any]]


class _Strength(NamedTuple):
    """What one unit of a term does, on the log scale."""

    surgery: float
    radiotherapy: float
    death: float
    progression: float


# One row a term of the linear predictors. Published sizes, odds of surgery first, then hazard of death:
#   age               0.59-0.80 per ten years (from operated 53 v 62 years in Pittsburgh, 50 v 55 in BOMETIN);
#                     1.019 (SEER) to 1.034 (Hong Kong) a year
#   ecog              0.4 for two or more; 2.0-2.5
#   sites             2.75 for fewer than three (Hotton 2021, 10.1097/SLA.0000000000004767), more for one
#                     (Pons-Tostivint 2019, 10.1245/s10434-018-6831-9)
#   visceral          0.5; 1.67 (Hong Kong) to 2.07 (bone and visceral v bone, Leone, SEER)
#   subtype           1.25 for other than luminal; triple-negative 2.24 (Leone) to 2.9 (ESME), HER2 0.51
#                     (Neuman 2010, 10.1002/cncr.24873) to 0.86 (ESME), most of it through treatment
#   receptors         oestrogen 0.47, progesterone 0.57 (Neuman 2010), shared with the subtype here;
#                     progesterone is what the founding study found for distant progression
#                     (10.1159/000488643)
#   systemic therapy  3.6 for chemotherapy and anti-HER2 (Hotton 2021)
#   response          4-6 for response v progression; death 0.60, progression 0.44 for response, death
#                     2.7 for early progression (Chinese National Cancer Center)
#   year              0.88 (NCDB) to 0.92 (SEER) a year; 0.98 (ESME)
# Sizes not given there are working values with the published direction.
_STRENGTHS: Mapping[str, _Strength] = {
    "age, 10 years":              _Strength(-0.25, -0.15, 0.22, 0.05),
    "ecog":                       _Strength(-0.40, -0.25, 0.40, 0.15),
    "sites":                      _Strength(-0.40, -0.30, 0.26, 0.26),
    "visceral":                   _Strength(-0.55, -0.50, 0.50, 0.45),
    "HER2-positive":              _Strength(0.20, 0.10, -0.10, -0.05),
    "triple-negative":            _Strength(0.20, 0.20, 0.45, 0.45),
    "ER positive":                _Strength(0.10, 0.00, -0.25, -0.10),
    "PR positive":                _Strength(0.15, 0.00, -0.30, -0.45),
    "endocrine":                  _Strength(-0.35, -0.20, -0.05, 0.05),
    "chemotherapy and anti-HER2": _Strength(0.30, 0.10, -0.35, -0.30),
    "response":                   _Strength(0.85, 0.40, -0.50, -0.60),
    "progression":                _Strength(-0.85, -0.30, 0.90, 0.80),
    "year":                       _Strength(-0.08, 0.03, -0.02, -0.01),
    "centre B":                   _Strength(0.30, 0.20, -0.10, -0.05),
    "centre C":                   _Strength(-0.30, -0.20, 0.15, 0.05),
}  # fmt: skip

# 42% are operated and 33% irradiated, as in the founding study. Half of the women live for 43 months and
# 40% for five years; published: 39.5 months (ESME), 35 to 56 months (Chinese centres), 40.7% at five
# years (Beijing, 10.1186/s40880-017-0250-3).
_SURGERY_INTERCEPT = 0.0723
_RADIOTHERAPY_INTERCEPT = -0.7156
_RADIOTHERAPY_AFTER_SURGERY = 1.0
_SHARES = {"surgery": 0.42, "radiotherapy": 0.33}
_DEATH_SHAPE = 1.2  # registries 1.0-1.1, arms selected for response 1.45
_DEATH_SCALE = 84.0
_PROGRESSION_RATE = 0.024
_FRAILTY_OUTCOME = 0.30
_FRAILTY_ECOG = 0.50
# Unrecorded biology, present in half of the women: half the odds of surgery and twice the hazard.
_BIOLOGY_SURGERY = float(np.log(0.5))
_BIOLOGY_OUTCOME = float(np.log(2.0))
# Last contact between 3 and 180 months, half of them within 54.5, as in the founding study. It has
# nothing to do with the woman, so that no analysis needs a model of censoring: accrual therefore
# stops fifteen years before the end of follow-up.
_EARLIEST, _LONGEST, _FOLLOW_UP_POWER = 3.0, 180.0, 1.78
_LARGEST_FIXED = 5000


@dataclass(frozen=True, kw_only=True)
class World:
    """Women at restaging, with every draw that decides what happens to them.

    Treating the same women otherwise leaves the draws as they are, so an intervention changes what
    the treatment changes and nothing else.

    Parameters
    ----------
    scenario : {"stage4", "benign", "unmeasured"}
        Which world.
    covariates : mapping of str to ndarray, shape (n,)
        What is recorded, levels as codes into :data:`LEVELS`.
    frailty : ndarray, shape (n,)
        Unrecorded, standard normal.
    biology : ndarray, shape (n,)
        Unrecorded, 0 or 1; without influence except in ``unmeasured``.
    luck : mapping of str to ndarray, shape (n,)
        Uniform draws for surgery and radiotherapy, unit exponential ones for the outcomes.
    last_contact : ndarray, shape (n,)
        Months at which follow-up ends.
    """

    scenario: str
    covariates: Covariates
    frailty: Floats
    biology: Floats
    luck: Mapping[str, Floats]
    last_contact: Floats

    def __len__(self) -> int:
        """Return the number of women."""
        return self.frailty.size

    @classmethod
    def draw(cls, scenario: str, n: int, seed: int, block: int | None = None) -> World:
        """Draw women; see :func:`causal_s4.simulate.draws.uniforms` for what seed and block do."""
        covariates, frailty = _draw_covariates(uniforms(seed, 0, n, 12, block))
        treatment, outcome = uniforms(seed, 1, n, 3, block), unit_exponential(uniforms(seed, 2, n, 2, block))
        return cls(
            scenario=scenario,
            covariates=covariates,
            frailty=frailty,
            biology=(treatment[:, 2] < 0.5).astype(float),
            luck={
                "surgery": treatment[:, 0],
                "radiotherapy": treatment[:, 1],
                "death": outcome[:, 0],
                "progression": outcome[:, 1],
            },
            last_contact=_EARLIEST + (_LONGEST - _EARLIEST) * uniforms(seed, 3, n, 1, block)[:, 0] ** _FOLLOW_UP_POWER,
        )

    def propensity(self, treatment: str, surgery: Ints | None = None) -> Floats:
        """Return the true probability of treatment given everything recorded.

        Parameters
        ----------
        treatment : {"surgery", "radiotherapy"}
            Which.
        surgery : ndarray, shape (n,), optional
            What was decided about surgery; needed for radiotherapy.

        Returns
        -------
        ndarray, shape (n,)
        """
        if treatment == "surgery":
            return (self._surgery(np.zeros(len(self))) + self._surgery(np.ones(len(self)))) / 2
        if surgery is None:
            raise UsageError("the propensity of radiotherapy depends on surgery; expected one value a woman")
        return self._radiotherapy(surgery)

    def treat(self, operated: int | None = None, irradiated: int | None = None) -> tuple[Ints, Ints]:
        """Decide about surgery, then about radiotherapy.

        Parameters
        ----------
        operated, irradiated : int, optional
            Exactly how many; by default as many as it happens to be.

        Returns
        -------
        surgery, radiotherapy : ndarray of int, shape (n,)
        """
        surgery = _assign(self._surgery(self.biology), self.luck["surgery"], operated)
        return surgery, self.irradiate(surgery, irradiated)

    def irradiate(self, surgery: Ints, irradiated: int | None = None) -> Ints:
        """Decide about radiotherapy after a decision about surgery, made or imposed."""
        return _assign(self._radiotherapy(surgery), self.luck["radiotherapy"], irradiated)

    def outcomes(
        self, surgery: Ints, radiotherapy: Ints, *, hazard_ratio: float, radiotherapy_hazard_ratio: float
    ) -> dict[str, Floats]:
        """Return the months to death and to distant progression or death under a treatment.

        Parameters
        ----------
        surgery, radiotherapy : ndarray of int, shape (n,)
            What each woman gets.
        hazard_ratio, radiotherapy_hazard_ratio : float
            Of each treatment, on the hazards of death and of progression, given everything else.

        Returns
        -------
        mapping
            ``death`` and ``distant_progression``, each an ndarray of shape (n,), not censored.
        """
        treated = np.log(hazard_ratio) * surgery + np.log(radiotherapy_hazard_ratio) * radiotherapy
        shared = treated + _FRAILTY_OUTCOME * self.frailty
        if self.scenario == "unmeasured":
            shared = shared + _BIOLOGY_OUTCOME * (self.biology - 0.5)
        death = self.luck["death"] * np.exp(-shared - _predictor(self.covariates, "death"))
        progression = self.luck["progression"] * np.exp(-shared - _predictor(self.covariates, "progression"))
        months = _DEATH_SCALE * death ** (1 / _DEATH_SHAPE)
        return {"death": months, "distant_progression": np.minimum(months, progression / _PROGRESSION_RATE)}

    def _surgery(self, biology: Floats) -> Floats:
        """Return the probability of surgery given everything that decides it."""
        if self.scenario == "benign":
            return np.full(len(self), _SHARES["surgery"])
        odds = _SURGERY_INTERCEPT + _predictor(self.covariates, "surgery")
        if self.scenario == "unmeasured":
            odds = odds + _BIOLOGY_SURGERY * (biology - 0.5)
        probability: Floats = expit(odds)
        return probability

    def _radiotherapy(self, surgery: Ints) -> Floats:
        """Return the probability of radiotherapy given everything that decides it."""
        if self.scenario == "benign":
            return np.full(len(self), _SHARES["radiotherapy"])
        odds = _RADIOTHERAPY_INTERCEPT + _RADIOTHERAPY_AFTER_SURGERY * surgery
        probability: Floats = expit(odds + _predictor(self.covariates, "radiotherapy"))
        return probability


def simulate_stage4(
    scenario: str = "stage4",
    *,
    n: int,
    seed: int,
    effect: str | None = None,
    hazard_ratio: float | None = None,
    radiotherapy_hazard_ratio: float = 1.0,
    operated: int | None = None,
    irradiated: int | None = None,
) -> pd.DataFrame:
    """Simulate women with stage IV breast cancer from restaging on.

    Parameters
    ----------
    scenario : {"stage4", "benign", "unmeasured"}
        Confounding by what is recorded, none (both treatments randomised), or by an unrecorded
        biology too.
    n : int
        Women.
    seed : int
        Same seed, same table; a larger ``n`` only adds women (unless the arms' sizes are fixed).
    effect : {"null", "protective", "harmful"}, optional
        Effect of surgery: hazard ratio 1 (the default), 0.75 or 1.45.
    hazard_ratio : float, optional
        Instead of ``effect``: hazard ratio of surgery given everything else, for death and for
        distant progression alike. The marginal effects are those of ``true_effects``.
    radiotherapy_hazard_ratio : float
        The same for radiotherapy.
    operated, irradiated : int, optional
        Exactly how many women are treated. Who they are is then drawn from the assignment model
        given that total (conditional Poisson sampling, 10.1093/biomet/81.3.457): the odds of every
        choice of women are what they were.

    Returns
    -------
    DataFrame
        One row a woman: ``id``; the covariates at restaging; ``surgery`` and ``radiotherapy``
        (0/1); ``os_months`` and ``death``; ``dpfs_months`` and ``distant_progression`` (distant
        progression or death). Months from restaging, to the hundredth.

    Raises
    ------
    UsageError
        For an unknown effect, a number out of range, or an effect given twice.
    """
    known(scenario, SCENARIOS, "scenario")
    n, seed = whole(n, "n", 1), whole(seed, "seed")
    ratio = read_effect(effect, hazard_ratio, HAZARD_RATIOS, "null")
    world = World.draw(scenario, n, seed)
    surgery, radiotherapy = world.treat(_total(operated, n, "operated"), _total(irradiated, n, "irradiated"))
    months = world.outcomes(
        surgery,
        radiotherapy,
        hazard_ratio=ratio,
        radiotherapy_hazard_ratio=positive(radiotherapy_hazard_ratio, "radiotherapy_hazard_ratio"),
    )
    return _frame(world, surgery, radiotherapy, months)


def _frame(world: World, surgery: Ints, radiotherapy: Ints, months: Mapping[str, Floats]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {"id": np.arange(1, len(world) + 1)}
    for name in _COLUMNS:
        values = world.covariates[name]
        columns[name] = np.array(LEVELS[name], dtype=object)[values] if name in LEVELS else values
    columns |= {"surgery": surgery, "radiotherapy": radiotherapy}
    for event, time in (("death", "os_months"), ("distant_progression", "dpfs_months")):
        observed = np.minimum(months[event], world.last_contact)
        columns[time] = np.maximum(np.round(observed, 2), 0.01)
        columns[event] = (months[event] <= world.last_contact).astype(np.int64)
    return pd.DataFrame(columns)


def _draw_covariates(uniform: Floats) -> tuple[Covariates, Floats]:
    """Draw what is known of a woman at restaging, and her frailty, from twelve uniform numbers."""
    # Shares: subtype, age and ER/PR of Chinese women (CSBrS-002, PMC8280017); sites and visceral
    # disease of Wang R (SEER) and Leone (SEER); response of JCOG1017 at three months, rather more
    # of it as time zero is later and chemotherapy commoner (10.1007/s12282-025-01821-4).
    u = uniform.T
    year = 2001 + (8 * u[0]).astype(np.int64)
    centre = choose(u[1], [0.5, 0.3, 0.2])
    age = np.round(np.clip(52 + 11 * ndtri(u[2]), 25, 85)).astype(np.int64)
    decades = (age - 52) / 10
    subtype = choose(u[3], [0.64, 0.22, 0.14])
    er = u[4] < np.array([0.95, 0.50, 0.0])[subtype]
    # Luminal means a positive receptor: without oestrogen receptor it is the progesterone receptor.
    pr = u[5] < np.array([[1.0, 0.80], [0.08, 0.65], [0.0, 0.0]])[subtype, er.astype(int)]
    sites = 1 + choose(u[6], [0.46, 0.28, 0.17, 0.09])
    visceral = u[7] < expit(-1.0 + 0.8 * (sites - 1) + np.array([0.0, 0.4, 0.8])[subtype])
    frailty = ndtri(u[8])
    status = 0.35 * decades + 0.25 * (sites - 1) + 0.3 * visceral + _FRAILTY_ECOG * frailty
    ecog = (u[9] < expit(status - 0.3)).astype(np.int64) + (u[9] < expit(status - 2.4))
    endocrine = np.where(subtype == 0, expit(-0.6 + 0.5 * decades), 0.0)
    targeted = np.where(subtype == 1, expit(0.3 + 0.3 * (year - 2005)), 0.0)
    therapy = choose(u[10], np.column_stack([1 - endocrine - targeted, endocrine, targeted]))
    better = np.exp(
        -0.15
        + np.array([0.0, 0.4, 0.2])[subtype]
        + np.array([0.0, -0.4, 0.8])[therapy]
        - 0.25 * (sites - 1)
        - 0.2 * visceral
        + 0.2 * pr
    )
    worse = np.exp(-1.05 + np.array([0.0, 0.0, 0.6])[subtype] + 0.25 * (sites - 1) + 0.3 * visceral - 0.3 * pr)
    response = choose(u[11], np.column_stack([np.ones_like(better), better, worse]) / (1 + better + worse)[:, None])
    covariates = {
        "year": year,
        "centre": centre,
        "age": age,
        "ecog": ecog,
        "subtype": subtype,
        "er_status": er.astype(np.int64),
        "pr_status": pr.astype(np.int64),
        "sites": sites,
        "visceral": visceral.astype(np.int64),
        "systemic_therapy": therapy,
        "response": response,
    }
    return covariates, frailty


def _predictor(covariates: Covariates, which: str) -> Floats:
    """Return the linear predictor of a treatment or an outcome, without its intercept."""
    c = covariates
    terms = {
        "age, 10 years": (c["age"] - 52) / 10,
        "ecog": c["ecog"],
        "sites": c["sites"] - 1,
        "visceral": c["visceral"],
        "HER2-positive": c["subtype"] == 1,
        "triple-negative": c["subtype"] == 2,
        "ER positive": c["er_status"],
        "PR positive": c["pr_status"],
        "endocrine": c["systemic_therapy"] == 1,
        "chemotherapy and anti-HER2": c["systemic_therapy"] == 2,
        "response": c["response"] == 1,
        "progression": c["response"] == 2,
        "year": c["year"] - 2005,
        "centre B": c["centre"] == 1,
        "centre C": c["centre"] == 2,
    }
    total: Floats = np.sum([getattr(strength, which) * terms[term] for term, strength in _STRENGTHS.items()], axis=0)
    return total


def _total(value: int | None, n: int, what: str) -> int | None:
    """Check how many women are to be treated."""
    if value is None:
        return None
    if whole(value, what) > n:
        raise UsageError(f"{what} must not exceed n; found {what}={value}, n={n}")
    if n > _LARGEST_FIXED:
        raise UsageError(f"{what} can be fixed in cohorts of up to {_LARGEST_FIXED} women; found n={n}. Leave it out.")
    return value


def _assign(probability: Floats, uniform: Floats, total: int | None) -> Ints:
    """Treat each woman with her probability; given a total, conditionally on treating that many."""
    if total is None:
        return (uniform < probability).astype(np.int64)
    treat, leave = np.log(probability), np.log1p(-probability)
    n = probability.size
    # ahead[i, r]: log probability that exactly r of the women from i on are treated.
    ahead = np.full((n + 1, total + 1), -np.inf)
    ahead[n, 0] = 0.0
    for i in range(n - 1, -1, -1):
        ahead[i] = ahead[i + 1] + leave[i]
        ahead[i, 1:] = np.logaddexp(ahead[i, 1:], ahead[i + 1, :-1] + treat[i])
    chosen = np.zeros(n, dtype=np.int64)
    left = total
    for i in range(n):
        if left and uniform[i] < np.exp(treat[i] + ahead[i + 1, left - 1] - ahead[i, left]):
            chosen[i] = 1
            left -= 1
    return chosen
