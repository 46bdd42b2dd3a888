"""A page of HTML in the project's look: it stands alone and loads nothing."""

from collections.abc import Iterable
from html import escape

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin-bottom: 1.5em; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
"""


def page(title: str, style: str, parts: Iterable[str]) -> str:
    """A page with its title as a heading; ``style`` is what it has beyond the common look, ``parts`` are HTML."""
    name = escape(title)
    head = f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{name}</title>'
    look = f"<style>{STYLE}{style.lstrip()}</style></head>\n<body>\n<h1>{name}</h1>"
    return "\n".join([head, look, *parts, "</body>", "</html>"]) + "\n"
