"""Labels: what figures and tables call a variant. A label is plain text, in which {lr} becomes the variant's number."""

import re
from collections.abc import Iterable, Sequence

from spikesink.study.errors import ConfigError
from spikesink.study.settings import Model, Training

LONGEST = 100
MARKUP = re.compile(r"<[A-Za-z/!?]")
"""Snakemake writes labels into a script of its report as they are."""
BRACES = re.compile(r"\{([^{}]*)\}")
SPELLED = {"bos": "BOS", "ffn": "FFN", "v_scale": "V-scale"}
"""Parts of names that figures and tables write as the papers do."""
AS_PARTS = re.compile(rf"(?<![a-z])(?:{'|'.join(SPELLED)})(?![a-z])")


def with_numbers(label: str, model: Model, training: Training, path: str) -> str:
    """The label with the variant's numbers in place of {heads}, {head_dim} and so on. Raises ConfigError."""
    first, last = training.loss_window or (0, training.sequence_length)
    numbers = {
        "heads": model.attention.heads,
        "head_dim": model.attention.head_dim,
        "width": model.feed_forward.width,
        "sequence_length": training.sequence_length,
        "steps": training.steps,
        "lr": training.optimiser.lr,
        "first": first + 1,
        "last": last,
    }
    check_label(label, path)
    if "{{" in label or "}}" in label:
        raise ConfigError(f"{path} = {label!r}: doubled braces are no number of a variant: write one, such as {{lr}}")
    for name in BRACES.findall(label):
        if name not in numbers:
            raise ConfigError(f"{path} = {label!r}: {{{name}}} is no number of a variant: use {', '.join(numbers)}")
    return BRACES.sub(lambda match: f"{numbers[match[1]]:.10g}", label)


def check_label(label: str, path: str) -> None:
    """Raises ConfigError for a label that no figure, table or command line can show."""
    if not label.strip() or len(label) > LONGEST:
        raise ConfigError(f"{path} has {len(label)} letters: write 1 to {LONGEST}")
    if not label.isprintable() or label != label.strip():
        raise ConfigError(f"{path} = {label!r}: write it on one line, without control characters or spaces at its ends")
    if label.startswith("-"):
        raise ConfigError(f"{path} = {label!r} begins like an option of a command: begin with another character")
    if MARKUP.search(label):
        raise ConfigError(f"{path} = {label!r} is markup to the browser that shows the report: put a space after <")


def called(name: str, label: str | None) -> str:
    """What figures and tables call a variant: its label, or else its name in words."""
    return label or in_words(name)


def in_words(name: str) -> str:
    """A name as people read it: "weight decay" for weight_decay, "V-scale" for v_scale."""
    return AS_PARTS.sub(lambda part: SPELLED[part[0]], name).replace("_", " ")


def shown_names(variants: Sequence[tuple[str, str | None]]) -> list[str]:
    """What figures that compare variants call each, given by name and label: its label, where no other has the same."""
    labels = [label for _, label in variants]
    return [called(name, label if labels.count(label) == 1 else None) for name, label in variants]


def check_distinct(path: str, variants: Iterable[tuple[str, str]]) -> None:
    """Raises ConfigError where figures would show two variants by one name; each is given with the name shown."""
    seen: dict[str, str] = {}
    for variant, name in variants:
        if name in seen:
            raise ConfigError(
                f"{path}: {seen[name]!r} and {variant!r} are both shown as {name!r}: give one another label"
            )
        seen[name] = variant
