"""A real Snakemake run on published models, stood in for by tiny random ones: all tables, all figures, no training."""

import importlib
import json
import math
import re
from pathlib import Path

import polars as pl
import pytest
import tokenizers
from safetensors.torch import load_file, save_file
from tiny_study import configure, copy_folder, copy_project, jobs, snakemake
from tokenizers import decoders, models, pre_tokenizers, trainers

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.measures.groups import GROUPS
from spikesink.workflow import drawn

BOS = {"tiny_llama": "sequence", "tiny_qwen": "none", "without_tokenizer": "sequence", "unsupported": "none"}
MODELS = ("tiny_llama", "tiny_qwen")
SPECIAL = {"tiny_llama": ["<s>", "</s>"], "tiny_qwen": ["<|endoftext|>"]}
# Qwen's vocabulary is larger than its tokenizer, as published.
VOCABULARY = {"tiny_llama": 280, "tiny_qwen": 288}
LAYERS, HEADS, CONTEXT = 2, 4, 32
FOLDER = "results/tiny/pretrained"
ABSENT = {"course", "valve_strength", "spike_channels", "spike_tokens", "backcopy", "backcopy_heads"}
ABSENT |= {*GROUPS["dynamics"].questions}
"""Questions without an answer: a random model that reads English and was not trained here has no course of training, no
valves, no spikes and no synthetic text."""
OF_GEOMETRY = ("normalisation", "sink_geometry", "attention_distance")
DRAWN = [figure for figure, of in MECHANISM_FIGURES.items() if ABSENT & set(of.reads) or figure in OF_GEOMETRY]
"""The other figures are drawn in test_workflow.py, by the same rules."""
PICTURES = [f"results/tiny/figures/mechanism/tiny_llama_{figure}.png" for figure in DRAWN]


def tables(model: str, *groups: str) -> list[str]:
    questions = [question for group in groups or GROUPS for question in GROUPS[group].questions]
    return [f"{FOLDER}/{model}/measures/{question}.parquet" for question in questions]


TARGETS = [table for model in MODELS for table in tables(model)] + PICTURES


def save_tokenizer(folder: Path, name: str) -> None:
    """Byte-level BPE of 280 tokens."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=SPECIAL[name], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["and the earth was without form, and void; and darkness was upon the face of"], trainer)
    made.save(str(folder / "tokenizer.json"))
    declared = {"bos_token": "<s>", "eos_token": "</s>"} if name == "tiny_llama" else {"bos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(declared))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The folders of the models, as downloads from the hub are."""
    root = tmp_path_factory.mktemp("hub")
    transformers = importlib.import_module("transformers")
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
    }
    transformers.set_seed(0)
    for name, family, options in (
        ("tiny_llama", "Llama", {}),
        ("tiny_qwen", "Qwen2", {"tie_word_embeddings": True}),
        ("without_tokenizer", "Llama", {}),
        ("unsupported", "GPTNeoX", {}),
    ):
        config = getattr(transformers, f"{family}Config")(**shape, vocab_size=VOCABULARY.get(name, 280), **options)
        model = getattr(transformers, f"{family}ForCausalLM")(config)
        for key, parameter in model.named_parameters():
            if name == "tiny_qwen" and key.endswith("bias"):
                parameter.data.normal_(0, 0.1)
        model.save_pretrained(root / name)
        if name in SPECIAL:
            save_tokenizer(root / name, name)
    return root


