"""Every quantity that the project reports, once: name, unit, meaning, source, scale, label, format.

Tables, statistics, figures, claims, MLflow and docs take these facts from here. A column of mechanism.csv that is one
number of one measure's table needs an entry here and nothing else: ``taken`` says how it is computed. The other columns
are computed by the topics of ``spikesink.tables.topics``. All are of one model. Means over blocks, heads and tokens are
this project's reading of the papers. A threshold in a meaning is a key of the config.
"""

from spikesink.quantities.of_abilities import OF_ABILITIES
from spikesink.quantities.of_capabilities import EVERY_CAPABILITY
from spikesink.quantities.of_consequences import OF_CONSEQUENCES
from spikesink.quantities.of_equal_loss import OF_EQUAL_LOSS
from spikesink.quantities.of_gradients import OF_GRADIENTS
from spikesink.quantities.of_quantisation import OF_QUANTISATION
from spikesink.quantities.of_runs import OF_RUNS
from spikesink.quantities.of_spikes import OF_SPIKES
from spikesink.quantities.quantity import BOTH, CAPABILITIES, Quantity, Taken

QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        *OF_RUNS,
        *OF_EQUAL_LOSS,
        *OF_SPIKES,
        *OF_GRADIENTS,
        *OF_CONSEQUENCES,
        *OF_ABILITIES,
        *OF_QUANTISATION,
        *EVERY_CAPABILITY,
    )
}
"""By name, in the order of the tables' columns."""

__all__ = ["BOTH", "CAPABILITIES", "QUANTITIES", "Quantity", "Taken", "names_of"]


def names_of(table: str) -> tuple[str, ...]:
    """The names of a table's quantities, "runs" or "mechanism", in the order of its columns."""
    return tuple(name for name, quantity in QUANTITIES.items() if quantity.table in (table, BOTH))
