"""Documents as people have them: odd names, odd encodings, every compression. What cannot be read says why."""

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from spikesink.data import corpora
from spikesink.data.errors import CorpusError
from spikesink.study.settings import Corpus

TEXTS = ["First document.", "Zweites, mit Umlaut: ä", "", "with NUL \0 and CRLF\r\n"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
BOM = b"\xef\xbb\xbf"


def read(*paths: Path, **settings) -> list[str]:
    corpus = Corpus(kind="files", files=tuple(map(str, paths)), **settings)
    return [row["text"] for row in corpora.documents(corpus)]


def refused(path: Path, *parts: str, **settings) -> None:
    with pytest.raises(CorpusError) as error:
        read(path, **settings)
    message = str(error.value)
    assert str(path) in message and "\n" not in message
    for part in parts:
        assert part in message


def parquet(path: Path, texts: list, kind: pyarrow.DataType = pyarrow.string()) -> Path:  # noqa: B008 (immutable)
    pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array(texts, pyarrow.string()).cast(kind)}), path)
    return path


@pytest.mark.parametrize("name", ["part[1]", "part*", "part?", "{part}", "[!a]part", "**", "part#1", "a b", "part%20"])
def test_a_name_is_no_pattern(tmp_path, name):
    """Beside every file lies one that its name would match as a pattern."""
    right = parquet(tmp_path / f"{name}.parquet", ["right"])
    parquet(tmp_path / "part1.parquet", ["wrong"])
    assert read(right) == ["right"]
    (tmp_path / f"{name}.jsonl").write_text('{"text": "right"}')
    (tmp_path / "part1.jsonl").write_text('{"text": "wrong"}')
    assert read(tmp_path / f"{name}.jsonl") == ["right"]


@pytest.mark.parametrize("name", ["[2026] sinks", "my drive, a*b?"])
def test_the_embedded_text_is_found_whatever_the_checkout_is_called(tmp_path, name):
    package = Path(corpora.__file__).parents[1]
    copied = shutil.copytree(package, tmp_path / name / "src/spikesink")
    code = (
        "from spikesink.data import corpora; from spikesink.study.settings import Corpus\n"
        "print(corpora.__file__)\n"
        "print(next(iter(corpora.documents(Corpus(kind='embedded'))))['text'][:9])"
    )
    environment = os.environ | {"PYTHONPATH": str(copied.parent), "PYTHONIOENCODING": "utf-8", "USE_TORCH": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment)
    assert done.stdout.splitlines() == [str(copied / "data/corpora.py"), "CHAPTER I"], done.stderr


def test_half_of_a_surrogate_pair_becomes_the_replacement_character(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "cut \\ud83d off"}\n{"text": "whole \\ud83d\\ude00"}\n{"text": "\\ude00\\ud83d"}\n')
    assert read(path) == ["cut \ufffd off", "whole 😀", "\ufffd\ufffd"]
    "".join(read(path)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"}\n'),
        ("a.json", b'[{"text": "a"}, {"text": "b"}]'),
        ("a.json", b' \n [\n {"text": "a"},\n {"text": "b"}\n]\n'),
        ("a.json", b'{"text": "a"}\r\n\r\n{"text": "b"}\r\n'),
        ("a.jsonl.gz", b'{"text": "a"}\n{"text": "b"}\n'),
    ],
)
@pytest.mark.parametrize("beginning", [b"", BOM], ids=["plain", "BOM"])
def test_a_byte_order_mark_is_no_text(tmp_path, name, content, beginning):
    path = tmp_path / name
    text = beginning + content
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert read(path) == ["a", "b"]
    (tmp_path / "a.txt").write_bytes(beginning + b"text")
    assert read(tmp_path / "a.txt") == ["text"]


UNREAD = {
    "a lone surrogate": b'"\\ud83d"',
    "bytes that are not UTF-8": b'"\xff\xfe"',
    "a number beyond any float": b"1e999",
    "more digits than Python converts": b"1" * 5000,
    "not a number": b"NaN",
    "a raw control character": b'"a\tb\x01"',
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "another type": b'{"text": 3}',
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_key_that_nobody_reads_never_stops_a_run(tmp_path, name):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"meta": ' + UNREAD[name] + b', "text": "read"}\n{"text": "next"}\n')
    assert read(path) == ["read", "next"]


def test_bytes_that_are_not_utf_8_are_refused_where_they_are_the_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine \xef\xbf\xbd"}\n{"text": "\xff"}\n')
    refused(path, "line 2 of", "is not UTF-8 at byte 10")
    path.write_bytes(b'{"text": 5}\n')
    refused(path, "line 1 of", "no text under 'text' but 5")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name, content", [("a.txt", "some text"), ("a.jsonl", '{"text": "read"}\n')])
