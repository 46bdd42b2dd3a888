"""When sinks, gradient sinks and spikes come, over the snapshots of a run."""

from collections.abc import Iterator

from spikesink.measures.questions.dynamics import onsets, snapshot_summary
from spikesink.measures.questions.independence import averaged, independence, sink_observations
from spikesink.measures.subject import Subject
from spikesink.model.trained import load_snapshots
from spikesink.study.settings import Measures


def answers(subject: Subject, settings: Measures) -> Iterator[tuple[str, list[dict]]]:
    """Without snapshots the three tables are empty."""
    rows = subject.rows(settings.gradient_sequences)
    common = {"window": subject.window, "batch_size": settings.batch_size, "loss_chunk": settings.loss_chunk}
    summaries, observations = [], []
    for step, model in load_snapshots(subject.snapshots, subject.model):
        summaries += snapshot_summary(model, rows, step=step, **common)
        # A BOS makes token 0 the same in all sequences, so sequences are no observations of their own.
        observations += averaged(sink_observations(model, rows, step=step, **common))
    yield "snapshot_summary", summaries
    yield "onsets", onsets(summaries)
    yield (
        "independence",
        [
            row
            for within_blocks in (False, True)
            if observations
            for row in independence(observations, within_blocks=within_blocks)
        ],
    )
