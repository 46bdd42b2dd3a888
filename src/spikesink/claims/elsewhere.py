"""What would judge a claim that a study cannot judge: another scale, published models, or variants that it lacks."""

from functools import cache

from spikesink.claims.observations import Observations
from spikesink.claims.vocabulary import PRETRAINED, Claim
from spikesink.tables.paper.rows import rows_of, v_scale_rows


def needs(claim: Claim, observed: Observations) -> str:
    """What a claim that was not run or not measured would need, in a few words; empty where the study has it all."""
    if not observed.is_of(claim.scale):
        return f"scale {claim.scale}"
    if PRETRAINED in claim.variants and not observed.has(PRETRAINED):
        return "published models"
    lacking = [name for name in claim.variants if name != PRETRAINED and observed.variant(name) is None]
    if not lacking:
        shallow = [name for name in claim.variants if not analysed(name, claim, observed)]
        return f"mechanism.compare with {', '.join(shallow)}" if shallow else ""
    ablations = dict.fromkeys(ablation_of_row().get(name, "") for name in lacking)
    if "" in ablations:
        return f"variants {', '.join(lacking)}"
    return f"ablations {', '.join(ablations)}"


def analysed(name: str, claim: Claim, observed: Observations) -> bool:
    """Whether a variant has what the claim asks of it: some quantities are measured in depth alone."""
    in_depth = observed.table(name, claim.quantity) is observed.mechanism
    return not in_depth or observed.variant(name) in observed.mechanism


@cache
def ablation_of_row() -> dict[str, str]:
    """The ablation in which each row of the papers' tables stands."""
    found = {row["variant"]: row["ablation"] for row in rows_of("paper_rows.csv")}
    return found | dict.fromkeys(v_scale_rows(), "v_scale")
