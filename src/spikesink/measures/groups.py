"""Which questions a measuring job answers together, and which settings it reads. Quick to import.

Starting PyTorch and loading a model costs more than answering one question of a small one, so a job answers a group. A
job's identity covers its own group only: editing one measure reruns the jobs of its group and nothing else.
"""

from typing import NamedTuple

SPIKE_RULE = ("spike_magnitude", "spike_over_median", "step_share", "spike_channels")
SEQUENCES = ("sink_tokens", "sequences", "batch_size")
BACKWARD = ("gradient_sequences", "batch_size", "loss_chunk")


class Group(NamedTuple):
    """One measuring job of a model; ``spikesink.measures.answers.<name>`` answers its questions."""

    questions: tuple[str, ...]
    """Each becomes measures/<question>.parquet."""
    reads: tuple[str, ...]
    """Keys of the config's measures section."""


GROUPS = {
    "quality": Group(("perplexity",), ("perplexity_tokens", "batch_size")),
    "forward": Group(("attention", "activations"), ("sink_epsilon", *SEQUENCES)),
    "spikes": Group(
        (
            "lifecycle",
            "spike_channels",
            "spike_tokens",
            "vocabulary_probe",
            "delimiter_probe",
            "first_token_value_output",
            "amplifier_norms",
            "amplifier_spectrum",
            "amplifier_alignment",
            "silu_identity",
        ),
        (*SPIKE_RULE, *SEQUENCES, "delimiters", "chunk"),
    ),
    "geometry": Group(
        ("normalisation", "normalised_channels", "sink_geometry", "key_query_embedding", "attention_distance"),
        ("sink_epsilon", "spike_channels", *SEQUENCES, "chunk"),
    ),
    "gradients": Group(
        (
            "gradients",
            "gradient_sink_ratio",
            "value_gradient_bounds",
            "reshaping",
            "reshaping_slopes",
            "layers",
            "valve_strength",
        ),
        (*BACKWARD, "sink_epsilon", "sink_tokens"),
    ),
    "consequences": Group(
        ("quantisation", "activation_ranges", "streaming", "interventions"),
        (
            "consequence_tokens",
            "calibration_sequences",
            "caches",
            "sink_epsilon",
            "sink_tokens",
            "spike_channels",
            "batch_size",
            "chunk",
        ),
    ),
    "dynamics": Group(("snapshot_summary", "onsets", "independence"), BACKWARD),
}
