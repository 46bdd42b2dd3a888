"""Where gradients gather and what that does to activations (2603.17771)."""

from collections.abc import Iterator

from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients
from spikesink.measures.questions.layers import layers
from spikesink.measures.questions.reshaping import reshaping, reshaping_slopes
from spikesink.measures.questions.value_gradients import value_gradient_bounds
from spikesink.measures.questions.valve_strength import valve_strength
from spikesink.measures.subject import Subject
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    model, batch_size = subject.model, settings.batch_size
    rows = subject.rows(settings.gradient_sequences)
    common = {"window": subject.window, "batch_size": batch_size, "loss_chunk": settings.loss_chunk}
    table = gradients(model, rows, **common)
    yield "gradients", table
    yield "gradient_sink_ratio", gradient_sink_ratio(table)
    yield "value_gradient_bounds", value_gradient_bounds(model, rows, **common)
    points = reshaping(model, rows, **common)
    yield "reshaping", points
    yield "reshaping_slopes", reshaping_slopes(points)
    forward = {"epsilon": settings.sink_epsilon, "queries": settings.sink_tokens, "batch_size": batch_size}
    yield "layers", layers(model, rows[:, :-1], **forward)
    yield "valve_strength", valve_strength(model)
