"""spikesink: train Transformers with one architectural choice changed at a time, measure spikes and attention sinks."""

import os
import sys

AFFECTS_RESULTS = False

__version__ = "0.1.0"

if "IPython" not in sys.modules:
    # Programs draw into files. Jupyter names its own display for all that is started from a cell, and matplotlib, which
    # torchmetrics imports too, ends where that is not installed.
    os.environ["MPLBACKEND"] = "agg"
# Several threads add up in whatever order they end: the last digits of tables would change from one time to the next.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
