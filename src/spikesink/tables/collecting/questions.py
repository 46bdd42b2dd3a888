"""The measures that the table of the mechanism needs. Quick to import: the workflow asks it when it starts."""

from pathlib import Path

from spikesink.quantities import QUANTITIES
from spikesink.runs.module_facts import constant

TOPICS = Path(__file__).parents[1] / "topics"


def mechanism_questions() -> tuple[str, ...]:
    """The names of the measures, those of the topics and of the columns that are declared as quantities, sorted."""
    names = [path.stem for path in TOPICS.glob("*.py") if path.stem != "__init__"]
    of_topics = [question for name in names for question in constant(f"spikesink.tables.topics.{name}", "READS")]
    declared = [quantity.taken.question for quantity in QUANTITIES.values() if quantity.taken]
    return tuple(sorted({*of_topics, *declared}))
