"""What a study will cost, from its config alone: known answers, and a command that is quick and says what is wrong."""

import json
import re
import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spikesink.study.errors import ConfigError
from spikesink.study.memory import memory_bytes
from spikesink.study.micro_batch import micro_batch
from spikesink.study.plan import GPUS, assumptions, costs, human, same_settings, size, table
from spikesink.study.resolve import load, resolve
from spikesink.study.run import Study
from spikesink.study.settings import Model, Plan, Training, build
from spikesink.study.sizes import (
    checkpoint_bytes,
    flops_per_token,
    parameters,
    training_flops,
    training_tokens,
    weights_bytes,
)
from spikesink.study.strict_yaml import merge, read_yaml

ROOT = Path(__file__).parents[2]
BASE = read_yaml(ROOT / "config.yaml") | {"seeds": [0]}
VOCABULARY = 10


def model(**changes: dict) -> Model:
    plain = {"layers": 2, "d_model": 8, "attention": {"heads": 2, "head_dim": 4}, "feed_forward": {"width": 12}}
    return build(Model, plain | changes)


def training(**changes: object) -> Training:
    plain = {
        "steps": 5,
        "sequence_length": 16,
        "batch_size": 4,
        "optimiser": {"lr": 0.1},
        "schedule": {"warmup_steps": 1},
    }
    return build(Training, plain | changes)


def study(**overlay: object) -> Study:
    return resolve(merge(BASE, {"ablations": []} | overlay), ROOT / "workflow")


