"""An ablation's table as Markdown."""

from spikesink.tables.layout import Column


def markdown(title: str, columns: list[Column], notes: list[str]) -> str:
    """Heading, pipe table and a note line for every note; the paper's columns say so in their heading."""
    headings = [
        f"{column.group}: {column.heading}" if column.group == "paper" else column.heading for column in columns
    ]
    alignment = ["---" if column.heading in ("variant", "row") else "---:" for column in columns]
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [headings, alignment, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"# {title}\n\n{table}\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"
