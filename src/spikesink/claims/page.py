"""The findings for a reader: what the page of claims says, block by block, for ``spikesink.claims.formats`` to write.

First the counts with and without corrections, then the primary claims, the check of the claims about sinks, the
secondary claims by paper, published models, and, folded, the exploratory claims and the checks of the instrument.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from spikesink.claims.decision import ALPHA, NOT_REPRODUCED, REPRODUCED, UNDECIDABLE
from spikesink.claims.mixed_model import Effect
from spikesink.claims.verdict import NOT_MEASURED, NOT_RUN, VERDICTS, Finding
from spikesink.claims.vocabulary import TIERS
from spikesink.claims.words import write
from spikesink.tables.render.numbers import probability

TALLY = ("claims", *VERDICTS, "all")
CORRECTED = ("claims judged by an interval", "correction", REPRODUCED, NOT_REPRODUCED)
HEADINGS = ("claim", "expected", "observed", "paper", "of paper's effect", "verdict", "p")
PRIMARY_HEADINGS = (*HEADINGS[:-1], "p (Holm)", "with Holm")
CHECKED = ("check", "expected", "observed", "result")
ABOUT_MODELS = "Published models: "
"""How statements about published models begin."""
MIXED = ("variant", "change of logit sink mass", "p (Holm)")
RULES = (
    "A claim is reproduced where the 95 % interval of its statistic over seeds lies wholly inside the claimed region, "
    "and not reproduced where it lies wholly outside. Else the seeds do not decide: the page says how many would, with "
    "a probability of 80 %, at the paper's effect or at ours, given the spread seen here.",
    "That something stays (a region closed on both sides) is a test of equivalence: two one-sided tests at 5 %, which "
    "is the 90 % interval. The margin is in the claim.",
    "Runs of equal seed are compared in pairs where they are clearly correlated, else as independent (Welch). Counts "
    "of seeds have Clopper and Pearson's interval; shares that reach 0 or 100 % have Gaffke's, the same for counts.",
    "Several statistics of one claim must all hold. In a study of one seed its value alone decides and has no p value; "
    "one seed of several decides nothing.",
    'A claim that something stays presumes that it is there: sinks cannot stay where there are none. "(our bound)" '
    "marks every bound other than 0, 1 or all that the paper does not state.",
    "A verdict is about this study's scale. The papers' rows are single runs of models of up to 7 billion parameters.",
)


class Block(NamedTuple):
    """A piece of the page: a heading, a paragraph, a list, a table, or the beginning or end of a folded part."""

    kind: Literal["heading", "paragraph", "list", "table", "fold", "end"]
    text: str = ""
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def blocks_of(
    findings: Sequence[Finding], mixed: Sequence[Effect] = (), spreads: Mapping[str, float] | None = None
) -> list[Block]:
    """All blocks below the page's title; ``mixed`` and ``spreads`` are what ``spikesink.claims.mixed_model`` finds."""
    by_tier = {tier: [row for row in findings if row.tier == tier and not row.model] for tier in TIERS}
    page = [
        Block("table", "tally", TALLY, tally(findings)),
        Block("table", "corrected", CORRECTED, corrections(findings)),
        Block("list", rows=[RULES]),
    ]
    if by_tier["primary"]:
        page.append(Block("heading", "Primary claims"))
        page.append(Block("table", "primary", PRIMARY_HEADINGS, [primary_cells(row) for row in by_tier["primary"]]))
    if mixed:
        page += check_of_sinks(mixed, spreads)
    page += section("Secondary claims", by_tier["secondary"])
    page += published_models([row for row in findings if row.model])
    if by_tier["exploratory"]:
        page.append(Block("fold", f"Exploratory claims ({len(by_tier['exploratory'])})"))
        page += [*section("", by_tier["exploratory"]), Block("end")]
    if by_tier["check"]:
        page.append(Block("fold", f"Checks of the instrument ({len(by_tier['check'])}), not counted as claims"))
        page.append(
            Block(
                "paragraph",
                "Each follows from definitions, or says that a control takes as much as what it controls, and must "
                "hold in every seed. Where one fails, the instrument or the control is wrong.",
            )
        )
        page += [Block("table", "checks", CHECKED, [check_cells(row) for row in by_tier["check"]]), Block("end")]
    return page


