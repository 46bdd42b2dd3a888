"""Real Snakemake runs of a tiny study: what is made, what a change reruns, what a kill loses."""

import csv
import os
import signal
import subprocess
import time
import zipfile

import pytest
import torch
from safetensors.torch import load_file
from tiny_study import ROOT, arguments, configure, copy_project, jobs, run_snakemake, snakemake

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.study.plan import Cost, costs
from spikesink.study.resolve import load


def test_the_study_leaves_the_promised_files(finished):
    results = finished / "results/tiny"
    with open(results / "tables/runs.csv") as file:
        header, *rows = csv.reader(file)
    names = "ablation variant seed perplexity sink_ratio sink_ratio_gu spike spike_position parameters tokens"
    assert header[:11] == [*names.split(), "status"]
    assert [row[1] for row in rows] == ["baseline", "conditional_head", "v_scale"]
    for row in map(dict, (zip(header, row, strict=True) for row in rows)):
        assert row["status"] == "finished"
        assert 1 < float(row["perplexity"]) < 600
    for ablation in ("gating", "v_scale"):
        for suffix in ("html", "csv", "parquet", "md", "tex"):
            assert (results / f"tables/{ablation}.{suffix}").stat().st_size > 0
        pictures = {path.read_bytes() for path in results.glob(f"figures/{ablation}_*.png")}
        assert len(pictures) == 5  # the rules are made in a loop: each must draw its own family
        for family in ("abilities", "ablation", "lifecycle", "sink_map", "training"):
            assert (results / f"figures/{ablation}_{family}.png").read_bytes().startswith(b"\x89PNG")
            assert (results / f"figures/{ablation}_{family}.pdf").read_bytes().startswith(b"%PDF")
    pictures = {(results / f"figures/mechanism/compared_{figure}.png").read_bytes() for figure in MECHANISM_FIGURES}
    assert len(pictures) == len(MECHANISM_FIGURES) and all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert (results / "figures/overview.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "figures/overview.pdf").read_bytes().startswith(b"%PDF")
    with open(results / "claims.csv") as file:
        claims = {row["claim"]: row for row in csv.DictReader(file)}
    assert len(claims) > 40
    judged = claims["v_scale_keeps_perplexity"]
    assert judged["verdict"] in ("reproduced", "not reproduced")
    assert (judged["interval"], judged["seeds"], judged["scale"]) == ("one seed, no interval", "0", "tiny")
    assert claims["value_path"]["observed"], "mechanism.csv is read too"
    assert claims["gelu_spike"]["verdict"] == "not run"
    assert "</html>" in (results / "claims.html").read_text()
    assert (results / "claims.md").read_text().startswith("# Claims of the papers in study tiny, scale tiny\n")
    with open(results / "tables/statistics.csv") as file:
        assert {row["variant"] for row in csv.DictReader(file)} == {"baseline", "conditional_head", "v_scale"}
    for name in ("run.json", "model.safetensors", "metrics.csv", "manifest.json", "measures/attention.parquet"):
        assert (results / "runs/v_scale/seed0" / name).exists()
    assert list((results / "checkpoints").iterdir()) == []


def test_a_finished_study_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished, "--dry-run")
    assert "Nothing to be done" in snakemake(finished, "--dry-run", "gating")


def test_one_ablation_needs_no_other(finished):
    """`snakemake gating` makes that ablation's runs, table and figures."""
    wanted = jobs(finished, "gating", "--forceall")
    assert {message for message in wanted if message.startswith("train")} == {
        "train baseline/baseline seed 0",
        "train gating/conditional_head seed 0",
    }
    assert not any("v_scale" in message for message in wanted)


def test_every_ablation_is_a_node_of_the_rule_graph(finished):
    graph = snakemake(finished, "--rulegraph")
    for rule in ("train_baseline", "train_gating", "train_v_scale", "measure_forward", "figure_sink_map", "track"):
        assert f'label = "{rule}"' in graph


def test_figures_are_redrawn_from_tables_alone(project):
    figure = project / "results/tiny/figures/gating_ablation.png"
    figure.unlink()
    runs = project / "results/tiny/runs"
    hidden = runs.rename(runs.with_name("hidden"))
    try:
        snakemake(project, "figures", "--allowed-rules", "figure_ablation", "figures")
    finally:
        hidden.rename(runs)
    assert figure.exists()


