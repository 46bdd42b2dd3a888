"""Files of text by the endings of their names: which formats and compressions are read."""

from pathlib import Path

FORMATS = (".txt", ".jsonl", ".json", ".parquet")
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


def file_format(path: str | Path) -> str:
    """.txt, .jsonl, .json or .parquet, without the ending of a compression. Raises ValueError for anything else."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    is_compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    kind = suffixes[-1 - is_compressed] if len(suffixes) > is_compressed else None
    if kind not in FORMATS:
        raise ValueError(f"{path} has an unknown format: use {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}")
    if kind == ".parquet" and is_compressed:
        raise ValueError(f"{path} is compressed around parquet, which cannot be read in parts: decompress it")
    return kind
