"""Schedule, weight decay, clipping and the optimisers' steps, each against its formula."""

import math
import re
from pathlib import Path

import models
import pytest
import torch

from spikesink.model.decoder import Decoder
from spikesink.study.resolve import resolve
from spikesink.study.settings import Optimiser, Schedule, build
from spikesink.training.optimiser import build_optimiser, clip_gradients, parameter_groups
from spikesink.training.schedule import learning_rate_share

ROOT = Path(__file__).parents[2]
ABLATIONS = sorted(path.stem for path in (ROOT / "workflow/ablations").glob("*.yaml"))


def test_quadratic_warmup_and_cosine_are_the_released_codes_formula():
    schedule = build(Schedule, {"warmup_steps": 2000})
    for step in (0, 500, 1999, 2000, 26_000, 50_000):
        expected = min(
            1 - (1 - min(step, 2000) / 2000) ** 2,
            0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - 2000) / 48_000)) if step >= 2000 else 1.0,
        )
        assert learning_rate_share(schedule, step, 50_000) == pytest.approx(expected)
    assert learning_rate_share(schedule, 0, 50_000) == 0
    assert learning_rate_share(schedule, 50_000, 50_000) == pytest.approx(0.1)


def test_linear_warmup_and_constant_rate():
    linear = build(Schedule, {"warmup_steps": 10, "warmup": "linear", "min_lr_ratio": 1.0})
    assert [learning_rate_share(linear, step, 100) for step in (0, 4, 9, 50, 99)] == [0.1, 0.5, 1.0, 1.0, 1.0]


def named_groups(model: torch.nn.Module, **settings) -> dict[str, float]:
    """The weight decay of every parameter by name. A parameter in two groups, or in none, would be an error."""
    groups = parameter_groups(model.named_parameters(), build(Optimiser, {"lr": 1.0, "weight_decay": 0.1} | settings))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decays = [(names[id(parameter)], group["weight_decay"]) for group in groups for parameter in group["params"]]
    assert len(decays) == len(dict(decays)) == len(names)
    return dict(decays)


MATRICES = re.compile(r"((embedding|head|q|k|v|o|gate|up|down|matrix|projection)\.weight|gate\.table)$")
"""Names of what decays with ``decay: matrices``; a gate's table has two or more dimensions over positions alone."""


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_decay_reaches_every_parameter_of_every_shipped_variant_that_it_should(ablation):
    """2603.05498 decays everything, 2603.17771 matrices only; neither says that V-scale's theta decays."""
    wide = {"model": {"attention": {"head_dim": 32}}}  # a sixteenth of a head is still even
    study = {"study": "every", "scale": "nano_full", "ablations": [ablation], **wide}
    for run in resolve(study, ROOT / "workflow").runs:
        with torch.device("meta"):
            model = Decoder(run.model, vocabulary=32, positions=8)
        every, matrices = named_groups(model, decay="all"), named_groups(model, decay="matrices")
        for name in every:
            is_theta = name.endswith(".theta")
            assert every[name] == (0.0 if is_theta else 0.1), (run.variant, name)
            is_matrix = MATRICES.search(name) and not (run.model.gate.kind == "unconditional" and "table" in name)
            assert matrices[name] == (0.1 if is_matrix else 0.0), (run.variant, name)
            asked = named_groups(model, decay="matrices", decay_theta=True)[name]
            assert asked == (0.1 if is_matrix or is_theta else 0.0), (run.variant, name)


def test_gradients_are_clipped_to_the_global_norm():
    model = models.decoder()
    (model(models.tokens()).square().sum() * 1e3).backward()
    before = clip_gradients(model, 1.0)
    norm = torch.sqrt(sum(parameter.grad.square().sum() for parameter in model.parameters()))
    assert before > 1
    assert norm.item() == pytest.approx(1.0, rel=1e-4)


def test_tied_embeddings_are_decayed_and_clipped_once():
    """A matrix counted twice would decay twice as fast and weigh double in the gradient norm."""
    model = models.decoder(tied_embeddings=True)
    (group,) = parameter_groups(model.named_parameters(), build(Optimiser, {"lr": 1.0}))
    assert len({id(parameter) for parameter in group["params"]}) == len(group["params"])
    assert sum(parameter is model.embedding.weight for parameter in group["params"]) == 1
    model(models.tokens()).square().sum().backward()
    expected = torch.sqrt(sum(parameter.grad.square().sum() for parameter in group["params"]))
    assert clip_gradients(model, 1.0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_sgd_is_momentum_and_coupled_weight_decay():
    """buf <- momentum buf + gradient + weight_decay p, p <- p - lr buf: no dampening, no Nesterov."""
    model = torch.nn.Linear(3, 2, bias=False)
    settings = build(Optimiser, {"kind": "sgd", "lr": 0.1, "momentum": 0.8, "weight_decay": 0.5})
    optimiser = build_optimiser(model, settings)
    weight, buffer = model.weight.detach().clone(), torch.zeros(2, 3)
    for gradient in torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0)):
        model.weight.grad = gradient.clone()
        optimiser.step()
        buffer = 0.8 * buffer + gradient + 0.5 * weight
        weight = weight - 0.1 * buffer
        torch.testing.assert_close(model.weight.detach(), weight)


