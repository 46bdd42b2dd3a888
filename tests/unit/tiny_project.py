"""A folder with a config of four small runs, for tests of what reads a study and its results."""

from pathlib import Path

import yaml

from spikesink.study.resolve import load
from spikesink.study.run import Study
from spikesink.study.strict_yaml import merge, read_yaml

ROOT = Path(__file__).parents[2]
NANO = read_yaml(ROOT / "workflow/scales/nano.yaml")
OVERLAY = {
    "study": "tiny",
    "scale": "tiny",
    "seeds": [0, 1],
    "tokenizer": {"vocabulary": 300},
    "model": {
        "layers": 1,
        "d_model": 16,
        "attention": {"heads": 2, "head_dim": 8},
        "feed_forward": {"width": 20},
    },
    "training": {
        "steps": 4,
        "batch_size": 4,
        "sequence_length": 16,
        "schedule": {"warmup_steps": 2},
        "snapshots": 0,
    },
    "mechanism": {"compare": ["baseline"]},
    "tracking": {"live": False},
    "ablations": ["v_scale/v_scale"],
}
RESULTS = Path("results/tiny")
OPTIONS = ("--configfile", "tiny.yaml")


def study_in(folder: Path, **changes: dict) -> Study:
    """Write the project's config.yaml and, with ``changes``, tiny.yaml into ``folder``; the study that they make."""
    base = folder / "config.yaml"
    base.write_text((ROOT / "config.yaml").read_text())
    if not (folder / "workflow").exists():
        (folder / "workflow").symlink_to(ROOT / "workflow")  # has the scales and ablations
    overlay = folder / "tiny.yaml"
    overlay.write_text(yaml.safe_dump(merge(merge(NANO, OVERLAY), changes)))
    return load([overlay], base)