@pytest.fixture(scope="module")
def measured(sources, tmp_path_factory) -> tuple[Path, str]:
    """The project after a run for all models, of which two can be measured, and what Snakemake said."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    pretrained = {name: {"source": str(sources / name), "bos": bos, "context": CONTEXT} for name, bos in BOS.items()}
    configure(project, {"pretrained": pretrained})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        output = snakemake(project, "pretrained", *PICTURES, "--keep-going", expect=1)
    return project, output


@pytest.fixture
def project(measured):
    """The project; its sources are put back afterwards."""
    yield measured[0]
    copy_folder("src", measured[0])


def table(project: Path, model: str, question: str) -> pl.DataFrame:
    return pl.read_parquet(project / FOLDER / model / f"measures/{question}.parquet")


@pytest.mark.parametrize("model", MODELS)
def test_every_question_is_answered(measured, model):
    questions = [question for group in GROUPS.values() for question in group.questions]
    empty = {question for question in questions if table(measured[0], model, question).is_empty()}
    assert empty == ABSENT


@pytest.mark.parametrize("model", MODELS)
def test_a_random_model_is_as_good_as_guessing(measured, model):
    """Another perplexity would mean that the text was encoded with ids of another vocabulary, or scored wrongly."""
    rows = table(measured[0], model, "perplexity")
    perplexity = math.exp(rows["nll_nats"].sum() / rows["tokens"].sum())
    assert perplexity == pytest.approx(VOCABULARY[model], rel=0.1)
    assert len(rows) == CONTEXT


@pytest.mark.parametrize("model", MODELS)
def test_every_head_is_measured_once(measured, model):
    rows = table(measured[0], model, "attention")
    assert len(rows) == rows.select("layer", "head").n_unique() == LAYERS * HEADS


def test_each_model_reads_the_text_in_its_own_tokens(measured):
    """The study's tokenizer, or a BOS where a model never had one, would measure the models on what they never saw."""
    llama, qwen = (json.loads((measured[0] / FOLDER / model / "tokens/tokens.json").read_text()) for model in MODELS)
    assert (llama["bos"], llama["bos_id"]) == ("sequence", 0)
    assert (qwen["bos"], qwen["bos_id"]) == ("none", None)
    assert (llama["vocabulary"], qwen["vocabulary"]) == (280, 288)
    assert list(llama["splits"]) == list(qwen["splits"]) == ["validation"]


def test_nothing_is_trained_for_a_published_model(measured):
    project, output = measured
    assert not (project / "results/tiny/runs").exists()
    assert not re.search(r"train (baseline|gating|v_scale)/", output)


def test_figures_are_drawn_without_the_answers_that_are_absent_too(measured):
    assert len(PICTURES) > len(OF_GEOMETRY)
    assert all((measured[0] / path).read_bytes().startswith(b"\x89PNG") for path in PICTURES)


@pytest.mark.parametrize(
    ("model", "reason"),
    [("without_tokenizer", "has no tokenizer.json"), ("unsupported", 'architectures = ["GPTNeoXForCausalLM"]')],
)
def test_a_model_that_cannot_be_measured_stops_in_one_line_and_alone(measured, sources, model, reason):
    """The other models were measured all the same: the tests above read their tables."""
    project, output = measured
    (line,) = (project / f"results/tiny/logs/pretrained/{model}.log").read_text().splitlines()
    assert line.startswith("error: ")
    assert str(sources / model) in line
    assert reason in line
    assert line in output
    assert not list((project / FOLDER).glob(f"{model}/**/*.*"))


def test_what_is_measured_has_nothing_to_do(measured):
    assert "Nothing to be done" in snakemake(measured[0], *TARGETS, "--dry-run")


def test_a_bare_snakemake_asks_for_all_that_says_something_of_the_models(measured):
    """A table or an answer that was deleted would stay away where a page was made from it before."""
    said = snakemake(measured[0], "--dry-run")
    asked = next(line for line in said.splitlines() if line.strip().startswith("input: ") and "tracking.txt" in line)
    asked = set(asked.strip().removeprefix("input: ").split(", "))
    answers = {f"{FOLDER}/{model}/measures/{name}.parquet" for model in MODELS for name in drawn.QUESTIONS_OF_ALL}
    assert {"results/tiny/published_models.csv", *answers} <= asked


def test_editing_one_groups_answers_reruns_that_group(project):
    path = project / "src/spikesink/measures/questions/attention_distance.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    assert jobs(project, *TARGETS) == {
        *(f"measure geometry of pretrained/{model}" for model in MODELS),
        *(f"figure {figure} of tiny_llama" for figure in OF_GEOMETRY),
    }


def test_other_weights_in_the_same_folder_are_measured_anew(measured, sources):
    """Tables of weights that are no longer there would pass for those of the new ones."""
    weights = sources / "tiny_qwen/model.safetensors"
    before = weights.read_bytes()
    tensors = load_file(weights)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, weights)
    try:
        found = jobs(measured[0], *TARGETS)
    finally:
        weights.write_bytes(before)
    measures = {f"measure {group} of pretrained/tiny_qwen" for group in GROUPS}
    assert found == {"pretrained model tiny_qwen", "held-out text for tiny_qwen"} | measures
