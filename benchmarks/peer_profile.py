"""Which kernels take a step's time on a GPU."""

from peer_steps import Prepared

GROUPS = {
    "attention": ("flash", "fmha", "attention", "cudnn_generated", "sdpa"),
    "optimiser and clipping": ("multi_tensor", "foreach", "adam", "lpnorm"),
    "element by element and reductions (Triton)": ("triton",),
    "matrix products": ("gemm", "nvjet", "cutlass", "xmma", "cublas", "splitk"),
    "copies and fills": ("memcpy", "memset", "fill", "copy"),
}
"""Parts of kernels' names; the first group that fits counts."""
OTHER = "other"


def kernels(prepared: Prepared, steps: int = 3) -> dict:
    """Milliseconds a step by group of kernels, and the twenty longest kernels."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    prepared.seconds(1)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(steps):
            prepared.step()
        torch.cuda.synchronize()
    longest = {}
    for event in profiled.key_averages():
        time = getattr(event, "self_device_time_total", 0.0) / steps / 1000
        if time > 0:
            longest[event.key] = longest.get(event.key, 0.0) + time
    groups: dict[str, float] = {}
    for name, time in longest.items():
        group = next((group for group, parts in GROUPS.items() if any(part in name.lower() for part in parts)), None)
        groups[group or OTHER] = groups.get(group or OTHER, 0.0) + time
    ordered = sorted(longest.items(), key=lambda item: -item[1])
    return {"milliseconds": groups, "longest": [[name[:90], round(time, 3)] for name, time in ordered[:20]]}
