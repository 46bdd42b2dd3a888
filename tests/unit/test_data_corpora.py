"""Every kind of source gives the same documents, and whatever is wrong with one is said in a line."""

import bz2
import gzip
import itertools
import json
import math
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import yaml
import zstandard
from huggingface_hub import errors

from spikesink.data import corpora
from spikesink.data.held_out import is_validation
from spikesink.data.hub import COMMIT
from spikesink.data.kinds.files import names
from spikesink.data.readers import CorpusError
from spikesink.runs.described_files import check_unchanged
from spikesink.study.errors import InputError
from spikesink.study.file_formats import file_format
from spikesink.study.settings import Corpus, Tokenizer, build

PRESETS = Path(__file__).parents[2] / "workflow" / "corpora"
TEXTS = ["First document.\nTwo lines.", "Zweites, mit Umlaut: ä", "", "the last one"]
COMPRESS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress}


def files(*paths: Path, **settings) -> Corpus:
    return Corpus(kind="files", files=tuple(map(str, paths)), **settings)


def texts(corpus: Corpus) -> list[str]:
    return [row["text"] for row in corpora.documents(corpus)]


def jsonl(field: str = "text") -> bytes:
    # A column whose type changes between lines, as crawl metadata does.
    return b"".join(json.dumps({field: text, "meta": [n, "x"][n % 2]}).encode() + b"\n" for n, text in enumerate(TEXTS))


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_json_lines(tmp_path, suffix, compression):
    path = tmp_path / f"part-0.of.1{suffix}{compression}"
    path.write_bytes(COMPRESS[compression](jsonl("body")))
    assert texts(files(path, text_field="body")) == TEXTS


def test_json_array(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps([{"text": text} for text in TEXTS]))
    assert texts(files(path)) == TEXTS


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_text_file_is_one_document(tmp_path, compression):
    paths = [tmp_path / f"{number}.txt{compression}" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_bytes(COMPRESS[compression](text.encode()))
    assert texts(files(*paths)) == TEXTS


def test_several_frames_in_one_zstd_file_are_all_read(tmp_path):
    path = tmp_path / "frames.jsonl.zst"
    path.write_bytes(zstandard.compress(b'{"text": "a"}\n') + zstandard.compress(b'{"text": "b"}\n'))
    assert texts(files(path)) == ["a", "b"]


def test_formats_mix_and_keep_their_order(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, "other": [1, 2, 3, 4]}), tmp_path / "b.parquet")
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "c.jsonl").write_text('{"text": "after"}')
    corpus = files(tmp_path / "a.txt", tmp_path / "b.parquet", tmp_path / "c.jsonl")
    assert texts(corpus) == ["before", *TEXTS, "after"]


def test_parquet_with_large_strings_and_another_column_name(tmp_path):
    path = tmp_path / "b.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"raw": pyarrow.array(TEXTS, pyarrow.large_string())}), path)
    assert texts(files(path, text_field="raw")) == TEXTS


def test_the_embedded_sample():
    documents = texts(Corpus(kind="embedded"))
    assert len(documents) == 1478
    assert documents[0].startswith("CHAPTER I\n\nEmma Woodhouse, handsome, clever, and rich")
    assert sum(map(len, documents)) > 6_000_000
    assert not any("project gutenberg" in text.lower() or "\r" in text for text in documents)


def test_limit_on_documents(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl())
    corpus = files(tmp_path / "a.jsonl", documents=2)
    assert texts(corpus) == TEXTS[:2]
    assert [len(batch) for batch, _ in corpora.split_batches(corpus)] == [2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"txt": "b"}', r"line 2 of .*a\.jsonl has no key 'text'.* one of txt"),
        ("a.jsonl", b'{"text": null}', r"line 1 .* no text under 'text' but null"),
        ("a.jsonl", b'{"text": "a"}\n{"text', r"line 2 .* is not valid JSON"),
        ("a.jsonl", b'"a"', "not a JSON object"),
        ("a.jsonl", b'{"text": "\xff"}', "line 1 .* is not UTF-8 at byte 10"),
        ("a.txt", b"abc\xe4", r"a\.txt is not UTF-8 at byte 3: convert"),
        ("a.jsonl", b"\n", "the corpus is empty"),
        ("a.txt.gz", gzip.compress(b"long enough " * 50, mtime=0)[:30], r"a\.txt\.gz is damaged or ends early"),
        ("a.txt.zst", zstandard.compress(bytes(range(200)) * 9)[:50], r"a\.txt\.zst is damaged or ends early"),
        ("a.txt.gz", b"not gzip", r"a\.txt\.gz is damaged"),
        ("a.parquet", b"not parquet", r"a\.parquet is not a readable parquet file"),
    ],
)
def test_bad_content_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        texts(files(path))
    assert "\n" not in str(caught.value)


