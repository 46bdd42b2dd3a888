"""What stands in the generated parts of README.md and docs/: one function per part, whose value is Markdown."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import published
import yaml
from published import ROOT, table
from real_parts import PARTS as OF_REAL_MODELS


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


def captions(figures: Mapping[str, Any]) -> str:
    """What each figure of the catalogue reads, and its caption."""
    parts = []
    for name, figure in figures.items():
        tables = ", ".join(f"`{table}`" for table in figure.reads)
        parts.append(f"**`{name}`** (reads {tables}). {figure.caption}")
    return "\n\n".join(parts)


def figures_of_ablations() -> str:
    """The figures that every ablation has."""
    from spikesink.figures.catalogue import ABLATION_FIGURES

    return captions(ABLATION_FIGURES)


def figures_of_mechanism() -> str:
    """The figures of models that were analysed in depth."""
    from spikesink.figures.catalogue import MECHANISM_FIGURES

    return captions(MECHANISM_FIGURES)


def questions() -> str:
    """The modules that measure: the question each answers, and the tables that hold the answers."""
    from spikesink.runs.module_facts import literal

    rows = []
    for path in sorted((ROOT / "src/spikesink/measures/questions").glob("[!_]*.py")):
        asked = literal(f"spikesink.measures.questions.{path.stem}", "QUESTIONS") or ()
        about = ast.get_docstring(ast.parse(path.read_text()))
        rows.append((f"`{path.stem}`", about.split("\n\n")[0], ", ".join(f"`{name}`" for name in asked)))
    return table(("module", "question", "tables in `measures/`"), rows)


def quantities(name: str) -> str:
    """The quantities of runs.csv or mechanism.csv: unit, meaning and source of each, and in a line those of quantised
    models that are given tasks."""
    from spikesink.quantities import QUANTITIES, names_of
    from spikesink.quantities.of_capabilities import OF_QUANTISED_CAPABILITIES, OF_REBUTTAL, OF_TABLE_4

    quantised = {one.name for found in OF_QUANTISED_CAPABILITIES.values() for one in found}
    rows = [
        (f"`{one.name}`", one.meaning, "–" if one.unit == "1" else one.unit, one.source)
        for one in map(QUANTITIES.get, names_of(name))
        if one.name not in quantised
    ]
    for settings, which, source in (
        (OF_TABLE_4, "any of these tasks", "Table 4"),
        (OF_REBUTTAL, "`wikitext`, `lambada_perplexity`, `mean_accuracy` and the needles", "rebuttal"),
    ):
        for setting, (_, how) in settings.items():
            rows.append((f"`…_{setting}`", f"{which}, of the model {how}", "as above", f"arXiv 2603.17771 {source}"))
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
    **published.PARTS,
    "scales": lambda: files_in("scales"),
    "ablations": ablations,
    "corpora": lambda: files_in("corpora"),
    "figures-of-ablations": figures_of_ablations,
    "figures-of-mechanism": figures_of_mechanism,
    "questions": questions,
    "quantities-of-runs": lambda: quantities("runs"),
    "quantities-of-mechanism": lambda: quantities("mechanism"),
    "count-of-claims": count_of_claims,
    **OF_REAL_MODELS,
}
