"""The index of a sharded checkpoint is read without running code, as each supported Python writes it."""

import io
import pickle
from pathlib import Path

import pytest
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

from spikesink.training.storage.only_weights import IndexReader

MEMBER = _MEM_FORMAT_ENCODING.TORCH_PRESERVE_FORMAT


class Asked:
    """Is pickled as getattr(owner, name), as Python 3.11.0 to 3.11.3 pickle members of enumerations."""

    def __init__(self, owner: type, name: str) -> None:
        self.asked = owner, name

    def __reduce__(self) -> tuple:
        return getattr, self.asked


def read(content: object) -> object:
    return IndexReader(io.BytesIO(pickle.dumps(content))).load()


@pytest.mark.parametrize("written", [MEMBER, Asked(_MEM_FORMAT_ENCODING, MEMBER.name)])
def test_a_member_of_an_enumeration_is_read(written):
    """Else a run in shards would start over in silence, on Debian 12 for example."""
    assert read(written) is MEMBER


@pytest.mark.parametrize(
    "written", [Asked(Path, "write_text"), Asked(_MEM_FORMAT_ENCODING, "__class__"), Asked(type(MEMBER), "mro")]
)
def test_nothing_else_is_taken_from_anything(written):
    with pytest.raises((pickle.UnpicklingError, KeyError)):
        read(written)
