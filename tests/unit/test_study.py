"""A config becomes the right runs: ablations, own variants, multiples, grids, seeds."""

from pathlib import Path

import pytest
import yaml
from study_config import BASE, ROOT, WORKFLOW, lr_grid, runs, study

from spikesink.study.labels import in_words
from spikesink.study.resolve import load, read_config, resolve
from spikesink.study.run import Study, canonical
from spikesink.study.strict_yaml import merge


def test_two_lines_add_a_crossed_variant():
    mine = yaml.safe_load("mine:\n  both: {model: {norm: {kind: sandwich}, gate: {kind: conditional, per: head}}}")
    run = runs({"variants": mine})["both"]
    assert (run.ablation, run.model.norm.kind, run.model.gate.per) == ("mine", "sandwich", "head")
    assert run.model.feed_forward == runs()["baseline"].model.feed_forward


def test_seeds_multiply_the_runs_and_change_nothing_else():
    two = study({"seeds": [0, 3]})
    assert len(two.runs) == 2 * len(study().runs)
    first, second = two.of("baseline")
    assert (first.seed, second.seed) == (0, 3)
    assert first.model == second.model and first.folder == "results/nano/runs/baseline/seed0"


def test_null_leaves_a_variant_or_an_own_ablation_out():
    mine = {"mine": {"wide": {"model": {"feed_forward": {"width": "2x"}}}}, "norm": {"dyt": None}}
    assert "dyt" not in runs({"variants": mine}) and "sandwich" in runs({"variants": mine})
    assert set(runs(merge({"variants": mine}, {"variants": {"mine": None}}))) == set(runs()) - {"dyt"}


def test_an_ablation_is_listed_whole_or_by_its_variants_in_the_order_of_the_list():
    some = study({"ablations": ["v_scale", "gating/conditional_head", "norm", "gating/positional"]})
    assert some.ablations == ("v_scale", "gating", "norm")
    assert [run.variant for run in some.of("gating")] == ["conditional_head", "positional"]
    assert [run.variant for run in some.of("norm")] == ["sandwich", "sandwich_qk", "dyt"]


def test_own_variants_join_an_ablation_or_change_one_of_it():
    added = {
        "norm": {"mine": {"model": {"norm": {"eps": 1e-3}}}, "dyt": {"model": {"norm": {"dyt_alpha_attention": 0.5}}}}
    }
    joined = study({"ablations": ["norm", "ffn"], "variants": added})
    assert [run.variant for run in joined.of("norm")] == ["sandwich", "sandwich_qk", "dyt", "mine"]
    dyt = joined.of("norm")[2].model
    assert (dyt.norm.kind, dyt.norm.dyt_alpha_attention, dyt.initialisation.embedding_std) == ("dyt", 0.5, 1.0)


def test_a_study_may_have_the_baseline_alone():
    alone = study({"ablations": []})
    assert [run.variant for run in alone.runs] == ["baseline"] and alone.ablations == ()
    assert alone.config.mechanism.compare == ("baseline",)


def test_v_scale_is_compared_where_the_study_has_it():
    assert study().config.mechanism.compare == ("baseline", "v_scale", "v_scale_backward_only")
    assert study({"ablations": ["v_scale/v_scale"]}).config.mechanism.compare == ("baseline", "v_scale")


def test_multiples_are_exact_in_decimals():
    found = runs(
        {
            "variants": {"mine": {"third": {"training": {"optimiser": {"lr": "3x"}}}}},
            "training": {"optimiser": {"lr": 0.1}},
        }
    )
    assert found["third"].training.optimiser.lr == 0.3


@pytest.mark.parametrize(
    "change, kv_heads",
    [
        ({"kv_heads": "0.5x"}, 2),
        ({"heads": "2x", "kv_heads": "0.5x"}, 2),
        ({"heads": "2x", "kv_heads": "2x"}, None),
        ({"heads": 8, "kv_heads": "2x"}, None),
        ({"heads": "2x", "kv_heads": None}, None),
        ({"kv_heads": 4}, 4),
    ],
)
def test_a_multiple_of_kv_heads_is_of_heads_where_the_baseline_has_as_many(change, kv_heads):
    found = runs({"variants": {"mine": {"x": {"model": {"attention": change}}}}})
    assert found["x"].model.attention.kv_heads == kv_heads


