"""Measures of trained and published models: each module of questions/ answers one question, or a few that share work.

A question is a pure function (model, tokens) -> rows of a tidy table. Everything is accumulated in float32 or wider,
whatever the precision of training. Shape letters as in spikesink.model.
"""
