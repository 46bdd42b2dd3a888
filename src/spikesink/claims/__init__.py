"""The papers' testable claims, as data, and what a study's numbers say of each: reproduced, or not, or not to tell."""
