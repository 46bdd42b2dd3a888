"""YAML files, read strictly and within bounds, and merged.

Values are those of YAML 1.2: YAML 1.1 would read 010 as 8, on as true and 12:30 as 750. In a config even 1e-3 stays the
text that stands in the file. The type of a setting says what is a number (``spikesink.study.from_text``). What
Snakemake's own reader refuses is refused here too, so that every command takes the same files.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from spikesink.study.errors import ConfigError, first_line

# The same parser in C, where PyYAML was built with it: a config of 1,000 variants takes a tenth of the time. It takes
# some tabs and question marks that the parser in Python, which Snakemake uses, refuses.
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOUBTFUL = re.compile(r"[\t?]")

MOST_BYTES = 1_000_000
MOST_VALUES = 200_000
"""Keys and values in a file, those that aliases repeat included: a config of 1,000 variants has about 10,000."""
DEEPEST = 40
NULLS = ("", "~", "null", "Null", "NULL")
TRUTH = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,39})")
NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
RESOLVER = yaml.resolver.Resolver()
NUMBERS = yaml.constructor.SafeConstructor()
LOOKS_LIKE = {
    "tag:yaml.org,2002:int": NUMBERS.construct_yaml_int,
    "tag:yaml.org,2002:float": NUMBERS.construct_yaml_float,
    "tag:yaml.org,2002:timestamp": NUMBERS.construct_yaml_timestamp,
}
"""How PyYAML makes a value of a plain text that it takes for a number or a date."""


def read_yaml(path: Path | str, as_text: bool = False) -> dict:
    """A YAML mapping from a file; ``as_text``: all values but null as the texts that stand there.

    Raises ConfigError: one line with the file, the line and the fault.
    """
    text = read_text(path)
    try:
        content = Document(path, text, as_text).value
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        fault = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(f"{path}{where}: not valid YAML ({fault}): correct that line") from error
    if content is None:
        raise ConfigError(f"{path}: holds no key: write some, for example study: mine, or leave the file out")
    if not isinstance(content, dict):
        kind = "list" if isinstance(content, list) else "text"
        raise ConfigError(f"{path}: holds a {kind}, not a mapping of keys: write key: value")
    return content


def read_text(path: Path | str) -> str:
    """The text of a file. Raises ConfigError where it cannot be read, is too large, or is not UTF-8."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise ConfigError(f"{path}: cannot be read ({reason}): check the path") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: is larger than {MOST_BYTES // 10**6} MB, which no config is: check the path")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from error


class Document:
    """The one document of a YAML text, as plain values: ``value``."""

    def __init__(self, path: Path | str, text: str, as_text: bool) -> None:
        self.path, self.as_text, self.anchors, self.size = path, as_text, {}, 0
        self.events = yaml.parse(text, Loader=yaml.SafeLoader if DOUBTFUL.search(text) else FAST)
        starts = (yaml.StreamStartEvent, yaml.DocumentStartEvent)
        event = next(event for event in self.events if not isinstance(event, starts))
        self.value = None if isinstance(event, yaml.StreamEndEvent) else self.of(event, 1)
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self.fault(event, "a second document starts here: remove ---")

    def fault(self, event: yaml.Event, text: str) -> ConfigError:
        return ConfigError(f"{self.path}, line {event.start_mark.line + 1}: {text}")

    def count(self, event: yaml.Event, number: int) -> None:
        """Add to the number of keys and values. Raises ConfigError above ``MOST_VALUES``."""
        self.size += number
        if self.size > MOST_VALUES:
            raise self.fault(
                event, f"more than {MOST_VALUES:,} keys and values up to here: write fewer, without aliases"
            )

    def of(self, event: yaml.Event, depth: int) -> Any:
        """The value that starts with this event. Raises ConfigError for what a config never holds."""
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self.fault(event, f"*{event.anchor} stands before its anchor's end: write the value itself")
            value, size = self.anchors[event.anchor]
            self.count(event, size)
            return value
        if event.tag is not None:
            raise self.fault(event, f"{event.tag!r} is a tag, and a config has none: remove it")
        if depth > DEEPEST:
            raise self.fault(event, f"values nested more than {DEEPEST} deep: a config is never that deep, remove some")
        before = self.size
        self.count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.of(item, depth + 1) for item in self.until(yaml.SequenceEndEvent)]
        else:
            value = self.mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.size - before)
        return value

    def until(self, end: type) -> Iterator[yaml.Event]:
        """The first event of every item, until the collection ends."""
        while not isinstance(event := next(self.events), end):
            yield event

    def scalar(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        """A single value. Raises ConfigError for what looks like a number or a date and is none."""
        if not event.implicit[0]:  # in quotes, or a block of text
            return event.value
        if event.value in NULLS:
            return None
        tag = RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))
        if tag in LOOKS_LIKE:
            try:
                LOOKS_LIKE[tag](yaml.ScalarNode(tag, event.value))
            except (ValueError, OverflowError) as error:
                raise self.fault(
                    event, f"{shortened(event.value)} looks like a number or a date and is none: put it in quotes"
                ) from error
        return event.value if self.as_text else typed(event.value)

    def mapping(self, depth: int) -> dict[str, Any]:
        """Keys are text. What << names stands beneath the other keys. A key that stands twice raises ConfigError."""
        found, beneath = {}, {}
        for key in self.until(yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self.fault(key, "a key is a list, a mapping or an alias: use a name")
            if key.tag is not None:
                raise self.fault(key, f"{key.tag!r} is a tag, and a config has none: remove it")
            self.count(key, 1)
            is_merge = key.implicit[0] and key.value == "<<"
            if key.value in found or (is_merge and beneath):
                raise self.fault(key, f"{shortened(key.value)} stands twice here: rename or remove one")
            value = self.of(next(self.events), depth + 1)
            if not is_merge:
                found[key.value] = value
                continue
            for part in reversed(value if isinstance(value, list) else [value]):
                if not isinstance(part, dict):
                    raise self.fault(key, "<< takes a mapping or a list of mappings: write keys of your own")
                beneath |= part
        return beneath | found


def typed(text: str) -> str | int | float | bool:
    """A plain text as the number or truth value that YAML 1.2 takes it for."""
    if text in TRUTH:
        return TRUTH[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def shortened(value: Any) -> str:
    """A value as Python writes it, a text in quotes, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]} ... {text[-1]}"


def merge(base: Mapping, overlay: Mapping) -> dict[str, Any]:
    """``overlay`` over ``base``: mappings merge key by key, anything else replaces (as Snakemake merges configs)."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged
