"""The figures of an ablation, and the overview of all."""
