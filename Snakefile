# A study, from config.yaml to the report: it is read and checked here, its rules are in workflow/rules.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# Nothing is installed for this: the package is the one of this checkout.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from spikesink.workflow.setup import explain_failure, keep_records, prepare, say_when_tracked, stand_ready


report: "workflow/report/workflow.rst"


# For `snakemake --sdm apptainer`; envs/spikesink.def says how it is made.
container: "spikesink.sif"


# Reads config.yaml and the files after --configfile itself, and says in one line what is wrong with them.
STUDY, CONFIG = prepare(workflow)


configfile: "config.yaml"


onstart:
    say_when_tracked(STUDY, sends_away=workflow.non_local_exec)
    stand_ready(workflow)


onsuccess:
    keep_records(STUDY)


onerror:
    keep_records(STUDY)
    explain_failure()


include: "workflow/rules/common.smk"
include: "workflow/rules/origin.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/pretrained.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/capabilities.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/mechanism.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/tracking.smk"
include: "workflow/rules/publish.smk"


# A bare `snakemake` makes everything that the study shows, and asks for all that this rests on.
rule all:
    default_target: True
    input:
        drawn.drawn_files(drawn_of(NAME)),
        lambda wildcards: rests_on(STUDY.runs),
        in_depth(),
        [f"results/{NAME}/provenance.csv"] if STUDY.runs else [],
        [f"results/{NAME}/published_models.csv"] if PRETRAINED else [],
        f"results/{NAME}/tracking.txt",