def test_utf_16_without_its_mark_is_not_taken_for_utf_8(tmp_path, name, content, encoding):
    """As text it would be letters with zeros between them."""
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    zero = encoding == "utf-16-le"
    refused(path, f"has a zero byte at byte {zero:d}, which UTF-16 has and UTF-8 has not: convert the file to UTF-8")


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.string_view(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
        pyarrow.dictionary(pyarrow.int32(), pyarrow.large_string()),
    ],
    ids=str,
)
def test_a_parquet_column_of_text_is_read_however_it_is_stored(tmp_path, kind):
    path = parquet(tmp_path / "a.parquet", TEXTS, kind)
    assert read(path) == TEXTS


def test_a_parquet_column_of_categories_of_numbers_is_refused(tmp_path):
    column = pyarrow.array([1, 2]).dictionary_encode()
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "holds int64, not text")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    columns = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(columns, tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "has several columns 'text': write it again with one of that name")


def test_damage_inside_a_parquet_file_is_one_line(tmp_path):
    path = parquet(tmp_path / "a.parquet", [f"text {number} " * 50 for number in range(3000)])
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 4)
    path.write_bytes(content)
    refused(path, "damaged", "fetch it again")


LINES = "".join(json.dumps({"text": f"document {number}"}) + "\n" for number in range(500)).encode()
COMPRESS = {".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", [*COMPRESS, ".GZ", ".XZ"])
def test_what_a_suffix_says_is_decompressed_in_any_number_of_parts(tmp_path, suffix):
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    path = tmp_path / f"a.jsonl{suffix}"
    compress = COMPRESS[suffix.lower()]
    path.write_bytes(compress(LINES[:half]) + compress(LINES[half:]))
    assert read(path) == [f"document {number}" for number in range(500)]


def test_a_long_window_of_zstd_is_read(tmp_path):
    """As `zstd --long=31` writes it from a pipe; 27 is what readers take unless they are told otherwise."""
    path = tmp_path / "a.txt.zst"
    for window in (28, 31):
        parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window, enable_ldm=True)
        stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path.write_bytes(stream.compress(b"from a pipe ") + stream.compress(b"without a size") + stream.flush())
        with pytest.raises(zstandard.ZstdError, match="too much memory"):
            zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj().decompress(path.read_bytes())
        assert read(path) == ["from a pipe without a size"]


def test_a_zstd_file_may_begin_with_a_frame_to_skip(tmp_path):
    path = tmp_path / "a.txt.zst"
    path.write_bytes(b"\x50\x2a\x4d\x18\x03\0\0\0xyz" + zstandard.compress(b"text"))
    assert read(path) == ["text"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file_that_ends_early_is_called_damaged_and_one_under_a_wrong_name_is_not_only(tmp_path, suffix):
    content = COMPRESS[suffix](random.Random(0).randbytes(4000).hex().encode())
    path = tmp_path / f"a.txt{suffix}"
    for size in (len(content) - 1, len(content) // 2, 8):
        path.write_bytes(content[:size])
        refused(path, "is damaged or ends early", "fetch it again")
    path.write_bytes(b"plain text")
    refused(path, f"not compressed as {suffix} says", "b'plain '", "correct its name")
    path.write_bytes(b"")
    refused(path, "is empty")


def test_a_zstd_file_made_with_a_dictionary_is_not_called_damaged(tmp_path):
    samples = [f"document number {number} of many".encode() for number in range(2000)]
    compressor = zstandard.ZstdCompressor(dict_data=zstandard.train_dictionary(1000, samples))
    (tmp_path / "a.txt.zst").write_bytes(compressor.compress(samples[0]))
    refused(tmp_path / "a.txt.zst", "cannot be decompressed here", "without a dictionary")


@pytest.mark.parametrize(
    ("name", "said"), [("a.parquet.gz", "decompress it"), ("a.csv", r"a\.csv has an unknown format: use \.txt")]
)
def test_what_no_reader_reads_is_refused_by_its_name(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"whatever it holds")
    with pytest.raises(ValueError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.txt.zst", "a.parquet"])
def test_a_git_lfs_pointer_is_not_the_file(tmp_path, name):
    (tmp_path / name).write_bytes(POINTER)
    refused(tmp_path / name, "is a Git LFS pointer", "`git lfs pull`")
    with pytest.raises(CorpusError, match="Git LFS pointer"):
        corpora.describe(Corpus(kind="files", files=(str(tmp_path / name),)))


def test_a_folder_is_not_a_file_and_a_link_is(tmp_path):
    (tmp_path / "a.txt").mkdir()
    refused(tmp_path / "a.txt", "is a folder")
    (tmp_path / "b.txt").write_text("text")
    (tmp_path / "link.txt").symlink_to("b.txt")
    assert read(tmp_path / "link.txt") == ["text"]
    (tmp_path / "loose.txt").symlink_to("absent.txt")
    refused(tmp_path / "loose.txt", "does not exist")


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(b"\n" + LINES)
    monkeypatch.setattr("spikesink.data.readers.is_lfs_pointer", lambda _: False)
    monkeypatch.setattr("builtins.open", denied)
    refused(tmp_path / "a.jsonl", "cannot be read (Permission denied)")


def denied(path, *_, **__):
    raise PermissionError(13, "Permission denied", path)
