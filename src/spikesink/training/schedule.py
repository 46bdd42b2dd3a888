"""Learning rate over the steps, as a share of the peak."""

import math

from spikesink.study.settings import Schedule


def learning_rate_share(schedule: Schedule, step: int, steps: int) -> float:
    """Multiplier of the peak learning rate at ``step`` (0-based) of ``steps``.

    min(warm-up, min_lr_ratio + (1 - min_lr_ratio) (1 + cos(pi p)) / 2), where p is the share done of the steps after
    the warm-up. The quadratic warm-up is 1 - (1 - step / warmup_steps)^2, so the first step has learning rate 0
    (2603.05498, released training code). The linear warm-up is (step + 1) / warmup_steps, so the first step moves the
    weights and step warmup_steps - 1 has the peak.
    """
    warmup = 1.0
    if step < schedule.warmup_steps:
        if schedule.warmup == "quadratic":
            warmup = 1 - (1 - step / schedule.warmup_steps) ** 2
        else:
            warmup = (step + 1) / schedule.warmup_steps
    progress = max(0.0, (step - schedule.warmup_steps) / (steps - schedule.warmup_steps))
    cosine = schedule.min_lr_ratio + (1 - schedule.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(warmup, cosine)
