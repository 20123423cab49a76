"""Ours and the peers side by side: ``python -m benchmarks``.

One thread for everybody, set before a library that would start more is loaded.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"
