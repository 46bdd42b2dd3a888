"""The LaTeX of an ablation's tables, as text; tests/services compiles it."""

import re

from written_tables import HOSTILE, TWO_SEEDS, written_tables

from spikesink.tables.render.latex_text import escaped, escaped_cell


def test_latex_is_balanced_and_escaped(tmp_path, monkeypatch):
    text = written_tables(tmp_path, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["tex"].read_text()
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    columns = len(text.split("\\begin{tabular}{")[1].split("}")[0])
    assert len(rows) == 3 and all(row.count("&") == columns - 1 for row in rows)
    assert "sandwich\\_qk" in body and "_" not in body.replace("\\_", "")
    for environment in ("table*", "tabular", "minipage"):
        # Four floats: values, changes against the baseline, abilities, quantisation.
        assert text.count(f"\\begin{{{environment}}}") == text.count(f"\\end{{{environment}}}") == 4
    assert text.count("{") == text.count("}") and text.count("$") % 2 == 0
    first = text.split("\\end{table*}")[0]
    spans = [int(part.split("}")[0]) for part in first.split("\\multicolumn{")[1:]]
    assert sum(spans) == columns - 1
    assert text.isascii(), "pdflatex needs no input encoding"


def test_what_variants_can_do_and_what_quantisation_costs_them_are_tables_of_the_paper(tmp_path, monkeypatch):
    """A model that copies three of four tokens; static INT8 costs it half of its perplexity again."""
    text = written_tables(tmp_path, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["tex"].read_text()
    _, _, abilities, quantised = text.split("\\end{table*}")[:4]
    assert "What the variants can still do" in abilities and "Perplexity after quantisation" in quantised
    rows = {
        name: next(line.split(" & ") for line in table.splitlines() if line.startswith("baseline"))
        for name, table in (("abilities", abilities), ("quantised", quantised))
    }
    assert [cell.split()[0] for cell in rows["abilities"][2:4]] == ["75.0", "66.7"]
    assert [cell.split()[0] for cell in rows["quantised"][1:]] == ["20.00", "30.00", "20.40"]
    assert "tab:norm2" in abilities and "tab:norm3" in quantised


def test_special_characters_are_written_out_once():
    assert escaped(r"a_b & 5% \x {y}") == r"a\_b \& 5\% \textbackslash{}x \{y\}"


def test_a_cell_is_no_argument_of_the_line_break_before_it_and_negative_numbers_have_a_minus():
    assert escaped_cell("[1, 2]") == "{}[1, 2]" and escaped_cell("*") == "{}*"
    assert escaped_cell("-8.00 [-33.41, 17.41]") == "$-$8.00 [$-$33.41, 17.41]"
    assert escaped_cell("lr_7.5e-5, wd-0") == r"lr\_7.5e-5, wd-0"


def test_characters_of_labels_that_pdflatex_lacks_are_commands():
    assert escaped("β2 ≥ λ → ×") == r"$\beta$2 $\geq$ $\lambda$ $\rightarrow$ $\times$"
    assert escaped("a|b–c") == r"a\textbar{}b--c"


def test_the_best_perplexities_and_no_other_cells_are_bold(tmp_path, monkeypatch):
    text = written_tables(tmp_path, monkeypatch, HOSTILE, "norm")["tex"].read_text()
    assert re.findall(r"\\textbf\{(.*?)\}", text) == ["9.00", "9.8"]


def test_headings_of_groups_stand_over_their_columns(tmp_path, monkeypatch):
    text = written_tables(tmp_path, monkeypatch, TWO_SEEDS, "norm", seeds=(0, 1))["tex"].read_text()
    for table in text.split("\\toprule\n")[1:]:
        groups, rules, headings = table.splitlines()[:3]
        spans = [
            int(found[1]) if (found := re.match(r"\\multicolumn\{(\d+)\}", cell)) else 1 for cell in groups.split(" & ")
        ]
        assert sum(spans) == headings.count(" & ") + 1
        starts = [sum(spans[:place]) + 1 for place, span in enumerate(spans) if span > 1]
        assert starts == [int(start) for start in re.findall(r"\{(\d+)-\d+\}", rules)]
