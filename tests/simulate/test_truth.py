"""The true effects: committed ones, new ones, and refusals."""

import json
import math

import numpy as np
import pytest

import causal_s4.simulate
from causal_s4.errors import UsageError
from causal_s4.simulate import simulate, true_effects
from causal_s4.simulate.__main__ import plan_truths, write_truths
from causal_s4.simulate.truth import FOLDER, HORIZONS, Question, TrueEffects, _Pair, ask_stage4, simulate_truth

STRATEGIES = {
    "natural 8": {"timing": "natural", "natural_until": 8.0},
    "natural 6": {"timing": "natural", "natural_until": 6.0},
    "natural 3": {"timing": "natural", "natural_until": 3.0},
    "uniform": {"timing": "uniform"},
    "density": {"timing": "density"},
}
# An independent prototype's table: survival difference and RMST difference at 60 months, log hazard
# ratio; 150,000 women an arm (protective) or 80,000, with Monte Carlo errors of .0016/.0022, .08/.11
# and .007/.009, and another stream of random numbers in each arm. In the order of STRATEGIES.
PROTOTYPE = {
    "protective": (
        (0.0628, 0.0640, 0.0651, 0.0677, 0.0657),
        (2.84, 2.96, 3.11, 3.32, 3.17),
        (-0.165, -0.166, -0.168, -0.181, -0.180),
    ),
    "harmful": (
        (-0.051, -0.051, -0.054, -0.056, -0.055),
        (-1.21, -1.20, -1.33, -1.50, -1.43),
        (0.091, 0.102, 0.108, 0.120, 0.105),
    ),
    "bone-only": (
        (0.031, 0.033, 0.029, 0.031, 0.028),
        (1.04, 1.13, 1.08, 1.16, 1.03),
        (-0.066, -0.063, -0.064, -0.063, -0.071),
    ),
}
PROTOTYPE_ERRORS = {
    "protective": (0.0016, 0.08, 0.007),
    "harmful": (0.0022, 0.11, 0.009),
    "bone-only": (0.0022, 0.11, 0.009),
}


@pytest.mark.parametrize("name", sorted(plan_truths()))
def test_committed_truths_are_large_and_complete(name):
    record = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert record["schema"] == "causal-s4/truth/1"
    assert len(record["truths"]) == len(plan_truths()[name])
    for truth in record["truths"]:
        assert truth["n"] >= 1_000_000
        assert all(0 <= row["mc_error"] < 0.06 for row in truth["effects"])
        assert {row.get("horizon") for row in truth["effects"]} == {None, *HORIZONS}


@pytest.mark.parametrize("effect", PROTOTYPE)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_timeline_truth_agrees_with_the_prototype(effect, strategy):
    truth = true_effects("stage4-timeline", effect=effect, **STRATEGIES[strategy])
    assert truth.n == 1_000_000
    position = list(STRATEGIES).index(strategy)
    found = [
        truth.one(measure="survival difference", horizon=60.0),
        truth.one(measure="rmst difference", horizon=60.0),
        truth.one(measure="hazard ratio"),
    ]
    for each, printed, error in zip(found, PROTOTYPE[effect], PROTOTYPE_ERRORS[effect], strict=True):
        value = math.log(each.value) if each.measure == "hazard ratio" else each.value
        # The table's last digit may be off by one half; three standard errors of the difference.
        assert abs(value - printed[position]) < 3 * math.hypot(error, each.mc_error) + 0.005 * abs(printed[position])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_timeline_null_is_exactly_null(strategy):
    truth = true_effects("stage4-timeline", effect="null", **STRATEGIES[strategy])
    assert truth.one(measure="hazard ratio").value == 1
    for horizon in HORIZONS:
        for measure in ("survival difference", "rmst difference"):
            assert truth.one(measure=measure, horizon=horizon).value == 0


@pytest.mark.parametrize("scenario", ["stage4", "benign", "unmeasured"])
@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC", "ATO", "ATM"])
@pytest.mark.parametrize("outcome", ["death", "distant_progression"])
def test_null_is_exactly_null(scenario, population, outcome):
    truth = true_effects(scenario, effect="null", population=population, outcome=outcome)
    assert truth.one(measure="hazard ratio", stabilised=False).value == 1
    # Unequal shares of the weight leave the rounding of sums over 100,000 rows.
    assert truth.one(measure="hazard ratio", stabilised=True).value == pytest.approx(1, abs=1e-12)
    assert all(each.value == 0 for each in truth.effects if each.measure.endswith("difference"))


def test_a_new_computation_agrees_with_the_committed_one():
    """Another seed, 100,000 women an arm: within four standard errors of both."""
    committed = true_effects("stage4", effect="harmful", population="ATO")
    new = true_effects("stage4", effect="harmful", population="ATO", n=100_000, seed=1)
    assert (committed.n, new.n) == (1_000_000, 100_000)
    for one, other in zip(committed.effects, new.effects, strict=True):
        assert abs(one.value - other.value) < 4 * math.hypot(one.mc_error, other.mc_error)


def test_total_effect_averages_over_the_treated_and_the_others():
    """Total probability: ATE = P ATT + (1 - P) ATC, with P the treated share."""
    difference = {
        population: true_effects("stage4", effect="protective", population=population).one(
            measure="survival difference", horizon=60.0
        )
        for population in ("ATE", "ATT", "ATC")
    }
    expected = 0.42 * difference["ATT"].value + 0.58 * difference["ATC"].value
    assert difference["ATE"].value == pytest.approx(expected, abs=3 * difference["ATE"].mc_error)


def test_marginal_hazard_ratio_lies_between_the_conditional_one_and_one():
    """Non-collapsibility pulls a marginal hazard ratio towards one."""
    for effect, conditional in (("protective", 0.75), ("harmful", 1.45)):
        found = true_effects("stage4", effect=effect).one(measure="hazard ratio", stabilised=False).value
        assert min(conditional, 1) < found < max(conditional, 1)


