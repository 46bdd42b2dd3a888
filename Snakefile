# A study, from config.yaml to the report. The config is read and checked here; the rules are in workflow/rules.
import os
import re
import signal
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# Jobs run the package of this checkout with the interpreter that runs Snakemake, unless a job has an environment of its own.
SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
os.environ.update(
    PYTHONPATH=str(SOURCE),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
)

from spikesink.cluster import job_resources
from spikesink.code_digest import code_digest, constant
from spikesink.figures.catalogue import FIGURES
from spikesink.identity import identity, unused_parts
from spikesink.measures.groups import GROUPS
from spikesink.plan import costs, write_plan
from spikesink.records import exchange_records
from spikesink.study import BASELINE, ConfigError, canonical, merge, read_yaml, resolve
from spikesink.tracking import default_uri


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


# For `snakemake --sdm apptainer`; envs/spikesink.def says how it is made.
container: "spikesink.sif"


try:
    for path in workflow.configfiles:
        read_yaml(path)  # refuses keys that stand twice, which Snakemake would drop silently
    # Snakemake puts the keys of an overlay first; the ablations keep the order of config.yaml.
    STUDY = resolve(merge(read_yaml(Path(workflow.basedir) / "config.yaml"), config))
except ConfigError as error:
    raise SystemExit(f"config error: {error}")

RESULTS = f"results/{STUDY.config.study}"
RUN = f"{RESULTS}/runs/{{variant}}/seed{{seed}}"
FAMILIES = ("ablation", "lifecycle", "sink_map", "training")
TABLE_FORMATS = ("html", "csv", "parquet", "md", "tex")
FIGURE_FORMATS = ("pdf", "png")

# Snakemake's records of what was made from what are kept beside the results too: they survive the loss of .snakemake and
# travel with a copy of the results.
if workflow.is_main_process:
    exchange_records(RESULTS)


onsuccess:
    exchange_records(RESULTS)


onerror:
    exchange_records(RESULTS)


# SLURM's warning before a job's time limit goes to every process of the job, and ends those that do not know it. Training
# listens to it; what Snakemake starts around it inherits from here that it is ignored.
if "SLURM_JOB_ID" in os.environ:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Where MLflow is has no influence on a result, so it reaches jobs through the environment instead of their identity.
TRACKING_URI = STUDY.config.tracking.uri or default_uri("results")
if STUDY.config.tracking.live:
    os.environ.update(SPIKESINK_TRACKING_URI=TRACKING_URI)


wildcard_constraints:
    ablation="|".join(map(re.escape, (BASELINE, *STUDY.ablations))),
    variant=r"[^/]+",  # the rules that train say which: a list of hundreds in every rule takes seconds
    seed="[0-9]+",


localrules:
    all,
    tables,
    figures,


rule tables:
    input:
        f"{RESULTS}/tables/runs.csv",
        expand(
            f"{RESULTS}/tables/{{ablation}}.{{format}}",
            ablation=STUDY.ablations,
            format=TABLE_FORMATS,
        ),


rule figures:
    input:
        expand(f"{RESULTS}/figures/overview.{{format}}", format=FIGURE_FORMATS),
        expand(
            f"{RESULTS}/figures/{{ablation}}_{{family}}.{{format}}",
            ablation=STUDY.ablations,
            family=FAMILIES,
            format=FIGURE_FORMATS,
        ),


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        f"{RESULTS}/tracking.txt",
        lambda wildcards: MECHANISM_FILES,
        f"{RESULTS}/claims.csv",


include: "workflow/rules/common.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/pretrained.smk"
include: "workflow/rules/mechanism.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tracking.smk"
