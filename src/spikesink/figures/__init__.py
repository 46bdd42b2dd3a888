"""Collected tables in, figures out: one module per figure family, one style for all."""
