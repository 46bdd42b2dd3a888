"""Progress of one run as lines that stay readable when several runs share a terminal or a log."""

import sys
import time

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from spikesink.training.module import LanguageModel


class ProgressLines(ProgressBar):
    """A line at the start, every ``seconds`` and at the end: step, loss, tokens per second, time left."""

    def __init__(self, name: str, tokens_per_step: int, seconds: float = 15.0) -> None:
        super().__init__()
        self.name, self.tokens_per_step, self.seconds = name, tokens_per_step, seconds
        self.enabled = True

    def disable(self) -> None:
        """Called by Lightning on every rank but zero."""
        self.enabled = False

    def print_line(self, text: str) -> None:
        if self.enabled:
            print(f"{self.name}  {text}", file=sys.stderr, flush=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: LanguageModel) -> None:
        self.first_step = trainer.global_step
        self.started = self.last = time.monotonic()
        where = f"resumes at step {self.first_step}" if self.first_step else "starts"
        kind, several = pl_module.device.type, trainer.world_size > 1
        device = f"{trainer.world_size} {kind} devices" if several else str(pl_module.device)
        self.print_line(f"{where}, {trainer.max_steps} steps of {self.tokens_per_step} tokens on {device}")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: LanguageModel, *_: object) -> None:
        now, step = time.monotonic(), trainer.global_step
        if not self.enabled or (now - self.last < self.seconds and step != trainer.max_steps):
            return
        self.last = now
        pace = (step - self.first_step) / (now - self.started)
        left = (trainer.max_steps - step) / pace
        self.print_line(
            f"step {step}/{trainer.max_steps} ({step / trainer.max_steps:.0%})  loss {float(pl_module.last_loss):.3f}  "
            f"{pace * self.tokens_per_step:,.0f} tokens/s  {left // 60:.0f}:{left % 60:02.0f} left"
        )
