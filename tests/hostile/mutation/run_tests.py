"""Run the tests of the kernel that was changed last, those that are about it first, until one fails.

A survivor is run through all of the tests that bear on its file. What numba compiled of other files holds a copy of
the changed function, so it is thrown away; a loop that no longer ends is ended by a limit on processor time.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

SECONDS = 300
KERNELS = Path("causal_s4/kernels")
GENERAL = (
    "tests/kernels",
    "tests/propensity",
    "tests/survival",
    "tests/inference/test_influence.py",
    "tests/test_against_r",
)
REPLICATES = ("tests/inference/test_bootstrap.py", "tests/inference/test_bootstrap_intervals.py", "tests/kernels")
TESTS = {
    "batched_newton": (*REPLICATES, "tests/inference/test_clone_bootstrap.py", "tests/inference/test_bootstrap_against_peers.py"),
    "replicate_weights": (*REPLICATES, "tests/inference/test_bootstrap_against_peers.py"),
    "replicate_clones": ("tests/inference/test_clone_bootstrap.py", "tests/kernels"),
    "clone_factors": ("tests/inference/test_clone_bootstrap.py", "tests/emulation/test_clone_weights.py"),
    "poisson": ("tests/kernels", "tests/inference/test_clone_bootstrap.py", "tests/emulation"),
    "draws": ("tests/inference/test_bootstrap_draws.py", "tests/inference/test_bootstrap.py"),
    "sweeps": ("tests/kernels", "tests/survival", "tests/inference/test_bootstrap.py", "tests/test_against_r"),
    "cox_sweeps": ("tests/kernels", "tests/inference/test_influence.py", "tests/inference/test_jackknife.py", "tests/test_against_r"),
    "baseline_hazard": ("tests/emulation", *GENERAL),
}  # fmt: skip
"""Of a kernel, where not the general ones: the quickest to notice first."""


def main() -> None:
    """Become pytest."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    changed = max(KERNELS.glob("*.py"), key=lambda path: path.stat().st_mtime)
    for caller in KERNELS.glob("replicate_*.py"):
        if changed.stem in ("batched_newton", "replicate_weights") and caller != changed:
            caller.touch()
    os.environ["OMP_NUM_THREADS"] = "1"
    pytest = ("-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider")
    os.execv(sys.executable, [sys.executable, *pytest, *TESTS.get(changed.stem, GENERAL)])


if __name__ == "__main__":
    main()
