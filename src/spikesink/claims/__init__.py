"""The papers' testable claims as data, and for each whether a study reproduces it."""
