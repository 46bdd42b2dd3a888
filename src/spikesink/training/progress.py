"""Progress of one run: lines that stay readable when several runs share a terminal, and a file for others to read."""

import json
import logging
import os
import sys
import time
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from spikesink.runs.atomic import whole
from spikesink.training.module import LanguageModel

AFFECTS_RESULTS = False


class ProgressLines(ProgressBar):
    """Print a line at the start, every ``seconds`` and at the end: step, loss, tokens per second, time left.

    ``file`` holds the latest step, speed and time left as JSON, with the time of writing, so that other programs can
    read how far a run is. A checkpoint keeps when the run first began, and the seconds that it has trained until then.
    """

    def __init__(self, name: str, tokens_per_step: int, file: Path, seconds: float = 15.0) -> None:
        super().__init__()
        self.name, self.tokens_per_step, self.file, self.seconds = name, tokens_per_step, file, seconds
        self.enabled = True
        self.begun: str | None = None
        self.seconds_before = 0.0

    def disable(self) -> None:
        """Called by Lightning on every rank but zero."""
        self.enabled = False

    def print_line(self, text: str) -> None:
        if self.enabled:
            print(f"{self.name}  {text}", file=sys.stderr, flush=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: LanguageModel) -> None:
        self.first_step = trainer.global_step
        self.started = self.last = time.monotonic()
        self.begun = self.begun or datetime.now(UTC).isoformat(timespec="seconds")
        where = f"resumes at step {self.first_step}" if self.first_step else "starts"
        kind, several = pl_module.device.type, trainer.world_size > 1
        device = f"{trainer.world_size} {kind} devices" if several else str(pl_module.device)
        self.print_line(f"{where}, {trainer.max_steps} steps of {self.tokens_per_step} tokens on {device}")
        self.write(self.first_step, None, None)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: LanguageModel, *_: object) -> None:
        now, step = time.monotonic(), trainer.global_step
        if not self.enabled or (now - self.last < self.seconds and step != trainer.max_steps):
            return
        self.last = now
        pace = (step - self.first_step) / (now - self.started)
        left = (trainer.max_steps - step) / pace
        minutes, seconds = divmod(round(left), 60)
        self.print_line(
            f"step {step}/{trainer.max_steps} ({step / trainer.max_steps:.0%})  loss {float(pl_module.last_loss):.3f}  "
            f"{pace * self.tokens_per_step:,.0f} tokens/s  {minutes}:{seconds:02d} left"
        )
        self.write(step, pace * self.tokens_per_step, left)

    def state_dict(self) -> dict[str, str | float | None]:
        return {"begun": self.begun, "seconds": self.seconds_before + time.monotonic() - self.started}

    def load_state_dict(self, state_dict: dict) -> None:
        self.begun, self.seconds_before = state_dict["begun"], state_dict["seconds"]

    def write(self, step: int, tokens_per_second: float | None, seconds_left: float | None) -> None:
        if not self.enabled:
            return
        progress = {
            "run": self.name,
            "step": step,
            "tokens_per_second": tokens_per_second,
            "seconds_left": seconds_left,
            "updated": datetime.now(UTC).isoformat(),
            "process": f"{os.getpid()} on {os.uname().nodename}",
        }
        # If the disk cannot be written, the run stops at its next checkpoint; progress alone does not stop it.
        with suppress(OSError), whole(self.file, durable=False) as part:
            part.write_text(json.dumps(progress) + "\n", encoding="utf-8")


def be_quiet() -> None:
    """Keep back Lightning's hints on accelerators, loggers and stopping: the progress lines say what matters."""
    for name in ("lightning.pytorch", "lightning.fabric.utilities.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
