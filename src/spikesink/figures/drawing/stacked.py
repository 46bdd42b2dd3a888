"""The answers of several models to one question, as one table: where the data of a figure of the mechanism begins."""

from collections.abc import Mapping

import polars as pl

from spikesink.figures.drawing.files import Columns
from spikesink.tables.inputs import with_absent

Models = Mapping[str, Mapping[str, pl.DataFrame]]
"""By the model's label and the question's name: the table of answers."""


def stacked(models: Models, question: str, columns: Columns, later: Columns | None = None) -> pl.DataFrame:
    """The named columns of all answers to a question, in these types, below each other; ``model`` is the first column.

    An empty answer adds no row: a model may lack what the question is about. The columns of ``later`` were added to the
    question after studies were published: null where an answer lacks them.
    """
    columns = {**columns, **(later or {})}
    answers = [
        with_absent(tables[question], later or {}).select(
            pl.lit(model).alias("model"), *(pl.col(name).cast(columns[name]) for name in columns)
        )
        for model, tables in models.items()
        if len(tables[question])
    ]
    return pl.concat(answers) if answers else pl.DataFrame(schema={"model": pl.String(), **columns})
