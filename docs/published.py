"""The generated parts of README.md and docs/ that are about the published study, and how they write tables."""

import csv
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
NANO = ROOT / "results/published/nano"
"""The default study, which README shows."""
WHOLE = NANO.with_name("nano_full")
PUBLISHED = WHOLE if (WHOLE / "claims.csv").exists() else NANO
"""The study that the page of the nano study is about: the one with every row, once it is published."""
SHORT = (
    "ablation",
    "variant",
    "perplexity",
    "sink ratio (%)",
    "mean head",
    "× median",
    "spike",
    "paper: sink ratio (%)",
    "paper: spike",
)
"""Columns of the published table of variants that README shows, if that table has them."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A Markdown table; the columns named in ``right`` are set flush right."""
    rules = ["---:" if heading in right else "---" for heading in headings]
    lines = [headings, rules, *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def rows_of(name: str, folder: Path = PUBLISHED) -> list[dict[str, str]]:
    """The rows of a CSV file of a published study."""
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def variants(folder: Path = PUBLISHED) -> str:
    """The published table of all variants."""
    lines = (folder / "tables/variants.md").read_text().split("\n## ")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def variants_in_short() -> str:
    """The default study's published table of all variants, with the columns SHORT alone."""
    headings, rules, *rows = (cells(line) for line in variants(NANO).splitlines())
    kept = with_ablation(rows, headings.index("ablation"))
    places = [headings.index(name) for name in SHORT if name in headings]
    right = [headings[place] for place in places if rules[place].endswith(":")]
    return table([headings[place] for place in places], ([row[place] for place in places] for row in kept), right)


def with_ablation(rows: Iterable[list[str]], place: int) -> Iterator[list[str]]:
    """Rows with the ablation in each, where the table has it in the first row of an ablation alone."""
    ablation = ""
    for row in rows:
        ablation = row[place] or ablation
        yield [*row[:place], ablation, *row[place + 1 :]]


def notes_on_variants() -> str:
    """The notes below the published table of all variants."""
    lines = (PUBLISHED / "tables/variants.md").read_text().split("\n## ")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith("- "))


def default_in_short() -> str:
    """What the published default study is."""
    return study_in_short(NANO)


def study_in_short(folder: Path = PUBLISHED) -> str:
    """What a published study is: its folder, its models, runs and recipe, from its config."""
    config = yaml.safe_load((folder / "study.yaml").read_text())
    model, training, seeds = config["model"], config["training"], config["seeds"]
    count = 1 + sum(len(variants) for variants in config["variants"].values())
    attention = model["attention"]
    return (
        f"`results/published/{folder.name}/`: {count} variants with the seeds {', '.join(map(str, seeds))}, which "
        f"are {count * len(seeds)} runs. The baseline has {model['layers']} layers, d_model {model['d_model']} and "
        f"{attention['heads']} heads of {attention['head_dim']}. It is trained for {training['steps']:,} steps of "
        f"{training['batch_size']} sequences of {training['sequence_length']} tokens, with a learning rate of "
        f"{training['optimiser']['lr']:g} and a weight decay of {training['optimiser']['weight_decay']:g}."
    )


JUDGED = ("reproduced", "not reproduced", "undecidable")


def by_verdict() -> str:
    """The primary and secondary claims that the study judges, by verdict, those that stand after Holm's correction
    first."""
    rows = [row for row in rows_of("claims.csv") if counted(row) and row["tier"] in ("primary", "secondary")]
    lines = []
    for verdict in JUDGED[:2]:
        found = [row for row in rows if row["verdict"] == verdict]
        firm = [row for row in found if row["p_holm_all"] and float(row["p_holm_all"]) < 0.05]
        lines.append(f"**{verdict.capitalize()}, also after Holm's correction over all claims ({len(firm)}):**\n")
        lines += [f"* {stated(row)}" for row in firm] or ["* none"]
        rest = [row["claim"] for row in found if row not in firm]
        lines.append(f"\nOnly without the correction ({len(rest)}): {', '.join(rest) or 'none'}.\n")
    open_ones = [row["claim"] for row in rows if row["verdict"] == JUDGED[2]]
    lines.append(f"**Undecidable with these seeds ({len(open_ones)}):** {', '.join(open_ones) or 'none'}.")
    return "\n".join(lines)


def stated(row: dict[str, str]) -> str:
    """A claim with its place and what was observed, in Markdown."""
    from spikesink.tables.render.markdown_text import escaped

    return f"{escaped(row['statement'])} ({row['source']}): {escaped(row['short'])}"


def primary_claims() -> str:
    """The verdicts on the primary claims: the section of that name of the published claims.md."""
    section = (PUBLISHED / "claims.md").read_text().split("\n## Primary claims\n")[1].split("\n## ")[0]
    return section.strip()


def primary_in_short() -> str:
    """The primary claims by the default study: by verdict, in numbers, and those that stand after Holm's correction."""
    rows = [row for row in rows_of("claims.csv", NANO) if counted(row) and row["tier"] == "primary"]
    numbers = Counter(row["verdict"] for row in rows)
    lines = [", ".join(f"{number} {verdict}" for verdict, number in numbers.most_common()) + f", of {len(rows)}.\n"]
    for verdict in JUDGED[:2]:
        firm = [row for row in rows if row["verdict"] == verdict and row["p_holm"] and float(row["p_holm"]) < 0.05]
        lines.append(
            f"* {verdict.capitalize()}, also after Holm's correction: " + ("; ".join(map(stated, firm)) or "none")
        )
    return "\n".join(lines)


