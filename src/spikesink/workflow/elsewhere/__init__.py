"""A study on a machine that has Python and torch but no Snakemake: packed here, run there, unpacked here.

``spikesink pack`` writes an archive with the runs that are left, the packed tokens and the package. There,
``python3 run.py`` trains and measures, and writes results.tar. ``spikesink unpack`` compares them with the study and
puts them where Snakemake would have put them.
"""
