"""The settings of a study as immutable values.

Standard library only: a run's settings must be readable on a GPU machine where pydantic is not installed. Every key of
``config.yaml`` is a field here, and the text under a field is its documentation. The JSON schema,
``workflow/schemas/config.schema.json``, is generated from both. Ranges that the types cannot express are checked in
``__post_init__``; the message names the key, the value and what to do.
"""

from spikesink.study.settings.build import build
from spikesink.study.settings.capabilities import Capabilities
from spikesink.study.settings.checks import SPECIFICATION
from spikesink.study.settings.measures import Measures
from spikesink.study.settings.model import (
    Attention,
    FeedForward,
    Gate,
    Initialisation,
    Model,
    Norm,
    RopeScaling,
    Valve,
    Window,
)
from spikesink.study.settings.pretrained import Pretrained
from spikesink.study.settings.resources import GPUResources, Resources, StageResources, TrainingResources
from spikesink.study.settings.study import (
    Config,
    Figures,
    Grid,
    Mechanism,
    Plan,
    Tracking,
    Variant,
)
from spikesink.study.settings.text import Corpus, Tokenizer
from spikesink.study.settings.training import Optimiser, Schedule, Training

AFFECTS_RESULTS = False

__all__ = [
    "SPECIFICATION",
    "Attention",
    "Capabilities",
    "Config",
    "Corpus",
    "FeedForward",
    "Figures",
    "GPUResources",
    "Gate",
    "Grid",
    "Initialisation",
    "Measures",
    "Mechanism",
    "Model",
    "Norm",
    "Optimiser",
    "Plan",
    "Pretrained",
    "Resources",
    "RopeScaling",
    "Schedule",
    "StageResources",
    "Tokenizer",
    "Tracking",
    "Training",
    "TrainingResources",
    "Valve",
    "Variant",
    "Window",
    "build",
]
