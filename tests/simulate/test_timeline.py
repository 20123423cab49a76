"""Surgery after response: the facts of the world, and interventions that change only what they should."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from causal_s4.errors import UsageError
from causal_s4.simulate import simulate, simulate_history
from causal_s4.simulate.population import marginal_log_hazard_ratio
from causal_s4.simulate.timeline import EFFECTS, USUAL_EDGES, USUAL_MASSES, Options, Timing, World

N = 40_000
USUAL = Timing(rule="density", edges=USUAL_EDGES, masses=USUAL_MASSES)
RULES = [USUAL, Timing(rule="uniform"), *(Timing(rule="natural", natural_until=until) for until in (3.0, 6.0, 8.0))]


@pytest.fixture(scope="module")
def world():
    return World.draw(Options(), N, 21)


@pytest.fixture(scope="module")
def course(world):
    return world.follow()


@pytest.fixture(scope="module")
def few():
    """A smaller world, for what must hold woman by woman."""
    return World.draw(Options(), 4_000, 22)


@pytest.fixture(scope="module")
def registry():
    return simulate("stage4-timeline", n=N, seed=21)


def naive(frame, since=0.0, treated=None):
    alive = (frame["os_months"] > since).to_numpy()
    arm = frame["surgery"].to_numpy() if treated is None else treated
    event, time = frame["death"].to_numpy(), frame["os_months"].to_numpy()
    return np.exp(marginal_log_hazard_ratio(time[alive], event[alive], arm[alive], np.ones(alive.sum())))


# Facts of an independent prototype with one random stream, 40,000 women: within three standard errors
# of both and half a unit of the last digit printed.


def test_survival_is_as_in_the_prototype(course):
    survival = [(course.death > month).mean() for month in (9, 24, 36, 48, 60)]
    assert survival == pytest.approx([0.83, 0.60, 0.46, 0.35, 0.27], abs=3 * 0.0035 + 0.005)


def test_surgery_is_as_in_the_prototype(registry):
    assert (registry["surgery_months"] <= 9).mean() == pytest.approx(0.32, abs=3 * 0.0033 + 0.005)
    assert registry["surgery"].mean() == pytest.approx(0.41, abs=3 * 0.0035 + 0.005)


def test_response_at_surgery_is_as_in_the_prototype(course):
    early = course.surgery <= 9
    progressed = course.progression < course.surgery
    responded = (course.response < course.surgery) & ~progressed
    shares = [1 - (progressed | responded)[early].mean(), responded[early].mean(), progressed[early].mean()]
    assert shares == pytest.approx([0.34, 0.64, 0.02], abs=3 * 0.006 + 0.005)


def test_response_at_six_months_is_as_in_the_prototype(course):
    alive = course.death > 6
    progressed = course.progression <= 6
    responded = (course.response <= 6) & ~progressed
    shares = [1 - (progressed | responded)[alive].mean(), responded[alive].mean(), progressed[alive].mean()]
    assert shares == pytest.approx([0.48, 0.36, 0.16], abs=3 * 0.0037 + 0.005)


def test_naive_comparisons_are_wrong_as_in_the_prototype(registry):
    assert naive(registry) == pytest.approx(0.405, abs=0.03)
    operated_by_9 = (registry["surgery_months"] <= 9).to_numpy().astype(int)
    assert naive(registry, 9.0, operated_by_9) == pytest.approx(0.633, abs=0.04)


def test_timing_is_usually_spread_as_the_density_says(course):
    early = course.surgery[course.surgery <= 9]
    share = np.histogram(early, USUAL_EDGES)[0] / early.size
    # The density is a smoothed one: within 0.05 in each stretch.
    np.testing.assert_allclose(share, USUAL_MASSES, atol=0.05)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.rule} {rule.natural_until:g}")
def test_without_effect_nobody_dies_at_another_time(few, rule):
    """The null is exact, woman by woman, whatever the strategy."""
    np.testing.assert_array_equal(few.follow(rule, 9.0).death, few.follow(none_before=9.0).death)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.rule} {rule.natural_until:g}")
def test_strategies_do_what_they_say(few, rule):
    course = few.follow()
    sent, held = few.follow(rule, 9.0), few.follow(none_before=9.0)
    assert (sent.surgery[sent.death > 9] <= 9).all()
    assert held.surgery.min() > 9
    assert np.isfinite(held.surgery).any()
    early = course.surgery <= rule.natural_until
    np.testing.assert_array_equal(sent.surgery[early], course.surgery[early])
    assert (sent.surgery[~early & np.isfinite(sent.surgery)] > rule.natural_until).all()


def test_planned_surgery_follows_its_density(few):
    sent = few.follow(USUAL, 9.0).surgery
    alive = sent[np.isfinite(sent)]
    early = few.luck["timing"] < 0.06  # the first mass, 0 to 2 months
    assert (sent[early & np.isfinite(sent)] <= 2).all()
    assert alive.max() <= 9


def test_bone_only_effect_spares_the_others(few):
    other = replace(few, options=Options(effect=EFFECTS["bone-only"]))
    sent, held = other.follow(USUAL, 9.0).death, other.follow(none_before=9.0).death
    bone = few.covariates["bone_only"] == 1
    np.testing.assert_array_equal(sent[~bone], held[~bone])
    assert np.minimum(sent, 60)[bone].mean() > np.minimum(held, 60)[bone].mean()


def test_late_harm_begins_two_years_after_surgery(few):
    other = replace(few, options=Options(effect=EFFECTS["harmful"]))
    usual, harmed = few.follow(USUAL, 9.0), other.follow(USUAL, 9.0)
    changed = usual.death != harmed.death
    assert changed.any()
    assert (harmed.death[changed] > usual.surgery[changed] + 24).all()


def test_waning_effect_begins_at_surgery(few):
    other = replace(few, options=Options(effect=EFFECTS["waning"]))
    usual, helped = few.follow(USUAL, 9.0), other.follow(USUAL, 9.0)
    changed = usual.death != helped.death
    assert (helped.death[changed] > usual.death[changed]).all()
    assert (usual.death[changed] > usual.surgery[changed]).all()


def test_hazard_ratio_equals_the_named_effect():
    named, numbered = (
        simulate("stage4-timeline", n=300, seed=2, **o) for o in ({"effect": "protective"}, {"hazard_ratio": 0.7})
    )
    pd.testing.assert_frame_equal(named, numbered)


def test_biology_confounds_only_when_switched_on():
    rates = []
    for options in ({}, {"biology_death": 0.7, "biology_surgery": -0.7}):
        world = World.draw(Options(**options), 20_000, 5)
        course = world.follow()
        rates.append(np.corrcoef(world.biology, course.surgery <= 9)[0, 1])
    assert rates[0] == pytest.approx(0, abs=4 / np.sqrt(20_000))
    assert rates[1] < -0.1


def test_informative_loss_loses_the_progressing():
    def rate_ratio(options):
        course = World.draw(options, 20_000, 5).follow()
        lost = course.loss < np.minimum(course.death, 30)  # before any closure
        return lost[course.progression < 12].mean() / lost[course.progression > 30].mean()

    assert rate_ratio(Options(informative_loss=True)) > 1.5 * rate_ratio(Options())


def test_performance_status_declines_when_asked():
    assert simulate_history("stage4-timeline", n=300, seed=2).groupby("id")["ecog"].nunique().max() == 1
    declining = simulate_history("stage4-timeline", n=300, seed=2, ecog_decline=0.02)
    assert declining.groupby("id")["ecog"].nunique().max() == 2
    assert (declining.groupby("id")["ecog"].diff().dropna() >= 0).all()


def test_registry_is_coherent(registry):
    operated = registry["surgery"] == 1
    assert registry.loc[~operated, "surgery_months"].isna().all()
    assert (registry.loc[operated, "surgery_months"] < registry.loc[operated, "os_months"]).all()
    assert (registry.loc[operated, "surgery_months"] > 0).all()
    assert (registry["os_months"] > 0).all()
    assert registry["os_months"].max() == 60
    assert (registry["dpfs_months"] <= registry["os_months"]).all()
    assert not registry.drop(columns="surgery_months").isna().any().any()


def test_same_seed_same_women():
    few, many = (simulate("stage4-timeline", n=n, seed=3) for n in (50, 400))
    pd.testing.assert_frame_equal(few, many.head(50))
    short, long = (simulate_history("stage4-timeline", n=n, seed=3) for n in (50, 400))
    pd.testing.assert_frame_equal(short, long[long["id"] <= 50].reset_index(drop=True))


def test_history_belongs_to_the_registry():
    registry = simulate("stage4-timeline", n=500, seed=8).set_index("id")
    history = simulate_history("stage4-timeline", n=500, seed=8, visit_interval=1.0)
    end = registry["os_months"][history["id"]].to_numpy()
    assert (history["time"] < end).all()
    assert not history.duplicated(["id", "time"]).any()
    assert history.equals(history.sort_values(["id", "time"]).reset_index(drop=True))
    assert (history.groupby("id")["time"].first() == 0).all()
    assert (history.groupby("id")["time"].diff().dropna() <= 1.0).all()
    first = history.groupby("id").first()
    assert (first["response"] == "stable").all()
    assert (first["ecog"] == registry["ecog"]).all()
    # Progression is recorded when it ends progression-free survival.
    progressed = history[history["response"] == "progression"].groupby("id")["time"].min()
    np.testing.assert_array_equal(progressed, registry["dpfs_months"][progressed.index])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": "hr07"}, "unknown effect 'hr07'"),
        ({"effect": "null", "hazard_ratio": 1.0}, "not both"),
        ({"ecog_decline": 3.0}, "monthly rate of at most"),
        ({"horizon": 60.1}, "multiple of 0.25 months"),
        ({"biology_death": "strong"}, "biology_death must be a finite number"),
        ({"visit_interval": 1.0}, "unknown option"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        simulate("stage4-timeline", n=10, seed=1, **options)


def test_only_a_world_that_changes_has_a_history():
    with pytest.raises(UsageError, match="nothing changes over time"):
        simulate_history("stage4", n=10, seed=1)