def command(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "spikesink.cli", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


# A layer has 4 x 8 x 8 = 256 weights in attention, 3 x 8 x 12 = 288 in SwiGLU and 2 x 8 gains; embedding and head have
# 10 x 8 each, the final norm 8.
PARAMETERS = 2 * (256 + 288 + 16) + 160 + 8


def test_parameters_tokens_and_flops_have_their_known_values():
    assert parameters(model(), VOCABULARY, positions=16) == PARAMETERS == 1288
    assert training_tokens(training()) == 5 * 4 * 16 == 320
    # 6 per weight of layers and head; 12 x 8 per layer and visible key, of which there are 16 / 2
    per_token = 6 * (2 * (256 + 288) + 80) + 2 * 12 * 8 * 8
    assert flops_per_token(model(), VOCABULARY, positions=16) == per_token == 8544
    assert training_flops(model(), VOCABULARY, training()) == 320 * 8544


def test_flops_follow_what_is_computed():
    plain = flops_per_token(model(), VOCABULARY, 16)
    windowed = flops_per_token(model(), VOCABULARY, 16, window=(4, 16))
    assert plain - windowed == 6 * 80 / 4  # a quarter of the positions does not reach the head
    assert flops_per_token(model(tied_embeddings=True), VOCABULARY, 16) == plain
    second = flops_per_token(model(feed_forward={"kind": "attention", "width": 1}), VOCABULARY, 16)
    assert second == 6 * (2 * 2 * 256 + 80) + 2 * 2 * 12 * 8 * 8
    attention = {"heads": 2, "head_dim": 4, "kv_heads": 1}
    state = {"kind": "value_state", "at": "value"}
    for gate, weights in [({"kind": "conditional"}, 8 * 8), ({"kind": "positional"}, 0), (state, 4 * 4)]:
        gated = flops_per_token(model(gate=gate, attention=attention), VOCABULARY, 16)
        assert gated - flops_per_token(model(attention=attention), VOCABULARY, 16) == 6 * 2 * weights


def test_memory_has_its_known_value():
    """Per token a block keeps 12 x 8 bytes and, 2 or 4 bytes each, 4 x 8 numbers in attention, 4 x 12 in SwiGLU."""

    def memory(devices: int = 1, **changes: object) -> float:
        return memory_bytes(model(), VOCABULARY, training(**changes), devices)

    attention, swiglu, logits = 64 * (96 + 2 * 32), 64 * (96 + 2 * 48), 64 * 10 * 12
    held = 18 * PARAMETERS  # 4 weights, 4 gradients, 8 moments, 2 bfloat16
    assert memory() == held + 2 * (attention + swiglu) + logits
    assert memory(optimiser={"kind": "sgd", "lr": 0.1}) == memory() - 4 * PARAMETERS
    whole = 2 * 64 * (96 + 4 * 32 + 96 + 4 * 48) + logits
    assert memory(precision="float32") == 16 * PARAMETERS + whole
    assert memory(micro_batch_size=3) == memory(devices=2) == held + attention + swiglu + logits / 2
    assert memory(loss_chunk=16) == memory() - logits + 16 * 10 * 12
    lower = memory(precision="bfloat16", residual="bfloat16")
    assert memory() - lower == 2 * 2 * 64 * 2 * 8 + 64 * 10 * 6  # two bytes less per channel, six instead of twelve
    assert memory(loss_window=[8, 16]) == memory() - logits / 2
    inputs = 2 * 2 * 64 * 4 * 8
    assert memory(activation_checkpointing=True) == held + inputs + swiglu
    gathered = 2 * (80 + 2 * 288) + 4 * 288  # the head, two blocks, the gradient of one
    assert memory(strategy="fsdp", devices=2) == 8 * PARAMETERS + gathered + attention + swiglu + logits / 2
    assert memory(strategy="ddp", devices=2) == memory(devices=2)
    compiled = 2 * 64 * (2 * 8 * (4 + 2) + 2 * (32 + 36)) + 64 * 10 * 2
    assert memory(compile=True) == memory(compile=True, loss_chunk=16) == held + compiled


def test_softpick_keeps_maps_of_the_squared_context():
    plain = memory_bytes(model(), VOCABULARY, training(), 1)
    softpick = model(attention={"heads": 2, "head_dim": 4, "softmax": "softpick"})
    assert memory_bytes(softpick, VOCABULARY, training(), 1) - plain == 2 * 4 * (2 * 16 * 16) * 19


def test_disk_has_its_known_value():
    assert weights_bytes(model(), VOCABULARY, 16) == 4 * PARAMETERS
    assert checkpoint_bytes(model(), VOCABULARY, training()) == 3 * 12 * PARAMETERS
    for kind, state in [("sgd", 8 * PARAMETERS), ("rmsprop", 8 * PARAMETERS), ("muon", 12 * PARAMETERS - 4 * 1088)]:
        # Muon keeps one moment for the 2 x (256 + 288) weights of matrices, and AdamW two for the rest.
        assert checkpoint_bytes(model(), VOCABULARY, training(optimiser={"kind": kind, "lr": 1.0})) == 3 * state


@pytest.mark.parametrize(
    "batch, devices, limit, expected",
    [(32, 1, None, 32), (32, 4, 3, 2), (12, 2, 4, 3), (7, 1, 4, 1), (512, 64, 100, 8), (6, 2, None, 3)],
)
def test_a_micro_batch_is_the_largest_equal_part_of_a_share(batch, devices, limit, expected):
    assert micro_batch(training(batch_size=batch, micro_batch_size=limit), devices) == expected


@pytest.mark.parametrize("batch, devices", [(6, 4), (1, 2)])
def test_a_batch_that_devices_cannot_share_equally_is_refused(batch, devices):
    with pytest.raises(ValueError, match=rf"batch_size = {batch} cannot be shared equally by {devices} devices"):
        micro_batch(training(batch_size=batch), devices)


def test_gpu_hours_are_flops_over_what_the_gpu_reaches():
    seven = load([ROOT / "workflow/scales/7b.yaml"], base=ROOT / "config.yaml")
    baseline = costs(seven, Plan(gpu="A100-80GB", utilisation=0.5))[0]
    matrices = 6_738_415_616 - 32_000 * 4096 - 65 * 4096  # all but the embedding and the gains
    assert baseline.tokens == 50_000 * 512 * 4096
    assert baseline.flops == baseline.tokens * (6 * matrices + 12 * 32 * 4096 * 2048)
    assert baseline.gpu_hours == pytest.approx(baseline.flops / (312e12 * 0.5) / 3600)


def test_float32_runs_are_costed_at_float32_throughput():
    whole, half = (study(training={"precision": precision}) for precision in ("float32", "bfloat16"))
    assert costs(whole)[0].gpu_hours == pytest.approx(costs(half)[0].gpu_hours * 989 / 67)


def test_the_gpus_are_those_that_the_config_may_name():
    assert set(GPUS) == set(typing.get_args(typing.get_type_hints(Plan)["gpu"]))
    assert all(gpu.float32 < gpu.bfloat16 for gpu in GPUS.values())


def test_a_run_that_does_not_fit_is_marked():
    big = study(
        model={"d_model": 1024, "layers": 12},
        variants={"mine": {"short": {"training": {"batch_size": 1}}}},
        training={"batch_size": 4096},
    )
    planned = costs(big, Plan(gpu="RTX4090"))
    assert [cost.fits for cost in planned] == [False, True]
    assert planned[0].memory_gib > GPUS["RTX4090"].memory_gib > planned[1].memory_gib
    lines = table(planned).splitlines()
    assert [line.split()[1] for line in lines if line.endswith("does not fit")] == ["baseline"]
    assert "1 of 2 runs need more than the 24 GiB of one RTX4090" in lines[-1]


def test_a_run_that_leaves_no_memory_for_cuda_does_not_fit(monkeypatch):
    """What check_shared_gpu counts for each of several runs, the plan counts for one."""
    monkeypatch.setattr("spikesink.study.plan.memory_bytes", lambda *_: 79 * 2**30)
    assert [costs(study(), Plan(gpu=gpu))[0].fits for gpu in ("H100", "H200")] == [False, True]


@pytest.mark.parametrize(
    "more, advice, followed",
    [
        (
            {"ablations": ["optimisation"], "cross": {"lr": {"settings": {"training.optimiser.lr": ["2x"]}}}},
            "baseline_lr_2x has the settings of lr_2x, and is trained all the same: "
            "take its value, or the whole grid, out of cross.lr.",
            {"cross": {"lr": None}},
        ),
        (
            {"variants": {"mine": {"same": {}, "longer": {"training": {"steps": "2x"}}}}},
            "same has the settings of baseline, and is trained all the same: take variants.mine.same out.",
            {"variants": {"mine": {"longer": {"training": {"steps": "2x"}}}}},
        ),
        (
            {"ablations": ["optimisation"], "training": {"schedule": {"min_lr_ratio": 1.0}}},
            "no_decay has the settings of baseline, and is trained all the same: "
            "variants.optimisation.no_decay = null leaves it out.",
            {"variants": {"optimisation": {"no_decay": None}}},
        ),
    ],
)
def test_the_plan_says_how_to_leave_out_a_variant_with_the_settings_of_another(more, advice, followed):
    assert same_settings(study(**more)) == [advice]
    assert same_settings(study(**more | followed)) == []


def test_devices_that_cannot_share_a_batch_are_refused_as_in_training():
    with pytest.raises(ConfigError, match=r"= 32 cannot be shared equally by 3 devices: [^:]*gpus_per_node$"):
        costs(study(resources={"train": {"gpus_per_node": 3}}))


def test_the_table_has_a_row_per_variant_and_totals_over_all_runs():
    crossed = study(seeds=[0, 1, 2], variants={"mine": {"more": {"model": {"norm": {"kind": "sandwich"}}}}})
    planned = costs(crossed)
    assert [(cost.variant, cost.seed) for cost in planned[2:5]] == [("baseline", 2), ("more", 0), ("more", 1)]
    assert len({(cost.variant, cost.parameters, cost.flops, cost.memory_gib) for cost in planned}) == 2
    header, baseline, more, empty, total, *_ = table(planned).splitlines()
    assert header.split()[:5] == ["ablation", "variant", "parameters", "runs", "tokens"]
    assert baseline.split()[:5] == ["baseline", "baseline", "214K", "3", "2.87M"]
    assert more.split()[:4] == ["mine", "more", "215K", "3"] and empty == ""
    assert total.split()[:3] == ["total", "6", "17.2M"]
    assert "1 x H100 per run at 40%" in table(planned) and "estimates" in table(planned)


def test_numbers_are_written_for_people():
    assert [human(n) for n in (6_738_415_616, 999_600_000, 214_208, 999, 0)] == ["6.74B", "1B", "214K", "999", "0"]
    assert [size(gib) for gib in (25.1, 1536, 0.001, 150.6)] == ["25.1 GiB", "1.5 TiB", "1.02 MiB", "151 GiB"]


def test_the_command_prints_one_object_per_run():
    result = command("plan", "--configfile", "workflow/scales/7b.yaml", "--json")
    rows = json.loads(result.stdout)
    assert len(rows) == 43 and rows[0]["parameters"] == 6_738_415_616
    fields = "study ablation variant seed parameters tokens flops gpu_hours memory_gib disk_gib checkpoint_gib fits"
    assert list(rows[0])[:12] == fields.split()
    assert (rows[0]["study"], rows[0]["ablation"], rows[0]["variant"], rows[0]["seed"]) == (
        "7b",
        "baseline",
        "baseline",
        0,
    )


def test_the_command_line_overrides_what_the_config_assumes():
    [faster, *_] = json.loads(command("plan", "--gpu", "B200", "--utilisation", "0.8", "--json").stdout)
    [plain, *_] = json.loads(command("plan", "--json").stdout)
    assert (faster["gpu"], faster["utilisation"], plain["gpu"], plain["utilisation"]) == ("B200", 0.8, "H100", 0.4)
    assert faster["gpu_hours"] == pytest.approx(plain["gpu_hours"] / 2 * 67 / 75), "nano trains in float32"
    text = command("plan", "--gpu", "B200", "--utilisation", "0.8").stdout
    assert "1 x B200 per run at 80%" in text and "B200-hours" in text and "H100" not in text


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--gpu", "H1OO"],
            "error: --gpu = 'H1OO': use one of B200, H200, H100, A100-80GB, A100-40GB, L40S, RTX4090, V100",
        ),
        (["--utilisation", "40%"], "error: --utilisation = '40%': use a number greater than 0 and at most 1"),
        (["--utilisation", "1.2"], "error: --utilisation = '1.2': use a number greater than 0 and at most 1"),
        (["--utilisation", "nan"], "error: --utilisation = 'nan': use a number"),
        (["--configfile", "nowhere.yaml"], "error: nowhere.yaml: cannot be read"),
    ],
)
def test_a_wrong_assumption_is_refused_in_one_line(options, message):
    result = command("plan", *options)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith(message) and result.stderr.count("\n") == 1


