"""What a change reruns: the exact set of jobs of real dry runs on a finished tiny study."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import TINY, configure, jobs, restore, snakemake

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.measures.groups import GROUPS

VARIANTS = {"baseline": "baseline", "conditional_head": "gating", "v_scale": "v_scale"}
ABLATIONS = ("gating", "v_scale")
FAMILIES = ("abilities", "ablation", "lifecycle", "sink_map", "training")
CLAIMS = "judge the papers' claims"
OVERVIEW = "figure overview of all ablations"
PROVENANCE = {"provenance of all runs", "page of provenance"}


def training(variant: str, seed: int = 0) -> set[str]:
    """Training a run, saying where it is from, and measuring it."""
    groups = GROUPS if variant == "baseline" else ("forward",)
    measured = {f"measure {group} of runs/{variant}/seed{seed}" for group in groups}
    return PROVENANCE | {f"train {VARIANTS.get(variant, 'gating')}/{variant} seed {seed}"} | measured


def drawing(*ablations: str) -> set[str]:
    """What follows from new measures of these ablations."""
    drawn = {f"figure {family} of {ablation}" for family in FAMILIES for ablation in ablations}
    tables = {f"{what} of {ablation}" for what in ("collect the measures", "table") for ablation in ablations}
    return drawn | tables | {"table of all runs", OVERVIEW, CLAIMS}


MECHANISM = {f"figure {figure} of compared" for figure in MECHANISM_FIGURES} | {"table of the mechanism"}
EVERY_RUN = set().union(*map(training, VARIANTS)) | drawing(*ABLATIONS) | MECHANISM


def rerun(project: Path) -> set[str]:
    """The jobs of a dry run, without the one that completes MLflow after any of them."""
    messages = jobs(project)
    tracked = {message for message in messages if message.startswith("complete the study in MLflow")}
    assert len(tracked) <= 1
    return messages - tracked


def edit(path: Path, old: str = "", new: str = "\nEDITED = True\n") -> None:
    """Replace a piece of code, or add some at the end."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new)


def reading(group: str) -> set[str]:
    """The figures of the mechanism that show an answer of this group of questions."""
    answers = set(GROUPS[group].questions)
    read = {name for name, figure in MECHANISM_FIGURES.items() if answers & set(figure.reads)}
    assert read
    return {f"figure {figure} of compared" for figure in read}


def overlay(**changes: dict) -> dict:
    return {"variants": {"gating": changes}}


def test_editing_the_gates_retrains_gated_runs_only(project):
    edit(project / "src/spikesink/model/gates.py", "torch.sigmoid(g)", "torch.sigmoid(2 * g)")
    assert rerun(project) == training("conditional_head") | drawing("gating")


def test_editing_a_figure_redraws_that_figure_only(project, checkout):
    edit(project / "src/spikesink/figures/ablations/sink_map.py")
    assert rerun(project) == {f"figure sink_map of {ablation}" for ablation in ABLATIONS}
    restore(project, checkout)
    edit(project / "src/spikesink/figures/mechanism/silu_identity.py")
    assert rerun(project) == {"figure silu_identity of compared"}
    restore(project, checkout)
    edit(project / "src/spikesink/figures/drawing/labels.py")
    assert rerun(project) == {OVERVIEW}


def test_editing_a_measure_reruns_it_for_all_runs_and_what_reads_it(project, checkout):
    edit(project / "src/spikesink/measures/questions/lifecycle.py")
    tabulated = {"table of the mechanism", CLAIMS}
    assert rerun(project) == {"measure spikes of runs/baseline/seed0"} | tabulated | reading("spikes")
    restore(project, checkout)
    edit(project / "src/spikesink/measures/questions/perplexity.py")
    assert rerun(project) == {
        *(f"measure forward of runs/{variant}/seed0" for variant in VARIANTS),
        *drawing(*ABLATIONS),
        "measure consequences of runs/baseline/seed0",  # it scores with perplexity
        "table of the mechanism",
        *reading("consequences"),
        *reading("forward"),
    }


def test_editing_the_claims_judges_them_again_and_nothing_else(project, checkout):
    claims = project / "workflow/claims/2603.05498_ablations.yaml"
    edit(claims, "at_least: 2", "at_least: 3")
    try:
        assert rerun(project) == {CLAIMS}
    finally:
        shutil.copy(checkout / "workflow/claims/2603.05498_ablations.yaml", claims)
    assert rerun(project) == set()


def test_changing_a_key_of_one_variant_reruns_that_run(project):
    configure(project, overlay(conditional_head={"model": {"gate": {"per": "single"}}}))
    assert rerun(project) == training("conditional_head") | drawing("gating")


def test_swapping_two_values_is_a_change(project):
    """Snakemake compares parameters as a set without names, by which this would go unnoticed."""
    original = TINY["training"]["optimiser"]
    swapped = {"lr": original["weight_decay"], "weight_decay": original["lr"]}
    assert len(set(swapped.values())) == 2
    configure(project, {"training": {"optimiser": swapped}})
    assert rerun(project) == EVERY_RUN


