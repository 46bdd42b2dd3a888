"""What stands in the generated parts of README.md and docs/: one function per part, whose value is Markdown."""

import ast
import csv
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "results/published/nano"
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


# Markdown


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A Markdown table; the columns named in ``right`` are set flush right."""
    rules = ["---:" if heading in right else "---" for heading in headings]
    lines = [headings, rules, *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


# The published study


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of the published study."""
    with (PUBLISHED / name).open(newline="") as file:
        return list(csv.DictReader(file))


def variants() -> str:
    """The published table of all variants."""
    lines = (PUBLISHED / "tables/variants.md").read_text().split("\n## ")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def variants_in_short() -> str:
    """The published table of all variants, with the columns SHORT alone."""
    headings, rules, *rows = (cells(line) for line in variants().splitlines())
    places = [headings.index(name) for name in SHORT if name in headings]
    right = [headings[place] for place in places if rules[place].endswith(":")]
    return table([headings[place] for place in places], ([row[place] for place in places] for row in rows), right)


def notes_on_variants() -> str:
    """The notes below the published table of all variants."""
    lines = (PUBLISHED / "tables/variants.md").read_text().split("\n## ")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith("- "))


def primary_claims() -> str:
    """The verdicts on the primary claims: the section of that name of the published claims.md."""
    section = (PUBLISHED / "claims.md").read_text().split("\n## Primary claims\n")[1].split("\n## ")[0]
    return section.strip()


def verdicts() -> str:
    """How many claims have which verdict, by tier and by correction: the first tables of the published claims.md."""
    lines = (PUBLISHED / "claims.md").read_text().split("\n\n")
    return "\n\n".join([block for block in lines if block.startswith("|")][:2])


