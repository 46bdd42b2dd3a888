"""``plan``'s estimate of a GPU's memory against PyTorch's own tracker, without weights and without a GPU.

    python benchmarks/planned_memory.py OUTPUT.json [SCALE:RANKS ...]

One of so many ranks goes forward and backward through a scale's baseline with FSDP2 on fake tensors, in a process group
that sends nothing. torch.distributed._tools.FSDPMemTracker adds up what storages hold. It knows no allocator, and it
cannot follow compiled code, so both sides are without torch.compile. Clipping and AdamW's step are not tracked: there
DTensor tries the operation out on whole copies of gradients, weights and state, which hold no memory but are counted.
AdamW's state, two numbers for each of the rank's weights, is added.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

CASES = ("0.1b:8", "0.1b:64", "0.3b:8", "0.3b:64", "1b:8", "1b:64", "7b:8", "7b:64")
GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="SCALE:RANKS")
    parser.add_argument("--one", action="store_true", help="in this process; prints the result")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(tracked(*options.cases[0].split(":"))))
        return
    rows = []
    for case in options.cases:
        command = [sys.executable, __file__, str(options.output), case, "--one"]
        result = subprocess.run(command, capture_output=True, text=True)
        last = result.stdout.splitlines()[-1] if result.returncode == 0 else "{}"
        rows.append({"case": case} | (json.loads(last) or {"failed": result.stderr.strip().splitlines()[-1]}))
        print(rows[-1], flush=True)
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


def tracked(scale: str, ranks: str) -> dict:
    """Peak of the tracker and what it consists of at that time, and the plan's estimate and its parts, in GiB."""
    import torch
    from peer_steps import recipes
    from torch import distributed
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from spikesink.model.decoder import Decoder
    from spikesink.study.memory import held_bytes, logits_bytes, memory_bytes
    from spikesink.study.micro_batch import micro_batch
    from spikesink.training.module import next_token_loss
    from spikesink.training.parallel import prepare, shard

    start, world = time.process_time(), int(ranks)
    model, training, vocabulary = recipes(scale)["baseline"]
    training = replace(training, strategy="fsdp", compile=False, precision="bfloat16")
    sequences = micro_batch(training, world)
    distributed.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    mesh = distributed.device_mesh.init_device_mesh("cpu", (world,))
    with FakeTensorMode():
        decoder = Decoder(model, vocabulary=vocabulary, positions=training.sequence_length)
        prepare(decoder, compile=False, activation_checkpointing=training.activation_checkpointing, by_block=True)
        shard(decoder, mesh, torch.bfloat16, getattr(torch, training.residual))
        rows = torch.zeros(sequences, training.sequence_length + 1, dtype=torch.long)
        tracker = FSDPMemTracker(decoder)
        tracker.track_inputs((rows,))
        with tracker:
            with torch.autocast("cpu", torch.bfloat16):
                loss = next_token_loss(decoder, rows, training)
            loss.backward()
        state = sum(2 * parameter.to_local().nbytes for parameter in decoder.parameters())
        (peak,) = (dict(parts) for parts in tracker.get_tracker_snapshot("peak").values())
    parts = {str(getattr(name, "value", name)): size / GIB for name, size in peak.items()}
    parts["OptState"] = state / GIB
    planned = memory_bytes(model, vocabulary, training, world) / GIB
    return {
        "sequences": sequences,
        "tracked_gib": parts.pop("Total") + state / GIB,
        "planned_gib": planned,
        "tracked": {name: round(size, 3) for name, size in parts.items() if size > 1e-3},
        "planned_held_gib": held_bytes(model, vocabulary, training, world) / GIB,
        "planned_logits_gib": logits_bytes(vocabulary, training, sequences) / GIB,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


if __name__ == "__main__":
    main()
