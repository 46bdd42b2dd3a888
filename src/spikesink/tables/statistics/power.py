"""How many seeds a verdict needs: the power of the t test at a given effect and the spread between seeds that was
seen."""

import math

import numpy as np
from scipy.special import nctdtr, stdtrit

from spikesink.tables.statistics.intervals import LEVEL, Statistic

POWER = 0.8
MOST = 1000


def seeds_needed(found: Statistic, margins: tuple[float, float]) -> int | None:
    """The number of seeds for which the test decides with probability POWER; None for more than MOST.

    ``margins`` are the distances from the true value to the limits of the region below and above it, on the scale of
    the statistic; an infinite one is no limit. With two limits it is the test of equivalence, at 5 % on each side.
    """
    if not found.spread or min(margins) <= 0:
        return None
    counts = np.arange(2, MOST + 1)
    freedom = (counts - 1) * (2 if found.method == "Welch" else 1)
    finite = [margin for margin in margins if math.isfinite(margin)]
    level = LEVEL if len(finite) == 1 else 2 * LEVEL - 1
    limit = stdtrit(freedom, (1 + level) / 2)
    missed = sum(miss(freedom, margin * np.sqrt(counts) / found.spread, limit) for margin in finite)
    enough = np.flatnonzero(1 - missed >= POWER)
    return int(counts[enough[0]]) if len(enough) else None


def miss(freedom: np.ndarray, shift: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """The probability that a t value whose mean is shifted stays below the limit; none is missed far above it."""
    near = shift < limit + 30
    found = np.zeros(len(shift))
    found[near] = np.nan_to_num(nctdtr(freedom[near], shift[near], limit[near]))
    return found
