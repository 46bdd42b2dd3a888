"""The tasks of lm-evaluation-harness, loaded for a model, and what they need told where it is missing."""

import difflib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from spikesink.study.errors import InputError, first_line
from spikesink.study.settings import Capabilities

INSTALL = "pip install 'spikesink[capabilities]', or in this checkout `make capabilities`"
LIBRARIES = ("lm_eval", "transformers", "accelerate")
FETCH = "run `snakemake capability_tasks` where the network can be reached"


def check_installed() -> None:
    """Raise InputError that names the extra where a library is missing."""
    for library in LIBRARIES:
        try:
            metadata.version(library)
        except metadata.PackageNotFoundError:
            raise InputError(f"{library} is not installed, which capabilities need: {INSTALL}") from None


def manager(settings: Capabilities, tokenizer: Path) -> Any:
    """The harness's tasks, and those of include_path. Raises InputError for a name that none of them has.

    RULER makes its texts when it is loaded, as long as ``settings.context_lengths`` in the tokens of ``tokenizer``, a
    folder.
    """
    from lm_eval.tasks import TaskManager

    folder = settings.include_path
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"capabilities.include_path = {folder!r} is no folder here: correct it")
    lengths = {"tokenizer": str(tokenizer), "max_seq_lengths": list(settings.context_lengths)}
    found = TaskManager(include_path=folder, metadata=lengths)
    for name in settings.tasks:
        if name not in found.all_tasks:
            close = difflib.get_close_matches(name, found.all_tasks, n=3)
            near = f"did you mean {', '.join(close)}?" if close else "`lm-eval ls tasks` lists all"
            raise InputError(f"capabilities.tasks: lm-eval {metadata.version('lm_eval')} has no task {name!r}: {near}")
    return found


def loaded(tasks: Any, settings: Capabilities) -> dict[str, Any]:
    """The tasks by name; those of a group one by one. Raises InputError that names what cannot be had."""
    found = {}
    for name in settings.tasks:
        with loading(name):
            found |= tasks.load([name])["tasks"]
    return found


@contextmanager
def loading(name: str) -> Iterator[None]:
    """A task whose data cannot be had becomes an InputError that names it, what is missing, and what to do."""
    try:
        yield
    except Exception as error:  # the harness and its libraries have no common one
        raise InputError(f"capabilities.tasks: the task {name!r} cannot be loaded: {missing(error)}") from error


def missing(error: Exception) -> str:
    """What a task lacks, and what to do, in one line. The harness wraps errors of packages and of data in others."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    text = " ".join(map(str, causes))
    for cause in causes:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return f"the package {cause.name} is not installed: pip install {cause.name}"
    if "punkt" in text:
        return f"nltk's data punkt_tab are not here, which split texts into sentences: {FETCH}"
    if "max_seq_lengths" in text:
        return "its question and answer alone are longer than capabilities.context_lengths: name greater ones"
    said = next((line for line in map(first_line, map(str.strip, map(str, causes))) if line), "")
    return f"{type(error).__name__}: {said}: check its file, or {FETCH}"


def described_tasks(settings: Capabilities) -> dict[str, Any]:
    """The libraries' versions and each task's; loading the tasks has brought their data into the caches.

    No model is known yet: tasks that make their texts in a model's tokens make them of bytes here.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer_of_bytes(Path(folder))
        tasks = loaded(manager(settings, Path(folder)), settings)
    return {
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "tasks": {name: task.VERSION for name, task in tasks.items()},
    }


def write_tokenizer_of_bytes(folder: Path) -> None:
    """The files of a tokenizer with a token for every byte, as transformers loads it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind), encoding="utf-8")