def test_changing_a_setting_of_a_measure_reruns_what_reads_it(project):
    configure(project, {"measures": {"perplexity_tokens": 512}})
    measured = {f"measure forward of runs/{variant}/seed0" for variant in VARIANTS}
    assert rerun(project) == measured | drawing(*ABLATIONS) | {"table of the mechanism"} | reading("forward")


def test_another_text_for_evaluation_reruns_measures_and_trains_nothing(project):
    """The same models can be scored on the text that a paper scores. The text of the training stays as it is."""
    configure(project, {"evaluation": {"kind": "embedded", "documents": 12, "validation_share": 0.5}})
    text = {"evaluation corpus: locate and check the text", "evaluation tokens: encode and pack the held-out text"}
    measured = {message for message in EVERY_RUN if message.startswith("measure ")}
    assert rerun(project) == text | measured | drawing(*ABLATIONS) | MECHANISM
    restored = {"evaluation": None}
    configure(project, restored)
    assert rerun(project) == set()


def test_adding_a_variant_reruns_nothing_else(project):
    configure(project, overlay(mine={"model": {"gate": {"kind": "positional"}}}))
    assert rerun(project) == training("mine") | drawing("gating")


def test_adding_a_seed_trains_that_seed_only(project):
    """The compared variant's new seed is measured in depth too, for the table; the figures draw the first seed."""
    configure(project, {"seeds": [0, 1]})
    trained = set().union(*(training(variant, 1) for variant in VARIANTS))
    assert rerun(project) == trained | drawing(*ABLATIONS) | {"table of the mechanism"}


def test_comments_formatting_touches_key_order_and_resources_rerun_nothing(project):
    for path in (project / "src").rglob("*.py"):
        edit(path, new='\n# a comment\n"""A late docstring."""\n')
    narrow = ["--line-length", "60", "--config", "format.quote-style='single'", "."]
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *narrow], cwd=project / "src", check=True)
    for path in project.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts and "results" not in path.parts:
            os.utime(path)
    configure(project, {"resources": {"train": {"memory_mb": 3000}}, "tracking": {"live": True}})
    reordered = dict(reversed(yaml.safe_load((project / "tiny.yaml").read_text()).items()))
    (project / "tiny.yaml").write_text("# a comment\n" + yaml.safe_dump(reordered, sort_keys=False))
    assert jobs(project) == set()


def test_a_fresh_checkout_reruns_nothing(project):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"]
    (project / ".gitignore").write_text("results/\n.snakemake/\n")
    try:
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
            subprocess.run([*git, *command], cwd=project, check=True)
        for path in project.rglob("*.py"):
            path.unlink()
        subprocess.run([*git, "checkout", "--quiet", "."], cwd=project, check=True)
        assert jobs(project) == set()
    finally:
        shutil.rmtree(project / ".git")
        (project / ".gitignore").unlink()


def test_the_loss_of_snakemakes_records_changes_nothing(project):
    """Without them Snakemake goes by file times alone, which say nothing of settings and code."""
    shutil.rmtree(project / ".snakemake/metadata")
    assert jobs(project) == set()
    shutil.rmtree(project / ".snakemake/metadata")
    configure(project, overlay(conditional_head={"model": {"gate": {"per": "single"}}}))
    assert rerun(project) == training("conditional_head") | drawing("gating")


def copy_results(source: Path, project: Path) -> None:
    """As a copy between machines leaves them: without the weights, in any order, with new times."""
    large = shutil.ignore_patterns("*.safetensors", "checkpoints")
    places = (source / "results", project / "results")
    shutil.copytree(*places, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=large)
    paths = sorted((project / "results").rglob("*"))
    random.Random(0).shuffle(paths)
    for moment, path in enumerate(paths, start=1_700_000_000):
        os.utime(path, (moment, moment))


@pytest.fixture
def elsewhere(finished, checkout, tmp_path) -> Path:
    """Another machine: a fresh checkout, and a copy of the results."""
    project = shutil.copytree(checkout, tmp_path / "elsewhere")
    copy_results(finished, project)
    return project


def test_results_on_another_machine_are_known_there(elsewhere):
    assert jobs(elsewhere) == set()
    edit(elsewhere / "src/spikesink/model/gates.py", "torch.sigmoid(g)", "torch.sigmoid(2 * g)")
    assert rerun(elsewhere) == training("conditional_head") | drawing("gating")


def test_a_second_copy_brings_its_own_records(elsewhere, checkout, tmp_path):
    """A laptop that has older records of the same study must not take the newer results for those of other settings."""
    cluster = shutil.copytree(checkout, tmp_path / "cluster")
    copy_results(elsewhere, cluster)
    assert jobs(elsewhere) == jobs(cluster) == set()  # both have records of the first results now
    changes = overlay(conditional_head={"model": {"gate": {"per": "single"}}})
    configure(cluster, changes)
    snakemake(cluster, "tables")
    copy_results(cluster, elsewhere)
    configure(elsewhere, changes)
    unmade = {f"figure {family} of gating" for family in FAMILIES} | {OVERVIEW, CLAIMS} | PROVENANCE
    assert rerun(elsewhere) == unmade  # what nobody has made of the new tables yet
