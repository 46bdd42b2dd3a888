"""An exported run is the same model and the same tokenizer in transformers, by its own format or by own code."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import polars as pl
import pytest
import torch
from models import VARIANTS, model_settings, shaken
from ranks import train_alone
from safetensors.torch import load_file, save_file
from tokenizers import processors

from spikesink.data import tokenizer as data_tokenizer
from spikesink.data.packing import encode
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.pretrained.__main__ import main
from spikesink.pretrained.export import export
from spikesink.pretrained.load import load_pretrained
from spikesink.study.settings import Tokenizer

CONTEXT = 32
RUN = {
    "study": "test",
    "scale": "tiny",
    "ablation": "baseline",
    "variant": "baseline",
    "seed": 3,
    "tokenizer": {"vocabulary": 300, "bos": "sequence"},
    "training": {
        "steps": 6,
        "sequence_length": CONTEXT,
        "batch_size": 4,
        "optimiser": {"lr": 0.01},
        "schedule": {"warmup_steps": 2},
    },
}
PLAIN = {
    "layers": 2,
    "d_model": 16,
    "attention": {"heads": 4, "head_dim": 4},
    "feed_forward": {"kind": "swiglu", "width": 20},
    "initialisation": {"linear_std": 0.3},
}
GROUPED = {"heads": 4, "head_dim": 8, "kv_heads": 2}
EXPORTED = {
    "baseline": ("LlamaForCausalLM", {}),
    "grouped_query": ("LlamaForCausalLM", VARIANTS["grouped_query"]),
    "narrow_heads": ("LlamaForCausalLM", VARIANTS["narrow_heads"]),
    "v_scale_backward_only": ("LlamaForCausalLM", VARIANTS["v_scale_backward_only"]),
    "v_scale_backward_uniform": ("LlamaForCausalLM", VARIANTS["v_scale_backward_uniform"]),
    "v_scale_backward_first": ("LlamaForCausalLM", VARIANTS["v_scale_backward_first"]),
    "key_valve": ("LlamaForCausalLM", VARIANTS["key_valve"]),
    "qwen2": ("LlamaForCausalLM", VARIANTS["qwen2"]),
    "qwen3": ("Qwen3ForCausalLM", VARIANTS["qwen3"]),
    "rope_scaling": ("LlamaForCausalLM", VARIANTS["rope_scaling"]),
    "tied": (
        "LlamaForCausalLM",
        {"tied_embeddings": True, "norm": {"eps": 0.01}, "attention": GROUPED | {"rope_theta": 500.0}},
    ),
    "bias_and_norm": ("Qwen3ForCausalLM", {"attention": GROUPED | {"qkv_bias": True, "qk_norm": True}}),
}
TEXTS = [
    "In the beginning, there were 1234567 numbers.",
    "  two spaces,\n\n\tthen lines\r\n and   more ",
    "don't DON'T naïve Ångström e\u0301 日本語 🙂🙂",
    "a <bos> and <eos> in the text<bos>",
    "",
]


@pytest.fixture(scope="session")
def transformers():
    os.environ["HF_HUB_OFFLINE"] = "1"
    return importlib.import_module("transformers")


@pytest.fixture
def tokenizer_json(token_folder) -> Path:
    return token_folder.parent / "tokenizer.json"


@pytest.fixture
def run_folder(tmp_path):
    """Writes a run with random weights, biases and norm gains."""

    def write(bos: str = "sequence", vocabulary: int = 300, **overrides) -> tuple[Path, Decoder]:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        decoder = Decoder(model_settings(**overrides), vocabulary=vocabulary, positions=CONTEXT)
        initialise(decoder, 0)
        shaken(decoder)
        save_file(decoder.state_dict(), folder / "model.safetensors")
        run = RUN | {"model": PLAIN | overrides, "tokenizer": {"vocabulary": vocabulary, "bos": bos}}
        (folder / "run.json").write_text(json.dumps(run))
        return folder, decoder

    return write


@torch.no_grad()
def relative_error(hub_model: torch.nn.Module, decoder: Decoder) -> float:
    rows = torch.randint(0, 300, (2, CONTEXT), generator=torch.Generator().manual_seed(5))
    expected = decoder(rows)
    return ((hub_model(rows).logits - expected).abs().max() / expected.abs().max()).item()


def loads_the_same(transformers, folder: Path, decoder: Decoder) -> float:
    """The relative error of the logits in transformers; generation and the way back are checked on the way."""
    hub_model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    generated = hub_model.generate(torch.tensor([[0, 5, 9]]), max_new_tokens=8, min_new_tokens=8, do_sample=False)
    assert generated.shape == (1, 11)
    back = load_pretrained(folder)
    assert back.positions == CONTEXT
    weights = decoder.state_dict()
    assert back.decoder.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in back.decoder.state_dict().items())
    rows = torch.randint(0, 300, (2, CONTEXT), generator=torch.Generator().manual_seed(6))
    assert torch.equal(back.decoder(rows), decoder(rows))
    error = relative_error(hub_model, decoder)
    print(f"\nparity {hub_model.config.architectures[0]}: {error:.2e}")
    return error


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_model_computes_the_same(transformers, run_folder, tokenizer_json, tmp_path, name):
    architecture, overrides = EXPORTED[name]
    folder, decoder = run_folder(**overrides)
    export(folder, tokenizer_json, tmp_path / "out")
    assert json.loads((tmp_path / "out/config.json").read_text())["architectures"] == [architecture]
    assert loads_the_same(transformers, tmp_path / "out", decoder) <= 1e-5


@pytest.mark.parametrize("name", ["baseline", "qwen2", "qwen3"])
@pytest.mark.parametrize("bos", ["sequence", "document", "none"])
def test_transformers_gives_the_ids_of_the_data_step(transformers, run_folder, tokenizer_json, tmp_path, bos, name):
    folder, _ = run_folder(bos=bos, **EXPORTED[name][1])
    export(folder, tokenizer_json, tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ours = data_tokenizer.load(tokenizer_json)
    packed = encode(ours, Tokenizer(kind="trained", vocabulary=300, bos=bos), TEXTS)
    start = [ours.bos.id] if bos == "sequence" else []  # put before every sequence when batches are made
    assert [theirs(text)["input_ids"] for text in TEXTS] == [start + ids for ids in packed]
    for ids in packed:
        assert theirs.decode(start + ids, skip_special_tokens=True) == ours.tokenizer.decode(ids)
    assert theirs.bos_token_id == (None if bos == "none" else ours.bos.id)
    assert theirs.eos_token_id == ours.eos.id
    assert theirs.model_max_length == CONTEXT and len(theirs) == ours.size
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (theirs.bos_token_id, theirs.eos_token_id)


def test_what_a_published_tokenizer_adds_by_itself_is_not_kept(transformers, run_folder, tokenizer_json, tmp_path):
    ours = data_tokenizer.load(tokenizer_json)
    ours.tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", pair="$A $B", special_tokens=[("<bos>", ours.bos.id), ("<eos>", ours.eos.id)]
    )
    ours.tokenizer.save(str(tmp_path / "published.json"))
    for bos, start in (("document", [ours.bos.id]), ("none", [])):
        folder, _ = run_folder(bos=bos)
        export(folder, tmp_path / "published.json", tmp_path / bos)
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / bos)
        plain = ours.tokenizer.encode(TEXTS[0], add_special_tokens=False).ids
        assert theirs(TEXTS[0])["input_ids"] == start + plain


def test_the_tokenizer_of_the_synthetic_corpus_exports(transformers, run_folder, tmp_path):
    settings = Tokenizer(kind="characters", vocabulary=67, bos="document")
    ours = data_tokenizer.build(settings, (), tmp_path / "characters.json")
    folder, _ = run_folder(bos="document", vocabulary=67)
    export(folder, tmp_path / "characters.json", tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "To be, or not to be:\n"
    assert theirs(text)["input_ids"] == encode(ours, settings, [text])[0]


def test_a_trained_run_exports_from_the_command_line(
    transformers, token_folder, tokenizer_json, tmp_path, monkeypatch, capsys
):
    run = RUN | {"model": PLAIN}
    paths = ["--tokens", token_folder, "--output", tmp_path / "run", "--checkpoints", tmp_path / "checkpoints"]
    train_alone(["--run", json.dumps(run), *map(str, paths)], tmp_path / "training.log")
    (tmp_path / "run/measures").mkdir()
    losses = pl.DataFrame({"position": [0, 1], "tokens": [2, 2], "nll_nats": [4.0, 8.0]})
    losses.write_parquet(tmp_path / "run/measures/perplexity.parquet")
    arguments = ["export", "--run", tmp_path / "run", "--tokenizer", tokenizer_json, "--output", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["pretrained", *map(str, arguments)])
    assert main() == 0
    decoder = Decoder(model_settings(), vocabulary=300, positions=CONTEXT)
    decoder.load_state_dict(load_file(tmp_path / "run/model.safetensors"))
    assert loads_the_same(transformers, tmp_path / "out", decoder) <= 1e-5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1
    card = (tmp_path / "out/README.md").read_text()
    for part in ("# baseline (test, seed 3)", "768 training tokens", "perplexity: 20.09", "MIT licence", '"lr": 0.01'):
        assert part in card

    assert main() == 1  # once more into the same folder
    assert "exists and is not an empty folder" in capsys.readouterr().err


def test_large_weights_are_sharded(transformers, run_folder, tokenizer_json, tmp_path):
    folder, decoder = run_folder()
    (tmp_path / "out").mkdir()  # empty, so it may be there
    export(folder, tokenizer_json, tmp_path / "out", max_shard_size="10KB")
    assert len(list((tmp_path / "out").glob("model-*-of-*.safetensors"))) > 2
    assert loads_the_same(transformers, tmp_path / "out", decoder) <= 1e-5


def test_an_export_is_whole_or_absent(run_folder, tokenizer_json, tmp_path, monkeypatch):
    folder, _ = run_folder()
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part/config.json").write_text("of an export that was killed")

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(huggingface_hub, "save_torch_state_dict", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space left"):
        export(folder, tokenizer_json, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == [path for path in before if path.name != ".out.part"]


def test_what_is_no_finished_run_or_not_its_tokenizer_is_refused(run_folder, tokenizer_json, tmp_path):
    def refused(run: Path, tokenizer: Path, *parts: str) -> None:
        with pytest.raises(ValueError) as error:
            export(run, tokenizer, tmp_path / "out")
        assert all(part in str(error.value) for part in parts), error.value
        assert "\n" not in str(error.value) and not (tmp_path / "out").exists()

    refused(tmp_path, tokenizer_json, f"{tmp_path / 'run.json'} is missing", "seed<k>")
    folder, _ = run_folder(vocabulary=260)
    refused(folder, tokenizer_json, str(tokenizer_json), "largest token id is", "vocabulary is 260")
    refused(folder, tmp_path / "absent.json", "absent.json does not exist")
    folder, _ = run_folder()
    (folder / "model.safetensors").write_bytes(b"")
    refused(folder, tokenizer_json, "model.safetensors cannot be read")
    (folder / "manifest.json").write_text('{"status": "diverged"}')
    refused(folder, tokenizer_json, f"{folder} diverged, so that it has no weights: name the folder of a finished run")
    (folder / "manifest.json").unlink()
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"model": PLAIN | {"value_valve": {"of_old": 1}}}))
    refused(folder, tokenizer_json, "run.json cannot be read (Valve has no key 'of_old')", "train this run again")
    (folder / "run.json").write_text('{"study": "test"}')
    refused(folder, tokenizer_json, "run.json cannot be read (it lacks model, scale, seed, tokenizer, training")
    (folder / "run.json").write_text("{")
    refused(folder, tokenizer_json, "run.json: not valid JSON", "train this run again")


def test_an_exported_variant_loads_and_generates_where_spikesink_is_not_installed(
    transformers, run_folder, tokenizer_json, tmp_path
):
    folder, decoder = run_folder(**VARIANTS["crossed_all"])
    shutil.copytree(tokenizer_json.parent, tmp_path / "data")
    (tmp_path / "data/corpus.json").write_text(json.dumps({"kind": "embedded", "files": []}))
    out = tmp_path / "out"
    export(folder, tmp_path / "data/tokenizer.json", out)
    rows = torch.randint(0, 300, (2, 32), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        torch.save({"rows": rows, "logits": decoder(rows)}, tmp_path / "expected.pt")
    code = f"""
