"""A claim that a study cannot judge says what would: another scale, published models, ablations or variants."""

from pathlib import Path

import pytest

from spikesink.claims.observations import read_observations
from spikesink.claims.reading import read_claims
from spikesink.claims.verdict import NOT_MEASURED, NOT_RUN, REPRODUCED, judge_all
from spikesink.study.resolve import load
from spikesink.workflow.drawn import of_study

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "results/published/nano/tables"


def judged(tables: Path) -> dict:
    observed = read_observations(tables / "runs.csv", tables / "mechanism.csv")
    return {row.claim: row for row in judge_all(read_claims([ROOT / "workflow/claims"]), observed)}


@pytest.fixture(scope="module")
def findings():
    return judged(TABLES)


@pytest.mark.parametrize(
    ("claim", "needed"),
    [
        ("backcopy_copies", "scale bigram_backcopy"),
        ("bos_residual_peak", "scale bigram_backcopy"),  # token0_over_early is measured here, on English text
        ("pretrained_step_up", "published models"),
        ("lr_raises_sinks", "ablations optimisation"),
        ("dim_raises_sinks", "ablations head_dim"),
        ("softpick_removes_sinks", "variants softpick"),
        ("gradual_build_up", "ablations ffn"),
        ("sandwich_halves_spike", "ablations norm"),
        ("dyt_has_no_spike", ""),
    ],
)
def test_it_is_named(findings, claim, needed):
    assert findings[claim].needs == needed


def test_variants_that_are_run_but_not_compared_in_depth_are_named():
    whole = judged(ROOT / "results/published/nano_full/tables")
    assert whole["gradual_build_up"].needs == "mechanism.compare with linear, attention_only"


def test_no_claim_is_left_out_without_a_word(findings):
    """A reader of "not run" would not know whether to wait, to add a variant, or to take another scale."""
    silent = [name for name, row in findings.items() if row.verdict == NOT_RUN and not row.needs]
    assert silent == [] and any(row.verdict == NOT_MEASURED for row in findings.values())


def test_no_claim_is_judged_by_a_control():
    """Gemma without its BOS has no spike. That is no word against a claim about models as they were trained."""
    mechanism = ROOT / "results/published/real_models/tables/mechanism.csv"
    controls = of_study(load([ROOT / "workflow/scales/real_models.yaml"], ROOT / "config.yaml")).controls
    assert controls == ("SmolLM2-135M-Instruct_BOS", "Gemma-3-270M_no_BOS")
    claims = read_claims([ROOT / "workflow/claims"])
    judged = judge_all(claims, read_observations(None, mechanism, controls))
    with_controls = judge_all(claims, read_observations(None, mechanism))
    assert {row.model for row in with_controls} - {row.model for row in judged} == set(controls)
    step_up = {row.model: row.verdict for row in judged if row.claim == "pretrained_step_up"}
    assert step_up == dict.fromkeys(("", "SmolLM2-135M-Instruct", "Gemma-3-270M"), REPRODUCED)