@pytest.mark.parametrize("target", ["all", "tables", "gating"])
def test_a_target_asks_for_the_runs_that_it_rests_on(finished, target):
    """A failed job takes its files with it: with the figures of the run before, nothing would seem to be left to do."""
    manifest = finished / "results/tiny/runs/conditional_head/seed0/manifest.json"
    hidden = manifest.rename(manifest.with_name("hidden"))
    try:
        assert "train gating/conditional_head seed 0" in jobs(finished, target)
    finally:
        hidden.rename(manifest)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": {"attention": {"head_dim": 7}}}, "config error: model.attention: head_dim = 7 is odd"),
        ({"model": {"gat": {}}}, "config error: model.gat = {}: unknown key; did you mean 'gate'?"),
    ],
)
def test_a_bad_config_stops_before_any_job(project, changes, message):
    configure(project, changes)
    output = snakemake(project, "--dry-run", expect=1)
    assert message in output
    assert "Traceback" not in output


def test_the_report_has_a_caption_for_every_table_and_figure(finished):
    snakemake(finished, "--report", "report.zip")
    with zipfile.ZipFile(finished / "report.zip") as report:
        names = "\n".join(report.namelist())
        page = b"".join(report.read(name) for name in report.namelist() if name.endswith((".html", ".js"))).decode()
    pictures = ("gating_ablation.png", "gating_lifecycle.png", "v_scale_sink_map.png", "v_scale_training.png")
    for name in ("overview.png", *pictures):
        assert name in names
    for text in ("1. Overview", "5. Provenance", "gating", "v_scale", "all runs", "sink map", "Eq"):
        assert text in page
    assert page.count('"caption"') >= 2 * 5 + 3
    assert "claims.html" in names and "not run" in page
    assert "/gating.html" in names and "Ablation gating of study tiny" in page


def test_snakemake_finds_no_fault_with_the_workflow(finished):
    output = snakemake(finished, "--lint")
    assert "Congratulations" in output


def test_a_killed_study_trains_the_same_runs(finished, tmp_path):
    project = copy_project(tmp_path)
    process = subprocess.Popen(
        arguments(), cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 300
        while not list(project.glob("results/tiny/runs/*/seed0/manifest.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = list(project.glob("results/tiny/runs/*/seed0/manifest.json"))
    assert len(done) < 3
    snakemake(project, "--unlock")
    folders = [f"results/tiny/runs/{variant}/seed0" for variant in ("baseline", "conditional_head", "v_scale")]
    snakemake(project, *(f"{folder}/manifest.json" for folder in folders))
    for folder in folders:
        first, second = (load_file(where / folder / "model.safetensors") for where in (finished, project))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert (finished / folder / "metrics.csv").read_bytes() == (project / folder / "metrics.csv").read_bytes()


def test_the_plan_is_a_target_and_follows_the_config(tmp_path):
    project = copy_project(tmp_path)

    def plan(*options: str) -> str:
        configs = ("--configfile", "workflow/scales/smoke.yaml", "mine.yaml")
        result = run_snakemake(project, "plan", "--cores", "1", *options, *configs)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    mine = project / "mine.yaml"
    mine.write_text("seeds: [0, 1]")
    assert "GPU-hours and memory are estimates" in plan()
    with open(project / "results/smoke/plan.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    planned = costs(load([ROOT / "workflow/scales/smoke.yaml", mine], base=ROOT / "config.yaml"))
    assert list(rows[0]) == list(Cost.__dataclass_fields__)
    assert [(row["variant"], int(row["seed"]), int(row["parameters"])) for row in rows] == [
        (cost.variant, cost.seed, cost.parameters) for cost in planned
    ]
    assert (project / "results/smoke/logs/plan.log").read_text().startswith("ablation")
    mine.write_text("{seeds: [0, 1], resources: {train: {memory_mb: 3000}}}")
    assert "Nothing to be done" in plan("--dry-run")
    for changed in ("training: {steps: 40}", "mechanism: {variants: all}", "plan: {gpu: B200}"):
        mine.write_text(f"{{seeds: [0, 1], {changed}}}")
        assert "plan: what the study will cost" in plan("--dry-run"), changed
    mine.write_text("seeds: [0, 1]")
    with open(project / "src/spikesink/workflow/measure_plan.py", "a") as file:
        file.write("START = 3.0\n")
    assert "plan: what the study will cost" in plan("--dry-run"), "other code"