def test_labels_hold_the_numbers_of_their_scale():
    found = runs(
        {"scale": "smoke", "ablations": ["head_dim/heads_0.5x_dim_2x", "context/loss_0.25x_1x", "optimisation/lr_2x"]}
    )
    assert [found[name].label for name in ("heads_0.5x_dim_2x", "loss_0.25x_1x", "lr_2x")] == [
        "2 x 16",
        "loss on 17 to 64",
        "lr 0.032",
    ]
    dollars = {"mine": {"x": {"label": "$2 or $5, {steps} steps", "training": {"steps": 300}}}}
    assert runs({"variants": dollars})["x"].label == "$2 or $5, 300 steps"


def test_a_grid_combines_settings_with_variants():
    grid = study(lr_grid())
    assert grid.ablations[-1] == "lr"
    names = "baseline_lr_0.5x baseline_lr_2x sandwich_lr_0.5x sandwich_lr_2x gelu_lr_0.5x gelu_lr_2x"
    assert [run.variant for run in grid.of("lr")] == names.split()
    run = grid.of("lr")[5]
    assert (run.model.feed_forward.kind, run.training.optimiser.lr, run.label) == ("gelu", 0.024, "GELU, lr 2x")


def test_several_settings_of_a_grid_make_every_combination():
    settings = {"model.gate.kind": ["none", "conditional"], "training.loss_window": [None, ["0.5x", "1x"]]}
    own = {"mine": {"wide": {"model": {"feed_forward": {"width": "2x"}}}}}
    found = study(lr_grid(settings=settings, variants=["wide"]) | {"variants": own}).of("lr")
    assert [run.variant for run in found] == [
        "wide_gate_kind_none_loss_window_0.5x-1x",
        "wide_gate_kind_conditional_loss_window_none",
        "wide_gate_kind_conditional_loss_window_0.5x-1x",
    ]
    assert found[2].training.loss_window == (32, 64) and found[2].model.feed_forward.width == 344


def test_a_combination_that_changes_nothing_is_the_variant_itself():
    found = study(lr_grid(settings={"training.optimiser.lr": ["0.5x", "1x", 0.012]}))
    assert [run.variant for run in found.of("lr")] == ["baseline_lr_0.5x", "sandwich_lr_0.5x", "gelu_lr_0.5x"]


def test_a_multiple_in_a_grid_is_of_the_variants_own_number():
    (found,) = study(lr_grid(settings={"model.feed_forward.width": ["1x", "2x"]}, variants=["gelu"])).of("lr")
    assert found.model.feed_forward.width == 2 * 258


def test_a_file_that_names_study_and_scale_is_a_whole_study(tmp_path):
    config = merge(BASE, {"variants": {"mine": {"x": {"training": {"steps": 300}}}}, "training": {"steps": 400}})
    base, overlay, late = (tmp_path / name for name in ("config.yaml", "overlay.yaml", "late.yaml"))
    base.write_text(yaml.safe_dump(config))
    overlay.write_text("seeds: [7]")
    late.write_text("{study: late, training: {steps: 500}}")

    def load_these(*overlays: Path, **changes: object) -> Study:
        return resolve(read_config(overlays, base, changes), WORKFLOW)

    assert load_these(overlay).config.seeds == (7,) and load_these(overlay).runs[-1].variant == "x"
    smoke = WORKFLOW / "scales/smoke.yaml"
    assert load_these(overlay, smoke) == load([smoke], ROOT / "config.yaml")
    after = load_these(smoke, late, seeds=[1])
    assert (after.config.study, after.config.scale, after.config.seeds) == ("late", "smoke", (1,))
    assert after.runs[0].training.steps == 500


def test_equal_settings_have_equal_text_whatever_the_order():
    shuffled = {key: BASE[key] for key in reversed(BASE)}
    for one, other in zip(study().runs, resolve(shuffled, WORKFLOW).runs, strict=True):
        assert canonical(one.resolved()) == canonical(other.resolved())


def test_names_are_shown_as_the_papers_write_them():
    """Only whole parts of a name: a variant called boss or v_scaled is no BOS and no V-scale."""
    shown = {"bos": "BOS", "ffn_wide": "FFN wide", "v_scale_gated": "V-scale gated", "norm_controls": "norm controls"}
    assert {name: in_words(name) for name in shown} == shown
    assert [in_words(name) for name in ("boss", "v_scaled", "my_bos2")] == ["boss", "v scaled", "my BOS2"]
