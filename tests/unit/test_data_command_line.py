"""The three steps as the rules run them, with a hub that serves one small dataset from this machine."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tokenizers
import zstandard
from tokenizers import decoders, models, pre_tokenizers

from spikesink.data import __main__ as command_line
from spikesink.data.batches import TokenStream

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = b"".join(json.dumps({"text": f"document {number}"}).encode() + b"\n" for number in range(20))


def gpt2_like() -> bytes:
    """Byte-level BPE without merges whose only special token is <|endoftext|>."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(models.BPE({character: n for n, character in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    return made.to_str().encode()


CONTENT = {
    f"/datasets/some/corpus/resolve/{COMMIT}/en/part-0.json.gz": gzip.compress(LINES, mtime=0),
    f"/datasets/some/corpus/resolve/{COMMIT}/en/part-1.jsonl.zst": zstandard.compress(LINES),
    f"/some/model/resolve/{COMMIT}/tokenizer.json": gpt2_like(),
    f"/some/model/resolve/{COMMIT}/config.json": b'{"bos_token_id": null, "eos_token_id": 256}',
}
CORPUS = {
    "kind": "hub",
    "dataset": "some/corpus",
    "revision": COMMIT,
    "files": ["en/part-0.json.gz", "en/part-1.jsonl.zst"],
}
TOKENIZER = {
    "kind": "hub",
    "name": "some/model",
    "revision": COMMIT,
    "vocabulary": 257,
    "bos": "none",
    "eos": True,
}


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download of a known file uses."""

    def do_GET(self):
        content = CONTENT.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(folder, *arguments, **environment) -> subprocess.CompletedProcess:
    """A fresh process: huggingface_hub reads its environment when it is imported."""
    dropped = ("HF_", "HUGGINGFACE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)}
    return subprocess.run(
        [sys.executable, "-m", "spikesink.data", *arguments],
        cwd=folder,
        env=inherited | {"HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"} | environment,
        capture_output=True,
        text=True,
    )


def test_a_hub_corpus_is_fetched_once_and_used_without_a_network(tmp_path, hub):
    settings = json.dumps({"corpus": CORPUS, "tokenizer": TOKENIZER})
    fetched = run(tmp_path, "corpus", "--settings", settings, "--output", "corpus.json", HF_ENDPOINT=hub)
    assert fetched.returncode == 0, fetched.stderr
    description = json.loads((tmp_path / "corpus.json").read_text())
    digests = [hashlib.sha256(content).hexdigest() for content in CONTENT.values()]
    assert [file["digest"] for file in description["files"]] == digests[:2]
    assert description["tokenizer"]["digest"] == digests[2]

    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    common = ("--settings", settings, "--corpus", "corpus.json")
    made = run(tmp_path, "tokenizer", *common, "--output", "tokenizer.json", **offline)
    assert made.returncode == 0, made.stderr
    packed = run(tmp_path, "tokens", *common, "--tokenizer", "tokenizer.json", "--output", "tokens", **offline)
    assert packed.returncode == 0, packed.stderr
    ids = TokenStream.open(tmp_path / "tokens", "validation").tokens.tolist()
    decode = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).decode
    held_out = decode(ids, skip_special_tokens=False).split("<|endoftext|>")
    assert held_out.pop() == ""
    assert 2 <= len(held_out) <= 4, "a twentieth of forty documents"
    assert set(held_out) < {f"document {number}" for number in range(20)}


def test_what_the_hub_lacks_is_one_line(tmp_path, hub):
    absent = json.dumps({"corpus": CORPUS | {"files": ["en/absent.jsonl"]}, "tokenizer": TOKENIZER})
    result = run(tmp_path, "corpus", "--settings", absent, "--output", "corpus.json", HF_ENDPOINT=hub)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "error: 'en/absent.jsonl' of dataset some/corpus" in result.stderr
    assert "no such file" in result.stderr


def test_a_hub_out_of_reach_is_one_line(tmp_path):
    settings = json.dumps({"corpus": CORPUS, "tokenizer": TOKENIZER})
    result = run(tmp_path, "corpus", "--settings", settings, "--output", "corpus.json", HF_HUB_OFFLINE="1")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "run this step on a machine with internet" in result.stderr
    assert not (tmp_path / "corpus.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "--settings: Expecting"),
        ('{"tokenizer": {}}', "--settings: the key 'corpus' is missing"),
        ('{"corpus": {"kind": "embedded", "shuffle": 1}, "tokenizer": {}}', "Corpus has no key 'shuffle'"),
        ('{"corpus": {"kind": "files"}, "tokenizer": {}}', "files is empty"),
        (
            json.dumps({"corpus": {"kind": "files", "files": ["absent.txt"]}, "tokenizer": TOKENIZER}),
            "absent.txt does not exist",
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, settings, message):
    status = command_line.main(["corpus", "--settings", settings, "--output", str(tmp_path / "corpus.json")])
    printed = capsys.readouterr().err
    assert status == 1
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert message in printed


def test_a_tokenizer_is_trained_on_the_training_documents_only(tmp_path):
    # Only the held-out file holds "zz": a merge of it would come from validation text.
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "abab"}) + "\n" for _ in range(9)))
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "zz" * 500}))
    corpus = {
        "kind": "files",
        "files": [str(tmp_path / "a.jsonl")],
        "validation_files": [str(tmp_path / "b.jsonl")],
    }
    settings = json.dumps({"corpus": corpus, "tokenizer": {"kind": "trained", "vocabulary": 262, "bos": "none"}})
    for step in (["corpus"], ["tokenizer", "--corpus", str(tmp_path / "corpus")]):
        assert command_line.main([*step, "--settings", settings, "--output", str(tmp_path / step[0])]) == 0
    vocabulary = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer")).get_vocab()
    assert "ab" in vocabulary
    assert "zz" not in vocabulary
