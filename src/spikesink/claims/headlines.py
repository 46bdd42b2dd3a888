"""The headline claims: the short table with which the page of claims begins."""

from collections.abc import Sequence

from spikesink.claims.verdict import Finding

HEADINGS = ("claim", "source", "expected", "observed", "95 % interval", "verdict")


def headline_rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """For every finding that is marked as a headline, its cells under HEADINGS."""
    return [
        (stated(one), one.source.removeprefix("arXiv "), one.expected, *observed(one), one.verdict)
        for one in findings
        if one.headline
    ]


def headline_table(findings: Sequence[Finding]) -> str:
    """The headlines as a Markdown table, without a line feed at its end."""
    return markdown_table(HEADINGS, headline_rows(findings))


def stated(finding: Finding) -> str:
    """What is claimed, and in brackets what the study lacks or what the claim presumes."""
    return f"{finding.statement} ({finding.remark})" if finding.remark else finding.statement


def observed(finding: Finding) -> tuple[str, str]:
    """The statistic and its interval; a dash where there is none."""
    return finding.observed or "–", finding.interval or "–"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_row(cells) for cells in (headings, ["---"] * len(headings), *rows))


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
