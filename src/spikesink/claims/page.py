"""The findings for a reader, as Markdown and as HTML without anything to load: verdict counts, headlines, then all by
paper and verdict."""

from collections.abc import Iterator, Sequence
from html import escape

from spikesink.claims import headlines
from spikesink.claims.headlines import markdown_table, observed, stated
from spikesink.claims.verdict import INCONCLUSIVE, NOT_REPRODUCED, NOT_RUN, REPRODUCED, VERDICTS, Finding

TALLY = ("", *VERDICTS, "claims")
HEADINGS = ("claim", "source", "expected", "observed", "95 % interval", "seeds")
RULE = (
    "With several seeds the 95 % interval of a claim's statistic, over pairs of runs of equal seed, decides: wholly "
    "inside the claimed region it is reproduced, wholly outside not reproduced, else inconclusive. With one seed the "
    "value alone decides, without an interval. Intervals of a claim about several variants hold together (Bonferroni). "
    "A claim that presumes another, such as that there are sinks, is inconclusive where that one is not reproduced. "
    '"Our bound" marks what a paper says in words or as a picture, without a number. '
    "The papers' rows are single runs of models of up to 7 billion parameters: a verdict is about this study's scale."
)
COLOURS = {REPRODUCED: "#1b7837", NOT_REPRODUCED: "#b2182b", INCONCLUSIVE: "#8c6d00", NOT_RUN: "#666666"}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5em; }
th, td { text-align: left; vertical-align: top; padding: .3em .6em; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
.claims td, .headlines td { font-variant-numeric: tabular-nums; }
.claims th:first-child, .headlines th:first-child { width: 32%; }
.headlines td:last-child { white-space: nowrap; }
.tally { width: auto; }
.tally td:nth-child(n+2), .tally th:nth-child(n+2) { text-align: right; }
"""


def grouped(findings: Sequence[Finding]) -> Iterator[tuple[str, str, list[Finding]]]:
    """Paper, verdict and findings, in the order of the papers in the claims and of VERDICTS."""
    for paper in dict.fromkeys(paper_of(finding) for finding in findings):
        for verdict in VERDICTS:
            members = [row for row in findings if row.verdict == verdict and paper_of(row) == paper]
            if members:
                yield paper, verdict, members


def paper_of(finding: Finding) -> str:
    """The paper without the place in it: "arXiv 2603.05498" of "arXiv 2603.05498 Table 3"."""
    return " ".join(finding.source.split()[:2])


def counts(findings: Sequence[Finding]) -> str:
    numbers = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS}
    return f"{len(findings)} claims: " + ", ".join(f"{number} {verdict}" for verdict, number in numbers.items()) + "."


def tally(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """Rows under TALLY: for every paper, and for all, how many claims have each verdict, and how many there are."""
    papers = dict.fromkeys(paper_of(finding) for finding in findings)
    members = {paper: [row for row in findings if paper_of(row) == paper] for paper in papers} | {"all": findings}
    return [
        (paper, *(str(sum(row.verdict == verdict for row in rows)) for verdict in VERDICTS), str(len(rows)))
        for paper, rows in members.items()
    ]


def cells(finding: Finding) -> tuple[str, ...]:
    """A finding's cells under HEADINGS, with its remark behind the claim."""
    place = finding.source.removeprefix(paper_of(finding)).strip()
    return (stated(finding), place, f"{finding.quantity}: {finding.expected}", *observed(finding), finding.seeds or "–")


def title_of(study: str, scale: str) -> str:
    return f"Claims of the papers in study {study}, scale {scale}"


def markdown(findings: Sequence[Finding], study: str) -> str:
    """The page as Markdown."""
    lines = [f"# {title_of(study, findings[0].scale)}", "", markdown_table(TALLY, tally(findings)), "", RULE]
    if any(finding.headline for finding in findings):
        lines += ["", "## Headlines", "", headlines.headline_table(findings)]
    last = None
    for paper, verdict, members in grouped(findings):
        if paper != last:
            lines += ["", f"## {paper}"]
        table = markdown_table(HEADINGS, [cells(finding) for finding in members])
        lines += ["", f"### {verdict} ({len(members)})", "", table]
        last = paper
    return "\n".join(lines) + "\n"


def html(findings: Sequence[Finding], study: str) -> str:
    """The same page as HTML, with its style inside."""
    title = escape(title_of(study, findings[0].scale))
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>",
        html_table(TALLY, tally(findings), "tally"),
        f"<p>{escape(RULE)}</p>",
    ]
    shown = headlines.headline_rows(findings)
    if shown:
        parts += ["<h2>Headlines</h2>", html_table(headlines.HEADINGS, shown, "headlines")]
    last = None
    for paper, verdict, members in grouped(findings):
        if paper != last:
            parts.append(f"<h2>{escape(paper)}</h2>")
        parts.append(f'<h3 style="color: {COLOURS[verdict]}">{verdict} ({len(members)})</h3>')
        parts.append(html_table(HEADINGS, [cells(finding) for finding in members], "claims"))
        last = paper
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str) -> str:
    body = [html_row("th", headings), *(html_row("td", cells) for cells in rows)]
    return "\n".join([f'<table class="{kind}">', *body, "</table>"])


def html_row(tag: str, texts: Sequence[str]) -> str:
    """Cells that are verdicts, or head their column, in the verdict's colour."""
    colours = [f' style="color: {COLOURS[text]}"' if text in COLOURS else "" for text in texts]
    pairs = zip(texts, colours, strict=True)
    return "<tr>" + "".join(f"<{tag}{colour}>{escape(text)}</{tag}>" for text, colour in pairs) + "</tr>"
