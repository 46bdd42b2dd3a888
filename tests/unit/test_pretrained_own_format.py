"""A variant that no architecture of transformers has is exported with the decoder's own code, and computes the same."""

import importlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models import POSITIONS, VARIANTS, VOCABULARY, model_settings, shaken, tokens
from test_pretrained_export import EXPORTED

from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.pretrained.card import text_licence
from spikesink.pretrained.export import checkpoint
from spikesink.pretrained.formats import computed
from spikesink.pretrained.own_code import own_code
from spikesink.study.resolve import read_config, resolve
from spikesink.study.settings import Model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def transformers():
    os.environ["HF_HUB_OFFLINE"] = "1"
    return importlib.import_module("transformers")


@pytest.fixture(scope="module")
def classes(transformers, tmp_path_factory):
    """The configuration and the model, imported as transformers imports them from an exported folder."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in own_code().items():
        (folder / name).write_text(text)
    get = transformers.dynamic_module_utils.get_class_from_dynamic_module
    return [get(f"modeling_spikesink.Spikesink{name}", str(folder)) for name in ("Config", "ForCausalLM")]


def random_decoder(settings: Model) -> Decoder:
    decoder = Decoder(settings, vocabulary=VOCABULARY, positions=POSITIONS)
    initialise(decoder, 0)
    return shaken(decoder)


@torch.no_grad()
def compare(classes, settings: Model) -> None:
    """Logits whole, and with a cache: first several tokens, then some more, then one by one."""
    decoder = random_decoder(settings)
    config, weights = checkpoint(decoder, VOCABULARY, POSITIONS)
    assert config["architectures"] == ["SpikesinkForCausalLM"]
    model = classes[1](classes[0](**json.loads(json.dumps(config)))).eval()
    model.load_state_dict(weights)
    rows = tokens(2, 12)
    expected = decoder(rows)
    parts, past = [], None
    for first, last in [(0, 5), (5, 8), *((place, place + 1) for place in range(8, 12))]:
        out = model(rows[:, first:last], past_key_values=past, use_cache=True)
        past = out.past_key_values
        parts.append(out.logits)
    for logits in (model(rows).logits, torch.cat(parts, dim=1)):
        assert (logits - expected).abs().max() / expected.abs().max() <= 1e-5


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in EXPORTED])
def test_what_no_format_of_transformers_holds_computes_the_same_with_and_without_a_cache(classes, name):
    compare(classes, model_settings(**VARIANTS[name]))


def tiny(model: Model) -> Model:
    """The same kinds of parts in small sizes."""
    attention = replace(model.attention, heads=4, head_dim=4, kv_heads=2 if model.attention.kv_heads else None)
    valves = {
        name: replace(valve, layers=None if valve.layers is None else (1,))
        for name, valve in (("value_valve", model.value_valve), ("key_valve", model.key_valve))
    }
    sizes = {"layers": 2, "d_model": 16, "feed_forward": replace(model.feed_forward, width=20)}
    return replace(model, **sizes, **valves, attention=attention)


def test_every_variant_of_every_shipped_ablation_can_be_exported(classes):
    """In one format or the other: a variant that cannot leave the project is of no use elsewhere."""
    names = sorted(path.stem for path in (ROOT / "workflow/ablations").glob("*.yaml"))
    shipped = {}
    for name in names:
        scale = ROOT / "workflow/scales/7b.yaml"  # wide enough for every ablation
        study = resolve(read_config([scale], ROOT / "config.yaml", {"ablations": [name]}), ROOT / "workflow")
        shipped |= {repr(computed(tiny(run.model))): tiny(run.model) for run in study.runs}
    assert len(shipped) > 30
    held = 0
    for settings in shipped.values():
        config, _ = checkpoint(random_decoder(settings), VOCABULARY, POSITIONS)
        held += "auto_map" not in config
        if "auto_map" in config:
            compare(classes, settings)
    assert 1 <= held < len(shipped)


def test_the_card_names_the_text_that_a_model_learned_from(tmp_path):
    path = tmp_path / "corpus.json"
    assert "name its terms here" in text_licence(path)
    path.write_text(json.dumps({"kind": "hub", "dataset": "some/text", "revision": "abc", "files": []}))
    assert "some/text at abc; before you publish them, name its terms" in text_licence(path)
    files = [{"name": "a.jsonl", "bytes": 1, "digest": "0"}]
    path.write_text(json.dumps({"kind": "files", "dataset": None, "files": files}))
    assert "learned from a.jsonl;" in text_licence(path)
