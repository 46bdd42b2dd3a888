"""Markdown shows labels, names and notes as they stand, whatever they hold."""

import pytest

from spikesink.claims.formats import markdown as page_of_claims
from spikesink.claims.page import Block
from spikesink.tables.render.layout import Column
from spikesink.tables.render.markdown import markdown
from spikesink.tables.render.markdown_text import escaped


@pytest.mark.parametrize(
    "text, written",
    [
        ("*a* and `b`", r"\*a\* and \`b\`"),
        ("_a_ of a_b and _", r"\_a\_ of a_b and \_"),
        ("costs $5 or $10", r"costs \$5 or \$10"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("[x](javascript:alert(1))", r"[x\](javascript:alert(1))"),
        ("![x][y]", r"![x\][y]"),
        ("[x]: http://y", r"\[x]: http://y"),
        ("</script><b onclick=x>", r"\</script>\<b onclick=x>"),
        ("<http://x>", r"\<http://x>"),
        ("&lt;b&#62;", r"\&lt;b\&#62;"),
        ("a|b\nc", r"a\|b c"),
        (r"\| and \*", r"\\\| and \\\*"),
        ("# x", r"\# x"),
        ("> x", r"\> x"),
        ("- x", r"\- x"),
    ],
)
def test_markup_is_escaped(text, written):
    assert escaped(text) == written


@pytest.mark.parametrize("text", ["−1.5 [−2.0, 3.1]", "p < 0.001", "sandwich_qk", "2 & 3", "-", "×1.2 [1, 2]: x", "#1"])
def test_what_is_no_markup_stays_readable_in_the_file(text):
    assert escaped(text) == text


def test_every_text_of_a_page_is_escaped():
    """Titles, groups, headings, cells and notes hold names from the config and from foreign studies."""
    planted = "a | *b* [c](d)"
    tables = markdown({planted: ([Column(planted, planted, [planted], best=frozenset({0}))], [planted])})
    every = [Block("heading", planted), Block("paragraph", planted), Block("list", rows=[[planted]])]
    claims = page_of_claims(planted, [*every, Block("table", "", [planted], [[planted]])])
    assert planted not in tables + claims
    assert tables.count(escaped(planted)) == 5 and f"| **{escaped(planted)}** |" in tables
    assert claims.count(escaped(planted)) == 6
