"""The page that says where each method works and where it fails; every number in it is read from the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from analyses.validation.bands import BANDS, LOG_HR, RMST, SURVIVAL
from analyses.validation.cells import one
from analyses.validation.estimators import ESTIMATORS, IMPUTATIONS, REPLICATES
from analyses.validation.scenarios import SCENARIOS, Scenario

_COLUMNS = ((LOG_HR, 3), (SURVIVAL, 3), (RMST, 2))
_SMALL = (
    "founding size, null",
    "founding size, protective",
    "registry, n=400",
    "benefit, n=157",
    "null, n=157",
    "events 10 %, n=157",
)

Reader = Callable[..., str]


def page_of(table: pd.DataFrame) -> str:
    """Return the page of a table of the whole grid, as Markdown."""
    parts = [_opening(table), _claims(table), _small(table), _scenarios(table), _closing()]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _reader(table: pd.DataFrame) -> Reader:
    """Return a function that reads one number of the table, written for a sentence."""

    def read(
        scenario: str,
        estimator: str,
        statistic: str = "bias",
        measure: str = LOG_HR,
        interval: str | None = None,
    ) -> str:
        where = {
            "scenario": scenario,
            "estimator": estimator,
            "measure": measure,
            "interval": interval or ESTIMATORS[estimator].intervals[0],
        }
        row = one(table, where)
        value, error = float(row[statistic]), float(row[f"{statistic}_mcse"])
        if statistic in ("coverage", "failure_rate", "relative_error"):
            return f"{100 * value:.1f} % ({100 * error:.1f})".replace("-", "−")
        sign = "+" if statistic == "bias" else ""
        return f"{value:{sign}.3f} ({error:.3f})".replace("-", "−")

    return read


def _opening(table: pd.DataFrame) -> Iterator[str]:
    least, most = int(table["replicates"].min()), int(table["replicates"].max())
    yield "# Validation: estimators against known truth"
    yield ""
    yield "<!-- written by `python -m analyses.validation` from table.csv; not by hand -->"
    yield ""
    yield (
        f"{len(SCENARIOS)} simulated worlds whose truth is known, {least:,} to {most:,} cohorts of each, and every estimator "
        "of the package in each cohort. Measures of performance and their Monte Carlo standard errors are those of Morris, "
        "White & Crowther 2019 ([10.1002/sim.8086](https://doi.org/10.1002/sim.8086)). Cohorts in which an estimator gave "
        "no answer are counted (`failure_rate`, with the reasons); bias and coverage are those of the others. All numbers: "
        "[table.csv](table.csv), one row an estimator, interval and measure. In the text, every number is followed by its "
        "Monte Carlo standard error in brackets."
    )
    yield ""
    short = [name for name, replicates in _replicates(table).items() if replicates < SCENARIOS[name].replicates]
    if short:
        yield (
            f"**Not finished.** {len(short)} worlds have fewer cohorts than planned, and numbers as uncertain as their errors "
            f"say: {'; '.join(f'{name} ({_replicates(table)[name]:,} of {SCENARIOS[name].replicates:,})' for name in short)}."
        )
        yield ""
    yield (
        f"Of {len(BANDS)} acceptance limits, {sum(band.fails for band in BANDS)} are negative: there a method has to be "
        "seen to fail, or the world could not tell a right method from a wrong one. The command ends with exit status 1 when "
        "a result lies outside its limits."
    )
    yield ""


def _replicates(table: pd.DataFrame) -> dict[str, int]:
    return {str(name): int(rows.iloc[0]) for name, rows in table.groupby("scenario", sort=False)["replicates"]}


def _claims(table: pd.DataFrame) -> Iterator[str]:
    r = _reader(table)
    yield "## Where they work"
    yield ""
    yield (
        f"* **Weighting by a right propensity model, a few hundred patients and three or four terms.** With 500 patients "
        f"the bias of the log hazard ratio is {r('null', 'logistic, ATE')} without an effect, {r('benefit', 'logistic, ATE')} "
        f"with benefit and {r('harm', 'logistic, ATE')} with harm (ATE, logistic), and 95 % intervals cover "
        f"{r('null', 'logistic, ATE', 'coverage')}, {r('benefit', 'logistic, ATE', 'coverage')} and "
        f"{r('harm', 'logistic, ATE', 'coverage')}. ATT, ATO and entropy balancing do as well."
    )
    yield (
        f"* **Non-proportional hazards.** With harm in the first year and benefit later, survival and restricted mean "
        f"differences are unbiased ({r('early harm, late benefit', 'logistic, ATE', 'coverage', SURVIVAL)} and "
        f"{r('early harm, late benefit', 'logistic, ATE', 'coverage', RMST)} coverage). The hazard ratio is unbiased only for "
        "its own limit, which mixes both periods and depends on follow-up: report the differences."
    )
    yield (
        f"* **Few and many events.** From 30 to 90 % with the event, coverage of the ATE is "
        f"{r('events 30 %', 'logistic, ATE', 'coverage')} to {r('events 90 %', 'logistic, ATE', 'coverage')}. With 10 % "
        f"(some fifty events) it is {r('events 10 %', 'logistic, ATE', 'coverage')} for the log hazard ratio."
    )
    yield (
        f"* **Poor overlap, when the population is the overlap.** With propensities from 0.001 to 0.99 the ATO covers "
        f"{r('near-violation of positivity', 'logistic, ATO', 'coverage')} with a bias of "
        f"{r('near-violation of positivity', 'logistic, ATO')}."
    )
    yield (
        f"* **Values missing at random, imputed.** {IMPUTATIONS} imputations pooled by Rubin's rules: bias "
        f"{r('missing at random', 'imputed, logistic, ATE')}, coverage "
        f"{r('missing at random', 'imputed, logistic, ATE', 'coverage')}; complete cases alone: bias "
        f"{r('missing at random', 'complete cases, logistic, ATE')}."
    )
    yield (
        f"* **Surgery that comes after response.** Clone-censor-weight with the response in the model: bias "
        f"{r('time-varying response, null', 'clone-censor-weight, response')} without an effect and "
        f"{r('time-varying response, protective', 'clone-censor-weight, response')} with one; coverage with the weights taken "
        f"as known {r('time-varying response, null', 'clone-censor-weight, response', 'coverage')}, accounting for their "
        f"estimation {r('time-varying response, null', 'clone-censor-weight, response', 'coverage', interval='influence')}."
    )
    yield ""
    yield "## Where they fail"
    yield ""
    yield (
        f"* **Nothing adjusted for.** Naive bias of the log hazard ratio: {r('null', 'naive')} without any effect; in the stage "
        f"IV registry {r('founding size, null', 'naive')}, and {r('founding size, null', 'naive', 'coverage')} of its "
        "intervals cover."
    )
    yield (
        f"* **Immortal time.** Ever against never operated: {r('time-varying response, null', 'ever treated, naive')} without "
        f"any effect, {r('time-varying response, null', 'ever treated, logistic')} after weighting by what was known at time "
        f"zero, {r('time-varying response, null', 'time-dependent Cox')} in a time-dependent Cox model, "
        f"{r('time-varying response, null', 'clone-censor-weight, baseline only')} for cloned strategies without the response."
    )
    yield (
        f"* **Cutting clone weights** at the 99th percentile brings back "
        f"{r('time-varying response, null', 'clone-censor-weight, truncated at 1%')}."
    )
    yield (
        f"* **A wrong propensity model.** Without a product that matters: {r('misspecified propensity model', 'logistic, ATE')}, "
        f"coverage {r('misspecified propensity model', 'logistic, ATE', 'coverage')}, where no adjustment at all has "
        f"{r('misspecified propensity model', 'naive')}; with it {r('misspecified propensity model', 'logistic with interaction, ATE')}. Entropy balancing of the same means "
        f"does not help ({r('misspecified propensity model', 'entropy balancing, ATE')})."
    )
    yield (
        f"* **An unmeasured confounder.** {r('unmeasured confounder', 'logistic, ATE')} by weighting, "
        f"{r('unmeasured confounder', 'multivariable Cox')} by regression: nothing here can see it; see the sensitivity analyses."
    )
    yield (
        f"* **Loss to follow-up that depends on prognosis, differently in the two arms.** "
        f"{r('covariate-dependent censoring', 'logistic, ATE')} by any weighting for treatment alone (a Cox model with the "
        f"covariates: {r('covariate-dependent censoring', 'multivariable Cox')} for its own hazard ratio). The sensitivity "
        "analysis of informative censoring weights for it."
    )
    yield (
        f"* **Near-violation of positivity, everybody's effect.** The ATE's intervals cover "
        f"{r('near-violation of positivity', 'logistic, ATE', 'coverage')}, its empirical standard error is "
        f"{r('near-violation of positivity', 'logistic, ATE', 'empirical_se')} against "
        f"{r('near-violation of positivity', 'logistic, ATO', 'empirical_se')} for the ATO. Cutting weights trades "
        f"variance for bias ({r('near-violation of positivity', 'logistic truncated at 1%, ATE')})."
    )
    yield (
        f"* **Rare subtypes.** Four per cent of 500, seldom treated: in "
        f"{r('rare subtype', 'logistic, ATE', 'failure_rate')} of cohorts nobody of the subtype is treated and there is no "
        f"propensity score by maximum likelihood; of 157, in {r('rare subtype, n=157', 'logistic, ATE', 'failure_rate')}. "
        "The error names the level. The bias of the cohorts that remain does not show it."
    )
    yield (
        f"* **Many terms for few patients.** Sixteen terms, 66 operated of 157: influence intervals of the ATE cover "
        f"{r('founding size, null', 'logistic, ATE', 'coverage')}, those of entropy balancing "
        f"{r('founding size, null', 'entropy balancing, ATE', 'coverage')}."
    )
    yield ""


def _small(table: pd.DataFrame) -> Iterator[str]:
    r = _reader(table)
    yield "## Small cohorts: which interval, which propensity model"
    yield ""
    yield (
        f"Coverage of the 95 % interval of the log hazard ratio, and how far its standard error is from the empirical one. "
        f"The bootstrap has {REPLICATES} replicates and refits everything."
    )
    yield ""
    yield "| world | estimator | interval | coverage | standard error | no interval |"
    yield "|---|---|---|---|---|---|"
    for scenario in _SMALL:
        rows = table[(table["scenario"] == scenario) & (table["measure"] == LOG_HR)]
        for name in ("logistic, ATE", "logistic, ATO", "firth, ATE", "firth, ATO"):
            for row in rows[rows["estimator"] == name].itertuples():
                yield (
                    f"| {scenario} | {name} | {row.interval} | {_per_cent(row.coverage)} ({100 * row.coverage_mcse:.1f}) | "
                    f"{_signed(100 * row.relative_error, 0)} % | {_per_cent(row.failure_rate)} |"
                )
    yield ""
    yield (
        f"**Interval.** Influence intervals are as good as any while the smaller arm has many patients for each coefficient "
        f"of the propensity model: 157 patients and four coefficients, "
        f"{r('benefit, n=157', 'logistic, ATE', 'coverage')} of intervals cover. With 66 operated and seventeen coefficients "
        f"their standard errors are {r('founding size, null', 'logistic, ATE', 'relative_error')} off (ATE) and "
        f"{r('founding size, null', 'logistic, ATO', 'relative_error')} (ATO) and they cover "
        f"{r('founding size, null', 'logistic, ATE', 'coverage')} and {r('founding size, null', 'logistic, ATO', 'coverage')}; "
        f"the jackknife errs to the safe side ({r('founding size, null', 'logistic, ATE', 'coverage', interval='jackknife')} "
        f"and {r('founding size, null', 'logistic, ATO', 'coverage', interval='jackknife')}), and so does the bootstrap, which "
        f"costs more and depends on a seed. With about ten operated for each coefficient (registry, n=400) influence covers "
        f"{r('registry, n=400', 'logistic, ATE', 'coverage')} (ATE) and {r('registry, n=400', 'logistic, ATO', 'coverage')} "
        f"(ATO), with standard errors {r('registry, n=400', 'logistic, ATE', 'relative_error')} and "
        f"{r('registry, n=400', 'logistic, ATO', 'relative_error')} off. A study that does not set `[inference] method` therefore gets influence intervals, and those of the jackknife "
        f"for its weighted effects when the smaller arm has fewer than fifteen patients for each coefficient; its report says so."
    )
    yield ""
    yield (
        f"**Propensity model.** Maximum likelihood whenever it exists. Firth's penalty draws scores together, so that part of "
        f"the confounding stays: at the founding study's size its bias is {r('founding size, null', 'firth, ATE')} (ATE) "
        f"against {r('founding size, null', 'logistic, ATE')}. It is for separated data, where the alternative is to leave "
        "patients or a covariate out, and never the default."
    )
    yield ""


def _scenarios(table: pd.DataFrame) -> Iterator[str]:
    yield "## Every world"
    yield ""
    yield (
        "Bias with its Monte Carlo standard error in brackets, and coverage of the 95 % interval (influence unless named). "
        "The estimand of each row is its own: the truth of the ATT is that of the treated, that of a Cox model the "
        "conditional hazard ratio."
    )
    yield ""
    for scenario in SCENARIOS.values():
        yield from _scenario(table[table["scenario"] == scenario.name], scenario)


def _scenario(rows: pd.DataFrame, scenario: Scenario) -> Iterator[str]:
    replicates = int(rows["replicates"].iloc[0])
    yield f"### {scenario.name[0].upper()}{scenario.name[1:]}"
    yield ""
    yield f"{scenario.about} {replicates:,} cohorts of {scenario.n:,}."
    yield ""
    yield "| estimator | log hazard ratio | | survival difference | | RMST difference | | failed |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in scenario.estimators:
        interval = ESTIMATORS[name].intervals[0]
        own = rows[(rows["estimator"] == name) & (rows["interval"] == interval)].set_index("measure")
        cells = []
        for measure, digits in _COLUMNS:
            if measure in own.index:
                row = own.loc[measure]
                cells += [
                    f"{_signed(row['bias'], digits)} ({row['bias_mcse']:.{digits}f})",
                    _per_cent(row["coverage"]),
                ]
            else:
                cells += ["", ""]
        label = name if interval == "influence" else f"{name} ({interval})"
        yield f"| {label} | {' | '.join(cells)} | {_failed(own)} |"
    yield ""


def _failed(own: pd.DataFrame) -> str:
    row = own.iloc[0]
    return f"{_per_cent(row['failure_rate'])}: {row['reasons']}" if row["failure_rate"] > 0 else "0"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", "−")


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _closing() -> Sequence[str]:
    return (
        "## Running it",
        "",
        "```",
        "python -m analyses.validation                 # the whole grid, on all cores: about an hour of one core",
        "python -m analyses.validation --quick         # twenty cohorts of each world, into out/validation",
        "python -m analyses.validation --only null harm --replicates 500",
        "python -m analyses.validation --cluster tcp://host:8786",
        "python -m analyses.validation --finished      # table and page of what is done so far",
        "python -m analyses.validation --check         # the committed table against the limits and this page",
        "```",
        "",
        "Finished blocks of fifty cohorts are kept in `out/validation/kept`; a run that was interrupted continues from them "
        "and gives the same numbers to the last digit. They belong to a version of the package: delete the folder after a "
        "change of code. Workers of a cluster have to be started in a copy of this repository.",
    )
