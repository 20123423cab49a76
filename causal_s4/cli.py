"""The command line: nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from causal_s4 import __version__
from causal_s4.errors import CausalS4Error, InputError, UsageError

if TYPE_CHECKING:
    from causal_s4.results import AdjustmentSet, Finding

_INTERRUPTED = 130
_KEPT = "interrupted; no report was written. Finished blocks are kept: the same command continues from them"
# The matrices are narrow: threads inside one product cost more than they give, and fight with our own workers.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")


class _Group(click.Group):
    """A group whose deliberate errors become one message and an exit status, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return _without_leftovers(super().invoke, ctx)
        except CausalS4Error as error:
            _trace(ctx)
            _complain(str(error))
            ctx.exit(error.exit_status)
        except (KeyboardInterrupt, click.Abort) as interrupt:
            _complain(str(interrupt) or "interrupted; nothing was written")
            ctx.exit(_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except MemoryError:
            _complain("not enough memory for this table; read fewer columns or fewer patients")
            ctx.exit(InputError.exit_status)
        except BrokenPipeError:
            ctx.exit(0)
        except Exception as error:
            _trace(ctx)
            _complain(
                f"this should not have happened: {type(error).__name__} in {_place(error)}. Run again with --debug before the "
                "command to see where, and report it"
            )
            ctx.exit(1)


def _without_leftovers(invoke: Callable[[click.Context], Any], ctx: click.Context) -> Any:
    """Invoke, and if that fails end the second process: who is told of an error does not wait for the rest."""
    try:
        return invoke(ctx)
    except BaseException:
        background = sys.modules.get("causal_s4.background")
        if background is not None:
            background.abandon()
        raise


def _trace(ctx: click.Context) -> None:
    """Show where an error came from, if that was asked for."""
    if ctx.params.get("debug"):
        traceback.print_exc()


def _place(error: BaseException) -> str:
    """Name the function an unexpected error came from, without its values."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame.tb_frame.f_code.co_name if frame is not None else "an unknown place"


def _complain(text: str) -> None:
    click.echo(f"causal-s4: {text}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="causal-s4")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Put the adjusted answer next to the naive one.

    Exit status: 0 done, 2 the input is wrong, 3 the cohort cannot answer the question as asked,
    130 interrupted.
    """


# --- run and check ------------------------------------------------------------------------------


_suppress = click.option(
    "--suppress-small-cells",
    "below",
    type=click.IntRange(2, 1000),
    default=None,
    metavar="N",
    help="Show no number of patients from 1 to N-1, in any table, figure or file.",
)


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the report; written whole or not at all."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Workers for resampling and long grids; they change no number.",
)
@click.option(
    "--cluster",
    default=None,
    metavar="ADDRESS",
    help="Resample and make grids on the Dask cluster with this scheduler, such as tcp://host:8786; changes no number.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep finished blocks of resamples beside OUT until the report is written; continue from those that are there.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@_suppress
def run(
    study: Path, out: Path, jobs: int | None, cluster: str | None, resume: bool, quiet: bool, below: int | None
) -> None:
    """Answer the question of a STUDY file and write report, tables and figures."""
    import shutil

    from causal_s4.background import get_ready

    get_ready("causal_s4.study", "causal_s4.report.plots", "causal_s4.report.page", "matplotlib.backends.backend_svg")

    from causal_s4.report.suppression import with_suppression
    from causal_s4.report.write import check_folder
    from causal_s4.study import Study

    question = Study.read(study)
    target = check_folder(out)
    blocks = target.with_name(f".{target.name}.blocks") if resume else None
    try:
        with _progress(quiet) as (tell, advance):
            found = question.run(jobs=jobs, scheduler=cluster, resume=blocks, progress=tell, advance=advance)
            result = with_suppression(found, below)
            tell("Writing the report")
            result.write(out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_KEPT if resume else "") from None
    if blocks is not None:
        shutil.rmtree(blocks, ignore_errors=True)
    if not quiet:
        _print_answer(result)
        click.echo(f"Report: {out / 'report.html'}")


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
def check(study: Path) -> None:
    """Check a STUDY file: protocol, columns, the graph's verdict, time zero, overlap. Estimates nothing."""
    from causal_s4.study import Study

    found = Study.read(study).check()
    cohort = found.cohort
    click.echo("Flow")
    for step in cohort.attrition:
        click.echo(f"  {step.n:>8,}  {step.step}" + (f" ({step.excluded:,} excluded)" if step.excluded else ""))
    click.echo(f"  {cohort.treated:,} {cohort.treated_label}, {cohort.control:,} {cohort.control_label}")
    for outcome, events in cohort.events.items():
        click.echo(
            f"  {outcome}: {events['total']:,} events ({events['treated']:,} treated, {events['control']:,} control)"
        )
    _print_adjustment(found.adjustment)
    if found.weights is not None:
        click.echo("Weights")
        click.echo(
            f"  {found.weights.population}: effective sample size {found.weights.ess_treated:.0f} treated, "
            f"{found.weights.ess_control:.0f} control; largest weight {found.weights.max:.3g}"
        )
    if found.balance is not None and found.balance.worst is not None:
        worst = found.balance.worst
        click.echo(f"  largest standardised mean difference after weighting: {worst.smd_after:+.3f} ({worst.term})")
    if found.positivity is not None:
        for sentence in found.positivity.sentences[:5]:
            click.echo(f"  {sentence}")
    _print_findings(found.findings)


# --- reports ------------------------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write there instead of into FOLDER.")
@_suppress
def report(folder: Path, out: Path | None, below: int | None) -> None:
    """Make the report of FOLDER again from the results in it. Estimates nothing."""
    from causal_s4.report.suppression import with_suppression
    from causal_s4.report.write import check_folder
    from causal_s4.results import StudyResult

    target = folder if out is None else out
    result = with_suppression(StudyResult.read(folder), below)
    check_folder(target)
    result.write(target)
    click.echo(f"Report: {target / 'report.html'}")


@main.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Show what differs between two results: results.json files, or folders that hold one."""
    from causal_s4.report.compare import compare as held_together
    from causal_s4.report.read_back import read_results_json

    found = held_together(read_results_json(first), read_results_json(second))
    click.echo(found.text(str(first), str(second)), nl=False)


# --- graph --------------------------------------------------------------------------------------


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--adjust", "adjust", multiple=True, metavar="NODE", help="Judge this set instead (repeat for more nodes)."
)
@click.option("--svg", type=click.Path(path_type=Path), default=None, help="Draw the graph to this file.")
def dag(file: Path, adjust: Sequence[str], svg: Path | None) -> None:
    """Read a causal graph in dagitty syntax: edges, verdict, adjustment sets, implied independencies."""
    from causal_s4.dag.graph import Dag

    graph = Dag.read(file)
    click.echo(f"{len(graph.nodes)} nodes, {len(graph.arrows)} edges")
    for one, arrow, other in graph.arrows:
        click.echo(f"  {one} {arrow} {other}")
    for label, names in (
        ("exposure", [graph.exposure] if graph.exposure else []),
        ("outcome", graph.outcomes),
        ("latent", graph.latent),
        ("adjusted", graph.adjusted),
    ):
        if names:
            click.echo(f"{label}: {', '.join(names)}")
    chosen = list(adjust)
    if graph.exposure is None or not graph.outcomes:
        click.echo("No verdict: mark an [exposure] and an [outcome] in the graph to ask for one.")
    else:
        sets = graph.adjustment_sets()
        verdict = graph.verdict(chosen or (sorted(sets[0]) if sets else []))
        if not chosen and sets and not sets[0]:
            click.echo("Verdict: none needed; no back-door path is open.")
        elif not chosen and not sets:
            click.echo("Verdict: not identified; no set of measured nodes suffices.")
        else:
            click.echo(f"Verdict on {{{', '.join(chosen) if chosen else ', '.join(sorted(sets[0]))}}}: {verdict.kind}")
        for reason in verdict.reasons:
            click.echo(f"  {reason}")
        for path in verdict.open_paths:
            click.echo(f"  open path: {path}")
        if sets and sets[0]:
            click.echo("Minimal sufficient adjustment sets")
            for each in sets:
                click.echo(f"  {{{', '.join(sorted(each))}}}")
    implied = graph.implied_independencies()
    click.echo(f"Implied independencies: {len(implied)}")
    for claim in implied:
        given = f" given {', '.join(claim.given)}" if claim.given else ""
        click.echo(f"  {claim.x} is independent of {claim.y}{given}")
    if svg is not None:
        _write_text(svg, graph.draw(chosen or graph.adjusted, show_open=bool(chosen)))
        click.echo(f"Drawing: {svg}")


# --- simulate -----------------------------------------------------------------------------------


def _option(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE; a value is a number, true, false or text, never code."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"expected --set NAME=VALUE; found {text!r}")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


@main.command()
@click.argument("scenario")
@click.option("--n", type=click.IntRange(min=1), required=True, help="Patients.")
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Same seed, same table.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV file to write.")
@click.option("--effect", default=None, help="The true effect, such as null, protective or harmful.")
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="An option of the scenario; repeat for more."
)
@click.option("--truth", is_flag=True, help="Write the true effects beside it, as NAME_truth.csv.")
def simulate(
    scenario: str, n: int, seed: int, out: Path, effect: str | None, options: Sequence[str], truth: bool
) -> None:
    """Simulate a cohort of a SCENARIO whose true effect is known."""
    from causal_s4.simulate import HISTORIES, simulate_history, true_effects, truth_options
    from causal_s4.simulate import simulate as generate

    asked = dict(_option(text) for text in options)
    if effect is not None:
        asked["effect"] = effect
    if out.suffix.lower() != ".csv":
        raise UsageError(f"--out must end in .csv; found {out.name!r}")
    frame = generate(scenario, n=n, seed=seed, **asked)
    _write_text(out, frame.to_csv(index=False, lineterminator="\n"))
    click.echo(f"{len(frame):,} patients: {out}")
    if scenario in HISTORIES:
        visits = out.with_name(f"{out.stem}_history.csv")
        _write_text(
            visits, simulate_history(scenario, n=n, seed=seed, **asked).to_csv(index=False, lineterminator="\n")
        )
        click.echo(f"Visits: {visits}")
    if truth:
        beside = out.with_name(f"{out.stem}_truth.csv")
        known = {name: value for name, value in asked.items() if name in truth_options(scenario)}
        _write_text(beside, true_effects(scenario, **known).to_frame().to_csv(index=False, lineterminator="\n"))
        click.echo(f"Truth: {beside}")


# --- small commands -----------------------------------------------------------------------------


@main.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    import json

    from causal_s4.protocol.protocol import Protocol

    click.echo(json.dumps(Protocol.json_schema(), indent=2, sort_keys=True, ensure_ascii=False))


@main.command(context_settings={"ignore_unknown_options": True})  # a minus is that of a number
@click.argument("hazard_ratio", type=float)
@click.argument("lower", type=float, required=False)
@click.argument("upper", type=float, required=False)
@click.option(
    "--common/--rare", default=True, help="Whether the outcome is common at the end of follow-up (default) or rare."
)
def evalue(hazard_ratio: float, lower: float | None, upper: float | None, common: bool) -> None:
    """Print the E-value of a HAZARD_RATIO and of its interval limit nearer the null."""
    from causal_s4.sensitivity.e_value import evalue as compute

    result = compute(hazard_ratio=hazard_ratio, lower=lower, upper=upper, outcome="common" if common else "rare")
    click.echo(f"E-value for the estimate: {result.value:.6f}")
    if result.bound is not None:
        click.echo(f"E-value for the interval limit nearer the null: {result.bound:.6f}")
    click.echo(f"{result.direction[:1].upper()}{result.direction[1:]}.")


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the whole report to this folder too.")
@click.option("--all", "whole", is_flag=True, help="Print long tables as well.")
@click.option("--quiet", is_flag=True, help="Do not tell the steps.")
@_suppress
def sensitivity(study: Path, out: Path | None, whole: bool, quiet: bool, below: int | None) -> None:
    """Print how much doubt the answer of a STUDY file survives: what would have to be true for the effect to vanish."""
    from causal_s4.report.doubt import doubt_text
    from causal_s4.report.suppression import with_suppression
    from causal_s4.report.write import check_folder
    from causal_s4.study import Study

    question = Study.read(study)
    if out is not None:
        check_folder(out)
    with _progress(quiet) as (tell, advance):
        result = with_suppression(question.run(progress=tell, advance=advance), below)
        if out is not None:
            tell("Writing the report")
            result.write(out)
    click.echo(doubt_text(result), nl=False)
    if out is not None:
        click.echo(f"Report: {out / 'report.html'}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The cohort's file.")
@click.option("--title", help="The title of the report.")
@click.option("--id", help="The column that identifies a patient.")
@click.option("--time-unit", help="The unit of every time column.")
@click.option("--treatment", help="The column of the treatment.")
@click.option("--treated", help="Its value for the treated.")
@click.option("--control", help="Its value for the controls.")
@click.option("--time", help="The column of the time to the event or the end of follow-up.")
@click.option("--event", help="The column of the event code.")
@click.option("--event-value", help="The code of the event.")
@click.option("--population", help="Whom the effect is about: ATE, ATT, ATC, ATO or ATM.")
@click.option(
    "--confounder", "confounders", multiple=True, help="A column that drives both treatment and outcome; repeatable."
)
@click.option("--ask/--no-ask", default=None, help="Ask for what is not given (default: on a terminal).")
def init(folder: Path, data: Path, ask: bool | None, **given: Any) -> None:
    """Write a commented study.toml and a first graph into FOLDER, for the columns of a data file.

    What is not given by an option is asked for; what is left unanswered is marked in the files.
    """
    from causal_s4.scaffold import MARK, Answers, questions, refuse_existing, scaffold

    refuse_existing(folder)
    answers = Answers(**given)
    if sys.stdin.isatty() if ask is None else ask:
        click.echo("An empty answer leaves the place open.")
        for name, question in questions(data, answers):
            answers = answers.with_reply(name, click.prompt(question, default="", show_default=False))
    study, graph = scaffold(folder, data, answers)
    click.echo(f"Wrote {study}\nWrote {graph}")
    if MARK in study.read_text(encoding="utf-8"):
        click.echo(f'Fill in the places marked "{MARK}", draw the arrows, then: causal-s4 check {study}')
    else:
        click.echo(f"Draw the arrows that are missing, then: causal-s4 check {study}")


# --- printing -----------------------------------------------------------------------------------


@contextmanager
def _progress(quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Show steps, always on standard error: on a terminal with the time that is left, elsewhere as plain lines."""
    if quiet:
        yield lambda step: None, lambda done, total: None
        return
    began = time.monotonic()
    if not sys.stderr.isatty():
        yield (
            lambda step: click.echo(f"[{time.monotonic() - began:5.1f} s] {step}", err=True),
            lambda done, total: None,
        )
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("Starting", total=None, left="")

        def tell(step: str) -> None:
            bar.reset(task, description=step, total=None, left="")

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            left = bar.tasks[0].time_remaining
            until = "" if left is None or not done else f", {timedelta(seconds=round(left))} left"
            bar.update(task, left=f"{done:,} of {total:,}{until}")

        yield tell, advance


def _print_answer(result: Any) -> None:
    for outcome in result.cohort.events:
        click.echo(outcome)
        for each in result.effects.where(outcome=outcome, measure="hazard ratio"):
            if each.value is None or each.lower is None or each.upper is None:
                continue
            click.echo(
                f"  {each.analysis:<22} {each.population:<14} hazard ratio {each.value:.2f} "
                f"({100 * each.level:g}% CI {each.lower:.2f} to {each.upper:.2f})"
            )
        for mark in result.benchmarks:
            if mark.outcome == outcome:
                click.echo(
                    f"  {'published':<22} {mark.design:<14} {mark.measure} {mark.value:.2f} "
                    f"({100 * mark.level:g}% CI {mark.lower:.2f} to {mark.upper:.2f}): {mark.name}"
                )
    _print_findings(result.findings)


def _print_adjustment(adjustment: AdjustmentSet) -> None:
    click.echo(f"Adjustment: {adjustment.verdict}")
    if adjustment.nodes:
        click.echo(f"  set: {', '.join(adjustment.nodes)}")
    for reason in adjustment.reasons:
        click.echo(f"  {reason}")
    click.echo(f"  second opinion (dowhy): {adjustment.second_opinion}")


def _print_findings(findings: Sequence[Finding]) -> None:
    for severity in ("serious", "caution", "note"):
        for finding in findings:
            if finding.severity == severity:
                click.echo(f"{severity}: {finding.message}")


def _write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.partial")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {error.strerror}. Choose a folder that exists and can be written"
        ) from None


if __name__ == "__main__":
    main()
