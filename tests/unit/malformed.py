"""Configs as people and accidents write them: a seeded generator of overlays, most of them faulty, as bytes."""

import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from random import Random

import yaml

from spikesink.study.settings import Config

ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "workflow/scales").glob("*.yaml")), *sorted((ROOT / "workflow/corpora").glob("*.yaml"))]
NAMES = [
    *("mine", "norm", "sandwich", "baseline", "on", "off", "yes", "no", "010", "1e-3", "12:30", "a b", "../x", "x/y"),
    *(
        "",
        "-x",
        "variants",
        "train_x",
        "figure_x",
        "all",
        "published",
        "mlflow.db",
        "x" * 300,
        "$(touch x)",
        "中文",
        "compared",
    ),
    *("null", "~", "~/x", "<<", "=", "a\nb", "{x}", "norm/", "statistics", "collect_x", "x.y", "X", "[1]", "é"),
]
VALUES = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        3,
        5,
        7,
        16,
        64,
        1000,
        10**6,
        10**12,
        2**63,
        10**30,
        -(2**63),
        0.5,
        1.5,
        30.0,
        1e-30,
    ),
    *(1e308, float("inf"), float("nan"), "1e-3", "0.5x", "2x", "0x", "x", "1_000", "010", "0x10", "on", "2020-01-01"),
    *(
        [],
        [0],
        [0, 0],
        [1, 2],
        [None],
        [[1]],
        ["0.5x", "0.5x"],
        [""],
        ["norm/"],
        ["../x"],
        ["norm", "norm"],
        {},
        {"a": 1},
    ),
    *(
        "loss in $$",
        "costs $5 or $10",
        "{nope}",
        "{lr} {",
        "-label",
        "two\nlines",
        "\x1b[31m",
        "中文",
        "y" * 5000,
        "=",
        "a=b",
    ),
    *(
        "a{0..99999999999}.txt",
        "b{3..1}",
        "http://x/{y}",
        "ftp://x",
        "sqlite:///x.db",
        "postgresql://h/db",
        " ",
        "\ud83d",
    ),
]
SYNTAX = [
    *(
        b"\t",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"- ",
        b"!!int abc",
        b"!foo",
        b"&a ",
        b"*a",
        b"\x00",
        b"\xff",
        b"\n",
        b"'",
        b'"',
    ),
    *(
        b"---\n",
        b"...\n",
        b"? ",
        b"|\n",
        b"<<: ",
        b"%YAML 1.2\n",
        b"@",
        b"`",
        b"2020-99-99",
        b"9" * 5000,
        b"\xef\xbb\xbf",
        b"#",
    ),
]
WHOLE_FILES = [
    *(
        b"",
        b"null",
        b"# nothing\n",
        b"[1, 2]",
        b"text",
        b"study: !!int abc",
        b"study: &a [*a]",
        b"a: &a {b: *a}",
        b"\x80abc",
    ),
    *(
        "study: café".encode("latin-1"),
        "study: x".encode("utf-16"),
        "study: x".encode("utf-8-sig"),
        b"study: " + b"[" * 3000,
    ),
    *(b"seeds: [" + b"9" * 5000 + b"]", b"study: 2020-99-99", b"study: a\nstudy: b", b"---\nstudy: a\n---\nstudy: b"),
    b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"b%d: &b%d [%s]\n" % (i, i, b", ".join([b"*a"] * 9)) for i in range(9)),
    b"x0: &x0 [y, y]\n" + b"".join(b"x%d: &x%d [*x%d, *x%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 60)),
]


def malformed(seed: int, number: int) -> Iterator[bytes]:
    """The bytes of ``number`` overlays."""
    random = Random(seed)
    ways = (from_scratch, from_scratch, from_scratch, of_names, shipped_with_another_value, shipped_with_other_bytes)
    for index in range(number):
        yield WHOLE_FILES[index] if index < len(WHOLE_FILES) else random.choice(ways)(random)


def dumped(config: dict) -> bytes:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


def from_scratch(random: Random) -> bytes:
    """One to three settings, each of a value that may be one of its kind or anything else."""
    config: dict = {}
    for _ in range(random.randint(1, 3)):
        *path, kind = random.choice(SETTINGS)
        branch = config
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = value_of(random, kind)
    return dumped(config)


