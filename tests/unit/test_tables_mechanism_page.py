"""The table of the mechanism as a page."""

import re

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.tables.render.mechanism_page import mechanism_page, median_and_range


def test_seeds_are_shown_as_median_and_range_and_lists_side_by_side():
    assert median_and_range([4.0, 1.0, 10.0], "3 digits") == "4.00 [1.00, 10.0]"
    assert median_and_range([2.0, None], "3 digits") == "2.00"
    assert median_and_range([None, None], "3 digits") == "–"
    assert median_and_range(["2, 4", "", "2, 4"], "list") == "2, 4; none"
    assert median_and_range([0, 7, 0, None], "d") == "0; 7", "there is no median of channels"


def test_a_column_per_variant_names_seeds_that_diverged():
    models = pl.DataFrame(
        {
            "model": ["baseline/seed0", "baseline/seed1", "v_scale/seed0", "v_scale/seed1", "Qwen"],
            "measured": [True, True, True, False, True],
            "step_up_blocks": ["2", "4", "", None, "4"],
            "eigenvalue": [0.5, 0.7, 0.1, None, 3.0],
        }
    )
    page = mechanism_page(models)
    headings = re.findall(r'<th class="gt_col_heading[^>]*>(.*?)</th>', page)
    assert headings == ["quantity", "baseline", "V-scale (1 of 2 diverged)", "Qwen", "unit", "meaning", "source"]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.S)]
    cells = {row[0]: row[1:] for row in rows if len(row) == 7}
    assert cells["eigenvalue"][:3] == ["0.600 [0.500, 0.700]", "0.100", "3.00"]
    assert cells["step up blocks"][:3] == ["2; 4", "none", "4"]
    blocks = QUANTITIES["step_up_blocks"]
    assert cells["step up blocks"][3:] == [blocks.unit, blocks.meaning, blocks.source], "the page explains itself"