def test_assumptions_keep_what_the_command_line_leaves_open():
    given = Plan(gpu="V100", utilisation=0.2)
    assert assumptions(given) == given
    assert assumptions(given, utilisation="0.5") == replace(given, utilisation=0.5)


def big_overlay(path: Path, variants: int, seeds: list[int]) -> Path:
    changed = {
        f"variant_{number:04}": {
            "model": {"feed_forward": {"width": 64 + number}},
            "training": {"optimiser": {"lr": 0.01}},
        }
        for number in range(variants)
    }
    overlay = {"study": "big", "seeds": seeds}
    path.write_text(yaml.safe_dump(overlay | {"ablations": [], "variants": {"width": changed}}))
    return path


@pytest.mark.parametrize("variants, seeds", [(1000, [0]), (200, [0, 1, 2, 3, 4])])
def test_a_study_of_a_thousand_runs_is_planned_without_heavy_imports(tmp_path, variants, seeds):
    overlay = big_overlay(tmp_path / "big.yaml", variants, seeds)
    code = (
        "import sys; from spikesink.cli import main; status = main(); "
        "heavy = {'torch', 'pandas', 'polars', 'snakemake', 'mlflow', 'lightning'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    for output in (["--json"], []):
        result = subprocess.run(
            [sys.executable, "-c", code, "plan", "--configfile", str(overlay), *output],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        if output:
            rows = json.loads(result.stdout)
            assert len({(row["variant"], row["seed"]) for row in rows}) == (variants + 1) * len(seeds)
    assert len(result.stdout.splitlines()) > variants


def test_show_prints_the_settings_in_their_order():
    shown = command("show", "loss_0.25x_1x")
    lines = shown.stdout.splitlines()
    assert lines[0] == "# results/nano/runs/loss_0.25x_1x/seed30: 214K parameters, 2.87M tokens"
    assert [line for line in lines if re.match(r"\w", line)][-3:] == ["tokenizer:", "model:", "training:"]
    assert lines.index("  layers: 3") < lines.index("  d_model: 64") < lines.index("    heads: 4")
    run = next(run for run in load(base=ROOT / "config.yaml").runs if run.variant == "loss_0.25x_1x")
    assert next(yaml.safe_load_all(shown.stdout)) == json.loads(json.dumps(run.resolved()))


def test_show_finds_one_run_or_all_seeds_of_a_variant(tmp_path):
    overlay = tmp_path / "seeds.yaml"
    overlay.write_text("seeds: [0, 3]")
    one = json.loads(command("show", "dyt/seed3", "--json", "--configfile", overlay).stdout)
    both = json.loads(command("show", "dyt", "--json", "--configfile", overlay).stdout)
    planned = json.loads(command("plan", "--json", "--configfile", overlay).stdout)
    assert [row["seed"] for row in both] == [0, 3] and one == both[1:]
    assert [row["settings"]["seed"] for row in both] == [0, 3]
    assert one[0]["settings"]["model"]["norm"]["kind"] == "dyt"
    assert {key: value for key, value in one[0].items() if key != "settings"} in planned
    documents = list(yaml.safe_load_all(command("show", "dyt", "--configfile", overlay).stdout))
    assert [document["seed"] for document in documents] == [0, 3]


def test_an_ablation_cannot_hide_the_target():
    with pytest.raises(ConfigError, match=r"variants.plan: the workflow has a rule of that name"):
        study(variants={"plan": {"mine": {}}})
