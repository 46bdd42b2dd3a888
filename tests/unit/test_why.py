"""``spikesink why`` names what differs between a trained run and what would be trained now, and nothing else."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_project import OPTIONS, RESULTS, ROOT, study_in

from spikesink.cli import find_runs, print_why
from spikesink.runs import code_digest, module_facts, module_source, sources
from spikesink.runs.described_files import identity_of_file
from spikesink.runs.identity import identity
from spikesink.runs.why import changes, code_changes, differences, model_differences, source_changes
from spikesink.study.errors import ConfigError, InputError
from spikesink.study.run import Run

RUN = RESULTS / "runs/baseline/seed0"


def clear() -> None:
    known = (module_source.source_files, module_facts.kept_facts, module_facts.facts, module_facts.constant)
    for cached in (code_digest.code_digest, *known):
        cached.cache_clear()


@pytest.fixture(scope="module")
def trained(token_folder, tmp_path_factory) -> Path:
    """The first run of the study, really trained by a copy of the package that lies beside its results."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(module_source.PACKAGE, folder / "src/spikesink", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(token_folder, folder / RESULTS / "data/tokens")
    (folder / ".snakemake").mkdir()  # facts of modules are kept there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_source, "PACKAGE", folder / "src/spikesink")
        clear()
        run = study_in(folder).runs[0]
        command = [sys.executable, "-m", "spikesink.training", "--run", json.dumps(identity(run))]
        command += ["--tokens", RESULTS / "data/tokens", "--output", RUN, "--checkpoints", RESULTS / "checkpoints"]
        environment = os.environ | {"PYTHONPATH": str(folder / "src")}
        subprocess.run(list(map(str, command)), cwd=folder, env=environment, check=True, timeout=120)
    clear()
    return folder


