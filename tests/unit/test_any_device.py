"""What would fail, or wait, on a GPU fails here: on the meta device, and in a graph that must be whole.

The meta device has no data. It refuses a tensor that was made on the CPU, and a value that Python asks for.
"""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import block_inputs, observe
from spikesink.measures.probes.sink_mass import attention_on, logit_gap
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.errors import ConfigError
from spikesink.study.resolve import resolve
from spikesink.study.settings import Model, Training
from spikesink.study.strict_yaml import read_yaml
from spikesink.training.module import next_token_loss

WORKFLOW = Path(__file__).parents[2] / "workflow"
VOCABULARY = 64


def shipped() -> dict[str, tuple[Model, Training]]:
    """Model, with one layer, and training of the variants of all shipped ablations that differ in these."""
    plain = read_yaml(WORKFLOW / "scales" / "nano.yaml", as_text=True)
    found = {}
    for file in sorted((WORKFLOW / "ablations").glob("*.yaml")):
        for variant in read_yaml(file, as_text=True):
            config = plain | {"ablations": [f"{file.stem}/{variant}"], "cross": {}, "variants": {}}
            try:
                runs = resolve(config, WORKFLOW).runs
            except ConfigError:
                continue  # this width cannot have it
            for run in runs:
                model = replace(run.model, layers=1, initialisation=type(run.model.initialisation)())
                same = model, run.training.loss_window, run.training.residual, run.training.sequence_length
                found.setdefault(repr(same), (run.variant, (model, run.training)))
    return dict(found.values())


SHIPPED = shipped()


def with_new_parts() -> list[str]:
    """Variants that together have every kind of every part, each with a kind that those before it lack."""
    seen, names = set(), []
    for name, (model, training) in SHIPPED.items():
        kinds = {
            (part, key, value)
            for part, settings in asdict(model).items()
            for key, value in (settings.items() if isinstance(settings, dict) else [(part, settings)])
            if isinstance(value, str | bool)
        }
        kinds |= {("loss_window", training.loss_window is None), ("residual", training.residual)}
        if not kinds <= seen:
            names.append(name)
            seen |= kinds
    return names


def made(name: str, device: str) -> tuple[Decoder, Training, torch.Tensor]:
    """A variant's decoder with undefined weights, its training settings, and two rows of tokens."""
    model, training = SHIPPED[name]
    with torch.device(device):
        decoder = Decoder(model, vocabulary=VOCABULARY, positions=training.sequence_length)
        rows = torch.zeros(2, training.sequence_length + 1, dtype=torch.long)
    return decoder, training, rows


@pytest.mark.parametrize("name", SHIPPED)
def test_a_step_makes_no_tensor_on_the_cpu_and_asks_for_no_value(name):
    """Otherwise it would stop on a GPU, or wait for it in the middle of a step."""
    decoder, training, rows = made(name, "meta")
    loss = next_token_loss(decoder, rows, replace(training, loss_chunk=32))
    loss.backward()
    assert loss.device.type == "meta"
    assert all(parameter.grad is not None for parameter in decoder.parameters())


@pytest.mark.parametrize("name", with_new_parts())
def test_probes_make_no_tensor_on_the_cpu_and_ask_for_no_value(name):
    """Otherwise a measure would stop on a GPU, or wait for it block by block."""
    decoder, _, rows = made(name, "meta")
    assert [seen.stream_BTD.device.type for seen in observe(decoder, rows[:, :-1])] == ["meta"] * 3
    for _, block, h, context in block_inputs(decoder, rows[:, :-1]):
        if isinstance(block.body, CausalAttention):
            x = block.pre_norm(h)
            q, k = block.body.queries_keys(x, context)
            found = [attention_on(block.body, q, k, 0), logit_gap(block.body, q, k)]
            found += [weights for _, weights in attention_rows(block.body, x, context, 32)]
            assert {one.device.type for one in found} == {"meta"}


@pytest.mark.parametrize("name", with_new_parts())
def test_a_step_in_bfloat16_is_one_graph(name):
    """Otherwise torch.compile would cut the step into pieces; benchmarks/peers.py compiles all variants to the end.

    With rotary tables in the graph every kernel that rotates would make them again: 9 % of a step at 0.1b on a GPU.
    """
    decoder, training, rows = made(name, "cpu")
    graphs = []
    torch.compiler.reset()
    decoder.compile(fullgraph=True, dynamic=False, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    with torch.autocast("cpu", torch.bfloat16):
        assert next_token_loss(decoder, rows, training).dtype == torch.float32
    assert len(graphs) == 1
    assert "addcmul" in graphs[0].code and not {"cos", "sin", "outer"} & called(graphs[0])


def called(graph: torch.fx.GraphModule) -> set[str]:
    """Names of the functions and methods that a graph calls."""
    return {getattr(node.target, "__name__", str(node.target)) for node in graph.graph.nodes if "call" in node.op}
