"""Keep freed memory for the next step instead of handing it back to the system."""

import ctypes

AFFECTS_RESULTS = False

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's parameters, from malloc.h."""
MOST = 1 << 30
"""Bytes of free memory that are kept, and of the largest tensor of a training step that is."""
OLD_MOST = 1 << 25
"""Bytes of the largest tensor that glibc before 2.35 keeps; it refuses to be told more."""


def keep_freed_memory(largest: int = MOST) -> None:
    """Let glibc reuse the memory of freed tensors of up to ``largest`` bytes; does nothing with another C library.

    By default glibc maps every tensor above 32 MB, at first even above 128 KB, and unmaps it when it is freed. The
    system then clears the same pages again at every step: a tenth of the time of a nano step on a CPU. Where glibc
    refuses the first setting the second is not made: it alone would leave the limit at 128 KB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and (mallopt(MMAP_THRESHOLD, largest) or mallopt(MMAP_THRESHOLD, OLD_MOST)):
        mallopt(TRIM_THRESHOLD, MOST)
