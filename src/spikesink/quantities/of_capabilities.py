"""What models score in standard tasks: columns of runs.csv, and of mechanism.csv for published models (2603.17771).

The tasks are those of its Table 3, by the names of lm-evaluation-harness. Other tasks that a study names are in
measures/capabilities.parquet of every model.
"""

from spikesink.quantities.quantity import BOTH, CAPABILITIES, Quantity, Taken, column

SOURCE = "arXiv 2603.17771 Table 3"


def perplexity_in(name: str, task: str, metric: str, label: str, meaning: str) -> Quantity:
    taken = Taken(CAPABILITIES, "value", "first", {"task": task, "metric": metric})
    found = column(name, taken, "1", SOURCE, meaning, scale="log")
    return found._replace(table=BOTH, label=label, heading=label, format=",.2f", averaged=True, tested=True)


def accuracy(name: str, task: str, label: str, metric: str = "acc") -> Quantity:
    """Percent of the questions; acc_norm takes the likelihood of an answer by its length."""
    taken = Taken(CAPABILITIES, "value", "percent", {"task": task, "metric": metric})
    how = " by likelihood per byte" if metric == "acc_norm" else ""
    found = column(name, taken, "%", SOURCE, f"questions of {task} answered rightly{how}", scale="share")
    heading = f"{label} (%)"
    shown = {"label": heading, "heading": heading, "format": ",.1f", "averaged": True, "tested": True}
    return found._replace(table=BOTH, bounds=(0.0, 100.0), **shown)


OF_CAPABILITIES = (
    perplexity_in("wikitext", "wikitext", "word_perplexity", "WikiText", "perplexity per word of WikiText"),
    perplexity_in(
        "lambada_perplexity",
        "lambada_openai",
        "perplexity",
        "LAMBADA perplexity",
        "perplexity of the last word of a passage of LAMBADA",
    ),
    accuracy("lambada", "lambada_openai", "LAMBADA"),
    accuracy("arc_challenge", "arc_challenge", "ARC-C", "acc_norm"),
    accuracy("arc_easy", "arc_easy", "ARC-E", "acc_norm"),
    accuracy("boolq", "boolq", "BoolQ"),
    accuracy("copa", "copa", "COPA"),
    accuracy("hellaswag", "hellaswag", "HellaSwag", "acc_norm"),
    accuracy("openbookqa", "openbookqa", "OBQA", "acc_norm"),
    accuracy("piqa", "piqa", "PIQA", "acc_norm"),
    accuracy("sciq", "sciq", "SciQ"),
    accuracy("winogrande", "winogrande", "WinoGrande"),
)
