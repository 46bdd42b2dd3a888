"""Columns of mechanism.csv that need more than one number of one table: a module per topic.

A module names in ``READS`` the measures that it needs, and its function ``columns`` takes their tables by question and
returns values by column. A column without an answer for the model is None or left out. ``spikesink.quantities`` says
what every column means.
"""
