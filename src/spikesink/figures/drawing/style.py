"""What a picture needs beside its numbers: colours, and the look of every variant or model.

A figure's ``style`` is a Style: an immutable mapping from the name of every variant or model, in drawing order, to its
Look. It follows from names and places alone, so a variant looks the same in all figures.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from matplotlib.colors import to_hex, to_rgb

from spikesink.study.names import BASELINE

BASELINE_COLOUR = "#404040"
# Okabe and Ito's colour-blind-safe set without its yellow, which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# Published models have colours of their own: Tol's muted set.
PRETRAINED_COLOURS = ("#882255", "#44AA99", "#999933", "#332288")
# Where colours repeat, dashes and markers still differ.
DASHES = ((), (4, 1.5), (1, 1), (5, 1, 1, 1))
MARKERS = ("o", "s", "^", "D")
# Where a figure shows several ablations, these markers and a colour name the ablation.
ABLATION_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h")

SPIKE, NO_SPIKE = "#D55E00", "#0072B2"
"""For figures whose colours are not models: token 0 and whatever spikes, and the largest of what does not spike."""
STARTS = {"bos": "#0072B2", "text": "#009E73"}
"""Colours by what stands at position 0."""
REFERENCE = {"color": BASELINE_COLOUR, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}
"""A line to compare others with: the baseline, a threshold."""


class Look(NamedTuple):
    """How a variant or model is drawn: colour, dash pattern in line widths (empty: solid), marker."""

    colour: str
    dashes: tuple[float, ...]
    marker: str


Style = Mapping[str, Look]
"""The look of every variant or model, in drawing order."""


def look(place: int) -> Look:
    """The look of the variant at this place of its ablation; the baseline's place is 0."""
    if place == 0:
        return Look(BASELINE_COLOUR, (), "o")
    turn = (place - 1) // len(COLOURS) % len(DASHES)
    return Look(COLOURS[(place - 1) % len(COLOURS)], DASHES[turn], MARKERS[turn])


def style_of_variants(variants: Iterable[str]) -> Style:
    """The style of an ablation's figures: the baseline dark grey, the other variants by their order."""
    names = list(variants)
    places = iter(range(1, len(names) + 1))
    return MappingProxyType({name: look(0 if name == BASELINE else next(places)) for name in names})


def style_of_study(ablations: Mapping[str, str]) -> Style:
    """The style of a figure of all ablations, from the ablation of every variant: variants of one look alike.

    A colour and a marker stand for an ablation. Both repeat, but together they do so after thirty ablations only.
    """
    others = [ablation for ablation in dict.fromkeys(ablations.values()) if ablation != BASELINE]
    looks = {
        ablation: Look(COLOURS[index % len(COLOURS)], (), ABLATION_MARKERS[index % len(ABLATION_MARKERS)])
        for index, ablation in enumerate(others)
    }
    return MappingProxyType({variant: looks.get(own, look(0)) for variant, own in ablations.items()})


def style_of_models(places: Mapping[str, int | None]) -> Style:
    """The style of models from several ablations by their places there; the place of a published model is None.

    Where two models have one colour, the later one is lighter and has a dash pattern and a marker of its own.
    """
    found: dict[str, Look] = {}
    for model, place in places.items():
        published = sum(1 for other in found if places[other] is None)
        own = look(place) if place is not None else Look(PRETRAINED_COLOURS[published % 4], (), "o")
        same = sum(1 for other in found if places[other] is not None and look(places[other]).colour == own.colour)
        if same:
            turn = same % len(DASHES)
            own = Look(to_hex(lighter(own.colour, 0.25 + 0.1 * turn)), DASHES[turn], MARKERS[turn])
        found[model] = own
    return MappingProxyType(found)


def line(look: Look) -> str | tuple:
    """A look's dash pattern as matplotlib's linestyle."""
    return (0, look.dashes) if look.dashes else "solid"


def lighter(colour: str, share: float = 0.55) -> tuple[float, float, float]:
    """The colour mixed with this share of white."""
    return tuple(channel + (1 - channel) * share for channel in to_rgb(colour))
