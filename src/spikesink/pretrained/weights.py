"""Where a checkpoint keeps its tensors, checked from the headers of its files without reading the weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spikesink.pretrained.formats import PretrainedError

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


def located(folder: Path, shapes: Mapping[str, tuple[int, ...]], optional: frozenset[str]) -> dict[str, Place]:
    """The place of every tensor of the checkpoint, shard by shard.

    The checkpoint must have the tensors of ``shapes`` and no others, each in its shape, as floating-point numbers, and
    in the file that the index names; those in ``optional`` may be missing. Raises PretrainedError otherwise.
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
    missing = [name for name in shapes if name not in places and name not in optional]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        where = folder / (SINGLE if index is None else INDEX)
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
    if not path.is_file():
        pickles = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
        if pickles:
            raise PretrainedError(
                f"{folder / pickles[0]} is a pickle, which could run code: convert the checkpoint to safetensors, "
                "with from_pretrained and save_pretrained of transformers"
            )
        raise PretrainedError(f"{folder} has neither {SINGLE} nor {INDEX}: {AGAIN}")
    try:
        index = json.loads(path.read_text())["weight_map"]
        shards = set(index.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PretrainedError(f"{path} has no weight_map that can be read ({error}): {AGAIN}") from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise PretrainedError(f"{path}: weight_map names {shard!r}, which is not a file beside it: {AGAIN}")
    return index


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open safetensors file with its header read. Raises PretrainedError for one that is cut short or damaged."""
    try:
        file = safe_open(path, "pt")
    except FileNotFoundError:
        raise PretrainedError(f"{path} is missing although {INDEX} names it: {AGAIN}") from None
    except (OSError, SafetensorError) as error:
        raise PretrainedError(f"{path} is damaged ({error}): {AGAIN}") from None
    with file:
        yield file


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