def test_rmsprop_is_adaptive_without_momentum_and_decays_as_adamw_does():
    """v <- beta2 v + (1 - beta2) g^2, p <- (1 - lr weight_decay) p - lr g / (sqrt(v) + eps)."""
    model = torch.nn.Linear(3, 2)
    options = {"kind": "rmsprop", "lr": 0.1, "beta2": 0.8, "weight_decay": 0.5, "eps": 1e-3, "decay": "matrices"}
    optimiser = build_optimiser(model, build(Optimiser, options))
    expected = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    second = {name: torch.zeros_like(value) for name, value in expected.items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            second[name] = 0.8 * second[name] + 0.2 * parameter.grad.square()
            kept = 1 - 0.1 * 0.5 if name == "weight" else 1.0
            expected[name] = kept * expected[name] - 0.1 * parameter.grad / (second[name].sqrt() + 1e-3)
        optimiser.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), expected[name])


def test_muon_turns_the_layers_matrices_by_orthogonal_steps_and_leaves_the_rest_to_adamw():
    """A matrix's first step has nearly equal singular values, 0.2 sqrt(largest side) lr; the rest is AdamW's, bit for
    bit."""
    settings = {"gate": {"kind": "positional"}, "value_valve": {"kind": "v_scale"}, "tied_embeddings": True}
    models_of = {kind: models.decoder(**settings) for kind in ("muon", "adamw")}
    before = {name: parameter.detach().clone() for name, parameter in models_of["muon"].named_parameters()}
    for kind, model in models_of.items():
        options = {"kind": kind, "lr": 0.01, "weight_decay": 0.5, "decay": "matrices", "momentum": 0.95}
        optimiser = build_optimiser(model, build(Optimiser, options))
        model(models.tokens(length=24)).square().sum().backward()
        optimiser.step()
    others = dict(models_of["adamw"].named_parameters())
    for name, parameter in models_of["muon"].named_parameters():
        is_hidden = name.startswith("blocks.") and name.endswith("weight") and parameter.dim() == 2
        assert torch.equal(parameter, others[name]) != is_hidden, name
        if is_hidden:
            step = (parameter - before[name] * (1 - 0.01 * 0.5)).detach() / (0.01 * 0.2 * max(parameter.shape) ** 0.5)
            singular = torch.linalg.svdvals(step)
            assert 0.6 < singular.median() < 1.3 and singular.max() < 1.3, name


def test_optimisers_go_on_from_their_saved_state_to_the_same_bits():
    """A run that resumes would otherwise not be the run that was interrupted."""
    for kind in ("adamw", "sgd", "rmsprop", "muon"):
        settings = build(Optimiser, {"kind": kind, "lr": 0.01, "weight_decay": 0.1, "decay": "matrices"})
        model = models.decoder()
        optimiser = build_optimiser(model, settings)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 / (step + 1))

        def steps(model, optimiser, schedule, count=2):
            for _ in range(count):
                optimiser.zero_grad()
                model(models.tokens()).square().mean().backward()
                optimiser.step()
                schedule.step()

        steps(model, optimiser, schedule)
        saved = [one.state_dict() for one in (model, optimiser, schedule)]
        saved = torch.utils._pytree.tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, saved)
        steps(model, optimiser, schedule)
        other = models.decoder(seed=1)
        again = build_optimiser(other, settings)
        schedule_again = torch.optim.lr_scheduler.LambdaLR(again, lambda step: 1 / (step + 1))
        for one, state in zip((other, again, schedule_again), saved, strict=True):
            one.load_state_dict(state)
        steps(other, again, schedule_again)
        for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two), (kind, name)


def test_an_unknown_optimiser_is_refused_by_name():
    with pytest.raises(ValueError, match=r"optimiser.kind = 'toy' is unknown in"):
        build_optimiser(models.decoder(), Optimiser(kind="toy", lr=1.0))
