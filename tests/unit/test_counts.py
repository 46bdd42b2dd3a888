"""Proof by counting: the closed form against the papers, against the model itself and against the published table."""

import itertools
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from models import POSITIONS, VARIANTS, VOCABULARY, model_settings

from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.study.memory import branch_bytes
from spikesink.study.resolve import load, resolve
from spikesink.study.run import Run, Study
from spikesink.study.settings import Model, Training, build
from spikesink.study.sizes import hidden_matrix_parameters, parameters
from spikesink.training.muon import is_hidden_matrix

ROOT = Path(__file__).parents[2]
SCALES = [path for path in sorted((ROOT / "workflow/scales").glob("*.yaml")) if "model:" in path.read_text()]
ABLATIONS = sorted(path.stem for path in (ROOT / "workflow/ablations").glob("*.yaml"))


@cache
def study(*overlays: Path) -> Study:
    return load(overlays, base=ROOT / "config.yaml")


def sizes_of(run: Run) -> tuple[Model, int, int]:
    return run.model, run.vocabulary, run.training.sequence_length


def scale(name: str) -> dict[str, Run]:
    return {run.variant: run for run in study(ROOT / f"workflow/scales/{name}.yaml").runs}


def counts(name: str) -> dict[str, int]:
    return {variant: parameters(*sizes_of(run)) for variant, run in scale(name).items()}


@cache
def built(model: Model, vocabulary: int, positions: int) -> int:
    """Parameters of the real model, which the meta device builds without memory."""
    with torch.device("meta"):
        decoder = Decoder(model, vocabulary=vocabulary, positions=positions)
    return sum(parameter.numel() for parameter in decoder.parameters())


# 2603.05498 at its own size. It prints 7B; these billions are arithmetic on the shapes of its tables.
BILLIONS = {
    "baseline": 6.738,
    "gelu": 6.738,
    "linear": 2.947,
    "attention_only": 4.557,
    "conditional_channel": 7.275,
    "conditional_head": 6.743,
    "conditional_single": 6.739,
    "heads32_dim8": 4.725,
    "heads32_dim16": 4.859,
    "heads32_dim32": 5.128,
    "heads32_dim64": 5.665,
    "heads16_dim128": 5.665,
    "heads8_dim128": 5.128,
}


def test_the_7b_rows_have_the_papers_sizes():
    found = counts("7b")
    assert found["baseline"] == 6_738_415_616
    assert {name: round(found[name] / 1e9, 3) for name in BILLIONS} == BILLIONS
    assert found["gelu"] == found["baseline"]
    assert found["positional"] - found["baseline"] == 32 * 4096 * 32 * 128 == 536_870_912
    assert found["token_embedding"] == found["conditional_channel"]


def test_the_sweep_of_heads_at_equal_width_keeps_the_size():
    found = counts("7b")
    sweep = ("heads512_dim8", "heads256_dim16", "heads128_dim32", "heads64_dim64", "heads16_dim256")
    assert {found[name] for name in sweep} == {found["baseline"]}


def test_the_other_papers_scales_have_its_sizes_but_for_the_smallest():
    """2603.17771 Table 1 prints about 101M, about 304M, about 1.04B."""
    assert round(counts("0.3b")["baseline"] / 1e6) == 304
    assert round(counts("1b")["baseline"] / 1e9, 2) == 1.04
    assert counts("0.1b")["baseline"] / 101e6 == pytest.approx(1.0184, abs=1e-4)


def test_readings_of_the_smallest_scale_that_might_explain_its_figure():
    """The second table of docs/scales.md."""
    model, vocabulary, positions = sizes_of(scale("0.1b")["baseline"])
    readings = {
        "as printed": (model, vocabulary),
        "width 1,344, the next multiple of 64 below": (
            replace(model, feed_forward=replace(model.feed_forward, width=1344)),
            vocabulary,
        ),
        "vocabulary rounded to 50,304": (model, 50_304),
        "4 key-value heads, as in 0.3B": (replace(model, attention=replace(model.attention, kv_heads=4)), vocabulary),
        "15 layers": (replace(model, layers=15), vocabulary),
        "head tied to the embedding": (replace(model, tied_embeddings=True), vocabulary),
    }
    found = {(name, f"{parameters(*reading, positions):,}") for name, reading in readings.items()}
    assert found == set(re.findall(r"^\| ([^|]+) \| ([\d,]+) \|$", scales_page(), re.M))


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_every_variant_of_a_scale_has_the_size_of_the_real_model(path):
    for run in study(path).runs:
        assert parameters(*sizes_of(run)) == built(*sizes_of(run)), run.variant


