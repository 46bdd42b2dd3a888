"""The generated parts about the published study of real models: its numbers, and its verdicts on the papers' claims."""

from published import ROOT, rows_of, table

MODELS = ROOT / "results/published/real_models"
SHOWN = (
    *("perplexity", "spike", "spike_channel", "spike_position", "spike_over_median"),
    *("blocks", "step_up_blocks", "step_up_share", "step_down_blocks", "step_down_share", "plateau_output"),
    *("spike_channels", "vocabulary_spike_pct", "sink_ratio", "sink_mass_mean", "sink_mass_max"),
    *("eigenvalue", "second", "cosine_spike", "quadratic_error_spike", "rank_one_error_spike"),
    *("silu_cosine_spike", "silu_norm_ratio_spike", "normalised_energy_spike"),
    *("spike_cosine_before", "spike_cosine_after", "gradient_sink_ratio", "gradient_sink_over_uniform"),
    *("int8_full_precision", "int8_dynamic_per_token", "int8_static_per_tensor"),
)
"""Columns of mechanism.csv that the page shows, of those that the study has."""


def numbers() -> str:
    """What was measured: a row per quantity, a column per model."""
    from spikesink.quantities import QUANTITIES

    models = rows_of("tables/mechanism.csv", MODELS)
    names = [model["model"] for model in models]
    rows = []
    for name in SHOWN:
        quantity = QUANTITIES[name]
        values = [model.get(name) or None for model in models]
        cells = [value if is_text(value, quantity.format) else shown(value, quantity.format) for value in values]
        rows.append([f"`{name}`", quantity.meaning, *cells])
    return table(("column", "meaning", *names), rows, right=names)


def is_text(value: str | None, form: str) -> bool:
    """Whether a cell is shown as it is: a list, or a whole number."""
    return value is not None and (form == "list" or value.isdigit())


def shown(value: str | None, form: str) -> str:
    """A number, rounded as in the tables."""
    from spikesink.tables.render.numbers import writer, written

    return written(None if value is None else float(value), writer(form))


def described() -> str:
    """What the models are, and from which files."""
    models = rows_of("published_models.csv", MODELS)
    facts = ("architecture", "parameters", "stored_as", "dequantised", "bos", "context", "source", "packages", "sha256")
    rows = [[fact.replace("_", " "), *(model[fact] or "–" for model in models)] for fact in facts]
    return table(("", *(model["model"] for model in models)), rows)


def verdicts() -> str:
    """The claims about published models, with a verdict for each model by name."""
    rows = [row for row in rows_of("claims.csv", MODELS) if row["model"]]
    models = list(dict.fromkeys(row["model"] for row in rows))
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["claim"], {})[row["model"]] = row
    lines = []
    for by_model in found.values():
        one = next(iter(by_model.values()))
        cells = [
            f"{by_model[name]['verdict']}: {by_model[name]['observed']}" if name in by_model else "–" for name in models
        ]
        lines.append([one["statement"].removeprefix("Published models: "), one["source"], *cells])
    return table(("claim", "source", *models), lines)


PARTS = {"real-models": described, "numbers-of-real-models": numbers, "verdicts-on-real-models": verdicts}
