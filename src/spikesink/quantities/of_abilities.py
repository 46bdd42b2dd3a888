"""The quantities that say what a model can still do: columns of runs.csv, and of mechanism.csv for published models."""

from math import inf

from spikesink.quantities.quantity import Quantity

PERCENT, POSITIVE, NEGATIVE, EITHER = (0.0, 100.0), (0.0, inf), (-inf, 0.0), (-1.0, 1.0)
NEEDLES, INDUCTION, BACKCOPY = "arXiv 2603.17771 App", "arXiv 2209.11895", "arXiv 2410.13835"


def ability(name: str, label: str, unit: str, source: str, meaning: str, **facts) -> Quantity:
    """A quantity of every run and of every model that is analysed in depth; averaged, because variants are compared."""
    common = {"heading": name.replace("_", " "), "averaged": True, "format": ",.2f"} | facts
    return Quantity(name, "both", unit, meaning, source, label=label, **common)


def share(name: str, label: str, source: str, meaning: str, tested: bool = False) -> Quantity:
    """An ability in percent."""
    facts = {
        "tested": tested,
        "scale": "share",
        "bounds": PERCENT,
        "format": ",.1f",
        "heading": label[0].lower() + label[1:],
    }
    return ability(name, label, "%", source, meaning, **facts)


OF_ABILITIES = (
    ability(
        "context_gain",
        "Loss early − late in the context (nats)",
        "nats",
        INDUCTION,
        "mean loss in the first quarter of the context minus that in the last",
        tested=True,
    ),
    share(
        "induction_accuracy",
        "Induction accuracy (%)",
        INDUCTION,
        "tokens of the second copy of repeated random tokens that are the model's first choice",
        tested=True,
    ),
    ability(
        "induction_gain",
        "Induction gain (nats)",
        "nats",
        INDUCTION,
        "mean loss in the first copy of repeated random tokens minus that in the second",
    ),
    share(
        "retrieval_accuracy",
        "Retrieval accuracy (%)",
        NEEDLES,
        "planted values that are the model's first choice after their key, mean over distances and five seeds",
    ),
    ability(
        "retrieval_spread",
        "SD of retrieval accuracy (points)",
        "percentage points",
        NEEDLES,
        "standard deviation of the retrieval accuracy over five seeds of the planting",
        averaged=False,
    ),
    share(
        "retrieval_choice",
        "Retrieval among four values (%)",
        NEEDLES,
        "planted values that are likelier after their key than the three values of other keys; chance is 25 %",
        tested=True,
    ),
    ability(
        "retrieval_gain",
        "Log-probability of the value over that of others (nats)",
        "nats",
        NEEDLES,
        "log-probability of a planted value after its key minus that of the values of other keys; 0 at chance",
    ),
    ability(
        "retrieval_log_probability",
        "Log-probability of the value (nats)",
        "nats",
        NEEDLES,
        "log-probability of a planted value after its key; chance is the negative logarithm of the vocabulary",
        bounds=NEGATIVE,
    ),
    *(
        ability(
            f"perplexity_{contexts}x",
            f"Perplexity {label} the context",
            "1",
            NEEDLES,
            f"perplexity at positions {where} the trained context, of text of four contexts",
            heading=f"perplexity {label}",
            scale="log",
            tested=True,
        )
        for contexts, label, where in (
            (1, "up to 1×", "up to once"),
            (2, "at 1× to 2×", "from once to twice"),
            (4, "at 2× to 4×", "from twice to four times"),
        )
    ),
    ability(
        "backcopy_loss_trigger",
        "Loss after triggers (nats)",
        "nats",
        BACKCOPY,
        "mean loss after a trigger of Bigram-Backcopy, where the oracle's is 0",
        bounds=POSITIVE,
    ),
    ability(
        "backcopy_loss_other",
        "Loss after other tokens (nats)",
        "nats",
        BACKCOPY,
        "mean loss after other tokens of Bigram-Backcopy",
        bounds=POSITIVE,
    ),
    ability(
        "backcopy_excess_risk",
        "Excess risk (nats)",
        "nats",
        BACKCOPY,
        "mean loss minus that of the oracle, which copies after triggers and knows the bigrams, on the same tokens",
    ),
    ability(
        "backcopy_dormancy",
        "Active-dormant attention on BOS",
        "share of attention",
        BACKCOPY,
        "attention on the BOS at other tokens minus that at triggers, of the head in which it is largest",
        bounds=EITHER,
    ),
)