@pytest.fixture
def project(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the trained study, whose package is the one that is looked at, to change."""
    folder = shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(module_source, "PACKAGE", folder / "src/spikesink")
    clear()
    yield folder
    clear()


def the_run(folder: Path, **overlay: dict) -> Run:
    return study_in(folder, **overlay).runs[0]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    clear()


def test_a_run_that_was_just_trained_has_not_changed(project):
    """Whatever is listed here would be a reason that is none, such as lists that JSON has made of tuples."""
    assert differences(the_run(project)) == []


def test_a_setting_is_named_with_its_old_and_new_value(project):
    assert differences(the_run(project, training={"optimiser": {"lr": 0.5}})) == ["training.optimiser.lr: 0.012 -> 0.5"]
    assert differences(the_run(project, model={"value_valve": {"layers": [0]}})) == [
        "model.value_valve.layers: null -> [0]"
    ]
    assert differences(the_run(project, training={"loss_window": [4, 16]})) == ["training.loss_window: null -> [4, 16]"]


def test_settings_of_other_variants_and_of_other_stages_do_not_count(project):
    """They are not what this run was trained with."""
    other = {"v_scale": {"v_scale": {"model": {"value_valve": {"c_factor": 2.0}}}}}
    assert differences(the_run(project, variants=other, measures={"sequences": 3}, resources={})) == []


def test_an_edited_module_is_named_and_only_it(project):
    edit(project / "src/spikesink/model/norms.py", "self.eps = eps", "self.eps = 2 * eps")
    (line,) = differences(the_run(project))
    name, _, digests = line.partition(": ")
    assert name == "code of spikesink.model.norms"
    before, after = digests.split(" -> ")
    assert before != after
    assert json.loads((RUN / "manifest.json").read_text())["modules"]["spikesink.model.norms"] == before


def test_a_part_that_the_run_does_not_have_does_not_count(project):
    """Editing the gates retrains gated runs only, so of an ungated run it is no reason."""
    modules = json.loads((RUN / "manifest.json").read_text())["modules"]
    gated = the_run(project, model={"gate": {"kind": "conditional"}})
    assert code_changes(modules, gated) == []
    edit(project / "src/spikesink/model/gates.py", "torch.sigmoid(g)", "torch.tanh(g)")
    assert differences(the_run(project)) == []
    assert [line.split(":")[0] for line in code_changes(modules, gated)] == ["code of spikesink.model.gates"]


def test_a_module_that_has_come_or_gone_is_named(project):
    package = project / "src/spikesink"
    (package / "model/new.py").write_text("VALUE = 1\n")
    edit(package / "model/norms.py", "import torch", "import torch\n\nimport spikesink.model.new")
    names = [line.split(":")[0] for line in differences(the_run(project))]
    assert names == ["code of spikesink.model.new", "code of spikesink.model.norms"]
    assert differences(the_run(project))[0].startswith("code of spikesink.model.new: absent -> ")
    manifest = json.loads((RUN / "manifest.json").read_text())
    (RUN / "manifest.json").write_text(json.dumps(manifest | {"modules": manifest["modules"] | {"spikesink.old": "1"}}))
    assert differences(the_run(project))[-1] == "code of spikesink.old: 1 -> absent"


def test_a_module_that_moved_is_no_change(project):
    """A list of moved files would hide the one that really changed."""
    package = project / "src/spikesink"
    (package / "model/parts").mkdir()
    (package / "model/parts/__init__.py").touch()
    (package / "model/norms.py").rename(package / "model/parts/norms.py")
    for path in package.rglob("*.py"):
        path.write_text(path.read_text().replace("spikesink.model.norms", "spikesink.model.parts.norms"))
    clear()
    assert differences(the_run(project)) == []
    edit(package / "model/parts/norms.py", "self.eps = eps", "self.eps = 2 * eps")
    names = [line.split(":")[0] for line in differences(the_run(project))]
    assert "code of spikesink.model.parts.norms" in names


def test_a_name_that_comes_from_another_module_is_said(project):
    """No module's own content differs then, but another function is called."""
    package = project / "src/spikesink"
    (package / "model/one.py").write_text("def f(x):\n    return x\n")
    (package / "model/two.py").write_text("def f(x):\n    return 2 * x\n")
    own = "from spikesink.model.one import f\nfrom spikesink.model.two import f as g\n\nimport torch"
    edit(package / "model/norms.py", "import torch", own)
    run = the_run(project)
    (RUN / "run.json").write_text(json.dumps(identity(run)))
    manifest = json.loads((RUN / "manifest.json").read_text())
    modules = code_digest.module_digests("spikesink.training.__main__")
    (RUN / "manifest.json").write_text(json.dumps(manifest | {"modules": modules}))
    assert differences(run) == []
    edit(
        package / "model/norms.py",
        own,
        own.replace("one import f", "two import f").replace("two import f as", "one import f as"),
    )
    assert differences(run) == ["code: the modules are the same, but one takes a name from another module than before"]


def test_a_comment_is_no_change(project):
    edit(project / "src/spikesink/model/norms.py", "self.eps = eps", "self.eps = eps  # a comment")
    assert differences(the_run(project)) == []


def test_other_tokens_are_named(project):
    index = RESULTS / "data/tokens/tokens.json"
    content = json.loads(index.read_text())
    before, content["splits"]["train"]["sha256"] = content["splits"]["train"]["sha256"], "f" * 64
    index.write_text(json.dumps(content))
    assert differences(the_run(project)) == [f"training tokens ({index}): {before[:16]} -> {'f' * 16}"]
    index.unlink()
    (line,) = differences(the_run(project))
    assert line == f"training tokens: {index} does not exist, they would be packed first"


def test_a_run_that_cannot_be_compared_is_an_error(project):
    second = study_in(project).runs[1]
    with pytest.raises(InputError, match=r"seed1/run.json does not exist: this run has not been trained yet$"):
        differences(second)
    (RUN / "run.json").write_text('{"study": ')
    with pytest.raises(InputError, match=r"seed0/run.json: not valid JSON \(.*\): train this run again$"):
        differences(the_run(project))


def test_nested_settings_are_compared_leaf_by_leaf():
    old, new = {"a": {"b": 1, "c": [1]}, "gone": None}, {"a": {"b": 2, "c": [1]}, "come": {"d": 0}}
    assert list(changes(old, new)) == [("a.b", 1, 2), ("gone", None, "absent"), ("come", "absent", {"d": 0})]


def spikesink_why(project: Path, run: str, package: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "spikesink.cli", "why", run, *OPTIONS]
    environment = os.environ | {"PYTHONPATH": str(package or project / "src")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_says_so_in_words(project):
    study_in(project)
    same = spikesink_why(project, "baseline/seed0")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout == f"{RUN}: nothing has changed\n"
    study_in(project, training={"steps": 5})
    changed = spikesink_why(project, "baseline/seed0")
    assert changed.stdout == f"{RUN}: would be trained again\n  training.steps: 4 -> 5\n"
    for name, reason in (("v_scale/seed1", "has not been trained yet"), ("v_scala", "is not in study 'tiny'")):
        absent = spikesink_why(project, name)
        assert (absent.returncode, absent.stdout) == (1, "")
        assert absent.stderr.startswith("error: ")
        assert absent.stderr.count("\n") == 1
        assert reason in absent.stderr


def test_seeds_that_are_not_trained_yet_do_not_hide_the_others(project):
    study_in(project, seeds=[5, 0, 6])
    found = spikesink_why(project, "baseline")
    assert (found.returncode, found.stdout) == (1, f"{RUN}: nothing has changed\n")
    assert "seed5/run.json does not exist: this run has not been trained yet" in found.stderr
    assert found.stderr.count("\n") == 1


def test_an_unknown_name_says_which_there_are(tmp_path):
    study = study_in(tmp_path)
    for name in ("baseline/seed99", "baseline/0"):
        with pytest.raises(ConfigError, match=rf"'{name}' is not in study 'tiny': baseline has seed0, seed1$"):
            find_runs(study, name)
    with pytest.raises(ConfigError, match=r"is not in study 'tiny': variants are baseline, v_scale$"):
        find_runs(study, "nope/seed0")
    pretrained = {name: {"source": "model", "bos": "none"} for name in ("a", "b")}
    models = replace(study_in(tmp_path, pretrained=pretrained), runs=())
    with pytest.raises(ConfigError, match=r"is not in study 'tiny': it trains nothing; published models are a, b$"):
        print_why(models, "nope")
    with pytest.raises(ConfigError, match=r"is not in study 'tiny': it trains nothing$"):
        find_runs(models, "nope")


def test_a_source_file_that_changed_or_went_is_named(project):
    text, other = Path("a.txt"), Path("b.txt")
    text.write_text("some text")
    other.write_text("more text")
    config = study_in(project, corpus={"kind": "files", "files": ["a.txt", "b.txt"]}).config
    trained_on = sources.sums(["a.txt", "b.txt"], RESULTS)
    manifest = {"sources": [{"file": name, "sha256": digest} for name, digest in trained_on.items()]}
    assert source_changes(manifest, config) == []
    text.write_text("same size")
    other.unlink()
    now = sources.sums(["a.txt"], RESULTS)["a.txt"]
    assert source_changes(manifest, config) == [
        f"source a.txt: {trained_on['a.txt'][:16]} -> {now[:16]}",
        f"source b.txt: {trained_on['b.txt'][:16]} -> absent",
    ]


def test_a_file_or_setting_of_a_published_model_that_changed_is_named(tmp_path, monkeypatch):
    """Its measures run again then, and nothing else would say why."""
    monkeypatch.chdir(tmp_path)
    folder, described = tmp_path / "model", RESULTS / "pretrained/other/pretrained.json"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(name)
    pretrained = {"other": {"source": "model", "bos": "none", "context": 4096}}
    config = study_in(tmp_path, pretrained=pretrained).config
    with pytest.raises(InputError, match="has not been measured yet"):
        model_differences("other", config)
    files = {path.name: identity_of_file(path) for path in folder.iterdir()}
    written = {"source": "model", "revision": None, "packages": [], "bos": "none", "bos_token": None, "context": 2048}
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps(written | {"positions": 2048, "files": files}))
    assert model_differences("other", config) == []
    (folder / "model.safetensors").write_text("other weights")
    (folder / "tokenizer.json").unlink()
    now = identity_of_file(folder / "model.safetensors")["digest"]
    expected = [
        f"file model.safetensors: {files['model.safetensors']['digest'][:16]} -> {now[:16]}",
        f"file tokenizer.json: {files['tokenizer.json']['digest'][:16]} -> absent",
    ]
    assert sorted(model_differences("other", config)) == expected
    changed = spikesink_why(tmp_path, "other", ROOT / "src")
    assert (changed.returncode, changed.stderr) == (0, "")
    assert changed.stdout.startswith("pretrained model other: would be measured again\n  file ")
    pretrained["other"] |= {"bos": "sequence", "context": 512}
    lines = model_differences("other", study_in(tmp_path, pretrained=pretrained).config)
    assert {'bos: "none" -> "sequence"', "context: 2048 -> 512"} < set(lines)


def test_a_file_of_the_hubs_cache_is_compared_by_the_digest_that_describes_it(tmp_path, monkeypatch):
    """A small file's name there is git's SHA-1."""
    monkeypatch.chdir(tmp_path)
    content = b"{}"
    digest = hashlib.sha1(b"blob 2\0" + content).hexdigest()
    for path in (blob := Path("blobs", digest), snapshot := Path("snapshots/abc/config.json")):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    snapshot.symlink_to(blob.resolve())
    config = study_in(tmp_path, pretrained={"other": {"source": str(snapshot.parent), "bos": "none"}}).config
    described = RESULTS / "pretrained/other/pretrained.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"files": {"config.json": identity_of_file(snapshot)}}))
    assert model_differences("other", config) == []
    blob.write_bytes(b"{ }")
    (line,) = model_differences("other", config)
    assert line.startswith(f"file config.json: {digest[:16]} -> ")


def test_a_gguf_file_that_changed_is_named(tmp_path, monkeypatch):
    """Its description lists the files that it was converted into, which are not those of the user."""
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").write_text("weights")
    config = study_in(tmp_path, pretrained={"small": {"source": "model.gguf", "bos": "none"}}).config
    described = RESULTS / "pretrained/small/pretrained.json"
    described.parent.mkdir(parents=True)
    digest = identity_of_file(Path("model.gguf"))["digest"]
    files = {"model.safetensors": {"bytes": 1, "digest": "0" * 64}}
    described.write_text(json.dumps({"source": "model.gguf", "sha256": digest, "files": files}))
    assert model_differences("small", config) == []
    Path("model.gguf").write_text("others")
    (line,) = model_differences("small", config)
    assert line.startswith(f"file model.gguf: {digest[:16]} -> ")
