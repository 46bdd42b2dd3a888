"""The files from outside that a study is made from, and their sums: its text, its tokenizer, its published models.

A study is made from what these files hold. So each counts by its SHA-256 and not by its time. A small file is read at
every start of Snakemake. A large one is read once: its sum is kept beside the results with what the file system says of
the file, and it is read again when that has changed. The time of the last change, which no program can set, belongs to
it, so that an edit which puts the old time back is seen too.

Where a folder has none of its files, its disk is not there, or the results were copied without it. Then the files count
as they were when they were last seen: nothing is made again for want of them, and a job that reads them says so.

What is at a pinned commit of the hub cannot change and is not listed here.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.runs.sums import file_sum
from spikesink.study.file_ranges import expanded, file_names
from spikesink.study.settings import Config, Corpus, Pretrained
from spikesink.study.tokenizer_files import BESIDE

AFFECTS_RESULTS = False

CACHE = "sources.json"
SMALL = 1_000_000
"""A file of at most so many bytes is read at every start."""
ABSENT = "absent"
UNREADABLE = "cannot be read"


def of_text(config: Config) -> list[str]:
    """The files of the corpus and of the tokenizer on this machine, by the names that the config gives them."""
    names = of_corpus(config.corpus)
    if config.tokenizer is not None and config.tokenizer.kind == "file":
        path = Path(config.tokenizer.name)
        names += [config.tokenizer.name, *(str(path.with_name(name)) for name in BESIDE)]
    return names


def of_corpus(corpus: Corpus) -> list[str]:
    """The files of a corpus on this machine, by the names that the config gives them."""
    return file_names(corpus) if corpus.kind == "files" else []


def of_model(model: Pretrained, results: str | Path) -> list[str]:
    """The files of a published model that is on this machine; none for one of the hub or of a package index.

    Of a folder that is gone, those that it had.
    """
    if model.is_gguf:
        return [] if model.packages else expanded(model.source)
    folder = Path(model.source)
    if not folder.is_dir():
        return sorted(name for name in remembered(results) if Path(name).parent == folder)
    return sorted(str(path) for path in folder.glob("*") if path.is_file())


def sums(names: Iterable[str], results: str | Path) -> dict[str, str]:
    """The SHA-256 of every file, ``absent`` or ``cannot be read``. Sums are kept in ``results``."""
    known = remembered(results)
    found = {name: sum_of(Path(name), known) for name in names}
    here = {Path(name).parent for name, (_, digest) in found.items() if digest != ABSENT}
    seen = {name: list(one) for name, one in found.items() if one[1] not in (ABSENT, UNREADABLE)}
    if not seen.items() <= known.items():
        with suppress(OSError), whole(Path(results) / CACHE) as part:  # where it cannot be kept it is read again
            part.write_text(json.dumps(known | seen, indent=1) + "\n", encoding="utf-8")
    last = {name: tuple(one) for name, one in known.items() if Path(name).parent not in here}
    return {name: last.get(name, one)[1] for name, one in found.items()}


def sum_of(path: Path, known: dict[str, list]) -> tuple[list[int], str]:
    """What the file system says of a large file, nothing for a small one, and the file's sum."""
    try:
        facts = path.stat()
        state = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns] if facts.st_size > SMALL else []
        if state and known.get(str(path), [None])[0] == state:
            return state, known[str(path)][1]
        return state, file_sum(path)
    except (FileNotFoundError, NotADirectoryError):
        return [], ABSENT
    except OSError:
        return [], UNREADABLE


def remembered(results: str | Path) -> dict[str, list]:
    """What ``sums`` kept; nothing where the file is missing or is not what it writes."""
    try:
        kept = json.loads((Path(results) / CACHE).read_bytes())
        return {name: [list(state), str(digest)] for name, (state, digest) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