def verdicts() -> str:
    """How many claims have which verdict, by tier and by correction: the first tables of the published claims.md."""
    lines = (PUBLISHED / "claims.md").read_text().split("\n\n")
    return "\n\n".join([block for block in lines if block.startswith("|")][:2])


def first_seed() -> str:
    """Verdicts on all claims by all seeds, and by the first seed alone, which is one run of each variant."""
    from spikesink.claims.verdict import VERDICTS

    with tempfile.TemporaryDirectory() as folder:
        lowest = min((row["seed"] for row in rows_of("tables/runs.csv")), key=int)
        for name, column, first in (("runs", "seed", lowest), ("mechanism", "model", f"/seed{lowest}")):
            rows = rows_of(f"tables/{name}.csv")
            with (Path(folder) / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(row for row in rows if row[column] == first or row[column].endswith(f"/seed{lowest}"))
        command = [sys.executable, "-m", "spikesink.claims", "--claims", str(ROOT / "workflow/claims")]
        command += ["--study", "nano", "--runs", f"{folder}/runs.csv", "--mechanism", f"{folder}/mechanism.csv"]
        subprocess.run([*command, "--output", f"{folder}/claims"], check=True, capture_output=True, cwd=ROOT)
        with Path(folder, "claims.csv").open(newline="") as file:
            alone = Counter(row["verdict"] for row in csv.DictReader(file) if counted(row))
    every = Counter(row["verdict"] for row in rows_of("claims.csv") if counted(row))
    seeds = len({row["seed"] for row in rows_of("tables/runs.csv")})
    rows = [(f"all {seeds} seeds", *(str(every[name]) for name in VERDICTS))]
    rows += [("the first seed alone", *(str(alone[name]) for name in VERDICTS))]
    return table(("judged by", *VERDICTS), rows, VERDICTS)


def counted(row: dict[str, str]) -> bool:
    """Whether a row of claims.csv counts as a verdict: no check of the instrument, and not of one published model."""
    return row["tier"] != "check" and not row["model"]


def presuming() -> str:
    """How many claims are open because another claim that they presume is open."""
    named = "baseline_has_sinks"
    verdict = next(row["verdict"] for row in rows_of("claims.csv") if row["claim"] == named)
    open_ones = [row for row in rows_of("claims.csv") if f"presumes {named}, which is" in row["remark"]]
    spread = [float(row["sink_ratio"]) for row in rows_of("tables/runs.csv") if row["variant"] == "baseline"]
    return (
        f"The baseline's sink ratio is {min(spread):.0f} to {max(spread):.0f} % over the seeds. That more than a "
        f"quarter of its heads are sinks is {verdict}. Claims that are open because they presume it: {len(open_ones)}."
    )


def default_seeds() -> str:
    """What every seed of the default study's baseline shows."""
    rows = [row for row in rows_of("tables/runs.csv", NANO) if row["variant"] == "baseline"]
    columns = {
        "sink ratio (%)": ("sink_ratio", ".0f"),
        "in later layers (%)": ("sink_ratio_later_layers", ".0f"),
        "mean head": ("sink_mass_mean", ".2f"),
        "× median": ("spike_over_median", ".0f"),
        "× elsewhere": ("spike_over_elsewhere", ".1f"),
        "perplexity": ("perplexity", ".2f"),
    }
    return table(("seed", *columns), [(row["seed"], *picked(row, columns)) for row in rows], ("seed", *columns))


SEEDS = {
    "sink ratio (%)": ("sink_ratio", ".0f"),
    "spike over median": ("spike_over_median", ".0f"),
    "gradient sink ratio": ("gradient_sink_ratio", ".1f"),
    "slope of Compress": ("compress_slope_attention", ".2f"),
    "step-up blocks": ("step_up_blocks", ""),
    "step-down blocks": ("step_down_blocks", ""),
    "spike after step": ("onset_spike_after", ""),
    "spike by step": ("onset_spike", ""),
    "gradient sink after step": ("onset_gradient_sink_after", ""),
    "gradient sink by step": ("onset_gradient_sink", ""),
    "sink after step": ("onset_sink_after", ""),
    "sink by step": ("onset_sink", ""),
}
"""Columns of the table by seed: heading, column of runs.csv or mechanism.csv, format of a number."""


def seeds() -> str:
    """What every seed of the models that were analysed in depth shows."""
    runs = {f"{row['variant']}/seed{row['seed']}": row for row in rows_of("tables/runs.csv")}
    rows = []
    for found in rows_of("tables/mechanism.csv"):
        values = runs[found["model"]] | found
        variant, seed = found["model"].split("/seed")
        rows.append((variant, seed, *picked(values, SEEDS)))
    return table(("variant", "seed", *SEEDS), rows, ("seed", *SEEDS))


def picked(row: dict[str, str], columns: dict[str, tuple[str, str]]) -> list[str]:
    """The cells of a row for these columns, which are by heading: name in the CSV file, format of a number."""
    return [shown(row.get(name, ""), style) for name, style in columns.values()]


def shown(value: str, style: str) -> str:
    """A cell of a CSV file as a page shows it: a dash where there is no value."""
    if not value:
        return "–"
    return format(float(value), style) if style else value


PARTS = {
    "variants": variants,
    "variants-in-short": variants_in_short,
    "notes-on-variants": notes_on_variants,
    "study-in-short": study_in_short,
    "default-in-short": default_in_short,
    "default-seeds": default_seeds,
    "by-verdict": by_verdict,
    "primary-in-short": primary_in_short,
    "primary-claims": primary_claims,
    "verdicts": verdicts,
    "first-seed": first_seed,
    "presuming": presuming,
    "seeds": seeds,
}
