"""Jobs that are forks of one process, so that what they all need is imported once.

A process that draws spends more time on importing matplotlib and polars than on drawing. So when Snakemake starts jobs
on this machine it starts a process (``start``, ``server``), and ``python -m spikesink.workflow.forks MODULE ...``
(``requests``) does what ``python -m MODULE ...`` does, in a fork of that process.
"""

AFFECTS_RESULTS = False
