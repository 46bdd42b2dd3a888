"""The table of the search for the nano preset, best first, from the runs of benchmarks/preset_search.yaml.

``python benchmarks/preset_search.py`` reads results/preset_search/tables/runs.csv, or the file that it is given. The
objective stands in the YAML file; it was fixed before the search.
"""

import sys
from pathlib import Path
from statistics import fmean, geometric_mean

import polars as pl

from spikesink.tables.statistics.intervals import mean_of

RUNS = Path(__file__).parents[1] / "results/preset_search/tables/runs.csv"
WANTED, LEAST = (35.0, 65.0), 25.0
"""The mean sink ratio in percent, and what its interval must exclude."""
HEADINGS = ("setting", "seeds", "seconds", "perplexity", "sink ratio % [95 %]", "mean mass", "x median", "x elsewhere")


def found(name: str, runs: pl.DataFrame) -> dict:
    """What a setting's runs show. ``spike`` is the geometric mean of relative spike and outlier ratio, ``fits`` whether
    its sinks are those wanted."""
    sinks = mean_of(runs["sink_ratio"].to_list()).estimate()
    spikes = [runs[column].to_list() for column in ("spike_over_median", "spike_over_elsewhere")]
    return {
        "name": name,
        "seeds": len(runs),
        "seconds": fmean(runs["wall_seconds"]),
        "perplexity": fmean(runs["perplexity"]),
        "sinks": sinks,
        "mass": fmean(runs["sink_mass_mean"]),
        "median": geometric_mean(spikes[0]),
        "elsewhere": geometric_mean(spikes[1]),
        "spike": geometric_mean([*spikes[0], *spikes[1]]),
        "fits": sinks.low is not None and sinks.low > LEAST and WANTED[0] <= sinks.value <= WANTED[1],
    }


def table(runs: pl.DataFrame) -> list[str]:
    """The lines of the table: settings whose sinks are those wanted first, by their spike, in bold; then the others."""
    done = runs.filter(pl.col("status") == "finished")
    settings = [found(name, part) for (name,), part in done.group_by("variant", maintain_order=True)]
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    for row in sorted(settings, key=lambda row: (row["fits"], row["spike"]), reverse=True):
        low, high = row["sinks"].low, row["sinks"].high
        interval = "" if low is None else f" [{low:.0f}, {high:.0f}]"
        name = f"**{row['name']}**" if row["fits"] else row["name"]
        cells = (name, f"{row['seeds']}", f"{row['seconds']:.0f}", f"{row['perplexity']:.2f}")
        cells += (f"{row['sinks'].value:.0f}{interval}", f"{row['mass']:.2f}", f"{row['median']:.0f}")
        lines.append("| " + " | ".join((*cells, f"{row['elsewhere']:.1f}")) + " |")
    lost = len(runs) - len(done)
    return lines + ([f"\n{lost} of {len(runs)} runs diverged and are left out."] if lost else [])


if __name__ == "__main__":
    print("\n".join(table(pl.read_csv(sys.argv[1] if len(sys.argv) > 1 else RUNS, infer_schema_length=None))))
