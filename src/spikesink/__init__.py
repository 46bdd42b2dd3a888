"""spikesink: train Transformers with one architectural choice changed at a time, measure spikes and attention sinks."""

__version__ = "0.1.0"