import sys, torch
sys.modules["spikesink"] = None  # not to be imported
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained({str(out)!r}, trust_remote_code=True).eval()
expected = torch.load({str(tmp_path / "expected.pt")!r})
logits = model(expected["rows"]).logits
assert (logits - expected["logits"]).abs().max() <= 1e-5 * expected["logits"].abs().max()
tokenizer = AutoTokenizer.from_pretrained({str(out)!r}, trust_remote_code=True)
prompt = tokenizer("To be, or", return_tensors="pt")
options = dict(max_new_tokens=6, min_new_tokens=6, do_sample=False)
cached, whole = (model.generate(**prompt, use_cache=use, **options) for use in (True, False))
assert cached.equal(whole) and cached.shape[1] == prompt["input_ids"].shape[1] + 6
loss = model(expected["rows"], labels=expected["rows"]).loss
mean = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), expected["rows"][:, 1:].flatten())
assert torch.allclose(loss, mean)
model.save_pretrained({str(tmp_path / "again")!r})
again = AutoModelForCausalLM.from_pretrained({str(tmp_path / "again")!r}, trust_remote_code=True)
assert torch.equal(again(expected["rows"]).logits, logits)
masked = model(expected["rows"], attention_mask=torch.tensor([[0] + [1] * 31] * 2)).logits[:, 1:]
alone = model(expected["rows"][:, 1:]).logits
assert (masked - alone).abs().max() <= 1e-5 * alone.abs().max()
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    card = (out / "README.md").read_text()
    assert card.count("trust_remote_code=True") == 2, "transformers asks before it reads the tokenizer too"
    assert "all of it in the public domain" in card
    config = json.loads((out / "config.json").read_text())
    assert config["spikesink_version"] in card and config["settings"]["attention"]["softmax"] == "sink_logit"
