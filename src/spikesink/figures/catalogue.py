"""The figures of a model's mechanism, in the order of the report. Imports nothing, so that planning is quick.

Each is a module of this name with QUESTIONS, the measures it reads, CAPTION, and ``draw(models)`` with models {label:
{question: table}} in drawing order.
"""

FIGURES = (
    # 2603.05498
    "spike_lifecycle",
    "vocabulary_probe",
    "silu_identity",
    "amplifier_norms",
    "amplifier_spectrum",
    "normalisation",
    "sink_geometry",
    "attention_distance",
    # 2603.17771
    "gradient_sinks",
    "gradient_paths",
    "reshaping",
    "layer_phenomena",
    "valve_strength",
    "dynamics",
    # what follows for those who use a model
    "quantisation",
    "streaming",
    "interventions",
)