def counts(findings: Sequence[Finding]) -> str:
    members = [finding for finding in findings if finding.counts]
    numbers = {verdict: sum(finding.verdict == verdict for finding in members) for verdict in VERDICTS}
    return f"{len(members)} claims: " + ", ".join(f"{number} {verdict}" for verdict, number in numbers.items()) + "."


def tally(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """The table with the columns TALLY: how many claims have each verdict. One row per tier, then one for all."""
    members = {tier: [row for row in findings if row.counts and row.tier == tier] for tier in TIERS}
    shown = {tier: rows for tier, rows in members.items() if rows} | {"all": [row for row in findings if row.counts]}
    return [
        (tier, *(str(sum(row.verdict == verdict for row in rows)) for verdict in VERDICTS), str(len(rows)))
        for tier, rows in shown.items()
    ]


def corrections(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """The table with the columns CORRECTED: how many verdicts stand, of the primary claims and of all."""
    every = [row for row in findings if row.counts and row.p is not None]
    primary = [row for row in every if row.tier == "primary"]
    families = (
        (f"primary ({len(primary)})", primary, {"none": "p", "Holm": "p_holm"}),
        (f"all ({len(every)})", every, {"none": "p", "Benjamini-Hochberg": "p_bh_all", "Holm": "p_holm_all"}),
    )
    rows = []
    for family, members, corrected in families:
        for name, field in corrected.items():
            standing = [row.verdict for row in members if getattr(row, field) < ALPHA]
            rows.append((family, name, *(str(standing.count(verdict)) for verdict in (REPRODUCED, NOT_REPRODUCED))))
    return rows


def section(title: str, findings: Sequence[Finding]) -> list[Block]:
    """A heading with a table of the judged claims of every paper, and the names of those that could not be judged."""
    page = [Block("heading", title)] if title and findings else []
    for paper in dict.fromkeys(paper_of(finding) for finding in findings):
        members = [row for row in findings if paper_of(row) == paper]
        judged = sorted(
            (row for row in members if row.verdict not in (NOT_RUN, NOT_MEASURED)),
            key=lambda row: VERDICTS.index(row.verdict),
        )
        page.append(Block("paragraph", f"{paper}:"))
        if judged:
            page.append(Block("table", "claims", HEADINGS, [cells(row) for row in judged]))
        for verdict in (NOT_RUN, NOT_MEASURED):
            rows = [row for row in members if row.verdict == verdict]
            for wanted_by in dict.fromkeys(row.needs for row in rows):
                names = [row.claim for row in rows if row.needs == wanted_by]
                reason = f", for want of {wanted_by}" if wanted_by else ""
                page.append(Block("paragraph", f"{verdict.capitalize()}{reason} ({len(names)}): {', '.join(names)}."))
    return page


def check_of_sinks(mixed: Sequence[Effect], spreads: Mapping[str, float] | None) -> list[Block]:
    """The section on the mixed model."""
    rows = []
    for effect in mixed:
        value, low, high, _ = effect.change
        ends = "" if low is None or high is None else f" [{write(low)}, {write(high)}]"
        rows.append((effect.variant, f"{write(value)}{ends}", probability(effect.p_holm)))
    text = (
        "A mixed model of each head's logit sink mass, with random effects of seeds, of layers in seeds and of heads "
        "in layers, checks the claims about the sink ratio. It has no threshold. In this balanced design it equals a "
        "test of the seeds' means."
    )
    if spreads is not None:
        text += (
            f" In the baseline the standard deviation is {spreads['seeds']:.2f} between seeds, "
            f"{spreads['layers']:.2f} between layers and {spreads['heads']:.2f} between heads."
        )
    return [
        Block("heading", "Check of the claims about sinks"),
        Block("paragraph", text),
        Block("table", "mixed", MIXED, rows),
    ]


def published_models(findings: Sequence[Finding]) -> list[Block]:
    """The section with one verdict for each published model."""
    if not findings:
        return []
    models = list(dict.fromkeys(row.model for row in findings))
    by_claim: dict[str, dict[str, Finding]] = {}
    for row in findings:
        by_claim.setdefault(row.claim, {})[row.model] = row
    rows = []
    for found in by_claim.values():
        one = next(iter(found.values()))
        judged = [
            f"{found[name].verdict}: {found[name].observed}" if name in found else NOT_MEASURED for name in models
        ]
        rows.append((one.statement.removeprefix(ABOUT_MODELS), wanted(one), *judged))
    text = (
        "One verdict for each model. The claim as a whole counts as reproduced where all models that have the quantity "
        "do it."
    )
    table = Block("table", "models", ("claim", "expected", *models), rows)
    return [Block("heading", "Published models"), Block("paragraph", text), table]


def paper_of(finding: Finding) -> str:
    """The paper without the place in it: "arXiv 2603.05498" of "arXiv 2603.05498 Table 3"."""
    return " ".join(finding.source.split()[:2])


def stated(finding: Finding) -> str:
    """What is claimed, and where."""
    return f"{finding.statement} ({finding.source.removeprefix(paper_of(finding)).strip()})"


def wanted(finding: Finding) -> str:
    """The claimed region without the names of variants, which the claim itself says."""
    region = finding.expected.rpartition(": ")[2].split(" along ")[0]
    region = region.split(" ")[1] if " among " in region else region
    tolerance = "".join(finding.expected.partition(", by up to ")[1:])
    return f"{finding.quantity.partition(' (')[0]}: {region}{tolerance}"


def verdict_cell(finding: Finding) -> str:
    """The verdict; of an undecidable claim, why and how many seeds it needs."""
    if finding.verdict != UNDECIDABLE or not finding.remark:
        return finding.verdict
    reason = finding.remark.split(";")[0].split(", which is")[0]
    return reason if reason.startswith(UNDECIDABLE) else f"{UNDECIDABLE}: {reason}"


def cells(finding: Finding) -> tuple[str, ...]:
    """The cells of a claim's row, in the order of HEADINGS."""
    paper, effect = (text if alone(text) else "–" for text in (finding.paper, finding.effect))
    return (
        stated(finding),
        wanted(finding),
        finding.short,
        paper,
        effect,
        verdict_cell(finding),
        probability(finding.p),
    )


def alone(text: str) -> bool:
    """Whether a text is one number: those of several statistics stand in claims.csv with their names."""
    return bool(text) and text.removesuffix(" %").replace(",", "").lstrip("-").replace(".", "", 1).isdigit()


def primary_cells(finding: Finding) -> tuple[str, ...]:
    """The cells of a primary claim's row, in the order of PRIMARY_HEADINGS."""
    row = cells(finding)
    paper = paper_of(finding).removeprefix("arXiv ")
    stands = "–" if finding.p_holm is None else "stands" if finding.p_holm < ALPHA else "does not stand"
    if finding.p is None or finding.p >= ALPHA:
        stands = "–"
    claim = f"{finding.statement} ({paper} {finding.source.removeprefix(paper_of(finding)).strip()})"
    return (claim, *row[1:-1], probability(finding.p_holm), stands)


def check_cells(finding: Finding) -> tuple[str, ...]:
    """A check's cells under CHECKED."""
    result = {REPRODUCED: "holds", NOT_REPRODUCED: "fails"}.get(finding.verdict, finding.verdict)
    return (stated(finding), wanted(finding), finding.observed or "–", result)
