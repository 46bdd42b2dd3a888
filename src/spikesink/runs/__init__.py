"""A run's folder: its paths, what lies in it, how it is written, and what it was made from."""
