"""Snakemake that looks at its jobs every second, where its SLURM executor waits ever longer; nothing else differs."""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(executor: RemoteExecutor) -> None:
    await asyncio.sleep(1)


RemoteExecutor.sleep = sleep
sys.exit(main())
