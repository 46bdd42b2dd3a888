"""Whether the first jobs can find the files of a study's text, and what it takes from the hub."""

import os
from pathlib import Path

from spikesink.runs.sources import of_corpus
from spikesink.study.errors import ConfigError
from spikesink.study.file_formats import file_format
from spikesink.study.file_ranges import expanded
from spikesink.study.hub_names import check_commit, check_file, check_id
from spikesink.study.settings import Config, Pretrained


def check_names(config: Config) -> None:
    """Raises ConfigError for an id, a commit or a file that the hub cannot have, and for text of an unknown format."""
    try:
        for path, corpus in config.corpora.items():
            if corpus.kind == "hub":
                check_id(f"{path}.dataset", corpus.dataset)
                check_commit(f"{path}.revision", corpus.revision)
            for name in (*corpus.files, *(corpus.validation_files or ())):
                if corpus.kind == "files":
                    refuse_folder(name)
                file_format(name)
                if corpus.kind == "hub":
                    check_file(f"{path}.files", name)
        if config.tokenizer is not None and config.tokenizer.kind == "hub":
            check_id("tokenizer.name", config.tokenizer.name)
            check_commit("tokenizer.revision", config.tokenizer.revision)
        for name, model in config.pretrained.items():
            if model.revision is not None and Path(model.source).is_dir():
                raise ValueError(
                    f"pretrained.{name}.revision = {model.revision!r} with the folder {model.source!r}: leave it out"
                )
            if model.revision is not None:
                check_id(f"pretrained.{name}.source", model.source)
                check_commit(f"pretrained.{name}.revision", model.revision)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_files(config: Config) -> None:
    """Raises ConfigError where the results are on a disk that is not there, or the first job of a new study would miss
    a file of the text, or a published model.

    A study that has begun keeps what it made from them: its tables are drawn where the text is not.
    """
    results = Path("results") / config.study
    for folder in (Path("results"), results):
        if folder.is_symlink() and not folder.exists():
            raise ConfigError(
                f"{folder} is a link to {folder.readlink()}, which is not there: mount its disk, make that folder, or "
                "remove the link"
            )
    if (results / "data/corpus.json").exists() or (results / "tables").exists():
        return
    named = [name for corpus in config.corpora.values() for name in of_corpus(corpus)]
    if config.tokenizer is not None and config.tokenizer.kind == "file":
        named.append(config.tokenizer.name)
    for name in named:
        refuse_folder(name)
        if not os.path.isfile(name):
            raise ConfigError(
                f"{name[:200]}: there is no such file, which corpus, evaluation or tokenizer names: write paths from "
                "the folder that snakemake runs in; only a range, part-{0..9}.txt, stands for several files"
            )
    for name, model in config.pretrained.items():
        check_source(name, model)


def refuse_folder(name: str) -> None:
    """Raises ConfigError for a folder in the place of a file."""
    if os.path.isdir(name):  # unlike Path's, it takes a name that is too long
        raise ConfigError(
            f"{name[:200]}: is a folder, and corpus, evaluation and tokenizer name files: name those in it, of a "
            "tokenizer its tokenizer.json; a saved dataset becomes a file by its to_parquet"
        )


def check_source(name: str, model: Pretrained) -> None:
    """Raises ConfigError where a published model is not here, and nothing says where to fetch it from."""
    if model.is_gguf:
        for file in [] if model.packages else expanded(model.source):
            if not Path(file).is_file():
                raise ConfigError(
                    f"pretrained.{name}.source = {file[:200]!r}: there is no such file: write its path from the folder "
                    "that snakemake runs in, or name the packages that hold it"
                )
    elif model.revision is None and not Path(model.source).is_dir():
        raise ConfigError(
            f"pretrained.{name}.revision is missing: {model.source[:200]!r} is no folder here, and a model of the "
            "hub needs the commit: set it"
        )
