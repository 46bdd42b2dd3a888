"""What a model's measures come to in a row of mechanism.csv: one module per topic, whose function explains its columns.

Each function takes the measures' tables by question and gives its columns; None where a question has no answer for the
model. Thresholds and definitions are the measures' own; means over blocks, heads and tokens are this project's reading.
"""
