"""The figures of a model's mechanism, in the order of the report. Imports nothing, so that planning is quick.

Each is a module of this name with QUESTIONS, the measures it reads, CAPTION, ``data(models)``, the values drawn as one
table whose first column is the model, and ``draw(models, width)``, with models {label: {question: table}} in drawing
order and a width of ``style.WIDTHS``.
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

# Models share panels and are told apart by their looks, a third argument of ``draw``.
SHARED = ("gradient_paths", "layer_phenomena", "quantisation", "interventions")
