"""The documents of JSON lines and JSON arrays. Only the key that holds the text can stop a run, no other key can."""

import io
import json
import re
from collections.abc import Iterator

import pyarrow
import pyarrow.json

from spikesink.data.errors import CorpusError

BOM = b"\xef\xbb\xbf"
LONGEST_INTEGER = 4000
"""In digits; Python refuses to convert more than 4300."""
SURROGATE = re.compile("[\ud800-\udfff]")


def documents(content: io.BufferedReader, file: str, text_field: str, may_be_array: bool) -> Iterator[str]:
    """The text of every line, or of every record of an array. Raises CorpusError."""
    if content.peek(3)[:3] == BOM:
        content.read(3)
    is_array = may_be_array and content.peek(1 << 10).lstrip()[:1] == b"["
    for record, place, source, where in (
        array(content, file, text_field) if is_array else lines(content, file, text_field)
    ):
        text = text_of(record, place, text_field)
        if "\ufffd" in text:
            decoded(source, where)  # refuses bytes that are not UTF-8 where they may be in the text
        yield text


def array(content: io.BufferedReader, file: str, text_field: str) -> Iterator[tuple[object, str, bytes, str]]:
    source = content.read()
    for number, record in enumerate(parsed(source, file, text_field), 1):
        yield record, f"record {number} of {file}", source, file


def lines(content: io.BufferedReader, file: str, text_field: str) -> Iterator[tuple[object, str, bytes, str]]:
    for number, line in enumerate(content, 1):
        if line.strip():
            place = f"line {number} of {file}"
            yield parsed(line, place, text_field), place, line, place


def parsed(content: bytes, place: str, text_field: str) -> object:
    """The value in a JSON text; bytes that are not UTF-8 become U+FFFD. Raises CorpusError."""
    try:
        return json.loads(content.decode("utf-8", "replace"), strict=False, parse_int=integer)
    except RecursionError:
        return shallow(content, place, text_field)
    except json.JSONDecodeError as error:
        decoded(content, place)
        raise CorpusError(
            f"{place} is not valid JSON ({error}): write one object a line, or in a .json file one array, or fetch the "
            "file again"
        ) from None


def integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def shallow(content: bytes, place: str, text_field: str) -> dict:
    """The text of a line whose other keys nest too deeply for Python; Arrow skips them without recursion."""
    schema = pyarrow.schema([(text_field, pyarrow.string())])
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    reading = pyarrow.json.ReadOptions(block_size=max(len(content) + 1, 1 << 16))
    try:
        table = pyarrow.json.read_json(io.BytesIO(content), reading, options)
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{place} nests too deeply to be read ({error}): remove the key that nests") from None
    return table.to_pylist()[0]


def text_of(record: object, place: str, text_field: str) -> str:
    """The text in a record. Half of a pair of surrogates, which no encoding can hold, becomes U+FFFD."""
    if not isinstance(record, dict):
        raise CorpusError(
            f"{place} is not a JSON object with a key {text_field!r}: write one object a line, or in a .json file one "
            "array of objects"
        )
    if text_field not in record:
        keys = ", ".join(list(record)[:20])
        raise CorpusError(f"{place} has no key {text_field!r}: set text_field to one of {keys}")
    text = record[text_field]
    if not isinstance(text, str):
        raise CorpusError(
            f"{place} has no text under {text_field!r} but {json.dumps(text)[:40]}: set text_field to a key of text"
        )
    return SURROGATE.sub("\ufffd", text)


def decoded(content: bytes, place: str) -> str:
    """The text of UTF-8 bytes, without a byte-order mark. Raises CorpusError, also for zero bytes, which no text has:
    UTF-16 of Latin letters, where it lacks its mark, is UTF-8 of these letters with zeros between them.
    """
    if (zero := content.find(b"\0")) >= 0:
        raise CorpusError(
            f"{place} has a zero byte at byte {zero}, which UTF-16 has and UTF-8 has not: convert the file to UTF-8"
        )
    try:
        return content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{place} is not UTF-8 at byte {error.start}: convert the file to UTF-8") from None
