"""The graph of the rules in docs/workflow.md, and the names of the rules there."""

import re

import yaml
from tiny_study import ROOT, run_snakemake

from spikesink.measures.groups import GROUPS
from spikesink.study.resolve import load
from spikesink.workflow.graph import mermaid

PAGE = (ROOT / "docs/workflow.md").read_text()
DOT = """\
digraph snakemake_dag {
    node[shape=box];
	0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
	1[label = "table"];
	2[label = "train_norm"];
	3[label = "train_ffn"];
	4[label = "tokens"];
	1 -> 0
	2 -> 1
	3 -> 1
	2 -> 0
	4 -> 2
	4 -> 3
	4 -> 1
}
"""


def snakemake(*options: str) -> str:
    result = run_snakemake(ROOT, *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_rules_between_the_same_rules_share_a_box_and_shortcuts_are_left_out():
    assert mermaid(DOT).splitlines() == [
        "graph TD",
        '    0["all"]',
        '    1["table"]',
        '    2["train_norm<br>train_ffn"]',
        '    3["tokens"]',
        "    1 --> 0",
        "    2 --> 1",
        "    3 --> 2",
    ]


def test_the_page_shows_the_graph_of_the_default_study():
    """A reader would otherwise follow a rule that is gone, or miss one that was added."""
    assert f"```mermaid\n{mermaid(snakemake('--rulegraph'))}\n```" in PAGE, (
        "write it anew: snakemake --rulegraph 2>/dev/null | python -m spikesink.workflow graph"
    )


def test_the_page_says_what_every_rule_does():
    """A rule that the page does not name is one that nobody can look up."""
    named = set(re.findall(r"`(?:snakemake )?([\w<>]+)`", PAGE))
    made_in_loops = ("train_", "measure_", "figure_", "published_")
    rules = [name for name in snakemake("--list").split() if not name.startswith(made_in_loops)]
    assert len(rules) > 20
    assert set(rules) - named - {*load(base=ROOT / "config.yaml").ablations} == {"all"}  # a bare `snakemake`


def test_the_profile_for_slurm_names_every_group_of_measures():
    """Jobs of a group that is missing there would be submitted one by one, thousands of them."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert profile["slurm-array-jobs"].split(",") == [f"measure_{group}" for group in GROUPS]
