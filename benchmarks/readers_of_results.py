"""Readers of results that are no command of their own, as one: ``readers_of_results.py tracking|summary|published``.

What they read is written to a file as text.
"""

import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.render.summary import summary
from spikesink.tracking.results import ended_runs, tabulated_variants
from spikesink.workflow import published


@one_line_errors()
def main() -> None:
    what, place, output = sys.argv[1:]
    results = Path(place)
    if what == "tracking":
        runs = ended_runs(results)
        read = repr((runs, tabulated_variants(results, runs)))
    elif what == "summary":
        read = summary(results / "tables/runs.csv")
    else:
        read = repr(published.read_published(published.intact(place)))
    Path(output).write_text(read)


if __name__ == "__main__":
    sys.exit(main())
