"""What a reader of tables or published studies refuses with: without polars, as every start of Snakemake imports it."""


class InputError(ValueError):
    """An input that cannot be used. The message is one line: file, fault, remedy."""
