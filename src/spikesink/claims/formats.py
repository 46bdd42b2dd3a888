"""The page of claims as Markdown, and as HTML without anything to load."""

from collections.abc import Sequence
from html import escape

from spikesink.claims.decision import NOT_REPRODUCED, REPRODUCED, UNDECIDABLE
from spikesink.claims.page import Block
from spikesink.claims.verdict import NOT_MEASURED, NOT_RUN
from spikesink.tables.render.markdown_text import escaped
from spikesink.tables.render.page import page

COLOURS = {
    REPRODUCED: "#1b7837",
    NOT_REPRODUCED: "#b2182b",
    UNDECIDABLE: "#8c6d00",
    NOT_RUN: "#666666",
    NOT_MEASURED: "#666666",
    "holds": "#1b7837",
    "fails": "#b2182b",
}
STYLE = """
table { width: 100%; }
th, td { padding: .3em .6em; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.claims, .primary, .models, .checks { table-layout: fixed; }
.claims th, .primary th, .models th, .checks th { box-sizing: border-box; }
.claims th:nth-child(1), .primary th:nth-child(1) { width: 24%; }
.claims th:nth-child(2), .primary th:nth-child(2) { width: 16%; }
.claims th:nth-child(3), .primary th:nth-child(3) { width: 17%; }
.claims th:nth-child(4), .primary th:nth-child(4) { width: 7%; }
.claims th:nth-child(5), .primary th:nth-child(5) { width: 8%; }
.claims th:nth-child(6), .primary th:nth-child(6) { width: 14%; }
.models th:nth-child(1), .models th:nth-child(2), .checks th:nth-child(1), .checks th:nth-child(2) { width: 33%; }
.tally, .corrected, .mixed { width: auto; }
.tally td:nth-child(n+2), .tally th:nth-child(n+2), .corrected td:nth-child(n+3), .corrected th:nth-child(n+3)
{ text-align: right; }
summary { font-size: 1.4em; font-weight: bold; margin: .8em 0; cursor: pointer; }
"""


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The page as Markdown; folded parts open where the reader's program knows <details>."""
    return "\n\n".join([f"# {escaped(title)}", *map(markdown_block, blocks)]) + "\n"


def markdown_block(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"## {escaped(block.text)}"
        case "paragraph":
            return escaped(block.text)
        case "list":
            return "\n".join(f"- {escaped(line)}" for line in block.rows[0])
        case "table":
            return markdown_table(block.headings, block.rows)
        case "fold":
            return f"<details>\n<summary>{escape(block.text)}</summary>"
        case _:
            return "</details>"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_row(cells) for cells in (headings, ["---"] * len(headings), *rows))


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def html(title: str, blocks: Sequence[Block]) -> str:
    """The same page as HTML, with its style inside."""
    return page(title, STYLE, map(html_block, blocks))


def html_block(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"<h2>{escape(block.text)}</h2>"
        case "paragraph":
            return f"<p>{escape(block.text)}</p>"
        case "list":
            return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in block.rows[0]) + "</ul>"
        case "table":
            body = [html_row("th", block.headings), *(html_row("td", cells) for cells in block.rows)]
            return "\n".join([f'<table class="{block.text}">', *body, "</table>"])
        case "fold":
            return f"<details>\n<summary>{escape(block.text)}</summary>"
        case _:
            return "</details>"


def html_row(tag: str, texts: Sequence[str]) -> str:
    """Cells that begin with a verdict, or head its column, in the verdict's colour; long names break at underscores."""
    cells = [f"<{tag}{colour(text)}>{escape(text).replace('_', '_<wbr>')}</{tag}>" for text in texts]
    return "<tr>" + "".join(cells) + "</tr>"


def colour(text: str) -> str:
    whole = COLOURS.get(text.partition(": ")[0]) or (COLOURS[UNDECIDABLE] if text.startswith(UNDECIDABLE) else None)
    return f' style="color: {whole}"' if whole else ""
