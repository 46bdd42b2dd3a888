"""A claim and its statistics as text, for claims.csv and its page."""

from collections.abc import Sequence

from spikesink.claims.decision import deciding_level, hardest, share_of_seeds
from spikesink.claims.quantities import CLAIMABLE
from spikesink.claims.terms import Term
from spikesink.claims.vocabulary import Claim
from spikesink.tables.render.numbers import significant

ONE_SEED = "one seed, no interval"
UNDEFINED = "no interval"

write = significant(3)


def in_short(found: Sequence[Term], coprimary: Sequence[str] = ()) -> str:
    """The observed value with its interval, and that of a coprimary quantity; of several, the one that decides."""
    if not found:
        return "–"
    if len(found) == 1 + len(coprimary):
        return "; ".join([with_interval(found[0]), *(f"{term.coprimary} {with_interval(term)}" for term in found[1:])])
    term = hardest(found)
    return f"{with_interval(term)}: {term.text}, the weakest of {len(found)}"


def with_interval(term: Term) -> str:
    return number(term) + (f" {interval(term)}" if interval(term) not in (ONE_SEED, UNDEFINED) else "")


def named_quantity(claim: Claim) -> str:
    if claim.relative_to:
        return f"{claim.quantity} / {claim.relative_to}"
    if claim.minus:
        return f"{claim.quantity} - {claim.minus}"
    unit = CLAIMABLE[claim.quantity].unit
    return claim.quantity if unit == "1" else f"{claim.quantity} ({unit})"


def expected(claim: Claim) -> str:
    """The claimed region in words."""
    of, give = ", ".join(claim.of), f", by up to {claim.tolerance:g} the other way" if claim.tolerance else ""
    match claim.compare:
        case "ratio":
            return f"{of} / {claim.reference}: {claim.region}"
        case "difference":
            return f"{of} - {claim.reference}: {claim.region}"
        case "value":
            return f"{of}: {claim.region}"
        case "seeds":
            return f"{of}: {claim.region} in most seeds"
        case "correlation":
            return f"correlation with {claim.against} over {of}: {claim.region}"
        case "increasing" | "decreasing":
            return f"{claim.compare} along {of}{give}"
        case _:
            return f"{of} {claim.compare} among {', '.join(claim.among)}{give}"


def listed(found: Sequence[Term], texts: Sequence[str]) -> str:
    """Texts of the statistics, each with its name where there are several; empty ones are left out."""
    given = [text for text in texts if text]
    if len(found) == 1 or (len(given) == 1 and len({term.about for term in found}) == 1):
        return given[0] if given else ""
    return "; ".join(f"{term.text} {text}" for term, text in zip(found, texts, strict=True) if text)


def method_of(term: Term) -> str:
    """How the interval was made, with the correlation of the two sides over their common seeds."""
    found = term.statistic
    correlation = f", correlation {found.correlation:.2f}" if found.correlation is not None else ""
    return f"{found.method}{correlation}" if found.method else ""


def number(term: Term) -> str:
    """The statistic; a step with its sign, or with the factor of a magnitude; of shares also the two means."""
    if term.within is not None:
        mean = f"{write(term.statistic.value)}, " if term.statistic.value is not None else ""
        return f"{mean}{term.within} of {term.statistic.count} seeds"
    value = term.statistic.value
    if value is None:
        return "undefined" if term.seeds else "no seed can tell"
    if term.step is None:
        return write(value) + (f" ({write(term.means[0])} / {write(term.means[1])})" if term.means else "")
    return f"×{write(value)}" if term.step == "factor" else f"{'+' if value > 0 else ''}{write(value)}"


def interval(term: Term) -> str:
    """The interval that decides, as text, with its level where that is not 95 %."""
    level = deciding_level(term)
    if term.within is not None:
        low, high = (100 * share for share in share_of_seeds(term, level))
        return f"[{write(low)}, {write(high)}] % of seeds"
    _, low, high, _ = term.statistic.estimate(level)
    if low is None or high is None:
        return UNDEFINED if term.statistic.value is None else ONE_SEED
    return f"[{write(low)}, {write(high)}]" + (f" ({100 * level:.0f} %)" if term.keeps else "")


def intervals(found: Sequence[Term]) -> str:
    """The intervals as text, or that there are none."""
    texts = [interval(term) for term in found]
    return (texts[0] if texts else "") if set(texts) in ({ONE_SEED}, {UNDEFINED}) else listed(found, texts)
