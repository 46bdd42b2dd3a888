"""Jobs are forks of one process, which imports once what takes them longest.

A process that draws spends about as much time on imports as on drawing. So when Snakemake starts jobs on this machine
it starts a process (``start``, ``server``), and ``python -m spikesink.workflow.forks MODULE ...`` (``requests``) does
what ``python -m MODULE ...`` does, in a fork of that process.
"""

AFFECTS_RESULTS = False