def test_randomised_world_has_one_truth():
    """Without confounding every population is everybody."""
    everybody, overlap = (true_effects("benign", effect="protective", population=p) for p in ("ATE", "ATO"))
    for one, other in zip(everybody.effects, overlap.effects, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-12)


def test_radiotherapy_has_its_own_effect():
    truth = true_effects("stage4", treatment="radiotherapy", radiotherapy_hazard_ratio=0.8, n=40_000, seed=2)
    assert truth.one(measure="survival difference", horizon=60.0).value > 0
    assert true_effects("stage4", treatment="radiotherapy").one(measure="hazard ratio", stabilised=False).value == 1


def test_surgery_carries_the_radiotherapy_that_follows_it():
    """Surgery does nothing itself, but women are irradiated after it: its total effect is not null."""
    truth = true_effects("stage4", radiotherapy_hazard_ratio=0.5, n=40_000, seed=2)
    found = truth.one(measure="survival difference", horizon=60.0)
    assert found.value > 5 * found.mc_error


def test_engine_finds_the_closed_form(monkeypatch):
    """Potential outcomes of the closed-form world, through the engine that samples the others."""

    def pair(_question, n, seed, block):
        frame = simulate("closed-form", n=n, seed=1000 * seed + block)
        x1, x2, x3 = (frame[name].to_numpy() for name in ("x1", "x2", "x3"))
        rng = np.random.default_rng([seed, block])
        death = rng.exponential(size=n) / (0.012 * np.exp(-0.6 * x1 + 0.7 * x2 + 0.35 * (x3 - 1)))
        return _Pair(
            treated=death / 0.7,
            control=death,
            last_contact=rng.uniform(24, 96, n),
            weight=np.ones(n),
            treated_share=0.417462,
        )

    monkeypatch.setattr(Question, "pair", pair)
    sampled = simulate_truth(ask_stage4("stage4", "surgery", "death", "ATE", hazard_ratio=0.123), HORIZONS, 200_000, 7)
    exact = true_effects("closed-form")
    for one, other in zip(sampled.effects, exact.effects, strict=True):
        value, expected = (math.log(e.value) if e.measure == "hazard ratio" else e.value for e in (one, other))
        assert abs(value - expected) < 4 * one.mc_error


def test_named_and_numbered_effects_are_one_question():
    assert true_effects("stage4", hazard_ratio=0.75) == true_effects("stage4", effect="protective")


def test_horizons_are_those_asked_for():
    assert {each.horizon for each in true_effects("stage4", horizons=[36]).effects} == {None, 36.0}
    new = true_effects("stage4", horizons=[24], n=20_000)
    assert {each.horizon for each in new.effects} == {None, 24.0}


def test_a_frame_has_one_row_a_number():
    truth = true_effects("stage4")
    frame = truth.to_frame()
    assert len(frame) == len(truth.effects) == 2 + 6 * len(HORIZONS)
    assert {"scenario", "outcome", "population", "measure", "value", "mc_error", "n", "seed"} <= set(frame.columns)


def test_written_truths_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr("causal_s4.simulate.__main__.FOLDER", tmp_path)
    question = ask_stage4("benign", "surgery", "death", "ATE", effect="protective")
    write_truths("small", [question], 4_000)
    (record,) = json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))["truths"]
    expected = simulate_truth(question, HORIZONS, 4_000, record["seed"])
    assert [row["value"] for row in record["effects"]] == [each.value for each in expected.effects]


def test_the_package_is_its_main_verb():
    assert causal_s4.simulate("stage4", n=5, seed=1).equals(simulate("stage4", n=5, seed=1))


@pytest.mark.parametrize(
    ("scenario", "options", "message"),
    [
        ("stage5", {}, "unknown scenario 'stage5'"),
        ("stage4", {"population": "ATX"}, "unknown population 'ATX'"),
        ("stage4", {"treatment": "chemo"}, "unknown treatment"),
        ("stage4", {"outcome": "os"}, "unknown outcome"),
        ("stage4", {"operated": 66}, "operated would have no influence"),
        ("stage4", {"efect": "null"}, "did you mean 'effect'"),
        ("stage4", {"horizons": [0]}, "each horizon must be a number above zero"),
        ("stage4", {"n": 10}, "n must be a whole number of 2000 or more"),
        ("closed-form", {"n": 10_000, "seed": 1}, "n and seed would have no influence"),
        ("stage4-timeline", {"treatment": "surgery"}, "treatment would have no influence"),
        ("stage4-timeline", {"population": "ATO"}, "compared in everybody"),
        ("stage4-timeline", {"informative_loss": True}, "informative_loss would have no influence"),
        ("stage4-timeline", {"horizons": [120]}, "beyond the world's 60"),
        ("stage4-timeline", {"timing": "natural"}, "natural_until belongs to"),
        ("stage4-timeline", {"timing": "natural", "natural_until": 9.0}, "within the grace period"),
        ("stage4-timeline", {"timing": "uniform", "timing_density": ((0, 9), (1,))}, "timing_density belongs"),
        ("stage4-timeline", {"timing_density": ((0, 12), (1,))}, "rising edges within 0 to 9"),
        ("stage4-timeline", {"grace_period": 70.0}, "must not exceed the horizon"),
    ],
)
def test_wrong_questions_are_refused(scenario, options, message):
    with pytest.raises(UsageError, match=message):
        true_effects(scenario, **options)


def test_only_one_number_answers():
    truth: TrueEffects = true_effects("stage4")
    with pytest.raises(UsageError, match="found 2"):
        truth.one(measure="hazard ratio")