def value_of(random: Random, kind: object) -> object:
    """A value for a setting: of its kind as a rule, sometimes anything."""
    members = [member for member in (kind, *typing.get_args(kind)) if not is_dataclass(member)]
    literals = [
        name for member in members if typing.get_origin(member) is typing.Literal for name in typing.get_args(member)
    ]
    if random.random() < 0.35:
        return random.choice(VALUES)
    if literals:
        return random.choice(literals)
    if int in members:
        return random.choice([1, 2, 3, 4, 6, 8, 16, 33, 64, 128, 4096])
    if float in members:
        return random.choice([1e-6, 0.01, 0.3, 0.99, 1.0, 2.5, 100.0])
    return random.choice(NAMES if str in members else VALUES)


def paths(kind: type, *path: str) -> Iterator[tuple]:
    """Every setting: the keys that lead to it, then its type."""
    for field in fields(kind):
        hint = typing.get_type_hints(kind)[field.name]
        if is_dataclass(hint):
            yield from paths(hint, *path, field.name)
        else:
            yield *path, field.name, hint


SETTINGS = [*paths(Config), *((key, str) for key in ("studdy", "modell"))]


def of_names(random: Random) -> bytes:
    """Ablations, variants, grids, published models and labels, by names that may be taken or impossible."""
    ablation, variant, other = (random.choice(NAMES) for _ in range(3))
    key = random.choice(["training.optimiser.lr", "model.gate.kind", "training.steps", "model.attention.heads", other])
    inside = {"label": random.choice(VALUES), "stands_for": random.choice([None, "lr_7.5e-5", "nobody", "v_scale"])}
    change = random.choice(
        [{}, {"norm": {"kind": "sandwich"}}, {"attention": {"kv_heads": "0.5x"}}, {"layers": random.choice(VALUES)}]
    )
    parts = (
        {"variants": {ablation: {variant: random.choice([None, inside, inside | {"model": change}])}}},
        {
            "cross": {
                ablation: {"settings": {key: [random.choice(VALUES), random.choice(VALUES)]}, "variants": [variant]}
            }
        },
        {"cross": {ablation: {"settings": {key: ["0.5x", "2x"]}, "variants": ["baseline"]}}},
        {"cross": {ablation: {"settings": {key: list(range(1, 99)), "training.batch_size": list(range(1, 999))}}}},
        {"ablations": [random.choice(["norm", "ffn", "gating/positional", ablation]), f"norm/{variant}"]},
        {"pretrained": {variant: {"source": other, "bos": "none", "context": random.choice(VALUES)}}},
        {"mechanism": {"compare": ["baseline", variant]}},
        {"study": variant, "scale": random.choice(["nano", "smoke", other])},
        {"seeds": [random.choice(VALUES), random.choice(VALUES)]},
        {
            "resources": {
                "train": {"gpus_per_node": random.choice([0, 1, 2, 3, 5, 64]), "nodes": random.choice([1, 2, 3])}
            }
        },
        {"corpus": {"kind": "files", "files": [random.choice(["a.txt", "a{0..9}.txt", *map(str, VALUES)])]}},
    )
    return dumped(random.choice(parts))


def shipped_with_another_value(random: Random) -> bytes:
    """A scale or a corpus of the repository in which one value, key or branch is another."""
    config = yaml.safe_load(random.choice(SHIPPED).read_text())
    branch = config
    while isinstance(inner := branch[key := random.choice(list(branch))], dict) and inner and random.random() < 0.8:
        branch = inner
    kind = random.randrange(4)
    if kind == 0:
        del branch[key]
    elif kind == 1:
        branch[random.choice(NAMES)] = branch.pop(key)
    else:
        branch[key] = random.choice(VALUES)
    return dumped(config)


def shipped_with_other_bytes(random: Random) -> bytes:
    """A scale or a corpus of the repository with a few bytes put in, left out or exchanged."""
    text = random.choice(SHIPPED).read_bytes()
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(text))
        text = text[:place] + random.choice([b"", b"", *SYNTAX]) + text[place + random.randrange(3) :]
    return text
