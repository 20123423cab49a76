"""Blocks of replicates: interrupted, resumed, and handed to workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from resampled_cohorts import months, refit_of, replicates_of

import causal_s4 as s4
from causal_s4.workers import KeptBlocks, fingerprint, run_blocks

PLAN = {"replicates": 600, "seed": 4, "block": 64}


def pipeline():
    cohort = months()
    return cohort, s4.weigh(cohort, population="ATE"), [24.0]


def test_progress_is_told_in_replicates():
    told = []
    replicates_of(*pipeline(), **PLAN, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (600, 600)


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    """The run is killed outright after three blocks; what it kept is used, the rest is done."""
    code = f"""
        import os, signal, sys
        sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
        from test_bootstrap_workers import PLAN, pipeline, replicates_of
        def kill(done, total):
            if done >= 3 * 64:
                os.kill(os.getpid(), signal.SIGKILL)
        replicates_of(*pipeline(), **PLAN, resume={str(tmp_path)!r}, progress=kill)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 3
    assert all(name.endswith(".npz") for name in kept)
    told = []
    resumed = replicates_of(*pipeline(), **PLAN, resume=tmp_path, progress=lambda now, total: told.append(now))
    assert told[:3] == [64, 128, 192]
    np.testing.assert_array_equal(resumed.values, replicates_of(*pipeline(), **PLAN).values)
    assert len(list(tmp_path.iterdir())) == 10


def test_an_interrupt_leaves_whole_blocks_only(tmp_path):
    def interrupt(done, total):
        if done >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replicates_of(*pipeline(), **PLAN, resume=tmp_path, progress=interrupt)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz", ".npz"]


def test_kept_blocks_of_another_question_are_not_taken(tmp_path):
    cohort, weights, horizons = pipeline()
    replicates_of(cohort, weights, horizons, **PLAN, resume=tmp_path)
    before = len(list(tmp_path.iterdir()))
    replicates_of(cohort, weights, [25.0], **PLAN, resume=tmp_path)
    replicates_of(cohort, None, horizons, **PLAN, resume=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3 * before
    more = replicates_of(cohort, weights, horizons, **(PLAN | {"replicates": 640}), resume=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3 * before + 1  # finished blocks serve a longer run
    assert len(more.values) == 640


def test_a_kept_block_that_cannot_be_read_is_named(tmp_path):
    kept = KeptBlocks(tmp_path, "0" * 64)
    kept.save((0, 2), {"values": np.zeros(2)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(s4.InputError, match=r"0-2\.npz .* cannot be read"):
        kept.load((0, 2))


def test_fingerprints_tell_values_apart():
    a = np.arange(4.0)
    seen = {
        fingerprint(a),
        fingerprint(a.astype(np.float32)),
        fingerprint(a[:3]),
        fingerprint(a.reshape(2, 2)),
        fingerprint(a, 1),
        fingerprint(a, 1.0),
        fingerprint(a, "1"),
        fingerprint(a, None),
        fingerprint((a, 1)),
    }
    assert len(seen) == 9
    assert fingerprint(a, np.float64(1.0)) == fingerprint(a.copy(), 1.0)
    with pytest.raises(TypeError, match="no checksum"):
        fingerprint(object())


@pytest.mark.slow
def test_processes_give_the_same_bits():
    refit = refit_of(*pipeline(), seed=4)
    blocks = [(0, 256), (256, 300)]
    here, there = run_blocks(refit, blocks), run_blocks(refit, blocks, jobs=2, processes=True)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one["values"], other["values"])


def test_scheduler_and_jobs_together_are_refused():
    with pytest.raises(s4.InputError, match="jobs=2 would have no effect with a scheduler"):
        run_blocks(refit_of(*pipeline()), [(0, 10)], jobs=2, scheduler="tcp://nowhere:1")


@pytest.mark.slow
def test_a_cluster_gives_the_same_bits_and_survives_the_loss_of_a_worker():
    distributed = pytest.importorskip("distributed")
    expected = replicates_of(*pipeline(), **PLAN)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        whole = replicates_of(*pipeline(), **PLAN, scheduler=cluster.scheduler_address)
        np.testing.assert_array_equal(expected.values, whole.values)
        workers = [worker.pid for worker in cluster.workers.values()]
        lost = []

        def lose_one(done, total):
            if not lost:
                lost.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        long = PLAN | {"replicates": 6000}
        survived = replicates_of(*pipeline(), **long, scheduler=cluster.scheduler_address, progress=lose_one)
    assert lost
    np.testing.assert_array_equal(replicates_of(*pipeline(), **long).values, survived.values)