def test_a_range_in_braces_stands_for_as_many_files(tmp_path):
    for number in range(8, 12):
        (tmp_path / f"part-{number:02}.txt").write_text(f"text {number}")
    corpus = files(tmp_path / "part-{08..11}.txt")
    assert texts(corpus) == [f"text {number}" for number in range(8, 12)]
    assert [Path(file["name"]).name for file in corpora.describe(corpus)["files"]] == [
        f"part-{number:02}.txt" for number in range(8, 12)
    ]
    (tmp_path / "part-09.txt").unlink()
    with pytest.raises(CorpusError, match=r"part-09.txt does not exist"):
        texts(corpus)
    assert names(files("a{0..1}/b{2..3}")) == ["a0/b2", "a0/b3", "a1/b2", "a1/b3"]
    with pytest.raises(ValueError, match=r"\{3..1\} of b\{3..1\} runs backwards"):
        names(files("b{3..1}"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"absent\.txt does not exist"):
        corpora.documents(files(tmp_path / "absent.txt"))


def test_a_missing_or_wrong_parquet_column_is_named(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"raw": ["a"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match="no column 'text': set text_field to one of raw, n"):
        corpora.documents(files(tmp_path / "a.parquet"))
    with pytest.raises(CorpusError, match=r"'n' .* holds int64, not text"):
        corpora.documents(files(tmp_path / "a.parquet", text_field="n"))


def test_a_null_in_parquet_is_refused(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", None]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"document 1 .* is null"):
        list(corpora.split_batches(files(tmp_path / "a.parquet")))


def test_reading_a_hub_corpus_never_opens_a_connection(monkeypatch):
    def hub_client(*arguments, local_files_only, **options):
        assert local_files_only
        raise errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_client)
    corpus = Corpus(kind="hub", dataset="some/corpus", revision="0" * 40, files=("a.jsonl",))
    remedy = r"delete corpus\.json \(or evaluation_corpus\.json\) in results/<study>/data and run the same snakemake"
    with pytest.raises(CorpusError, match=rf"'a\.jsonl' .* has not been downloaded: {remedy} command again"):
        corpora.documents(corpus)


def test_a_connection_that_fails_while_a_corpus_is_fetched_is_one_line(monkeypatch):
    """The hub's client raises errors of its own for it, which are no OSError."""

    def hub_client(*_, **__):
        raise errors.HTTPError("407 Proxy Authentication Required\nMore of it")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_client)
    corpus = Corpus(kind="hub", dataset="some/corpus", revision="0" * 40, files=("a.jsonl",))
    with pytest.raises(CorpusError, match=r"'a\.jsonl' .* cannot be downloaded: 407 Proxy Authentication Required$"):
        corpora.describe(corpus)


@pytest.mark.parametrize("share", [0.05, 0.005, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("count", [2, 19, 1000])
def test_held_out_documents_have_the_right_share_and_are_spread_evenly(share, count):
    held_out = [index for index in range(count) if is_validation(index, share)]
    assert len(held_out) == 1 + math.floor(round((count - 1) * share, 9))
    assert 1 <= len(held_out) < count
    gaps = {after - before for before, after in itertools.pairwise(held_out)}
    assert gaps <= {math.floor(round(1 / share, 9)), math.ceil(round(1 / share, 9))}


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "base",
    [{"kind": "embedded"}, {"kind": "hub", "dataset": "a/b", "revision": "c", "files": ["d"]}],
    ids=["embedded", "hub"],
)
def test_a_preset_is_complete_whatever_it_is_laid_over(path, base):
    preset = yaml.safe_load(path.read_text())
    assert {"corpus", "tokenizer"} <= set(preset)
    corpus = build(Corpus, base | preset["corpus"])
    hub_tokenizer = {"kind": "hub", "name": "a/b", "revision": "c", "vocabulary": 9, "bos": "none", "eos": False}
    tokenizer = build(Tokenizer, hub_tokenizer | preset["tokenizer"])
    for revision in (corpus.revision, tokenizer.revision):
        assert revision is None or COMMIT.fullmatch(revision)
    for name in corpus.files:
        assert file_format(name)


def test_a_changed_file_is_noticed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    description = corpora.describe(files(path))
    digests = corpora.described_files(files(path), description)
    check_unchanged(digests, tmp_path / "corpus.json")
    for other in ("another", "two"):
        path.write_text(other)
        with pytest.raises(InputError, match=r"a\.txt: is not what it was when .*corpus\.json was written"):
            check_unchanged(digests, tmp_path / "corpus.json")
    with pytest.raises(CorpusError, match="lists other files than the settings"):
        corpora.described_files(files(tmp_path / "b.txt"), description)
    assert corpora.describe(files(path))["files"][0]["digest"] != description["files"][0]["digest"]
