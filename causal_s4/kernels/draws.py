"""Resampling counts, each replicate from its own stream: replicate 17 is the same in any order and company.

The generator is Philox4x32-10 (Salmon et al. 2011, 10.1145/2063384.2063405). It is counter-based: the
words of a replicate are a function of (key, replicate, position), so a stream needs no set-up. Making one
``numpy.random.Generator`` a replicate would cost more than the whole replicate of a small cohort does.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from causal_s4.kernels.risk_sets import Floats, Ints

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLY = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_ROUNDS = 10
_UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def philox(counter: np.ndarray, key: np.ndarray, words: np.ndarray) -> None:
    """Fill four 32-bit words from a four-word counter and a two-word key, all held as uint64."""
    a, b, c, d = counter[0], counter[1], counter[2], counter[3]
    k, l = key[0], key[1]  # noqa: E741
    for _ in range(_ROUNDS):
        left, right = _MULTIPLY[0] * a, _MULTIPLY[1] * c
        a, b, c, d = (right >> _HALF) ^ b ^ k, right & _MASK, (left >> _HALF) ^ d ^ l, left & _MASK
        k, l = (k + _WEYL[0]) & _MASK, (l + _WEYL[1]) & _MASK  # noqa: E741
    words[0], words[1], words[2], words[3] = a, b, c, d


@njit(cache=True, nogil=True)
def count_draws(key: np.ndarray, first: int, strata: Ints, counts: Floats) -> None:
    """Count how often each unit is drawn, with replacement, in each replicate.

    Parameters
    ----------
    key : ndarray of uint64, shape (2,)
    first : int
        Number of the first replicate; one a row of ``counts`` follows.
    strata : ndarray of int, shape (s + 1,)
        Units ``strata[k]`` to ``strata[k + 1] - 1`` are drawn among themselves, as many as they are.
    counts : ndarray, shape (replicates, units)
        Overwritten.
    """
    counter, words = np.zeros(4, np.uint64), np.empty(4, np.uint64)
    for row in range(counts.shape[0]):
        counts[row] = 0.0
        replicate = np.uint64(first + row)
        counter[0], counter[1] = np.uint64(0), np.uint64(0)
        counter[2], counter[3] = replicate & _MASK, replicate >> _HALF
        have = 0
        for stratum in range(strata.size - 1):
            begin = strata[stratum]
            size = np.uint64(strata[stratum + 1] - begin)
            # Lemire 2019, 10.1145/3230636: the upper half of word x size is uniform once a few words are refused
            refused = (np.uint64(0x100000000) - size) % size
            for _ in range(np.int64(size)):
                while True:
                    if have == 0:
                        philox(counter, key, words)
                        counter[0] += np.uint64(1)
                        have = 4
                    have -= 1
                    product = words[have] * size
                    if product & _MASK >= refused:
                        break
                counts[row, begin + np.int64(product >> _HALF)] += 1.0


@njit(cache=True, nogil=True)
def exponential_draws(key: np.ndarray, first: int, strata: Ints, counts: Floats) -> None:
    """Draw standard exponential weights and scale them to mean one within each stratum.

    Uniform Dirichlet weights: the Bayesian bootstrap (Rubin 1981, 10.1214/aos/1176345338). Parameters as
    in :func:`count_draws`.
    """
    counter, words = np.zeros(4, np.uint64), np.empty(4, np.uint64)
    for row in range(counts.shape[0]):
        replicate = np.uint64(first + row)
        counter[2], counter[3] = replicate & _MASK, replicate >> _HALF
        for stratum in range(strata.size - 1):
            begin, end = strata[stratum], strata[stratum + 1]
            total = 0.0
            for unit in range(begin, end):
                counter[0] = np.uint64(unit)
                philox(counter, key, words)
                # 53 bits in (0, 1]
                share = (np.float64((words[0] << np.uint64(21)) ^ (words[1] >> np.uint64(11))) + 1.0) * _UNIT
                counts[row, unit] = -np.log(share)
                total += counts[row, unit]
            for unit in range(begin, end):
                counts[row, unit] *= (end - begin) / total
