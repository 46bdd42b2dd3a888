"""Whether packed text is long enough for what a study trains and measures on it: decided as soon as it is packed.

A study tells its needs in the environment of its jobs. They are no setting of the tokens, which stay as they are when a
measure changes.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from spikesink.data.batches import TokenError
from spikesink.study.kinds import GATES
from spikesink.study.measure_cost import CONTEXTS
from spikesink.study.run import Run, Study
from spikesink.study.settings import Measures, Training

AFFECTS_RESULTS = False

VARIABLE = "SPIKESINK_TOKENS_NEEDED"

Need = tuple[int, str]
"""How many tokens are needed at least, and what for."""


def tell_jobs(study: Study) -> None:
    """Put the needs of a study into the environment, for the jobs that pack its tokens."""
    os.environ[VARIABLE] = json.dumps(needs(study))


def check_packed(folder: Path, index: Mapping) -> None:
    """Raises TokenError where a split in ``folder`` has fewer tokens than the study needs that asked for them."""
    for place, wanted in json.loads(os.environ.get(VARIABLE, "{}")).items():
        if not folder.absolute().as_posix().endswith(place):
            continue
        for split, (tokens, reason) in wanted.items():
            found = index["splits"].get(split, {}).get("tokens", 0)
            if found < tokens:
                raise TokenError(
                    f"the {split} split has {found:,} tokens, and {reason} needs {tokens:,}: lower that setting, or "
                    "use more text (documents, validation_share or validation_files of the corpus)"
                )


def needs(study: Study) -> dict[str, dict[str, Need]]:
    """What the runs of a study and the models that it measures need, by folder of tokens and by split."""
    measures, folders = study.config.measures, study.token_folders
    found = {}
    if study.runs:
        found[f"{folders['train']}"] = {"train": max(trained_on(run.training) for run in study.runs)}
        found.setdefault(f"{folders['measure']}", {})["validation"] = max(need_of(run, study) for run in study.runs)
    for name, model in study.config.pretrained.items():
        place = f"results/{study.config.study}/pretrained/{name}/tokens"
        found[place] = {"validation": held_out(measures, model.context, True, False)}
    return found


def trained_on(training: Training) -> Need:
    """What training a run needs of the text."""
    length, distinct = training.sequence_length, training.distinct_sequences or 1
    reason = f"training.sequence_length = {length}"
    if training.distinct_share is not None:
        reason = f"training.distinct_share = {training.distinct_share} of its sequences of {length} tokens"
    return distinct * length + 1, reason


def need_of(run: Run, study: Study) -> Need:
    """What measuring a run needs of the held-out text."""
    mechanism = study.config.mechanism
    in_depth = mechanism.variants == "all" or run.variant in mechanism.compare
    per_position = GATES[run.model.gate.kind].per_position
    return held_out(study.config.measures, run.training.sequence_length, in_depth, per_position)


def held_out(measures: Measures, context: int, in_depth: bool, per_position: bool) -> Need:
    """What measuring a model of this context needs; ``per_position``: its gate's table ends with the context."""
    wanted = [(context + 1, f"a context of {context:,} tokens")]
    if not per_position:
        wanted.append((measures.sink_tokens + 1, f"measures.sink_tokens = {measures.sink_tokens:,}"))
    calibration = measures.calibration_sequences
    calibrated = f"measures.calibration_sequences = {calibration:,} with a context of {context:,}"
    wanted.append(((calibration + 1) * context + 1, calibrated))
    if in_depth:
        wanted.append(
            (2 * context + 1, f"measures.gradient_sequences, at least 2, with a context of {context:,} tokens")
        )
        if not per_position:
            length = CONTEXTS * context
            wanted.append((length + 1, f"streaming over {CONTEXTS} contexts of {context:,} tokens"))
    return max(wanted)
