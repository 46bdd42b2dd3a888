"""Post-training quantisation, simulated: weights and inputs are rounded to a grid, the arithmetic stays in floats."""
