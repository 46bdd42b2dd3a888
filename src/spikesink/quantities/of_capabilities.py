"""What models score in standard tasks: columns of runs.csv, and of mechanism.csv for published models (2603.17771).

The tasks are those of its Tables 3 and 4 and of its needles, by the names of lm-evaluation-harness. Other tasks that a
study names are in measures/capabilities.parquet of every model.
"""

from spikesink.measures.accuracies import ACCURACIES, FULL_PRECISION, MEAN_ACCURACY
from spikesink.quantities.quantity import BOTH, CAPABILITIES, Quantity, Taken, column

PERPLEXITIES = {
    "wikitext": ("wikitext", "word_perplexity", "WikiText", "perplexity per word of WikiText"),
    "lambada_perplexity": (
        "lambada_openai",
        "perplexity",
        "LAMBADA perplexity",
        "perplexity of the last word of a passage of LAMBADA",
    ),
}
"""By column: task, metric, label and meaning."""

NEEDLES = {
    "niah_single_2": ("niah_single_2", "2048", "single needle 2"),
    "niah_single_3": ("niah_single_3", "2048", "single needle 3"),
    "niah_multikey_1": ("niah_multikey_1", "2048", "multi-key needles"),
}
"""By column: task, metric and label, for RULER's needles. Their metric is the length of the texts in tokens."""

OF_TABLE_4 = {
    "smoothquant": ("SmoothQuant", "in INT8 after SmoothQuant"),
    "round_to_nearest": ("INT4 nearest", "with weights rounded to the nearest INT4 level"),
    "gptq": ("INT4 GPTQ", "with INT4 weights by GPTQ"),
    "awq": ("INT4 AWQ", "with INT4 weights by AWQ"),
}
OF_REBUTTAL = {
    "dynamic_per_token": ("INT8 per token", "in INT8, a range per token"),
    "static_per_tensor": ("INT8 static", "in INT8, calibrated ranges"),
    "down_projection_static": ("INT8 static, down projections", "with the down projections in INT8, calibrated ranges"),
}
"""By setting of the measure ``quantisation``: label, and how a model of that setting is called in a meaning."""


def column_of(name: str, setting: str) -> str:
    """The column of a task's column for models of a setting."""
    return name if setting == FULL_PRECISION else f"{name}_{setting}"


def perplexity_in(name: str, setting: str, source: str) -> Quantity:
    task, metric, label, meaning = PERPLEXITIES[name]
    return task_column(name, setting, (task, metric), source, meaning, label, "1")._replace(format=",.2f", scale="log")


def accuracy(name: str, setting: str, source: str) -> Quantity:
    """Percent of the questions."""
    task, metric, label = (ACCURACIES | NEEDLES | {MEAN_ACCURACY: (MEAN_ACCURACY, "acc", "mean accuracy")})[name]
    if name in NEEDLES:
        meaning = f"needles of {task} found in {int(metric):,} tokens (RULER)"
    elif name == MEAN_ACCURACY:
        meaning = f"questions answered rightly, mean of {', '.join(ACCURACIES)}"
    else:
        how = " by likelihood per character" if metric == "acc_norm" else ""
        meaning = f"questions of {task} answered rightly{how}"
    found = task_column(name, setting, (task, metric), source, meaning, f"{label} (%)", "%")
    return found._replace(format=",.1f", scale="share", bounds=(0.0, 100.0))


def task_column(
    name: str, setting: str, asked: tuple[str, str], source: str, meaning: str, label: str, unit: str
) -> Quantity:
    """The value of a metric of a task, of a model in full precision or of a quantised one."""
    where = {"task": asked[0], "metric": asked[1], "setting": setting}
    taken = Taken(CAPABILITIES, "value", "percent" if unit == "%" else "first", where)
    if setting != FULL_PRECISION:
        short, how = (OF_TABLE_4 | OF_REBUTTAL)[setting]
        meaning, label = f"{meaning}, {how}", f"{label}, {short}"
    found = column(column_of(name, setting), taken, unit, f"arXiv 2603.17771 {source}", meaning)
    return found._replace(table=BOTH, label=label, heading=label, averaged=True, tested=True)


def in_setting(setting: str, source: str, accuracies: tuple[str, ...]) -> tuple[Quantity, ...]:
    """The columns of a setting: perplexities, accuracies and needles."""
    return (
        *(perplexity_in(name, setting, source) for name in PERPLEXITIES),
        *(accuracy(name, setting, source) for name in accuracies),
        *(accuracy(name, setting, "App" if source.startswith("Table") else source) for name in NEEDLES),
    )


OF_CAPABILITIES = in_setting(FULL_PRECISION, "Table 3", (*ACCURACIES, MEAN_ACCURACY))
OF_QUANTISED_CAPABILITIES = {
    **{setting: in_setting(setting, "Table 4", (*ACCURACIES, MEAN_ACCURACY)) for setting in OF_TABLE_4},
    **{setting: in_setting(setting, "rebuttal", (MEAN_ACCURACY,)) for setting in OF_REBUTTAL},
}
"""By setting. The rebuttal prints the mean of the accuracies alone."""
EVERY_CAPABILITY = (*OF_CAPABILITIES, *(one for found in OF_QUANTISED_CAPABILITIES.values() for one in found))
