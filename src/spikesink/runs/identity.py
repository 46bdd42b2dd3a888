"""What decides a run's weights, beside its data: its settings and the code that trains it."""

import hashlib
import json

from spikesink.runs.code_digest import code_digest
from spikesink.study.kinds import EXTRA_KEYS, SOFTMAX
from spikesink.study.run import Run

AFFECTS_RESULTS = False

TRAINING = "spikesink.training.__main__"


def unused_parts(run: Run) -> frozenset[str]:
    """The swappable parts that this run does not have: an edit of their modules leaves the run as it is.

    A module says at its top which part it is: ``PART = "gates"``.
    """
    model, attention = run.model, run.model.attention
    used = {
        "gates": model.gate.kind != "none",
        "valves": not model.value_valve.kind == model.key_valve.kind == "none",
        "softpick": attention.softmax == "softpick",
        "unnormalised": attention.softmax in ("sigmoid", "relu"),
        "muon": run.training.optimiser.kind == "muon",
        "extra_key": SOFTMAX[attention.softmax].extra_key or EXTRA_KEYS[attention.extra_key] > 0,
    }
    return frozenset(part for part, is_used in used.items() if not is_used)


def identity(run: Run) -> dict:
    """The resolved run with the digest of the code that trains it, as run.json holds it."""
    return run.resolved() | {"code": code_digest(TRAINING, without_parts=unused_parts(run))}


def run_digest(run: dict, tokens_sha256: str) -> str:
    """Digest of everything that the weights depend on: settings, code and data, but not the number of devices.

    ``run`` is its ``identity``. The variant's name is in it: two variants with the same settings may train at the same
    time, each into its folder.
    """
    relevant = {key: run.get(key) for key in ("variant", "tokenizer", "model", "training", "seed", "code")}
    relevant["tokens"] = tokens_sha256
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]
