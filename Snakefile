# A study, from config.yaml to the report. The config is read and checked here; the rules are in workflow/rules.
import os
import re
import signal
import sys
from dataclasses import asdict
from hashlib import sha256
from importlib.util import find_spec
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

from spikesink.workflow.cluster import job_resources
from spikesink.runs.code_digest import code_digest, constant
from spikesink.workflow.drawn import drawn, published
from spikesink.figures.catalogue import FIGURES
from spikesink.runs.identity import identity, unused_parts
from spikesink.measures.groups import GROUPS
from spikesink.study.plan import costs, write_plan
from spikesink.workflow.publish import intact, publish
from spikesink.workflow.records import exchange_records
from spikesink.study.errors import ConfigError
from spikesink.study.names import BASELINE
from spikesink.study.resolve import resolve
from spikesink.study.run import canonical
from spikesink.study.strict_yaml import merge, read_yaml
from spikesink.tables.collecting.questions import mechanism_questions
from spikesink.tracking import default_uri


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


# For `snakemake --sdm apptainer`; envs/spikesink.def says how it is made.
container: "spikesink.sif"


try:
    for path in workflow.configfiles:
        read_yaml(path)  # refuses keys that stand twice, which Snakemake would drop silently
    # Snakemake puts the keys of an overlay first; the ablations keep the order of config.yaml.
    WRITTEN = merge(read_yaml(Path(workflow.basedir) / "config.yaml"), config)
    STUDY = resolve(WRITTEN)
    PUBLISHED = published()
except ConfigError as error:
    raise SystemExit(f"config error: {error}")

RESULTS = f"results/{STUDY.config.study}"
RUN = f"{RESULTS}/runs/{{variant}}/seed{{seed}}"
# What is drawn, by the folder that holds it: the study at hand, and those that were published.
DRAWN = {RESULTS: drawn(STUDY), **PUBLISHED}
FAMILIES = ("ablation", "lifecycle", "sink_map", "training")
TABLE_FORMATS = ("html", "csv", "parquet", "md", "tex")
FIGURE_FORMATS = ("pdf", "png", "csv")

# Snakemake's records of what was made from what are kept beside the results too: they survive the loss of .snakemake and
# travel with a copy of the results.
if workflow.is_main_process:
    exchange_records(RESULTS)


onsuccess:
    exchange_records(RESULTS)


onerror:
    exchange_records(RESULTS)
    if find_spec("torch") is None:
        print(
            "torch is not installed: jobs that train or measure here need what `make install` adds", file=sys.stderr
        )


# SLURM's warning before a job's time limit goes to every process of the job, and ends those that do not know it. Training
# listens to it; what Snakemake starts around it inherits from here that it is ignored.
if "SLURM_JOB_ID" in os.environ:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Where MLflow is has no influence on a result, so it reaches jobs through the environment instead of their identity.
TRACKING_URI = STUDY.config.tracking.uri or default_uri("results")
if STUDY.config.tracking.live:
    os.environ.update(SPIKESINK_TRACKING_URI=TRACKING_URI)


wildcard_constraints:
    results="|".join(map(re.escape, DRAWN)),
    ablation="|".join(
        sorted({re.escape(name) for drawing in DRAWN.values() for name in (BASELINE, *drawing.ablations)})
    ),
    variant=r"[^/]+",  # the rules that train say which: a list of hundreds in every rule takes seconds
    seed="[0-9]+",


include: "workflow/rules/common.smk"


localrules:
    all,
    tables,
    figures,


rule tables:
    input:
        tables_of(RESULTS),


rule figures:
    input:
        figures_of(RESULTS),


rule all:
    default_target: True
    input:
        drawn_files(RESULTS),
        lambda wildcards: rules.mechanism.input,
        f"{RESULTS}/tracking.txt",


include: "workflow/rules/plan.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/pretrained.smk"
include: "workflow/rules/mechanism.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/tracking.smk"
