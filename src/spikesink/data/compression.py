"""Files that may be compressed, as their names' last ending says, read as one stream of bytes."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import zstandard

from spikesink.data.errors import CorpusError
from spikesink.study.errors import first_line

LARGEST_WINDOW = 1 << 31
"""Of zstd --long=31, the longest there is."""


class ZstdReader(io.RawIOBase):
    """The content of a zstd file of any number of frames.

    zstandard's own reader is not used: it takes a file that ends early for complete.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.frame: zstandard.ZstdDecompressionObj | None = None
        self.rest = b""
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self.ready:
            chunk = self.rest or self.file.read(1 << 17)
            self.rest = b""
            if not chunk:
                if self.frame is not None:
                    raise EOFError("its last frame is not complete")
                return 0
            if self.frame is None:
                self.frame = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
            self.ready = memoryview(self.frame.decompress(chunk))
            if self.frame.eof:
                self.rest, self.frame = self.frame.unused_data, None
        size = min(len(buffer), len(self.ready))
        buffer[:size] = self.ready[:size]
        self.ready = self.ready[size:]
        return size


READERS = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".zst": ZstdReader,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
# zstd files may begin with a frame to be skipped, whose first byte is one of sixteen.
BEGINNINGS = {
    ".gz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\0",),
    ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))),
}


@contextmanager
def opened(path: str | Path) -> Iterator[io.BufferedReader]:
    """The decompressed content of a file. Raises CorpusError, also while it is read, that says what is wrong."""
    compression = Path(path).suffix.lower()
    try:
        with open(path, "rb") as file:
            if compression not in READERS:
                yield file
                return
            check_beginning(path, compression, file)
            with io.BufferedReader(READERS[compression](file), 1 << 20) as content:
                yield content
    except (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError) as error:
        raise CorpusError(f"{path} {fault(error)}") from None


def check_beginning(path: str | Path, compression: str, file: BinaryIO) -> None:
    """Raise CorpusError for a file that is not compressed as its name says, such as one that was decompressed."""
    beginning = file.read(6)
    file.seek(0)
    if not beginning:
        raise CorpusError(f"{path} is empty: fetch it again")
    if not beginning.startswith(BEGINNINGS[compression]):
        raise CorpusError(
            f"{path} is damaged, or not compressed as {compression} says: it begins with {beginning!r}; fetch it again "
            "or correct its name"
        )


def fault(error: Exception) -> str:
    """What is wrong with a file, and what to do: only a file whose content is wrong is called damaged."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror}): check the file and its permissions"
    if isinstance(error, zstandard.ZstdError) and any(word in str(error) for word in ("ictionary", "memory")):
        return (
            f"cannot be decompressed here ({first_line(error)}): compress it again, without a dictionary or long window"
        )
    return f"is damaged or ends early ({first_line(error)}): fetch it again"