@pytest.mark.parametrize("name", ["small", "0.3b", "7b"])
def test_every_shipped_ablation_has_the_size_of_the_real_model(name):
    """Also at scales that do not run it; 0.3b has fewer key-value heads than heads."""
    tokenizer = {"bos": "sequence"}  # which variants with another BOS need
    study = {"study": "every", "scale": name, "ablations": ABLATIONS, "tokenizer": tokenizer}
    every = resolve(study, ROOT / "workflow")
    assert len(every.runs) > 60
    for run in every.runs:
        assert parameters(*sizes_of(run)) == built(*sizes_of(run)), run.variant


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_the_unit_tests_has_the_size_of_the_real_model(variant):
    sizes = model_settings(**VARIANTS[variant]), VOCABULARY, POSITIONS
    assert parameters(*sizes) == built(*sizes)


SHAPES = ({"heads": 4, "head_dim": 6}, {"heads": 4, "head_dim": 6, "kv_heads": 2})
FEED_FORWARDS = tuple({"kind": kind, "width": 20} for kind in ("swiglu", "gelu", "linear", "attention"))


def compare(**overrides: dict) -> None:
    sizes = model_settings(**overrides), VOCABULARY, POSITIONS
    assert parameters(*sizes) == built(*sizes), overrides


def test_gates_of_every_kind_have_the_size_of_the_real_model():
    kinds = ("conditional", "unconditional", "positional", "token_embedding", "value_state")
    for kind, per, at in itertools.product(kinds, ("channel", "head", "single"), ("output", "value")):
        if kind == "value_state" and at == "output":
            continue
        for shape, feed_forward in itertools.product(SHAPES, FEED_FORWARDS[::3]):
            compare(attention=shape, feed_forward=feed_forward, gate={"kind": kind, "per": per, "at": at})


def test_norms_and_attentions_of_every_kind_have_the_size_of_the_real_model():
    norms = ("rms", "sandwich", "sandwich_qk", "dyt", "post")
    for kind, shape, feed_forward, tied in itertools.product(norms, SHAPES, FEED_FORWARDS, (False, True)):
        compare(norm={"kind": kind}, attention=shape, feed_forward=feed_forward, tied_embeddings=tied)
    parts = [{"softmax": kind} for kind in ("softmax", "softmax1", "sink_logit", "softpick", "sigmoid", "relu")]
    parts += [{"extra_key": kind} for kind in ("key_bias", "key_value_bias")]
    for part, shape, bias, norm in itertools.product(parts, SHAPES, (False, True), (False, True)):
        for feed_forward in FEED_FORWARDS[::3]:
            compare(attention=shape | part | {"qkv_bias": bias, "qk_norm": norm}, feed_forward=feed_forward)


def test_valves_of_every_kind_have_the_size_of_the_real_model():
    backward = tuple(f"v_scale_backward_{part}" for part in ("only", "uniform", "first"))
    kinds = ("v_scale", "v_scale_forward_only", *backward)
    for kind, c, layers in itertools.product(kinds, ("learned", "fixed"), (None, (0,), (0, 1))):
        valve = {"kind": kind, "c": c, "layers": layers}
        for shape, feed_forward in itertools.product(SHAPES, FEED_FORWARDS[::3]):
            compare(attention=shape, feed_forward=feed_forward, value_valve=valve)
            compare(attention=shape, feed_forward=feed_forward, key_valve=valve, value_valve={"kind": "v_scale"})


def saved_bytes(model: Model, precision: str, compile: bool = False, residual: torch.dtype | None = None) -> float:
    """Bytes per token that autograd keeps for the backward pass of a model, its weights and their copies apart."""
    decoder = Decoder(model, vocabulary=31, positions=64)
    initialise(decoder, seed=0)
    weights = {parameter.data_ptr() for parameter in decoder.parameters()}
    shapes = {tuple(parameter.shape) for parameter in decoder.parameters()}
    shapes |= {shape[::-1] for shape in shapes}
    if compile:
        torch._dynamo.reset()
        decoder.compile(backend="aot_eager_decomp_partition")  # what is kept is decided as for a GPU; no code is made
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    tokens = torch.zeros(8, 64, dtype=torch.long)  # so many that tables over positions hardly count
    lower = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), lower:
        decoder(tokens, targets=tokens, residual=residual)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / tokens.numel()


