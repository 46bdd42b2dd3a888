"""Intervals, tests and means over seeds."""
