"""The HTML page of an ablation's tables: complete, safe, and nothing of it is loaded from elsewhere."""

import re
from html.parser import HTMLParser

import pytest
from written_tables import HOSTILE, TWO_SEEDS, written_tables

from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column


class Page(HTMLParser):
    """What a browser would see: cells of the body with their style, all tags and attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.cells, self.text, self.inside = [], [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "td":
            self.inside = dict(attributes)
            self.cells.append(("", self.inside.get("style") or ""))

    def handle_endtag(self, tag):
        if tag == "td":
            self.inside = None

    def handle_data(self, data):
        self.text += data
        if self.inside is not None:
            text, style = self.cells[-1]
            self.cells[-1] = (text + data, style)


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> str:
    return written_tables(tmp_path, monkeypatch, HOSTILE, "norm")["html"].read_text()


def test_the_page_loads_nothing(hostile):
    page = Page(hostile)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not {"src", "href", "srcset", "data", "background"} & {name for name, _ in page.attributes}
    assert not re.search(r"url\(|@import|https?:|//[a-z]", hostile)


def test_labels_are_text_and_not_markup(hostile):
    texts = [text for text, _ in Page(hostile).cells]
    assert "*<b>&amp;</b>*" in texts
    assert HOSTILE["norm"]["sandwich"]["label"] in texts
    assert "b" not in Page(hostile).tags


def test_the_best_perplexities_are_bold_beside_the_papers_row(hostile):
    cells = Page(hostile).cells
    assert [text for text, style in cells if "font-weight: bold" in style] == ["9.00", "9.8"]
    assert all("white-space: nowrap;" in style for text, style in cells if text in ("9.00", "9.8", "20.00"))


def test_every_table_has_its_own_id_title_groups_and_notes(tmp_path, monkeypatch):
    text = written_tables(tmp_path, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["html"].read_text()
    page = Page(text)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) and {"norm", "norm1"} <= set(ids)
    assert page.tags.count("table") == 4
    for expected in (
        "Ablation norm of study fake",
        "Change against the baseline",
        "this study",
        "paper",
        "d: the change",
    ):
        assert expected in page.text
    assert "Left out of means: dyt seed 1: diverged." in page.text


def test_the_same_table_gives_the_same_bytes():
    """great-tables draws ids by chance where none are given; a table made again must not look changed."""
    columns = [Column("", "variant", ["a", "b"]), Column("this study", "perplexity", ["1", "2"], best=frozenset({0}))]
    tables = {"first": (columns, ["a note"]), "second": (columns, [])}
    assert html(tables, "norm") == html(tables, "norm")
