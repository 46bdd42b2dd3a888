"""How numbers are written in tables: fixed decimals for ratios, significant digits for magnitudes."""

import math
from collections.abc import Callable

ABSENT = "–"
SMALL = 1e-4
"""Smaller magnitudes are written with an exponent: their zeros would make a column wide."""


def decimals(places: int) -> Callable[[float], str]:
    """A function that writes numbers with this many decimals and with thousands separators."""
    return lambda value: f"{value:,.{places}f}"


def significant(digits: int) -> Callable[[float], str]:
    """A function that writes numbers with this many significant digits: 38470 as 38,500, and 0.0000240 as 2.40e-5."""

    def write(value: float) -> str:
        if value == 0 or not math.isfinite(value):
            return f"{value:g}"
        if abs(value) < SMALL:
            mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
            return f"{mantissa}e{int(exponent)}"
        places = digits - 1 - math.floor(math.log10(abs(value)))
        rounded = round(value, places)
        return f"{rounded:,.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"

    return write


def writer(form: str) -> Callable[[float], str]:
    """The function that writes numbers in the format of a ``Quantity``."""
    digits, significance, rest = form.partition(" digits")
    if not significance:
        return lambda value: f"{value:{form}}"
    write, divisor = significant(int(digits)), 1e6 if rest == " of millions" else 1
    return lambda value: write(value / divisor)


def written(value: float | None, write: Callable[[float], str]) -> str:
    """A number, or a dash."""
    return ABSENT if value is None else write(value)


def bracketed(value: float | None, low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """A number, with its interval in brackets where there is one, or a dash."""
    if value is None or low is None or high is None:
        return written(value, write)
    return f"{write(value)} [{write(low)}, {write(high)}]"


def as_published(perplexity: float) -> str:
    """One decimal, as 2603.05498 prints it, or two where it is the exponential of a published loss."""
    return decimals(1 if round(perplexity, 1) == perplexity else 2)(perplexity)


def probability(p: float | None) -> str:
    """A p value with three decimals, or "<0.001"."""
    return ABSENT if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
