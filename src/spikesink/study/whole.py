"""The whole config of a study, which repeats it whatever becomes of the files that it was made from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spikesink.study.names import BASELINE
from spikesink.study.run import Run, Study


def whole_config(study: Study) -> dict:
    """Every key of the config as a plain value; listed ablations and grids are written out as variants."""
    config = study.config
    plain = json.loads(json.dumps(asdict(config)))
    variants: dict[str, dict] = {}
    for run in study.runs:
        if run.ablation != BASELINE:
            variants.setdefault(run.ablation, {}).setdefault(run.variant, changes(run, plain))
    return plain | {"ablations": [], "variants": variants, "cross": {}}


def changes(run: Run, baseline: Mapping) -> dict:
    """The run's variant as the config has it: its names, and the settings in which it differs from the baseline."""
    plain = json.loads(json.dumps({"model": asdict(run.model), "training": asdict(run.training)}))
    differing = {part: difference(plain[part], baseline[part]) for part in plain}
    return {
        key: value for key, value in {"label": run.label, "stands_for": run.stands_for, **differing}.items() if value
    }


def difference(changed: Mapping, baseline: Mapping) -> dict[str, Any]:
    """What to merge over ``baseline``, nested, to get ``changed``."""
    found = {}
    for key, value in changed.items():
        own = baseline[key]
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            value, own = difference(value, own), {}
        if value != own:
            found[key] = value
    return found
