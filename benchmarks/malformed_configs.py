"""Try thousands of faulty configs: ``python benchmarks/malformed_configs.py [NUMBER] [SEED]``, run in the checkout.

Each is an overlay: settings from scratch, taken and impossible names, the files of the repository with another value or
with other bytes. It prints how many are refused and accepted, and every one that ends in a traceback, that only one of
the two commands takes, whose refusal is no line with a remedy, or that is accepted and refused by a later job.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/unit"))

from malformed import malformed
from malformed_outcome import outcome_of


def main() -> int:
    number, seed = (int(value) for value in (*sys.argv[1:3], *("2000", "0")[len(sys.argv[1:3]) :]))
    found, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for content in malformed(seed, number):
            start = time.perf_counter()
            outcome = outcome_of(content, Path(folder))
            slowest = max(slowest, time.perf_counter() - start)
            found["faults" if outcome.fault else "refused" if outcome.refusal else "accepted"] += 1
            if outcome.fault:
                print(f"{outcome.fault}\n    {content[:300]!r}")
    print(f"{number} configs, seed {seed}: {dict(found)}; the slowest took {slowest:.1f} s")
    return min(found["faults"], 1)


if __name__ == "__main__":
    sys.exit(main())
