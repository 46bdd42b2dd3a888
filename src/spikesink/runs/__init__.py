"""A run's folder, the contract between all stages, and what keeping it takes.

That is: files that are written whole and read intact, digests of the code that made a result, how far runs are and why
they would run again, and what the command lines of all rooms share.
"""