KEPT: dict[str, dict] = {
    "baseline": {},
    "grouped_query": {"attention": {"heads": 4, "head_dim": 16, "kv_heads": 2}},
    "qk_norm": {"attention": {"heads": 4, "head_dim": 16, "qk_norm": True}},
    "softpick": {"attention": {"heads": 4, "head_dim": 16, "softmax": "softpick"}},
    "sigmoid": {"attention": {"heads": 4, "head_dim": 16, "softmax": "sigmoid"}},
    "relu": {"attention": {"heads": 4, "head_dim": 16, "softmax": "relu"}},
    "post": {"norm": {"kind": "post"}},
    "sandwich": {"norm": {"kind": "sandwich"}},
    "sandwich_qk": {"norm": {"kind": "sandwich_qk"}},
    "dyt": {"norm": {"kind": "dyt"}},
    "geglu": {"feed_forward": {"kind": "geglu", "width": 172}},
    "gelu": {"feed_forward": {"kind": "gelu", "width": 258}},
    "linear": {"feed_forward": {"kind": "linear", "width": 1}},
    "attention": {"feed_forward": {"kind": "attention", "width": 1}},
    "gate": {"gate": {"kind": "conditional"}},
    "value_gate": {"gate": {"kind": "value_state", "at": "value"}},
    "v_scale": {"value_valve": {"kind": "v_scale"}},
}


def compare_kept(overrides: dict, precision: str, compile: bool, tolerance: float, residual: str = "float32") -> None:
    """A second layer keeps what the estimate says a layer keeps."""
    plain = {"d_model": 64, "attention": {"heads": 4, "head_dim": 16}, "feed_forward": {"kind": "swiglu", "width": 172}}
    one, two = (model_settings(**plain | overrides | {"layers": layers}) for layers in (1, 2))
    dtype = None if residual == "float32" else torch.bfloat16
    counted = saved_bytes(two, precision, compile, dtype) - saved_bytes(one, precision, compile, dtype)
    settings = {"steps": 1, "sequence_length": 64, "batch_size": 2, "precision": precision, "compile": compile}
    settings["residual"] = residual
    training = build(Training, settings | {"optimiser": {"lr": 1.0}, "schedule": {"warmup_steps": 0}})
    assert sum(branch_bytes(one, training)) == pytest.approx(counted, rel=tolerance)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("variant", KEPT)
def test_the_estimate_of_memory_keeps_what_autograd_keeps(variant, precision):
    compare_kept(KEPT[variant], precision, compile=False, tolerance=0.12)


def test_the_estimate_of_memory_keeps_what_a_compiled_model_keeps():
    compare_kept(KEPT["sandwich"], "bfloat16", compile=True, tolerance=0.05)


@pytest.mark.parametrize("variant", ["baseline", "sandwich", "post"])
def test_the_estimate_of_memory_keeps_what_a_bfloat16_residual_stream_keeps(variant):
    compare_kept(KEPT[variant], "bfloat16", compile=False, tolerance=0.12, residual="bfloat16")


@pytest.mark.parametrize("variant", ["baseline", "attention_only", "conditional_head", "value_state_channel", "qwen2"])
def test_the_matrices_that_muon_turns_are_counted(variant):
    """They have one moment and all else two: another count would plan another disk."""
    overrides = VARIANTS.get(variant, {"gate": {"kind": "value_state", "per": "channel", "at": "value"}})
    model = model_settings(**overrides)
    with torch.device("meta"):
        decoder = Decoder(model, vocabulary=VOCABULARY, positions=POSITIONS)
    real = sum(matrix.numel() for name, matrix in decoder.named_parameters() if is_hidden_matrix(name, matrix))
    assert hidden_matrix_parameters(model) == real


def scales_page() -> str:
    return (ROOT / "docs/scales.md").read_text()


def test_the_published_table_of_sizes_has_not_drifted():
    cells = r"^\| ([\w.]+) \| ([\w.-]+) \| ([\d,]+) \| ([\d.]+[MB]|-) \| ([+-][\d.]+%|-) \| .+ \|$"
    rows = re.findall(cells, scales_page(), re.M)
    found = {path.stem: counts(path.stem) for path in SCALES}
    shown = {(name, "baseline") for name in found} | {("7b", variant) for variant in found["7b"]}
    assert {row[:2] for row in rows} == shown and len(rows) == len(shown)
    for name, variant, count, expected, difference in rows:
        assert count == f"{found[name][variant]:,}", (name, variant)
        if expected == "-":
            assert difference == "-"
            continue
        paper = float(expected[:-1]) * {"M": 1e6, "B": 1e9}[expected[-1]]
        assert difference == f"{100 * (found[name][variant] / paper - 1):+.2f}%"
        if name == "7b":
            assert float(expected[:-1]) == BILLIONS.get(variant, round(found[name][variant] / 1e9, 3))
