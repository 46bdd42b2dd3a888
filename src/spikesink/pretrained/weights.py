"""Where a checkpoint keeps its tensors, checked from the headers of its files without reading the weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spikesink.pretrained.formats import PretrainedError, refuse_pointer
from spikesink.pretrained.names import EMBEDDING, HEAD
from spikesink.study.errors import first_line

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
DERIVED = "rotary_emb.inv_freq"
"""Name ending of a tensor that old checkpoints store although it follows from config.json; it is not read."""
AGAIN = "download the checkpoint again"


class Place(NamedTuple):
    """Where a tensor is."""

    file: Path
    dtype: str
    """As stored, by torch's name."""


def located(folder: Path, shapes: Mapping[str, tuple[int, ...]], is_tied: bool) -> dict[str, Place]:
    """The place of every tensor of the checkpoint, shard by shard.

    The checkpoint must have the tensors of ``shapes`` and no others, each in its shape, as floating-point numbers, and
    in the file that the index names. Of a tied model the embedding or the head may be missing, which are one tensor.
    Raises PretrainedError otherwise.
    """
    index = None if (folder / SINGLE).is_file() else read_index(folder)
    places: dict[str, Place] = {}
    for shard in [SINGLE] if index is None else sorted(set(index.values())):
        path = folder / shard
        with opened(path) as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                if index is not None and index.get(name) != shard:
                    where = f"is in {index[name]} by" if name in index else "is not in"
                    raise PretrainedError(f"{path}: the tensor {name} {where} {INDEX}: {AGAIN}")
                if name.endswith(DERIVED):
                    continue
                stored = file.get_slice(name)
                check_tensor(path, name, tuple(stored.get_shape()), stored.get_dtype(), shapes)
                places[name] = Place(path, DTYPES[stored.get_dtype()])
        for name in (name for name, of in (index or {}).items() if of == shard and not name.endswith(DERIVED)):
            if name not in places:
                raise PretrainedError(f"{path}: the tensor {name} is not in it although {INDEX} says so: {AGAIN}")
    instead = {HEAD: EMBEDDING, EMBEDDING: HEAD} if is_tied else {}
    missing = [name for name in shapes if name not in places and instead.get(name) not in places]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        where = folder / (SINGLE if index is None else INDEX)
        if missing == [HEAD]:
            raise PretrainedError(
                f"{where}: the tensor {HEAD} is missing, which config.json asks for with tie_word_embeddings = false: "
                "set that to true if the model ties its head to the embedding, else choose a checkpoint with a head"
            )
        raise PretrainedError(f"{where}: the tensor {missing[0]}{more} is missing: {AGAIN}")
    return places


def check_tensor(path: Path, name: str, shape: tuple, dtype: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if name not in shapes:
        raise PretrainedError(
            f"{path}: the tensor {name} is in no model that config.json describes: use the config.json of these weights"
        )
    if shape != shapes[name]:
        raise PretrainedError(
            f"{path}: the tensor {name} has the shape {list(shape)}, by config.json {list(shapes[name])}: "
            "use the config.json of these weights"
        )
    if dtype not in DTYPES:
        raise PretrainedError(
            f"{path}: the tensor {name} is stored as {dtype}, only {', '.join(DTYPES)} can be read: "
            "use the checkpoint before quantisation"
        )


def read_index(folder: Path) -> dict[str, str]:
    """The shard of every tensor, by the tensor's name. Raises PretrainedError."""
    path = folder / INDEX
    refuse_pointer(path)
    if not path.is_file():
        pickles = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
        if pickles:
            raise PretrainedError(
                f"{folder / pickles[0]} is a pickle, which could run code: convert the checkpoint to safetensors, "
                "with from_pretrained and save_pretrained of transformers"
            )
        raise PretrainedError(f"{folder} has neither {SINGLE} nor {INDEX}: {AGAIN}")
    try:
        index = json.loads(path.read_bytes())["weight_map"]
        shards = set(index.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PretrainedError(f"{path} has no weight_map that can be read ({error}): {AGAIN}") from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard or shard in ("", "..") or "\0" in shard:
            raise PretrainedError(f"{path}: weight_map names {shard!r}, which is not a file beside it: {AGAIN}")
    return index


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open safetensors file with its header read. Raises PretrainedError for one that is cut short or damaged."""
    refuse_pointer(path)
    try:
        file = safe_open(path, "pt")
    except FileNotFoundError:
        raise PretrainedError(f"{path} is missing although {INDEX} names it: {AGAIN}") from None
    except (OSError, SafetensorError) as error:
        raise PretrainedError(f"{path} {fault(path, error)}") from None
    with file:
        yield file


def fault(path: Path, error: Exception) -> str:
    """Why a file cannot be opened as safetensors, and what to do."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror}): check the file and its permissions"
    size = path.stat().st_size
    with open(path, "rb") as file:
        beginning = file.read(8)
    if beginning.lstrip()[:1] == b"<":
        return f"is a web page and no safetensors file, as a failed download leaves it: {AGAIN}"
    if beginning.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return "is a pickle under another name, which could run code: convert the checkpoint to safetensors"
    header = int.from_bytes(beginning, "little")
    if size < 8 or size < 8 + header < 1 << 32:
        return f"is damaged (it has {size:,} bytes and ends before its header does): {AGAIN}"
    if header >= 1 << 32:
        return f"is damaged, or no safetensors file (it begins with {beginning!r}): {AGAIN}"
    return f"is damaged ({first_line(error)}; it has {size:,} bytes): {AGAIN}"


def read(place: Place, name: str) -> Tensor:
    with opened(place.file) as file:
        return file.get_tensor(name)


def check_equal(places: Mapping[str, Place], name: str, other: str) -> None:
    """Raise PretrainedError when two tensors that should be one differ."""
    first, second = read(places[name], name), read(places[other], other)
    dtype = torch.promote_types(first.dtype, second.dtype)
    if not torch.equal(first.to(dtype), second.to(dtype)):
        raise PretrainedError(
            f"{places[name].file}: the tensor {name} differs from {other} although config.json has "
            "tie_word_embeddings = true: set that to false if the weights are right"
        )


def check_zero(places: Mapping[str, Place], name: str) -> None:
    """Raise PretrainedError when a tensor that our decoder lacks is not 0."""
    if read(places[name], name).any():
        raise PretrainedError(
            f"{places[name].file}: the tensor {name} is not 0 and our decoder has no bias there "
            "(config.json: attention_bias = true): choose a checkpoint without it"
        )
