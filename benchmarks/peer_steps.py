"""Training steps that are compared: our decoder with any variant of a scale, or LlamaForCausalLM of transformers.

Both take the same rows, the same loss, clipping and fused AdamW, and the same precision. Needs torch, numpy, pydantic
and PyYAML, transformers for the other side only.
"""

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from peer_changes import CHANGES
from peer_runs import adamw
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.study.errors import ConfigError
from spikesink.study.memory import held_bytes, memory_bytes
from spikesink.study.resolve import resolve
from spikesink.study.settings import Model, Training
from spikesink.study.sizes import flops_per_token
from spikesink.study.strict_yaml import read_yaml
from spikesink.training.module import next_token_loss
from spikesink.training.optimiser import build_optimiser, clip_gradients

WORKFLOW = Path(__file__).parents[1] / "workflow"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model and how it is trained."""

    scale: str
    variant: str = "baseline"
    peer: bool = False
    """LlamaForCausalLM of the same shape instead of our decoder."""
    share: int = 1
    """Only layers / share layers and vocabulary / share tokens, so that head and layers keep their shares of a step."""
    tokens: int
    """Tokens of a step."""
    compile: bool = False
    loss_chunk: int | None = None
    attention: str | None = None
    """The only fused attention kernel that is allowed: flash, cudnn or efficient; None: torch chooses."""
    bfloat16: bool = False
    changes: tuple[str, ...] = ()
    """Of peer_changes."""

    @property
    def name(self) -> str:
        parts = [self.scale, "transformers" if self.peer else self.variant, f"{self.tokens} tokens"]
        parts += ["compiled" if self.compile else "eager"]
        parts += [f"loss in chunks of {self.loss_chunk}"] if self.loss_chunk else []
        parts += [self.attention] if self.attention else []
        parts += self.changes
        return ", ".join(parts)


@cache
def recipes(scale: str) -> dict[str, tuple[Model, Training, int]]:
    """Every variant of every shipped ablation that this scale's baseline allows: model, training, vocabulary."""
    plain = read_yaml(WORKFLOW / "scales" / f"{scale}.yaml", as_text=True)
    names = sorted(file.stem for file in (WORKFLOW / "ablations").glob("*.yaml"))
    found = {}
    for ablation in names:
        for variant in read_yaml(WORKFLOW / "ablations" / f"{ablation}.yaml", as_text=True):
            config = plain | {"ablations": [f"{ablation}/{variant}"], "cross": {}, "variants": {}}
            try:
                runs = resolve(config, WORKFLOW).runs
            except ConfigError:
                continue  # a variant that this width cannot have
            found |= {run.variant: (run.model, run.training, run.vocabulary) for run in runs}
    return found


