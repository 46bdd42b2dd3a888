"""spikesink: train Transformers with one architectural choice changed at a time, measure spikes and attention sinks."""

AFFECTS_RESULTS = False

__version__ = "0.1.0"
