"""What spikes and sinks mean for those who quantise, stream or edit a model."""

from collections.abc import Iterator

from spikesink.measures.questions.interventions import interventions
from spikesink.measures.questions.quantisation import activation_ranges, quantisation
from spikesink.measures.questions.streaming import streaming
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures

STREAM = 4
"""Streaming is measured on text of so many contexts."""


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    model, batch_size, context = subject.model, settings.batch_size, subject.context
    calibration = settings.calibration_sequences
    rows = subject.rows(max(1, settings.consequence_tokens // context) + calibration)
    yield "quantisation", quantisation(model, rows, calibration_sequences=calibration, batch_size=batch_size)
    yield "activation_ranges", activation_ranges(model, rows[:calibration, :-1], batch_size=batch_size)
    caches = settings.caches or tuple(size for size in (context // 4, context // 2) if size > 4)
    long = subject.rows(max(1, settings.consequence_tokens // (STREAM * context)), STREAM * context)
    yield "streaming", streaming(model, long, caches=caches, query_chunk=settings.chunk, batch_size=batch_size)
    yield (
        "interventions",
        interventions(
            model,
            rows,
            channels=settings.spike_channels,
            calibration_sequences=calibration,
            sink_tokens=settings.sink_tokens,
            epsilon=settings.sink_epsilon,
            batch_size=batch_size,
        ),
    )
