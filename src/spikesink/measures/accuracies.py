"""The standard tasks whose accuracies 2603.17771 averages in its Table 3."""

FULL_PRECISION = "full_precision"
MEAN_ACCURACY = "mean_accuracy"
"""The task whose value is the mean of ``ACCURACIES``, where a model was given all of them."""

ACCURACIES = {
    "lambada": ("lambada_openai", "acc", "LAMBADA"),
    "arc_challenge": ("arc_challenge", "acc_norm", "ARC-C"),
    "arc_easy": ("arc_easy", "acc_norm", "ARC-E"),
    "boolq": ("boolq", "acc", "BoolQ"),
    "copa": ("copa", "acc", "COPA"),
    "hellaswag": ("hellaswag", "acc_norm", "HellaSwag"),
    "openbookqa": ("openbookqa", "acc_norm", "OBQA"),
    "piqa": ("piqa", "acc_norm", "PIQA"),
    "sciq": ("sciq", "acc", "SciQ"),
    "winogrande": ("winogrande", "acc", "WinoGrande"),
}
"""By column: task, metric and label. acc_norm takes the log-likelihood of an answer over its characters."""
