"""Import Lightning without torchmetrics, which no run uses.

Lightning needs two class names of torchmetrics. The real package imports SciPy, Matplotlib and transformers where they
are installed. That is half of the time until a run's first step, and 120 MB of its memory.
"""

import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from types import ModuleType

AFFECTS_RESULTS = False


def leave_out_torchmetrics() -> None:
    """From now on, ``import torchmetrics`` gives an empty package with these two names, unless it was imported before.

    Call this before Lightning is imported.
    """
    name = "torchmetrics"
    stand_in = ModuleType(name)
    stand_in.__spec__ = ModuleSpec(name, None)
    stand_in.__version__ = metadata.version(name)
    stand_in.Metric = type("Metric", (), {})
    stand_in.MetricCollection = type("MetricCollection", (), {})
    sys.modules.setdefault(name, stand_in)
