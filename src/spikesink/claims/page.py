"""The findings for a reader: one page as Markdown and as HTML without anything to load, by paper and verdict."""

from collections.abc import Iterator, Sequence
from html import escape

from spikesink.claims.verdict import INCONCLUSIVE, NOT_REPRODUCED, NOT_RUN, REPRODUCED, VERDICTS, Finding

HEADINGS = ("claim", "source", "expected", "observed", "95 % interval", "seeds")
RULE = (
    "With several seeds the 95 % interval of a claim's statistic, over pairs of runs of equal seed, decides: wholly "
    "inside the claimed region it is reproduced, wholly outside not reproduced, else inconclusive. With one seed the "
    "value alone decides, without an interval. Intervals of a claim about several variants hold together (Bonferroni). "
    "A claim that presumes another, such as that there are sinks, is inconclusive where that one is not reproduced. "
    "The papers' rows are single runs of models of up to 7 billion parameters: a verdict is about this study's scale."
)
COLOURS = {REPRODUCED: "#1b7837", NOT_REPRODUCED: "#b2182b", INCONCLUSIVE: "#8c6d00", NOT_RUN: "#666666"}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5em; }
th, td { text-align: left; vertical-align: top; padding: .3em .6em; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
td:nth-child(n+4) { font-variant-numeric: tabular-nums; }
small { color: #666; }
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


def cells(finding: Finding) -> tuple[str, ...]:
    """A finding's cells under HEADINGS, with its remark behind the claim."""
    statement = f"{finding.statement} ({finding.remark})" if finding.remark else finding.statement
    expected = f"{finding.quantity}: {finding.expected}"
    place = finding.source.removeprefix(paper_of(finding)).strip()
    return (statement, place, expected, finding.observed or "–", finding.interval or "–", finding.seeds or "–")


def title_of(study: str, scale: str) -> str:
    return f"Claims of the papers in study {study}, scale {scale}"


def markdown(findings: Sequence[Finding], study: str) -> str:
    """The page as Markdown."""
    lines = [f"# {title_of(study, findings[0].scale)}", "", counts(findings), "", RULE]
    last = None
    for paper, verdict, members in grouped(findings):
        if paper != last:
            lines += ["", f"## {paper}"]
        lines += ["", f"### {verdict} ({len(members)})", "", row(HEADINGS), row(["---"] * len(HEADINGS))]
        lines += [row(cells(finding)) for finding in members]
        last = paper
    return "\n".join(lines) + "\n"


def row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def html(findings: Sequence[Finding], study: str) -> str:
    """The same page as HTML, with its style inside."""
    title = escape(title_of(study, findings[0].scale))
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>",
        f"<p><strong>{escape(counts(findings))}</strong></p>\n<p>{escape(RULE)}</p>",
    ]
    last = None
    for paper, verdict, members in grouped(findings):
        if paper != last:
            parts.append(f"<h2>{escape(paper)}</h2>")
        parts.append(f'<h3 style="color: {COLOURS[verdict]}">{verdict} ({len(members)})</h3>')
        parts.append("<table>\n" + html_row("th", HEADINGS))
        parts += [html_row("td", cells(finding)) for finding in members]
        parts.append("</table>")
        last = paper
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def html_row(tag: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"
