"""Measures on trained models: each module answers one question with a pure function (model, tokens) -> rows of a table.

Everything is accumulated in float32 or wider whatever the training precision. Shape letters as in spikesink.model.
"""
