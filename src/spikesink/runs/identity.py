"""What decides a run's weights, beside its data: its settings and the code that trains it."""

from spikesink.runs.code_digest import code_digest, module_digests
from spikesink.study.run import Run

TRAINING = "spikesink.training.__main__"


def unused_parts(run: Run) -> frozenset[str]:
    """The swappable modules of the decoder that this run's model does not have: editing them leaves it as it is."""
    model, attention = run.model, run.model.attention
    unused = set()
    if model.gate.kind == "none":
        unused.add("spikesink.model.gates")
    if model.value_valve.kind == model.key_valve.kind == "none":
        unused.add("spikesink.model.valves")
    if attention.softmax != "softpick":
        unused.add("spikesink.model.softpick")
    if attention.softmax not in ("softmax1", "sink_logit") and attention.extra_key == "none":
        unused.add("spikesink.model.extra_key")
    return frozenset(unused)


def identity(run: Run) -> dict:
    """The resolved run with the digest of the code that trains it, as run.json holds it."""
    return run.resolved() | {"code": code_digest(TRAINING, unused_parts(run))}


def training_modules(run: Run) -> dict[str, str]:
    """The digest of every module that trains this run."""
    return module_digests(TRAINING, unused_parts(run))
