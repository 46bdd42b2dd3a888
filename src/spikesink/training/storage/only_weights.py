"""Refuse a checkpoint that would run code when it is loaded. The check reads the checkpoint without running any code.

Lightning is asked to load weights only. Of sharded checkpoints, however, torch reads the index and the optimiser's
settings as pickles, and a pickle may call any function.
"""

import enum
import io
import pickle
from pathlib import Path

import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, MetadataIndex

INDEX = ".metadata"
INDEX_NAMES = {
    "pathlib": {"Path", "PosixPath"},
    "torch": {"Size", "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool"},
    "torch.serialization": {"_get_layout"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
}
"""The only names, by module, that the index of a sharded checkpoint may use."""


def member(kind: type, name: str) -> object:
    """The member of an enumeration. Python before 3.11.4 pickles one as getattr(enumeration, name)."""
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        raise pickle.UnpicklingError(f"{INDEX} asks {kind} for {name}")
    return kind[name]


class IndexReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("builtins", "getattr"):
            return member
        if name not in INDEX_NAMES.get(module, ()):
            raise pickle.UnpicklingError(f"{INDEX} names {module}.{name}")
        return super().find_class(module, name)


def check_only_weights(state: Path) -> None:
    """Raise an error of torch, pickle or the system if ``state``, a file or a folder of shards, is not only weights."""
    if state.is_file():
        torch.load(state, weights_only=True, mmap=True)  # tensors stay on the disk
        return
    torch.load(state / "meta.pt", weights_only=True)
    with open(state / INDEX, "rb") as file:
        index = IndexReader(file).load()
    for name, kind in index.state_dict_metadata.items():
        if isinstance(kind, BytesStorageMetadata):
            place = index.storage_data[MetadataIndex(name)]
            with open(state / place.relative_path, "rb") as file:
                file.seek(place.offset)
                torch.load(io.BytesIO(file.read(place.length)), weights_only=True)
