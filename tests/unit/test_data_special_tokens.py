"""BOS and EOS are those that the tokenizer's files declare, as transformers finds them; a name proves nothing."""

import importlib
import json
import os
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from spikesink.data import packing, tokenizer
from spikesink.data.batches import TokenStream
from spikesink.data.special_tokens import TokenizerError
from spikesink.runs.described_files import check_unchanged
from spikesink.runs.sums import file_sum
from spikesink.study.errors import InputError
from spikesink.study.settings import Corpus, Tokenizer

SMOLLM2 = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>")


def made(folder: Path, special: tuple[str, ...], **files: dict) -> Path:
    """A byte-level BPE with special tokens first, and <s> and </s> as ordinary entries; the files beside it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*special, *alphabet, "<s>", "</s>", "<bos>", "[BOS]"]
    built = tokenizers.Tokenizer(models.BPE({entry: number for number, entry in enumerate(entries)}, []))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.add_special_tokens(list(special))
    post_processor = files.pop("post_processor", None)
    if post_processor is not None:
        built.post_processor = post_processor
    built.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "tokenizer.json"


def of_transformers(folder: Path) -> tuple[int | None, int | None]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    found = importlib.import_module("transformers").AutoTokenizer.from_pretrained(folder)
    return found.bos_token_id, found.eos_token_id


def template(before: str, number: int) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single=f"{before} $A", special_tokens=[(before, number)])


AS_DICTIONARY = {"__type": "AddedToken", "content": "<|im_start|>", "lstrip": False, "special": True}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
DECLARED = {
    "text": (SMOLLM2, {"tokenizer_config": FAST | {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}}, (1, 2)),
    "dictionary": (SMOLLM2, {"tokenizer_config": FAST | {"bos_token": AS_DICTIONARY, "eos_token": SMOLLM2[0]}}, (1, 0)),
    "not added by itself": (
        SMOLLM2,
        {"tokenizer_config": FAST | {"bos_token": SMOLLM2[1], "add_bos_token": False}},
        (1, None),
    ),
    "map of special tokens": (
        SMOLLM2,
        {
            "tokenizer_config": FAST,
            "special_tokens_map": {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}},
        },
        (1, 2),
    ),
    "DeepSeek": (DEEPSEEK, {"tokenizer_config": FAST | {"bos_token": DEEPSEEK[0], "eos_token": DEEPSEEK[1]}}, (0, 1)),
    "null, whatever config.json says": (
        SMOLLM2,
        {
            "tokenizer_config": FAST | {"bos_token": None, "eos_token": "<|endoftext|>"},
            "config": {"bos_token_id": 0, "model_type": "qwen2"},
        },
        (None, 0),
    ),
    "the tokenizer's config before the template": (
        SMOLLM2,
        {"tokenizer_config": FAST | {"bos_token": SMOLLM2[1]}, "post_processor": template("<repo_name>", 3)},
        (1, None),
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_declared_tokens_are_those_of_transformers(tmp_path, name):
    special, files, expected = DECLARED[name]
    loaded = tokenizer.load(made(tmp_path, special, **files))
    assert (loaded.bos.id, loaded.eos.id) == of_transformers(tmp_path) == expected


ELSEWHERE = {
    "template": ({"post_processor": template("<|im_start|>", 1)}, 1, "the post-processor in tokenizer.json"),
    "template in a sequence": (
        {"post_processor": processors.Sequence([processors.ByteLevel(), template("<|im_start|>", 1)])},
        1,
        "the post-processor in tokenizer.json",
    ),
    "RoBERTa's": (
        {"post_processor": processors.RobertaProcessing(("<|im_end|>", 2), ("<|im_start|>", 1))},
        1,
        "the post-processor in tokenizer.json",
    ),
    "config.json": (
        {"config": {"bos_token_id": 1}, "generation_config": {"bos_token_id": 2}},
        1,
        "bos_token_id in config.json",
    ),
    "generation_config.json": (
        {"config": {"bos_token_id": None}, "generation_config": {"bos_token_id": 1}},
        1,
        "bos_token_id in generation_config.json",
    ),
    "template before config.json": (
        {"post_processor": template("<|im_start|>", 1), "config": {"bos_token_id": 2}},
        1,
        "the post-processor in tokenizer.json",
    ),
    "config.json of another vocabulary": (
        {"config": {"bos_token_id": 261}, "generation_config": {"bos_token_id": 1}},  # 261 is <s>, an ordinary entry
        1,
        "bos_token_id in generation_config.json",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_where_its_config_is_silent_other_files_declare_the_bos(tmp_path, name):
    files, number, source = ELSEWHERE[name]
    loaded = tokenizer.load(made(tmp_path, SMOLLM2, **files))
    assert (loaded.bos.id, loaded.bos.token, loaded.bos.source) == (number, "<|im_start|>", source)


def test_the_eos_is_what_a_post_processor_ends_with_or_the_first_of_several_ids(tmp_path):
    ends = processors.TemplateProcessing(single="$A <|im_end|>", special_tokens=[("<|im_end|>", 2)])
    loaded = tokenizer.load(made(tmp_path, SMOLLM2, post_processor=ends))
    assert (loaded.bos.id, loaded.eos.id) == (None, 2)
    loaded = tokenizer.load(made(tmp_path, SMOLLM2, config={"eos_token_id": [2, 0]}))
    assert (loaded.bos.id, loaded.eos.id) == (None, 2)


def settings(path: Path, **others) -> Tokenizer:
    return Tokenizer(**{"kind": "file", "name": str(path), "vocabulary": 265, "bos": "sequence"} | others)


NONE = {
    "nothing": ({}, "none of its files declares a bos_token"),
    "null": ({"tokenizer_config": {"bos_token": None}}, "tokenizer_config.json says bos_token: null"),
    "an ordinary entry": (
        {"tokenizer_config": {"bos_token": "<s>"}},
        "tokenizer_config.json declares '<s>', which is an ordinary entry of its vocabulary",
    ),
    "no entry": ({"tokenizer_config": {"bos_token": "<S>"}}, "declares '<S>', which is not in its vocabulary"),
    "an id that is no number": ({"config": {"bos_token_id": False}}, "none of its files declares"),
    "ids that are no numbers": ({"config": {"bos_token_id": [{}, "0"]}}, "none of its files declares"),
    "ids of ordinary entries": ({"config": {"bos_token_id": 261, "eos_token_id": 262}}, "none of its files declares"),
}


@pytest.mark.parametrize("name", NONE)
def test_a_tokenizer_that_declares_none_is_refused_in_words(tmp_path, name):
    files, reason = NONE[name]
    path = made(tmp_path, SMOLLM2, **files)
    for bos in ("sequence", "document"):
        with pytest.raises(TokenizerError) as error:
            tokenizer.build(settings(path, bos=bos), [], tmp_path / "out/tokenizer.json")
        message = str(error.value)
        for part in (f"bos = '{bos}'", "declares no BOS", reason, "bos: none", "bos_token", "<|im_start|>"):
            assert part in message
    assert not (tmp_path / "out").exists()
    assert tokenizer.build(settings(path, bos="none"), [], tmp_path / "out/tokenizer.json").bos.id is None


def test_a_setting_names_one_of_the_special_tokens(tmp_path):
    path = made(tmp_path, SMOLLM2, tokenizer_config={"bos_token": None, "eos_token": "<|im_end|>"})
    named = settings(path, bos_token="<|im_start|>", eos_token="<|endoftext|>", eos=True)
    loaded = tokenizer.build(named, [], tmp_path / "out/tokenizer.json")
    assert (loaded.bos.id, loaded.eos.id) == (1, 0)
    for name in ("<s>", "absent"):
        with pytest.raises(TokenizerError, match=f"bos_token = '{name}' is not a special token .* one of <.endoftext"):
            tokenizer.build(settings(path, bos_token=name), [], tmp_path / "out/tokenizer.json")
    with pytest.raises(ValueError, match="bos_token and eos_token are not read by kind 'trained'"):
        Tokenizer(kind="trained", vocabulary=300, bos="none", bos_token="<s>")


def test_the_index_says_which_token_it_was_and_where_it_is_declared(tmp_path):
    """Also after the tokenizer was copied away from the files that declare it."""
    config = {"bos_token": AS_DICTIONARY, "eos_token": "<|endoftext|>"}
    wanted = settings(made(tmp_path, SMOLLM2, tokenizer_config=config), eos=True)
    tokenizer.build(wanted, [], tmp_path / "data/tokenizer.json")
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": f"<s> text {n}"}) + "\n" for n in range(20)))
    corpus = Corpus(kind="files", files=(str(tmp_path / "text.jsonl"),))
    index = packing.pack(corpus, wanted, tmp_path / "data/tokenizer.json", tmp_path / "data/tokens")
    assert (index["bos_id"], index["bos_token"], index["bos_source"]) == (1, "<|im_start|>", "tokenizer_config.json")
    assert (index["eos_id"], index["eos_token"], index["eos_source"]) == (0, "<|endoftext|>", "tokenizer_config.json")
    stream = TokenStream.open(tmp_path / "data/tokens", "train")
    assert stream.bos_id == 1 and 1 not in stream.tokens and 0 in stream.tokens


def test_a_tokenizer_made_here_declares_its_own(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": null}')  # of another tokenizer, which it replaces
    trained = Tokenizer(kind="trained", vocabulary=258, bos="sequence")
    built = tokenizer.build(trained, [], tmp_path / "tokenizer.json")
    again = tokenizer.load(tmp_path / "tokenizer.json")
    assert built.bos == again.bos == (0, "<bos>", "its name")
    for name in ("tokenizer_config.json", ".sums/tokenizer_config.json"):
        (tmp_path / name).unlink()
    assert tokenizer.load(tmp_path / "tokenizer.json").bos == built.bos


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_text('{"bos_token": "<eos>"}'), "its sum differs: delete"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_what_was_written_of_special_tokens_is_compared(tmp_path, harm, said):
    """Another BOS would begin every sequence, without a word."""
    tokenizer.build(Tokenizer(kind="trained", vocabulary=258, bos="sequence"), [], tmp_path / "tokenizer.json")
    harm(tmp_path / "tokenizer_config.json")
    with pytest.raises(TokenizerError, match=rf"tokenizer_config\.json.*{said}"):
        tokenizer.load(tmp_path / "tokenizer.json")


def test_a_tokenizer_that_changed_after_the_corpus_step_is_not_copied(tmp_path):
    """What the corpus step described, weeks ago perhaps, is what every run says that it was trained on."""
    path = made(tmp_path, SMOLLM2, tokenizer_config={"bos_token": "<|im_start|>"})
    names = (path.name, "tokenizer_config.json")
    sums = {name: file_sum(path.with_name(name)) for name in names}
    described = {"digest": sums[path.name], "beside": {names[1]: sums[names[1]]}}
    digests = tokenizer.described_files(settings(path), described)
    check_unchanged(digests, tmp_path / "corpus.json")
    path.with_name(names[1]).write_text('{"bos_token": null}')
    with pytest.raises(InputError, match=r"tokenizer_config\.json: is not what it was when .*corpus\.json was written"):
        check_unchanged(digests, tmp_path / "corpus.json")


@pytest.mark.parametrize("name", ["tokenizer_config", "special_tokens_map", "config"])
def test_a_damaged_file_is_named(tmp_path, name):
    path = made(tmp_path, SMOLLM2)
    (tmp_path / f"{name}.json").write_text("{")
    with pytest.raises(TokenizerError, match=rf"{name}\.json cannot be read .*: fetch it again"):
        tokenizer.load(path)
    (tmp_path / f"{name}.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(TokenizerError, match=rf"{name}\.json is a Git LFS pointer.*git lfs pull"):
        tokenizer.load(path)


def test_a_declaration_without_its_text_is_named(tmp_path):
    path = made(tmp_path, SMOLLM2, tokenizer_config={"bos_token": {"text": "<|im_start|>"}})
    with pytest.raises(
        TokenizerError, match=r'tokenizer_config\.json: bos_token = {"text".*} is no token: write its text'
    ):
        tokenizer.load(path)


def test_a_padding_token_beyond_the_models_vocabulary_is_refused_where_the_text_holds_it(tmp_path):
    path = made(tmp_path, SMOLLM2, tokenizer_config={"bos_token": "<|im_start|>"})
    content = json.loads(path.read_text())
    beyond = {"id": 265, "content": "[PAD]", "special": False, "single_word": False, "normalized": False}
    content["added_tokens"].append(beyond | {"lstrip": False, "rstrip": False})
    path.write_text(json.dumps(content))
    lines = [{"text": f"text {number}"} for number in range(20)]
    corpus = Corpus(kind="files", files=(str(tmp_path / "text.jsonl"),))
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    packing.pack(corpus, settings(path), path, tmp_path / "tokens")
    lines[7] = {"text": "a [PAD] in the text"}
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(TokenizerError, match=r"document 7 of .*text.jsonl has the token id 265 \('\[PAD\]'\)"):
        packing.pack(corpus, settings(path), path, tmp_path / "tokens")


def test_a_tokenizer_without_a_vocabulary_is_one_line(tmp_path):
    tokenizers.Tokenizer(models.BPE({}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="the tokenizer has only 0 ids"):
        tokenizer.build(settings(tmp_path / "tokenizer.json", bos="none"), [], tmp_path / "out/tokenizer.json")


def test_a_text_that_cannot_be_encoded_is_named(tmp_path):
    tokenizers.Tokenizer(models.WordLevel({"known": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "text.jsonl").write_text('{"text": "known"}\n{"text": "unknown"}\n')
    corpus = Corpus(kind="files", files=(str(tmp_path / "text.jsonl"),))
    wanted = settings(tmp_path / "tokenizer.json", bos="none", vocabulary=1)
    with pytest.raises(
        TokenizerError, match=r"cannot encode document 1 of .*text\.jsonl \(.*UNK.*\): .*'trained' reads any"
    ):
        packing.pack(corpus, wanted, tmp_path / "tokenizer.json", tmp_path / "tokens")