def first_seed() -> str:
    """Verdicts on all claims by all seeds, and by the first seed alone, which is one run of each variant."""
    with tempfile.TemporaryDirectory() as folder:
        for name, column, first in (("runs", "seed", "0"), ("mechanism", "model", "/seed0")):
            rows = rows_of(f"tables/{name}.csv")
            with (Path(folder) / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(row for row in rows if row[column].endswith(first))
        command = [sys.executable, "-m", "spikesink.claims", "--claims", str(ROOT / "workflow/claims")]
        command += ["--study", "nano", "--runs", f"{folder}/runs.csv", "--mechanism", f"{folder}/mechanism.csv"]
        subprocess.run([*command, "--output", f"{folder}/claims"], check=True, capture_output=True, cwd=ROOT)
        with Path(folder, "claims.csv").open(newline="") as file:
            alone = Counter(row["verdict"] for row in csv.DictReader(file) if counted(row))
    every = Counter(row["verdict"] for row in rows_of("claims.csv") if counted(row))
    names = ("reproduced", "not reproduced", "undecidable", "not run", "not measured")
    seeds = len({row["seed"] for row in rows_of("tables/runs.csv")})
    rows = [(f"all {seeds} seeds", *(str(every[name]) for name in names))]
    rows += [("the first seed alone", *(str(alone[name]) for name in names))]
    return table(("judged by", *names), rows, names)


def counted(row: dict[str, str]) -> bool:
    """Whether a row of claims.csv counts as a verdict: no check of the instrument, and not of one published model."""
    return row["tier"] != "check" and not row["model"]


def presuming() -> str:
    """How many claims are open because another claim that they presume is open."""
    named = "baseline_has_sinks"
    verdict = next(row["verdict"] for row in rows_of("claims.csv") if row["claim"] == named)
    open_ones = [row for row in rows_of("claims.csv") if f"presumes {named}, which is" in row["remark"]]
    return f"That the baseline has sinks is {verdict}; {len(open_ones)} claims are open for that reason alone."


SEEDS = {
    "sink ratio (%)": ("sink_ratio", ".0f"),
    "spike over median": ("spike_over_median", ".0f"),
    "gradient sink ratio": ("gradient_sink_ratio", ".1f"),
    "slope of Compress": ("compress_slope_attention", ".2f"),
    "step-up blocks": ("step_up_blocks", ""),
    "step-down blocks": ("step_down_blocks", ""),
    "spike from step": ("onset_spike", ""),
    "gradient sink from step": ("onset_gradient_sink", ""),
    "sink from step": ("onset_sink", ""),
}
"""Columns of the table by seed: heading, column of runs.csv or mechanism.csv, format of a number."""


def seeds() -> str:
    """What every seed of the models that were analysed in depth shows."""
    runs = {f"{row['variant']}/seed{row['seed']}": row for row in rows_of("tables/runs.csv")}
    rows = []
    for found in rows_of("tables/mechanism.csv"):
        values = runs[found["model"]] | found
        variant, seed = found["model"].split("/seed")
        rows.append((variant, seed, *(shown(values.get(column, ""), style) for column, style in SEEDS.values())))
    return table(("variant", "seed", *SEEDS), rows, ("seed", *SEEDS))


def shown(value: str, style: str) -> str:
    """A cell of a CSV file as a page shows it: a dash where there is no value."""
    if not value:
        return "–"
    return format(float(value), style) if style else value


# The project's own files


def about(path: Path) -> str:
    """The first sentence of the comment that a YAML file begins with."""
    lines = path.read_text().splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            comment.append(line.lstrip("# "))
    return re.split(r"(?<=[.?])(?<!al\.)\s", " ".join(comment))[0]


def files_in(folder: str) -> str:
    """The YAML files of a folder of workflow/, and what each says of itself."""
    rows = [
        (f"`workflow/{folder}/{path.name}`", about(path))
        for path in sorted((ROOT / "workflow" / folder).glob("*.yaml"))
    ]
    return table(("file", "content"), rows)


def ablations() -> str:
    """The files of ablations with the names of their variants."""
    rows = []
    for path in sorted((ROOT / "workflow/ablations").glob("*.yaml")):
        written = yaml.safe_load(path.read_text())
        names = ", ".join(f"`{name}`" for name in written)
        rows.append((f"`{path.stem}`", about(path), names))
    return table(("ablation", "about", "variants"), rows)


def literals(path: Path) -> dict[str, object]:
    """The names that a module assigns literals to at its top, and its docstring under ``__doc__``."""
    tree = ast.parse(path.read_text())
    found: dict[str, object] = {"__doc__": ast.get_docstring(tree) or ""}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return found


def captions(figures: Mapping[str, Any]) -> str:
    """What each figure of the catalogue reads, and its caption."""
    parts = []
    for name, figure in figures.items():
        tables = ", ".join(f"`{table}`" for table in figure.reads)
        parts.append(f"**`{name}`** (reads {tables}). {figure.caption}")
    return "\n\n".join(parts)


def figures_of_ablations() -> str:
    """The figures that every ablation has."""
    from spikesink.figures.catalogue import FAMILIES

    return captions(FAMILIES)


def figures_of_mechanism() -> str:
    """The figures of models that were analysed in depth."""
    from spikesink.figures.catalogue import FIGURES

    return captions(FIGURES)


def questions() -> str:
    """The modules that measure: the question each answers, and the tables that hold the answers."""
    rows = []
    for path in sorted((ROOT / "src/spikesink/measures/questions").glob("[!_]*.py")):
        found = literals(path)
        tables = ", ".join(f"`{name}`" for name in found.get("QUESTIONS", ()))
        rows.append((f"`{path.stem}`", str(found["__doc__"]).split("\n\n")[0], tables))
    return table(("module", "question", "tables in `measures/`"), rows)


def quantities(name: str) -> str:
    """The quantities of runs.csv or mechanism.csv: unit, meaning and source of each."""
    from spikesink.quantities import QUANTITIES, names_of

    rows = [
        (f"`{one.name}`", one.meaning, "–" if one.unit == "1" else one.unit, one.source)
        for one in map(QUANTITIES.get, names_of(name))
    ]
    return table(("column", "meaning", "unit", "source"), rows)


def count_of_claims() -> str:
    """How many claims are judged."""
    stated = [
        (claim.get("tier", content.get("tier", "exploratory")))
        for path in sorted((ROOT / "workflow/claims").glob("*.yaml"))
        for content in [yaml.safe_load(path.read_text())]
        for places in content["claims"].values()
        for claims in places.values()
        for claim in claims.values()
    ]
    numbers = Counter(stated)
    tiers = ", ".join(f"{numbers[tier]} {tier}" for tier in ("primary", "secondary", "exploratory"))
    return (
        f"The files in `workflow/claims/` state {len(stated) - numbers['check']} claims as data: {tiers}. "
        f"Beside them stand {numbers['check']} checks of the instrument."
    )


PARTS: dict[str, Callable[[], str]] = {
    "variants": variants,
    "variants-in-short": variants_in_short,
    "notes-on-variants": notes_on_variants,
    "primary-claims": primary_claims,
    "verdicts": verdicts,
    "first-seed": first_seed,
    "presuming": presuming,
    "seeds": seeds,
    "scales": lambda: files_in("scales"),
    "ablations": ablations,
    "corpora": lambda: files_in("corpora"),
    "figures-of-ablations": figures_of_ablations,
    "figures-of-mechanism": figures_of_mechanism,
    "questions": questions,
    "quantities-of-runs": lambda: quantities("runs"),
    "quantities-of-mechanism": lambda: quantities("mechanism"),
    "count-of-claims": count_of_claims,
}