def shaped(contestant: Contestant) -> tuple[Model, Training, int]:
    """Model and training settings and vocabulary of a contestant."""
    model, training, vocabulary = recipes(contestant.scale)[contestant.variant]
    model = replace(model, layers=model.layers // contestant.share)
    vocabulary = vocabulary // contestant.share
    return model, replace(training, loss_chunk=contestant.loss_chunk), vocabulary


def memory(contestant: Contestant) -> tuple[float, float]:
    """Estimate of the bytes on a GPU while it steps, and between steps. transformers has its logits in float32 too."""
    model, training, vocabulary = shaped(contestant)
    sequences = max(1, contestant.tokens // training.sequence_length)
    training = replace(training, batch_size=sequences, micro_batch_size=None, compile=contestant.compile)
    held = held_bytes(model, vocabulary, training, devices=1)
    return memory_bytes(model, vocabulary, training, devices=1) + 4 * vocabulary * contestant.tokens, held


class Prepared:
    """A contestant that is ready to step."""

    def __init__(self, contestant: Contestant, device: str) -> None:
        self.contestant, self.device = contestant, torch.device(device)
        self.settings, self.training, self.vocabulary = self.shape()
        length = self.training.sequence_length
        self.sequences = max(1, contestant.tokens // length)
        self.step_tokens = self.sequences * length
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(0, self.vocabulary, (self.sequences, length + 1), generator=generator)
        self.rows = rows.to(self.device)
        make = self.make_peer if contestant.peer else self.make_own
        self.model, self.optimiser, self.loss, self.clip = make()

    def shape(self) -> tuple[Model, Training, int]:
        return shaped(self.contestant)

    def make_own(self) -> tuple[nn.Module, torch.optim.Optimizer, Callable, Callable]:
        training = self.training
        decoder = Decoder(self.settings, vocabulary=self.vocabulary, positions=training.sequence_length)
        initialise(decoder, 0)
        decoder.to(self.device)
        for change in self.contestant.changes:
            CHANGES[change](decoder)
        if self.contestant.compile:
            decoder.compile(fullgraph=True, dynamic=False)
        optimiser = build_optimiser(decoder, training.optimiser)
        norm = training.optimiser.clip_norm
        return (
            decoder,
            optimiser,
            lambda rows: next_token_loss(decoder, rows, training),
            lambda: clip_gradients(decoder, norm),
        )

    def make_peer(self) -> tuple[nn.Module, torch.optim.Optimizer, Callable, Callable]:
        from transformers import LlamaConfig, LlamaForCausalLM

        model, training = self.settings, self.training
        shape, optimiser = model.attention, training.optimiser
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=model.d_model,
            intermediate_size=model.feed_forward.width,
            num_hidden_layers=model.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads,
            head_dim=shape.head_dim,
            max_position_embeddings=training.sequence_length,
            tie_word_embeddings=model.tied_embeddings,
            attn_implementation="sdpa",
            use_cache=False,
        )
        llama = LlamaForCausalLM(config).to(self.device)

        def loss(rows: Tensor) -> Tensor:
            logits = llama(input_ids=rows[:, :-1]).logits
            return F.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())

        return (
            llama,
            adamw(llama.parameters(), optimiser),
            torch.compile(loss, fullgraph=True, dynamic=False) if self.contestant.compile else loss,
            lambda: nn.utils.clip_grad_norm_(llama.parameters(), optimiser.clip_norm),
        )

    def step(self) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.contestant.bfloat16):
            loss = self.loss(self.rows)
        loss.backward()
        self.clip()
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.detach()

    def warm_up(self, steps: int = 2) -> dict:
        """Compile and step. Facts: seconds until then, the loss, peak memory of tensors on the GPU in MB."""
        allow(self.contestant.attention)
        start = time.perf_counter()
        loss = float(self.step())
        for _ in range(steps - 1):
            loss = float(self.step())
        facts = {"first_seconds": time.perf_counter() - start, "loss": loss, "step_tokens": self.step_tokens}
        facts["flops_per_token"] = flops_per_token(
            self.settings, self.vocabulary, self.training.sequence_length, self.training.loss_window
        )
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step()
            torch.cuda.synchronize()
            facts["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
            torch.cuda.empty_cache()
        else:
            facts["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return facts

    def seconds(self, steps: int) -> float:
        """Of a step: on the GPU by the clock, after two steps to warm up; on the CPU the processor's time.

        On the CPU it takes more steps where these are short, until a second has passed.
        """
        allow(self.contestant.attention)
        if self.device.type == "cuda":
            for _ in range(2):
                self.step()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(steps):
                self.step()
            torch.cuda.synchronize()
            taken = (time.perf_counter() - start) / steps
            torch.cuda.empty_cache()  # the others need it
            return taken
        start, done = time.process_time(), 0
        while done < steps or time.process_time() - start < 1:
            self.step()
            done += 1
        return (time.process_time() - start) / done


def allow(attention: str | None) -> None:
    """Let scaled_dot_product_attention use this kernel alone, or the plain one where it cannot; None: any."""
    cuda = torch.backends.cuda
    cuda.enable_flash_sdp(attention in (None, "flash"))
    cuda.enable_cudnn_sdp(attention in (None, "cudnn"))
    cuda.enable_mem_efficient_sdp(attention in (None, "efficient"))


def free_memory() -> None:
    """Return memory that nothing holds any longer."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
