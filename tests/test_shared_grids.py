"""Grids and sensitivity analyses shared among workers: the same bits whoever does them, and no more sent than needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cloudpickle
import pytest
from small_study import STARTING, STUDY, with_starts, without_dowhy, write_study

from causal_s4 import background, workers
from causal_s4.background import abandon
from causal_s4.probe import registry
from causal_s4.study import Study
from causal_s4.workers import Effort

GRID = (
    f"{STUDY}\n[sensitivity.specification-curve]\n[sensitivity.early-deaths-excluded]\n[sensitivity.truncation-grid]\n"
)
CLONES = STARTING.replace(
    '[estimand]\npopulation = "ATO"\n', '[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = "6 months"\n'
)
TIMED = f'{CLONES}\n[sensitivity.specification-curve]\nlandmarks = ["3 months"]\n'


@pytest.fixture(scope="module", autouse=True)
def spared() -> Iterator[None]:
    with without_dowhy():
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.read(write_study(tmp_path_factory.mktemp("grid"), study=GRID))


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.read(write_study(tmp_path_factory.mktemp("timed"), study=TIMED, frame=with_starts()))


@pytest.fixture(scope="module")
def expected(study: Study) -> str:
    """Return what one process finds alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(background, "_processors", lambda: 1)
        return study.run(jobs=1).to_json()


def half(number: float) -> float:
    return number / 2


def test_each_gives_the_answers_in_order_and_tells_how_many_are_done() -> None:
    told: list[tuple[int, int]] = []
    effort = Effort(advance=lambda done, total: told.append((done, total)))
    assert effort.each(math.factorial, range(6)) == [1, 1, 2, 6, 24, 120]
    assert told == [(k + 1, 6) for k in range(6)]
    assert effort.each(half, []) == []


def test_workers_are_started_for_what_is_left_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[tuple[list[workers.Block], dict[str, Any]]] = []

    def record(task: Callable[[workers.Block], Any], blocks: list[workers.Block], **options: Any) -> list[Any]:
        shared.append((blocks, options))
        return [task(block) for block in blocks]

    monkeypatch.setattr(workers, "run_blocks", record)
    numbers = [float(k) for k in range(150)]
    halves = [k / 2 for k in range(150)]
    assert Effort(jobs=2).each(half, numbers) == halves
    assert shared[-1][0] == []  # an instant's work

    monkeypatch.setattr(workers, "_WORTH", 0.0)
    assert Effort(jobs=1).each(half, numbers) == halves
    assert shared[-1][0] == []
    assert Effort().each(half, numbers, jobs=2) == halves
    blocks, options = shared[-1]
    assert (blocks[0], blocks[-1]) == ((1, 4), (148, 150))
    assert len(blocks) <= workers._MOST_BLOCKS
    assert (options["jobs"], options["processes"]) == (2, True)


def test_the_second_process_changes_no_byte(study: Study, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_processors", lambda: 2)
    abandon()
    assert study.run(jobs=2).to_json() == expected
    assert background._second.process is not None


@pytest.mark.parametrize("name", ["study", "timed"])
def test_what_cells_share_is_sent_once(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell adds its choices, not its patients: less than a tenth of the 240 patients' five columns of eight bytes."""
    sizes: dict[int, int] = {}

    def weigh_parcels(self: Effort, function: Callable[[Any], Any], items: Sequence[Any], **options: Any) -> list[Any]:
        for many in (len(items) // 2, len(items)):
            sizes[many] = len(cloudpickle.dumps(workers._Each(function, items[-many:])))
        return [function(item) for item in items]

    monkeypatch.setattr(Effort, "each", weigh_parcels)
    request.getfixturevalue(name).run(jobs=1)
    (few, small), (many, large) = sorted(sizes.items())
    assert (large - small) / (many - few) < 960


def test_only_grids_are_shared_among_workers() -> None:
    assert set(registry.GRIDS) < set(registry.ANALYSES)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2, 4])
def test_workers_change_no_byte(study: Study, expected: str, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WORTH", 0.0)
    assert study.run(jobs=jobs).to_json() == expected


@pytest.mark.slow
def test_a_cluster_changes_no_byte(study: Study, timed: Study, expected: str) -> None:
    distributed = pytest.importorskip("distributed")
    told: list[tuple[int, int]] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        assert study.run(scheduler=address, advance=lambda *news: told.append(news)).to_json() == expected
        assert timed.run(scheduler=address).to_json() == timed.run(jobs=1).to_json()
    assert told[-1][0] == told[-1][1] > 20
