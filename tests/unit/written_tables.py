"""The files of an ablation's table, written by its entry point from a made-up study."""

import sys
from pathlib import Path

from fake_study import fake_study

from spikesink.tables import ablation as entry
from spikesink.tables.collecting.parts import collect

TWO_SEEDS = {
    "norm": {
        "sandwich_qk": {"seed0": {"perplexity": 10.0, "spike": 100.0}, "seed1": {"perplexity": 14.0, "spike": 300.0}},
        "dyt": {"seed0": {"perplexity": 8.0}, "seed1": {"status": "diverged"}},
    }
}
# At the start of a row of LaTeX "[" and "*" have a meaning too.
HOSTILE = {
    "norm": {
        "sandwich": {"label": r"[1, 2] 100% of a_b & <$x^2$> \x {y} # ~ | β2 = 0.9 é → ≥ ×", "perplexity": 9.0},
        "dyt": {"label": "*<b>&amp;</b>*", "perplexity": 11.0},
    }
}


def written_tables(folder: Path, monkeypatch, ablations: dict, ablation: str, seeds=(0,)) -> dict[str, Path]:
    """The files by format."""
    parts = folder / "parts"
    parts.mkdir()
    for name, table in collect(*fake_study(folder / "study", ablations, seeds)[ablation]).items():
        table.write_parquet(parts / f"{name}.parquet")
    stem = folder / "tables" / ablation
    monkeypatch.setattr(sys, "argv", ["ablation", "--parts", str(parts), "--ablation", ablation, "--output", str(stem)])
    assert entry.main() == 0
    return {kind: stem.with_suffix(f".{kind}") for kind in ("csv", "parquet", "md", "tex", "html")}
