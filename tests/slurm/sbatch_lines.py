"""Makes a dry run of Snakemake print, for every job, the line with which SLURM's executor would submit it."""

from types import SimpleNamespace

import snakemake_executor_plugin_slurm as plugin
from snakemake.executors import dryrun
from snakemake.logging import logger
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

# There is no cluster to ask whether the account exists.
plugin.validate_account = lambda account, logger: account
submitting = SimpleNamespace(logger=logger, _partitions=None, _fallback_account_arg="", _fallback_partition="")
run_job = dryrun.Executor.run_job


def print_line(executor: dryrun.Executor, job: object) -> None:
    # In a dry run every job counts as local.
    if not job.rule.norun and job.rule.name not in executor.workflow._localrules:
        validate_slurm_extra(job)
        account = next(plugin.Executor.get_account_arg(submitting, job))
        partition = plugin.Executor.get_partition_arg(submitting, job)
        parameters = {"run_uuid": "run", "slurm_logfile": "log", "comment_str": f"rule_{job.name}", "workdir": None}
        parameters |= {"account": account, "partition": partition}
        print("SBATCH", get_submit_command(job, parameters) + set_gres_string(job))
    run_job(executor, job)


dryrun.Executor.run_job = print_line
